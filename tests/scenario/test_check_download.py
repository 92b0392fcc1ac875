"""`viaduct check -o`: what is saved, how it goes on, and what is said when it is cut."""

import contextlib
import fcntl
import os
import pty
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from check import ENVIRONMENT, check, check_all, check_raw
from target import HttpTarget, MIB, Target, reply
from viaduct import BINARY, Proxy, run_command

BODY = bytes(range(256)) * 4096  # 1 MiB
DAY, NEXT_DAY = "Sun, 06 Nov 1994 08:49:37 GMT", "Mon, 07 Nov 1994 08:49:37 GMT"
SIOCOUTQ = 0x5411
ATTRIBUTE = "user.viaduct.validator"


def head(length=None, *fields, status="200 OK"):
    framing = ["Transfer-Encoding: chunked"] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([f"HTTP/1.1 {status}", *framing, *fields, "", ""]).encode()


class Script(Target):
    """A target whose n-th connection is served by the n-th of `tries` (the last one again and again); `requests` has
    what was asked."""

    def __init__(self, *tries, **more):
        self.tries, self.requests = tries, []
        super().__init__(self.serve, **more)

    def serve(self, connection):
        request = connection.request()
        self.requests.append(request)
        self.tries[min(len(self.requests), len(self.tries)) - 1](connection)


def whole(connection):
    connection.send(head(len(BODY), 'ETag: "one"'), BODY)


def fin_at(count, *fields):
    return lambda connection: connection.send(head(len(BODY), *fields), BODY[:count])


def fin_in_chunks(count):
    return lambda connection: connection.send(head(), f"{len(BODY):x}\r\n", BODY[:count])


def rst_at(count):
    def script(connection):
        connection.send(head(len(BODY)), BODY[:count])
        while any(fcntl.ioctl(connection.sock, SIOCOUTQ, bytes(4))):  # what is not acknowledged would be lost
            connection.target.done.wait(0.01)
        connection.reset()

    return script


def silent_at(count):
    def script(connection):
        connection.send(head(len(BODY)), BODY[:count])
        connection.hold()

    return script


def fin_after(seconds, count):
    def script(connection):
        connection.send(head(len(BODY)), BODY[:count])
        connection.target.done.wait(seconds)

    return script


def trickle(seconds):
    """Something each second, and the rest at last."""

    def script(connection):
        connection.send(head(len(BODY)))
        for i in range(seconds):
            connection.send(BODY[i : i + 1])
            connection.target.done.wait(1)
        connection.send(BODY[seconds:])

    return script


def ranged(etag='"one"', body=BODY):
    """Answers ranges as a good target does."""

    def script(connection):
        request = connection.target.requests[-1]
        wanted, condition = request.get("Range"), request.get("If-Range")
        if not wanted or condition not in (None, etag):
            connection.send(head(len(body), f"ETag: {etag}"), body)
            return
        first = int(wanted[len("bytes=") : -1])
        if first >= len(body):
            connection.send(head(0, f"Content-Range: bytes */{len(body)}", status="416 Range Not Satisfiable"))
            return
        part = f"Content-Range: bytes {first}-{len(body) - 1}/{len(body)}"
        connection.send(head(len(body) - first, part, f"ETag: {etag}", status="206 Partial Content"), body[first:])

    return script


def keeps_attributes(path):
    try:
        os.setxattr(path, "user.viaduct.test", b"x")
    except OSError:
        return False
    os.removexattr(path, "user.viaduct.test")
    return True


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


# ---- what is saved


def test_a_body_is_saved_by_every_way(proxy, certs, out):
    with HttpTarget(lambda request: reply(BODY)) as plain, HttpTarget(
        lambda request: reply(BODY), tls=certs.target()
    ) as tls:
        for way in ("direct", proxy.url):
            for target in (plain, tls):
                out.write_bytes(b"an older and longer one" * 100000)
                check("-x", way, "-o", out, "--cacert", certs.ca, target.url(host="localhost")).expect("ok", "close")
                assert out.read_bytes() == BODY, (way, target.url())


def test_framing_is_not_saved(out):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:70000], BODY[70000:])) + b"0\r\n\r\n"
    until_close = lambda connection: connection.send(b"HTTP/1.1 200 OK\r\n\r\n", BODY)
    for script in (lambda connection: connection.send(head(), chunks), until_close):
        with Script(script) as target:
            check("-x", "direct", "-o", out, target.url()).expect("ok")
        assert out.read_bytes() == BODY


def test_errors_and_redirects_are_not_saved(out):
    with HttpTarget(lambda request: reply(b"no", "404 Not Found")) as target:
        check("-x", "direct", "-o", out, target.url()).expect("target-error")
        assert not out.exists()
        out.write_bytes(b"as it was")
        check("-x", "direct", "-o", out, target.url()).expect("target-error")
    with HttpTarget() as last, HttpTarget(
        lambda request: reply(b"moved", "302 Found", f"Location: {last.url()}")
    ) as first:
        check("-x", "direct", "-o", out, first.url()).expect("ok", status=302).says("not saved")
        assert out.read_bytes() == b"as it was"
        check_all("-x", "direct", "-L", "-o", out, first.url())
    assert out.read_bytes() == b"hello"


def test_standard_output_takes_the_body_alone():
    with HttpTarget(lambda request: reply(b"the body\n")) as target:
        done = check_raw("-x", "direct", "-o", "-", target.url())
        assert (done.returncode, done.stdout) == (0, "the body\n")
        assert "transfer" in done.stderr and done.stderr.splitlines()[-1].startswith("the same with curl")
        assert check_raw("-x", "direct", "-o", "-", "-C", "-", target.url()).returncode == 2
    with Script(fin_at(5000), ranged()) as target:
        done = subprocess.run(
            [BINARY, "check", "-x", "direct", "-o", "-", target.url()], capture_output=True, env=ENVIRONMENT, timeout=60
        )
    assert (done.returncode, done.stdout) == (3, BODY[:5000])  # of another version: it cannot be taken back
    assert b"was changed before the second try" in done.stderr


def test_standard_output_goes_on_with_the_second_try():
    with Script(fin_at(5000, 'ETag: "one"'), whole) as target:
        done = subprocess.run(
            [BINARY, "check", "-x", "direct", "-o", "-", target.url()], capture_output=True, env=ENVIRONMENT, timeout=60
        )
    assert (done.returncode, done.stdout) == (0, BODY)


# ---- faults of this machine


def test_what_cannot_be_written_is_told(tmp_path, proxy):
    with HttpTarget(lambda request: reply(BODY)) as target:
        for path, words in ((tmp_path, "Is a directory"), (tmp_path / "none" / "x", "No such file or directory")):
            done = check_raw("-x", "direct", "-o", path, target.url())
            assert done.returncode == 3 and f"{path}: {words}" in done.stderr, done
        assert not target.requests  # nothing is asked for what cannot be kept
        done = check_raw("-x", "direct", "-o", "/dev/full", target.url())
        assert done.returncode == 3 and "/dev/full: No space left on device after 0 bytes" in done.stderr, done
        assert "cannot save the body" in done.stdout
        done = check_raw("-x", "direct", "-o", tmp_path / "big", target.url(), wrap=("prlimit", "--fsize=5000"))
        assert done.returncode == 3 and "File too large after 5000 bytes" in done.stderr, done
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as nobody:
            done = subprocess.run(
                [BINARY, "check", "-x", "direct", "-o", "-", target.url()],
                stdout=nobody, stderr=subprocess.PIPE, env=ENVIRONMENT, timeout=60,
            )
        assert done.returncode == 3 and b"standard output: Broken pipe" in done.stderr, done


# ---- going on


def test_a_cut_file_goes_on_with_if_range(out):
    cut = fin_at(300000, 'ETag: "one"')
    with Script(cut, fin_at(100, 'ETag: "one"'), ranged()) as target:
        flow = check("-x", "direct", "-o", out, target.url())
        flow.expect("incomplete").says("300000 of 1048576", "after 100 bytes", "keeps 300000", "-C -")
        assert out.read_bytes() == BODY[:300000]  # the better of both tries
        flow = check("-x", "direct", "-o", out, "-C", "-", target.url())
        flow.expect("ok", status=206, bytes_down=len(BODY) - 300000).says("goes on at byte 300000")
        last = target.requests[-1]
        assert last.get("Range") == "bytes=300000-"
        assert last.get("If-Range") == ('"one"' if keeps_attributes(out) else None)
        assert out.read_bytes() == BODY
        flow = check("-x", "direct", "-o", out, "-C", "-", target.url())
        flow.expect("ok", status=416).says("is complete", "1048576")
        assert out.read_bytes() == BODY


def test_going_on_through_a_tunnel_and_a_proxy(proxy, certs, out):
    for more in ({}, {"tls": certs.target()}):
        with Script(ranged(), **more) as target:
            out.unlink(missing_ok=True)  # and its attribute with it
            out.write_bytes(BODY[:1000])
            flow = check("-x", proxy.url, "--cacert", certs.ca, "-o", out, "-C", "-", target.url(host="localhost"))
            flow.expect("ok")
            assert out.read_bytes() == BODY
            assert target.requests[-1].get("Range") == "bytes=1000-"
            assert target.requests[-1].get("If-Range") is None  # nothing is known of what was there
            check("-x", proxy.url, "--cacert", certs.ca, "-o", out, "-C", "-", target.url(host="localhost")).expect(
                "ok", status=416
            )


def test_another_version_begins_anew(out):
    other = BODY[::-1] + b"more"
    with Script(fin_at(300000, 'ETag: "one"')) as target:
        check("-x", "direct", "-o", out, target.url())
    if not keeps_attributes(out):
        pytest.skip("this file system keeps no attributes")
    with Script(ranged('"two"', other)) as target:
        flow = check("-x", "direct", "-o", out, "-C", "-", target.url())
        assert target.requests[0].get("If-Range") == '"one"'
    flow.expect("ok", status=200).says("begins anew", "another version")
    assert out.read_bytes() == other and os.getxattr(out, ATTRIBUTE) == b'"two"'


def test_a_target_without_ranges_begins_anew(out):
    out.write_bytes(b"x" * 2000)
    with Script(whole) as target:
        check("-x", "direct", "-o", out, "-C", "-", target.url()).expect("ok").says("knows no ranges")
    assert out.read_bytes() == BODY


def test_dates_and_weak_tags_as_validators(tmp_path):
    cases = (
        (f"Last-Modified: {DAY}", f"Date: {NEXT_DAY}", DAY),
        (f"Last-Modified: {DAY}", f"Date: {DAY}", None),
        ('ETag: W/"one"', f"Date: {NEXT_DAY}", None),
    )
    for i, (field, date, want) in enumerate(cases):
        path = tmp_path / f"out-{i}"
        with Script(fin_at(70000, field, date)) as target:
            check("-x", "direct", "-o", path, target.url())
            check("-x", "direct", "-o", path, "-C", "-", target.url())
            seen = target.requests[2]
        assert seen.get("Range") == "bytes=70000-"
        assert seen.get("If-Range") == (want if keeps_attributes(path) else None), field


@pytest.mark.parametrize("hostile", [b'"x"\r\nEvil: yes', b"plain words", b"\xff" * 300])
def test_an_attribute_is_no_way_into_the_request(out, hostile):
    out.write_bytes(b"x" * 10)
    if not keeps_attributes(out):
        pytest.skip("this file system keeps no attributes")
    os.setxattr(out, ATTRIBUTE, hostile)
    with Script(ranged()) as target:
        check("-x", "direct", "-o", out, "-C", "-", target.url())
        assert b"Evil" not in target.requests[0].head and target.requests[0].get("If-Range") is None


def test_a_wrong_part_is_not_put_behind(out):
    parts = (
        ("Content-Range: bytes 999-1048575/1048576", "from another byte"),
        ("Content-Range: bytes 1000-2000/1048576", "not up to the end"),
        ("Content-Range: lines 1000-1048575/1048576", "without saying which"),
        ("X-Nothing: 1", "without saying which"),
    )
    for part, words in parts:
        out.write_bytes(BODY[:1000])
        with Script(lambda connection: connection.send(head(3, part, status="206 Partial Content"), b"bad")) as target:
            flow = check("-x", "direct", "-o", out, "-C", "-", target.url())
        flow.expect("upstream-failed", ended_by="target").says(words)
        assert out.read_bytes() == BODY[:1000]
    with Script(ranged(body=b"short")) as target:
        flow = check("-x", "direct", "-o", out, "-C", "-", target.url())
    flow.expect("target-error", status=416).says("has 1000 bytes", "has 5")
    assert out.read_bytes() == BODY[:1000]


# ---- cuts

CUTS = {  # the tries, more arguments, verdict, certainty, words of the evidence, bytes that are kept
    "fin": ([fin_at(700000), fin_at(400000)], (), "incomplete", "seen", ["700000 of 1048576", "after 400000"], 700000),
    "fin, the second gets further": (
        [fin_at(400000), fin_at(700000)], (), "incomplete", "seen", ["400000 of 1048576", "after 700000"], 700000,
    ),
    "fin, twice alike": ([fin_at(700000)], (), "size-limit", "inferred", ["700000 of 1048576", "after 700000"], 700000),
    "chunks, twice alike": (
        [fin_in_chunks(700000)], (), "size-limit", "inferred", ["700000 bytes", "not its end", "after 700000"], 700000,
    ),
    "chunks": ([fin_in_chunks(700000), fin_in_chunks(100000)], (), "incomplete", "seen", ["700000 bytes"], 700000),
    "rst": ([rst_at(700000), rst_at(300000)], (), "reset-by-target", "seen", ["700000 of", "after 300000"], 700000),
    "rst, twice alike": ([rst_at(700000)], (), "size-limit", "inferred", ["700000 of", "after 700000"], 700000),
    "silence": ([silent_at(700000)], ("-m", "9"), "stalled", "seen", ["700000 of 1048576", "no byte came for"], 700000),
    "the same second": (
        [fin_after(2, 700000), fin_after(2, 300000)], (), "lifetime-limit", "inferred", ["700000 of", "after 300000"],
        700000,
    ),
    "whole at last": ([fin_at(700000), whole], (), "ok", "seen", ["a first try was cut", "after 700000 bytes"], MIB),
}


def test_cuts_are_told_apart(tmp_path):
    def one(name):
        tries, more, verdict, certainty, words, kept = CUTS[name]
        path = tmp_path / name.replace(" ", "-")
        with Script(*tries) as target:
            flow = check("-x", "direct", "-o", path, *more, target.url())
        flow.expect(verdict, certainty=certainty).says(*words)
        assert path.read_bytes() == BODY[:kept], name
        if verdict != "ok":
            assert any(re.search(r"bytes of the body came, in \d+\.\d s", line) for line in flow["evidence"]), flow
        return name

    with ThreadPoolExecutor(len(CUTS)) as pool:
        assert set(pool.map(one, CUTS)) == set(CUTS)


def test_half_a_file_is_no_success(out):
    """Time was over while bytes still came: no failure of the way, but not what was asked for."""
    with Script(trickle(30)) as target:
        done = check_raw("-x", "direct", "-m", "2", "-o", out, target.url())
    assert "open in transfer" in done.stdout and "-C - goes on there" in done.stdout
    assert done.returncode == 1 and 0 < out.stat().st_size < MIB


def test_a_probe_beside_the_download_writes_nothing(out):
    """A silence before the first full segment starts one, which is given other bytes here; then come two controls."""
    other = lambda connection: connection.send(head(len(BODY)), b"x" * len(BODY))
    with Script(silent_at(500), other, silent_at(500), silent_at(500)) as target:
        flow = check("-x", "direct", "-o", out, "-m", "20", target.url())
        assert target.accepts == 4 and flow["verdict"] == "mtu-blackhole", flow
    assert out.read_bytes() == BODY[:500]


def slowly(seconds):
    """64 KiB every so often, for longer than any limit; of a length that is not told."""

    def script(connection):
        connection.send(head())
        while not connection.target.done.wait(seconds):
            connection.send(b"10000\r\n", BODY[:65536], b"\r\n")

    return script


def up_to_and_over(connection):
    """All but a little of 1 MiB, and more once that has arrived: a proxy's RST takes what still waits in it along."""
    connection.send(head(), b"ffc00\r\n", BODY[:0xFFC00], b"\r\n")
    connection.target.done.wait(1)
    connection.send(b"100000\r\n", BODY, b"\r\n")
    connection.wait()


def test_limits_of_a_real_proxy(out, tmp_path):
    def lifetime():
        with Proxy(access="deny private off; deny ports off; allow all { lifetime 2s; }") as proxy, Script(
            slowly(0.05), slowly(0.02)
        ) as target:
            flow = check("-x", proxy.url, "-o", tmp_path / "lifetime", target.url())
        flow.expect("lifetime-limit", "transfer", "proxy", certainty="inferred").says("reset-by-proxy: RST", "second try was cut")

    def size():
        with Proxy(access="deny private off; deny ports off; allow all { max-download 1m; }") as proxy:
            with Script(up_to_and_over) as target:
                flow = check("-x", proxy.url, "-o", out, target.url())
            flow.expect("size-limit", "transfer", "proxy", certainty="inferred").says("second try was cut")
            with HttpTarget(lambda request: reply(BODY + b"x")) as target:
                said = check("-x", proxy.url, "-o", tmp_path / "said", target.url())
            said.expect("size-limit", "answer", "proxy", status=403)
            assert not (tmp_path / "said").exists()

    threads = [ThreadPoolExecutor(1).submit(run) for run in (lifetime, size)]
    for thread in threads:
        thread.result()


def test_what_came_before_the_time_was_over_is_kept(out):
    with Script(slowly(0.05)) as target:
        done = check_raw("-x", "direct", "-o", out, "-m", "1", target.url())
    assert done.returncode == 1 and "open in transfer" in done.stdout
    assert " keeps " in done.stdout and " -C - " in done.stdout
    size = out.stat().st_size
    assert size > 0 and out.read_bytes() == (BODY[:65536] * (size // 65536 + 1))[:size]


def test_the_help_says_that_the_time_counts_for_a_body_too():
    help_ = run_command("help", "check").stdout
    assert "each URL, a body that -o saves included (default: 30)" in help_
    assert "without a byte" not in help_


# ---- the progress bar


def on_a_terminal(*arguments, both=True):
    """What a terminal of 80 columns is sent: standard error, and (`both`) standard output too."""
    master, slave = pty.openpty()
    seen = []

    def read():
        with contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                seen.append(data)

    process = subprocess.Popen(
        [BINARY, "check", *map(str, arguments)],
        stdin=subprocess.DEVNULL, stdout=slave if both else subprocess.PIPE, stderr=slave,
        env={**ENVIRONMENT, "TERM": "xterm"},
    )
    os.close(slave)
    reader = threading.Thread(target=read)
    reader.start()
    out = b"" if both else process.stdout.read()
    status = process.wait(60)
    reader.join()
    os.close(master)
    return status, b"".join(seen).decode(), out.decode()


def test_progress_is_drawn_on_a_terminal_and_taken_away(out):
    with HttpTarget(lambda request: reply(BODY)) as target:
        status, seen, report = on_a_terminal("-x", "direct", "-o", out, target.url(), both=False)
        assert status == 0 and "1.0 MiB" in seen and "%" in seen and seen.endswith("\r\x1b[K"), seen
        assert "transfer" in report and "\x1b" not in report
        status, seen, _ = on_a_terminal("-x", "direct", "-o", out, target.url())
        assert status == 0 and "%" in seen and "\r\x1b[K" in seen[seen.rindex("%"):], seen
        for quiet in ((), ("-o", out, "--json")):
            _, seen, _ = on_a_terminal("-x", "direct", *quiet, target.url(), both=False)
            assert seen == "", seen

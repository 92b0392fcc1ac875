"""`viaduct explain`, run for real on captures that are made up: what it prints in each form, its exit status, what it
refuses; on a live interface; and its page in a real browser."""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree

import packets
import pytest
import terminal
from chromium import Browser, chromium
from explain import explain, explain_raw
from netns import Namespace
from packets import Talk, answer, black_hole, denied, healthy, pcap, request
from target import HttpTarget, reply
from viaduct import BINARY, Proxy

VERDICTS = ["mtu-blackhole", "acl-denied", "ok"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("explain")


@pytest.fixture(scope="module")
def mixed(folder):
    """Two healthy flows, one that was denied, one that a black hole swallowed."""
    path = folder / "mixed.pcap"
    path.write_bytes(pcap(healthy(), denied(), black_hole(), healthy(1)))
    return path


@pytest.fixture(scope="module")
def fine(folder):
    path = folder / "fine.pcap"
    path.write_bytes(pcap(healthy(), healthy(1)))
    return path


# ---- what is printed


def test_the_summary_has_the_worst_first(mixed):
    done = explain_raw(mixed)
    assert done.returncode == 1 and done.stderr == ""
    at = [done.stdout.index(f"\n  {verdict} ") for verdict in VERDICTS]
    assert at == sorted(at)
    assert done.stdout.index("\n#3 mtu-blackhole") < done.stdout.index("\n#2 acl-denied")
    assert "flows     4, failed: 2\n" in done.stdout
    assert "CONNECT www.social.example:443 from 10.40.40.2:42000 through 10.10.10.1:3128" in done.stdout
    assert "\n#1 " not in done.stdout and "\n#4 " not in done.stdout  # the healthy ones are a count
    assert "\x1b" not in done.stdout


def test_one_flow_is_told_at_once(folder):
    path = folder / "one.pcap"
    path.write_bytes(pcap(denied()))
    done = explain_raw(path)
    assert done.returncode == 1
    assert re.search(r"\n  answer +\d", done.stdout) and "#1" not in done.stdout


def test_one_flow_of_many(mixed):
    for name in ("3", "#3", "0000000000000003"):
        done = explain_raw("--flow", name, mixed)
        assert done.returncode == 1
        assert done.stdout.startswith("CONNECT files.example.org:443 from 10.40.40.3:43000")
        assert "flow 0000000000000003" in done.stdout and "mtu-blackhole in tls" in done.stdout
    assert explain_raw("--flow", "1", mixed).returncode == 0  # it is that flow's
    (flow,) = explain("--flow", "2", mixed)
    assert flow["verdict"] == "acl-denied"
    missing = explain_raw("--flow", "9", mixed)
    assert missing.returncode == 2 and "there is no flow 9: there are 4" in missing.stderr


def test_failed_ones_alone(mixed, fine):
    done = explain_raw("--failed", mixed)
    assert done.returncode == 1 and "\n  ok" not in done.stdout and "\n#2 " in done.stdout
    assert sorted(flow["verdict"] for flow in explain("--failed", mixed)) == ["acl-denied", "mtu-blackhole"]
    assert explain("--failed", fine) == []


def test_json_has_all_flows(mixed):
    flows = explain(mixed)
    assert sorted(flow["verdict"] for flow in flows) == ["acl-denied", "mtu-blackhole", "ok", "ok"]
    assert sorted(flow["id"] for flow in flows) == [f"{n:016x}" for n in (1, 2, 3, 4)]


def test_a_407_that_was_answered_is_no_failure(folder):
    talk = Talk().open()
    challenge = answer(
        "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="r"', "Content-Length: 0"
    )
    talk.up(request("CONNECT", "a.example.net:443")).down(challenge)
    talk.up(request("CONNECT", "a.example.net:443", "Proxy-Authorization: Basic dXNlcjpwYXNz"))
    talk.down(answer("200 Connection established")).up(b"x" * 50).down(b"y" * 50).close()
    path = folder / "407.pcap"
    path.write_bytes(pcap(talk))
    flows = explain(path)
    assert [flow["superseded_by"] is None for flow in flows] == [False, True]
    assert explain("--failed", path) == []
    done = explain_raw(path)
    assert done.returncode == 0 and "407 that was answered by credentials, no failure: 1" in done.stdout
    assert "dXNlcjpwYXNz" not in done.stdout + explain_raw("--json", path).stdout


# ---- where it comes from


def test_standard_input_is_read_without_a_file(mixed):
    for arguments in ([], ["-"]):
        with open(mixed, "rb") as file:
            done = explain_raw(*arguments, stdin=file)
        assert done.returncode == 1 and "flows     4, failed: 2\n" in done.stdout


def test_a_compressed_pipe(mixed):
    done = subprocess.run(
        [BINARY, "explain", "--json", "-"], input=gzip.compress(mixed.read_bytes()), capture_output=True, check=False
    )
    assert done.returncode == 1 and len(done.stdout.splitlines()) == 4


def test_several_files_are_one_story(folder, fine):
    later = folder / "later.pcap"
    later.write_bytes(pcap(denied(50)))
    flows = explain(later, fine)
    assert len(flows) == 3
    assert f"files     {later}, {fine}\n" in explain_raw(later, fine).stdout


def test_text_of_a_ticket():
    text = "\n".join(
        [
            "12:00:00.000100 IP host.54000 > proxy.8080: Flags [S], seq 0, win 64240, options [mss 1460], length 0",
            "12:00:00.000150 IP proxy.8080 > host.54000: Flags [R.], seq 0, ack 1, win 0, length 0",
            "# nothing works",
        ]
    )
    done = subprocess.run(
        [BINARY, "explain", "-x", "8080"], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done
    assert "from host:54000 through proxy:8080" in done.stdout and "proxy-refused" in done.stdout


def test_a_proxy_that_only_got_syns(folder):
    talk = Talk(proxy=("10.10.10.1", 7777))
    for wait in (0, 1, 2, 4):
        talk.packet(0, packets.SYN, wait=wait, seq=1000)
    path = folder / "syns.pcap"
    path.write_bytes(pcap(talk))
    (direct,) = explain(path)
    assert direct["proxy"] is None
    for name in ("10.10.10.1:7777", "7777", "http://10.10.10.1:7777", "10.10.10.1"):
        (flow,) = explain("-x", name, path)
        flow.expect("proxy-unreachable", "connect", proxy="10.10.10.1:7777", certainty=flow["certainty"])


# ---- what is refused, and what is wrong with a capture


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["no-such.pcap"], "no-such.pcap"),
        (["--what"], "--what"),
        (["--flow", "x", "-"], "--flow x"),
        (["--flow", "1", "--failed", "-"], "--flow"),
        (["-x", "socks://p:1", "-"], "-x"),
        (["--json", "--html", "-", "-"], "--html"),
        (["--keylog", "no-such.keys", "FINE"], "no-such.keys"),
        (["--keylog", __file__, "FINE"], "as a key log has them"),
        (["-x", "99999", "FINE"], "-x 99999: a port is from 1 to 65535"),
        (["/"], "/"),
    ],
)
def test_mistakes(arguments, says, fine):
    done = explain_raw(*[str(fine) if word == "FINE" else word for word in arguments])
    assert done.returncode == 2 and done.stdout == "", done
    assert says in done.stderr, done.stderr


def test_on_a_terminal_it_asks_for_a_capture():
    # standard input is the terminal, too
    done = subprocess.run(
        ["script", "-qec", f"{BINARY} explain", "/dev/null"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2 and "which capture?" in done.stdout, done


def test_what_a_capture_lacks_is_told(folder):
    cut, short = folder / "cut.pcap", folder / "short.pcap"
    cut.write_bytes(pcap(healthy(), denied(), snaplen=96))
    done = explain_raw(cut)
    assert "snaplen 96" in done.stderr
    assert "tcpdump -i any -s 0 -w capture.pcap '" in done.stderr
    short.write_bytes(pcap(healthy(), denied())[:-7])
    done = explain_raw(short)
    assert done.stderr.startswith("viaduct explain: warning: ") and str(short) in done.stderr
    assert "acl-denied" in done.stdout


def test_a_reader_that_has_enough(folder):
    """`| head -1`: no more is read, and no harm is done."""
    path = folder / "many.pcap"
    path.write_bytes(pcap(*[denied(n) for n in range(2000)]))
    with subprocess.Popen(
        [BINARY, "explain", "--json", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert json.loads(process.stdout.readline())["verdict"] == "acl-denied"
        process.stdout.close()
        assert process.wait(30) == 3
        assert b"cannot write to standard output" in process.stderr.read()
    done = explain_raw(path)
    assert "failed flows left out here: 1990 (--failed shows them)" in done.stdout
    assert "left out here: 1000 (--failed --json prints all)" in explain_raw("--failed", path).stdout
    assert len(explain("--failed", path)) == 2000


# ---- on a terminal, in Japanese


def environment(**more):
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "LANGUAGE", "LANG")}
    return {**kept, "TERM": "xterm", "LC_ALL": "C.UTF-8", **more}


def test_colour_is_for_terminals_that_want_it(mixed):
    for env, has_colour in [
        (environment(), True),
        (environment(NO_COLOR="1"), False),
        (environment(TERM="dumb"), False),
    ]:
        data, err, status = terminal.run([BINARY, "explain", str(mixed)], env=env, both=False)
        assert status == 1 and err == b""
        assert (b"\x1b[31mmtu-blackhole" in data) == has_colour
    data, _, _ = terminal.run([BINARY, "explain", "--json", str(mixed)], env=environment(), both=False)
    assert b"\x1b" not in data


def test_progress_leaves_nothing_behind(folder):
    path = folder / "much.pcap"
    path.write_bytes(pcap(*[denied(n) for n in range(20000)]))
    data, _, status = terminal.run([BINARY, "explain", str(path)], columns=200, env=environment(NO_COLOR="1"))
    text = "\n".join(terminal.Screen(200).feed(data).lines)
    assert status == 1 and "packets   200000" in text
    assert not re.search(r"\d+ packets, ", text)


def test_japanese(mixed):
    done = explain_raw(mixed, env=environment(LC_ALL="ja_JP.UTF-8"))
    assert "パケット" in done.stdout and "失敗: 2" in done.stdout
    assert "大きいパケットが経路の途中で" in done.stdout
    assert "mtu-blackhole in tls by network" in done.stdout  # codes are never translated
    page = explain_raw("--html", "-", mixed, env=environment(LC_ALL="ja_JP.UTF-8")).stdout
    assert '<html lang="ja">' in page and "判定ごとの件数" in page
    flows = explain(mixed, env=environment(LC_ALL="ja_JP.UTF-8"))
    assert all(set(flow) == set(flows[0]) for flow in flows)


# ---- stand-ins

CANARIES = [
    "zqhost", "zqcanary", "xyuser", "xypass", "qqpath", "qqquery", "xyrealm", "abad1dea", "10.77.66.", "10.40.40.",
    "fdaa:1", "zqparent", "eHl1c2Vy", "xyissuer", "zqfolder",
]  # fmt: skip


def secretive():
    """Talks that have names, users, paths and validators wherever there can be any."""
    login = "Proxy-Authorization: Basic eHl1c2VyOnh5cGFzcw=="  # xyuser:xypass
    first = Talk(client=("10.77.66.5", 40001), proxy=("10.77.66.1", 3128)).open()
    url = "http://zqhost.zqcanary.test:8080/qqpath/file?qqquery=xyuser"
    first.up(request("GET", url, login, 'If-None-Match: "abad1dea"', "Cookie: qqquery=1"))
    redirect = "https://xyuser:xypass@zqhost.zqcanary.test/qqpath?qqquery"
    first.down(
        answer("302 Found", f"Location: {redirect}", "Via: 1.1 zqparent (squid/5.7)", "Content-Length: 0")
    )
    first.close()
    second = Talk(client=("10.77.66.6", 40002), proxy=("10.77.66.1", 3128)).open()
    second.up(request("CONNECT", "zqhost.zqcanary.test:443", login))
    page = b"<html><title>ERROR</title>Dear xyuser of zqcanary at 10.77.66.6, zqhost.zqcanary.test is not for you</html>"
    second.down(
        answer(
            "403 Forbidden (acl-denied: rule zqcanary)",
            'Proxy-Authenticate: Digest realm="xyrealm", nonce="abad1dea"',
            "X-Squid-Error: ERR_ACCESS_DENIED zqcanary",
            "Server: zqparent/1.0 (zqcanary)",
            'Proxy-Status: zqparent.zqcanary.test; error=http_request_denied; details="rule zqcanary of xyrealm"',
            'ETag: "abad1dea-98765432"',
            f"Content-Length: {len(page)}",
            body=page,
        )
    )
    second.close()
    third = Talk(client=("fdaa:1::5", 40003), proxy=("fdaa:1::1", 3128)).open()
    third.up(request("CONNECT", "zqhost:443", "Proxy-Authorization: NTLM eHl1c2VyOnh5cGFzcw=="))
    third.down(answer("407 zqcanary xyuser", 'Proxy-Authenticate: Basic realm="xyrealm zqcanary"'))
    third.close()
    fourth = Talk(client=("10.77.66.7", 40004), proxy=("10.77.66.1", 3128)).open()
    fourth.up(request("CONNECT", "10.77.66.99:443")).down(b"SSH-2.0-zqcanary xyuser\r\n").close()
    fifth = Talk(client=("10.77.66.8", 40005), proxy=("10.77.66.2", 8080)).open()
    fifth.up(request("GET", "/qqpath?qqquery", "Host: zqhost.zqcanary.test")).down(answer("500 zqcanary"))
    fifth.packet(1, packets.RST | packets.ACK)
    sixth = black_hole(target="zqhost.zqcanary.test:443")
    return [first, second, third, fourth, fifth, sixth]


def assert_no_canary(text):
    found = [canary for canary in CANARIES if canary.lower() in text.lower()]
    lines = [line for line in text.splitlines() if any(canary.lower() in line.lower() for canary in found)]
    assert not found, (found, lines[:5])


def test_nothing_of_the_original_survives(folder):
    place = folder / "zqfolder"
    place.mkdir()
    path, cut, text = place / "zqcanary.pcap", place / "zqhost-cut.pcap", place / "zqcanary.txt"
    path.write_bytes(pcap(*secretive()))
    cut.write_bytes(pcap(*secretive(), snaplen=120)[:-5])
    text.write_text(
        "12:00:00.000100 IP zqhost.54000 > zqcanary.8080: Flags [S], seq 0, win 64240, length 0\n"
        "12:00:00.000150 IP zqcanary.8080 > zqhost.54000: Flags [S.], seq 0, ack 1, win 65160, length 0\n"
        "12:00:00.000180 IP zqhost.54000 > zqcanary.8080: Flags [.], ack 1, win 64240, length 0\n"
        "CONNECT zqhost.zqcanary.test:443 HTTP/1.1\nHost: zqhost.zqcanary.test:443\n"
        "Proxy-Authorization: Basic eHl1c2VyOnh5cGFzcw==\n"
        "12:00:06.000180 IP zqhost.54000 > zqcanary.8080: Flags [F.], seq 300, ack 1, win 64240, length 0\n"
    )
    plain = explain_raw("--json", path).stdout
    assert "zqhost.zqcanary.test" in plain and "xyuser" in plain and "xypass" not in plain
    for captures in ([path], [cut], [text], [path, cut, text]):
        for form in (["--json"], [], ["--failed"], ["--html", "-"], ["--flow", "1"], ["--flow", "2"]):
            done = explain_raw("--anonymize", *form, *captures)
            if form[0:1] == ["--flow"] and done.returncode == 2:
                continue  # a text has one flow
            assert done.returncode in (0, 1), done
            assert_no_canary(done.stdout)
            assert_no_canary(done.stderr)
    done = explain_raw("--anonymize", place / "zqcanary.missing")
    assert done.returncode == 2
    assert_no_canary(done.stderr)


def test_the_same_name_has_the_same_stand_in(folder):
    path = folder / "twice.pcap"
    path.write_bytes(pcap(healthy(0), healthy(1), denied(2, "updates.example.net:443"), denied(3)))
    flows = {flow["id"]: flow for flow in explain("--anonymize", path)}
    targets = [flows[f"{n:016x}"]["target"] for n in (1, 2, 3, 4)]
    assert targets[0] == targets[1] == targets[2] == "host-1.example:443"
    assert targets[3] == "host-2.example:443"
    assert len({flow["proxy"] for flow in flows.values()}) == 1
    plain = {flow["id"]: flow for flow in explain(path)}
    for key in ("verdict", "ended_in", "duration_us", "bytes_down", "status", "method", "warnings"):
        assert {n: flow[key] for n, flow in flows.items()} == {n: flow[key] for n, flow in plain.items()}


# ---- a live interface


class Live:
    """`explain -i` in a namespace, from when it hears packets until Ctrl-C."""

    def __init__(self, world, *arguments):
        self.process = subprocess.Popen(
            [*world.command, BINARY, "explain", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert b"listening on lo" in self.process.stderr.readline()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        out, err = (text.decode() for text in self.process.communicate(timeout=30))
        assert "Sanitizer" not in err, err
        return self.process.returncode, out, err

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def world():
    """A namespace with a proxy and a target in it."""
    with contextlib.ExitStack() as stack:
        space = stack.enter_context(Namespace())
        with space.entered():
            target = stack.enter_context(HttpTarget(lambda request: reply(b"x" * 20000)))
        space.target = target
        space.proxy = stack.enter_context(
            Proxy(command=space.command, hosts=[("127.0.0.1", "target.test")])
        )
        yield space


def curl(world, *arguments):
    done = subprocess.run(
        [*world.command, "curl", "-s", "-o", "/dev/null", "-m", "20", "-x", world.proxy.url, *arguments],
        check=False,
        capture_output=True,
        timeout=30,
    )
    return done.returncode


def test_flows_are_told_as_they_end(world):
    with Live(world, "-i", "lo", "--json", "tcp", "port", str(world.proxy.port)) as live:
        curl(world, f"http://target.test:{world.target.port}/a")
        first = json.loads(live.process.stdout.readline())  # while it goes on
        curl(world, "http://unknown.test/")
        second = json.loads(live.process.stdout.readline())
        status, out, err = live.stop()
    assert first["verdict"] == "ok" and first["url"].endswith("/a") and first["status"] == 200
    assert second["verdict"] == "upstream-unresolved" and second["proxy"] == f"127.0.0.1:{world.proxy.port}"
    assert status == 1 and out == "", (out, err)


def test_ctrl_c_tells_what_is_left(world):
    """A tunnel that is open is no failure; the summary comes at the end."""
    with Live(world, "-i", "lo", "port", str(world.proxy.port)) as live:
        with world.entered():
            tunnel = world_tunnel(world)
        curl(world, f"http://target.test:{world.target.port}/b")
        said = "".join(live.process.stdout.readline().decode() for _ in range(3))
        status, out, err = live.stop()
        tunnel.close()
    assert status == 0, (said, out, err)
    assert said.startswith("#") and " ok in close" in said and "/b from 127.0.0.1:" in said
    assert re.search(r"\ninterface lo\n", out) and re.search(r"\n  open +1 ", out) and re.search(r"\n  ok +1 ", out)


def test_a_reader_that_left_is_the_reason_that_is_told(world):
    with Live(world, "-i", "lo", "port", str(world.proxy.port)) as live:
        live.process.stdout.close()
        curl(world, f"http://target.test:{world.target.port}/c")
        assert live.process.wait(30) == 3
        assert live.process.stderr.read() == b"viaduct: cannot write to standard output: Broken pipe\n"


def world_tunnel(world):
    sock = socket.create_connection(world.proxy.address)
    sock.sendall(request("CONNECT", f"target.test:{world.target.port}"))
    assert b" 200 " in sock.recv(1000)
    return sock


@pytest.mark.parametrize(
    "arguments, says", [(["-i", "nowhere0"], "nowhere0"), (["-i", "lo", "port", "nonsense("], "nonsense")]
)
def test_interfaces_and_filters_that_are_none(world, arguments, says):
    done = subprocess.run(
        [*world.command, BINARY, "explain", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2 and says in done.stderr and done.stdout == "", done


def test_who_may_not_capture_is_told():
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-all", BINARY, "explain", "-i", "lo"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 3 and "not permitted" in done.stderr, done


# ---- the page


def test_a_page_is_whole_or_not_there(folder, mixed):
    place = folder / "pages"
    place.mkdir()
    out = place / "out.html"
    done = explain_raw("--html", out, mixed)
    assert done.returncode == 1 and "flows     4, failed: 2" in done.stdout
    first = out.read_text()
    assert first.startswith("<!DOCTYPE html>") and first.endswith("</html>\n")
    assert explain_raw("--html", out, "no-such.pcap").returncode == 2
    assert out.read_text() == first and os.listdir(place) == ["out.html"]
    done = explain_raw("--html", place / "nowhere" / "out.html", mixed)
    assert done.returncode == 3 and "nowhere" in done.stderr and done.stdout == ""
    kept = mixed.read_bytes()
    assert explain_raw("--html", mixed, mixed).returncode == 2 and mixed.read_bytes() == kept
    done = explain_raw("--html", "-", mixed)
    assert done.returncode == 1 and done.stdout == first
    page = explain_raw("--html", "-", "--flow", "2", mixed).stdout
    assert 'id="flow-2"' in page and 'id="flow-3"' not in page
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "explain", "--html", "-", mixed], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3


def test_every_drawing_is_sound(mixed):
    page = explain_raw("--html", "-", mixed).stdout
    drawings = re.findall(r"<svg class=.*?</svg>\n(?=</figure>|<figcaption>)", page, re.S)
    assert len(drawings) == 8  # a ladder and a plot a flow
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img"
        named = [root.find(f".//*[@id='{name}']") for name in root.get("aria-labelledby").split()]
        assert all(part is not None and part.text for part in named)


@pytest.fixture(scope="module")
def browser():
    profile = tempfile.mkdtemp()
    with Browser(chromium(profile), {**os.environ, "HOME": profile}) as started:
        yield started
    shutil.rmtree(profile, ignore_errors=True)


LOOK = """JSON.stringify({
  page: document.documentElement.scrollWidth, screen: document.documentElement.clientWidth,
  wide: [...document.querySelectorAll('body *')].filter(e => !e.closest('pre') && !e.closest('svg')
        && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 80)),
  paper: getComputedStyle(document.body).backgroundColor, bar: getComputedStyle(document.querySelector('.v-failed')).fill,
  resources: performance.getEntriesByType('resource').map(e => e.name),
  scripts: document.scripts.length, marked: window.marked || 0,
  names: document.querySelectorAll('details.flow').length,
})"""


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme, paper", [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 24, 31)")])
def test_the_page_in_a_browser(folder, browser, width, scheme, paper):
    """It fits, it asks nobody for anything, and nothing in it runs, whatever the names in the capture are."""
    evil = "<img src=http://127.0.0.1:1/x onerror=window.marked=1><script>window.marked=1</script>"
    talk = Talk(client=("10.40.40.9", 44000)).open()
    talk.up(request("GET", f"http://evil.example/{evil.replace(' ', '%20')}{'a' * 300}", f"X: {evil}"))
    talk.down(answer(f"403 {evil}", f"Server: {evil}"), wait=0.2).close()
    path, out = folder / "evil.pcap", folder / "evil.html"
    path.write_bytes(pcap(black_hole(), talk, healthy(), denied()))
    explain_raw("--html", out, path)
    text = out.read_text().replace('<details class="flow"', '<details open class="flow"')  # all unfolded
    out.write_text(text.replace('<details class="text">', '<details class="text" open>'))
    page = browser.ask("Target.createTarget", url="about:blank")["targetId"]
    session = browser.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
    browser.ask("Page.enable", session)
    browser.ask(
        "Emulation.setDeviceMetricsOverride", session, width=width, height=800, deviceScaleFactor=1, mobile=width < 500
    )
    browser.ask("Emulation.setEmulatedMedia", session, features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.send("Page.navigate", session, url=f"file://{out}")
    while browser.serve(browser.read()) != "Page.loadEventFired":
        pass
    found = json.loads(browser.ask("Runtime.evaluate", session, expression=LOOK)["result"]["value"])
    browser.ask("Target.closeTarget", targetId=page)
    assert found["page"] <= found["screen"] and found["wide"] == [], found
    assert found["paper"] == paper and found["bar"] != "rgb(0, 0, 0)", found  # the styles are let in
    assert found["resources"] == [] and found["scripts"] == 0 and found["marked"] == 0, found
    assert found["names"] == 4

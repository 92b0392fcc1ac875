"""How flows end once they are under way: a tunnel or a transfer dies in many ways, each with its own record,
and a cut is always seen as a cut."""

import os
import re
import signal
import ssl
import threading
import time

import pytest

from client import Client, ask, get
from target import MIB, HttpTarget, Target, echo, reply, silent
from viaduct import OPEN, PATIENCE_S, Proxy, wait_until

HOSTS = [("127.0.0.1", "target.test other.test")]


def rules(terms):
    return f"deny private off; deny ports off; allow all {{ {terms} }}"


def tunnel(proxy, target, *fields):
    return Client(proxy).connect(target.authority, *fields)


def client_hello(name, context=None):
    """The bytes of a real ClientHello."""
    context = context or ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    talk = context.wrap_bio(into, out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        talk.do_handshake()
    return out.read()


# --- tunnels that end well


@pytest.mark.parametrize("who", ["client", "target"])
def test_a_tunnel_closed_by_either_side_is_ok(proxy, who):
    def script(connection):
        connection.send(connection.read(4))
        if who == "target":
            connection.close()
        else:
            connection.hold()

    with Target(script) as target, tunnel(proxy, target) as client:
        assert client.send("ping").read(4) == b"ping"
        if who == "target":
            assert client.end() == (b"", "fin")
    proxy.flow().expect(
        "ok",
        "close",
        who,
        method="CONNECT",
        status=200,
        bytes_up=4,
        bytes_down=4,
        target=target.authority,
        target_address=target.authority,
        url=None,
    )


def test_a_tls_tunnel_is_described(proxy, certs):
    with Target(echo, tls=certs.target()) as target:
        with tunnel(proxy, target) as client:
            client.start_tls(certs.client(), "target.test").send("ping")
            assert client.read(4) == b"ping"
            client.sock.unwrap()
    flow = proxy.flow().expect("ok", "close")
    assert flow["tls"]["sni"] == "target.test" and flow["tls"]["version"] == "TLSv1.3", flow["tls"]
    assert flow["phases"][-1]["phase"] == "close"
    names = [phase["phase"] for phase in flow["phases"]]
    assert {"connect", "request", "answer", "tls", "transfer", "close"} <= set(names), names
    assert [
        p["outcome"] for p in flow["phases"] if p["outcome"] not in ("ok", "skipped", "unknown")
    ] == []
    assert flow["tcp"]["client"]["mss"] > 0 and flow["tcp"]["upstream"]["mss"] > 0
    assert flow["tcp"]["client"]["unacked"] == 0


def test_bytes_that_were_spliced_are_no_cut(certs):
    """A full read turns to splicing, a short rest back to copying: what was not looked at between is no
    missing piece of a record.  The proxy sleeps while the bytes gather, so that it finds them at once.
    """

    def script(connection):
        while True:
            n = int.from_bytes(connection.read(4), "big")
            connection.read(n)
            connection.send("ok")

    def use(proxy, target):
        with tunnel(proxy, target) as client:
            client.start_tls(certs.client(), "target.test")
            for size in [50_000] * 30 + [65_700, 10]:  # the receive window grows by use
                if size == 65_700:
                    proxy.signal(signal.SIGSTOP)
                client.send(size.to_bytes(4, "big"), b"x" * size)
                proxy.signal(signal.SIGCONT)
                assert client.read(2) == b"ok"
            client.sock.unwrap()

    with Proxy(workers=1) as proxy, Target(script, tls=certs.target()) as target:
        for _ in range(5):
            use(proxy, target)
        for flow in proxy.flows(5):
            flow.expect("ok")


def test_reset_after_both_ends_is_ok(proxy):
    """What browsers and curl do with a connection that is done."""
    with Target(lambda c: c.send(c.to_end())) as target:
        client = tunnel(proxy, target).send("ping").shutdown()
        assert client.end() == (b"ping", "fin")
        client.reset()
    proxy.flow().expect("ok", "close")


@pytest.mark.parametrize("last", ["target", "nobody"])
def test_a_quiet_tunnel_closed_by_the_idle_timer_is_ok(last):
    with Proxy(access=rules("idle-timeout 400ms;")) as proxy, Target(echo) as target:
        began = time.monotonic()
        with tunnel(proxy, target) as client:
            if last == "target":
                client.send("ping").read(4)
            data, _ = client.end()
            assert data == b"" and 0.4 <= time.monotonic() - began < 10
        flow = proxy.flow().expect("ok", None, "proxy")
        assert "idle-closed" in str(flow["warnings"]), flow["warnings"]
        flow.says("idle-timeout")


def test_bytes_keep_a_tunnel_alive():
    with Proxy(access=rules("idle-timeout 1500ms;")) as proxy, Target(echo) as target:
        with tunnel(proxy, target) as client:
            for _ in range(6):
                client.send("x").read(1)
                time.sleep(0.4)
        proxy.flow().expect("ok", "close", "client")


# --- tunnels that die


def fin_inside_a_record(connection):
    """A finished TLS handshake, then a record that stops in its middle."""
    inner = connection.target.context.wrap_socket(connection.sock, server_side=True)
    inner.recv(4)
    os.write(inner.fileno(), b"\x17\x03\x03\x40\x00" + b"x" * 100)
    time.sleep(0.1)
    inner.close()


def wait_to_go_on(connection):
    """Until the client has what was sent."""
    assert connection.target.go_on.wait(PATIENCE_S)


def read_then(action):
    def script(connection):
        connection.send(connection.read(4))
        wait_to_go_on(connection)
        action(connection)

    return script


IDLE = "idle-timeout 1s;"

# name: script of the target, what the client does, terms of the rule, the record (verdict, ended_in,
# ended_by, certainty), how the client sees it
DEATHS = {
    "reset by the target": (
        (read_then(lambda c: c.reset()), "ping", ""),
        ("reset-by-target", "transfer", "target", "seen"),
        "rst",
    ),
    "reset by the client": (
        (read_then(silent), "reset", ""),
        ("reset-by-client", "transfer", "client", "seen"),
        None,
    ),
    "a request without reply": (
        (silent, "send", IDLE),
        ("stalled", "transfer", "target", "inferred"),
        "rst",
    ),
    "a ClientHello without reply": (
        (silent, "hello", IDLE),
        ("stalled", "tls", "target", "seen"),
        "rst",
    ),
    "its lifetime": (
        (echo, "ping", "lifetime 1s;"),
        ("lifetime-limit", "transfer", "proxy", "seen"),
        "rst",
    ),
    "a size limit down": (
        (lambda c: c.send(b"x" * MIB), "read", "max-download 100k;"),
        ("size-limit", "transfer", "proxy", "seen"),
        "rst",
    ),
    "a size limit up": (
        (silent, "write", "max-upload 100k;"),
        ("size-limit", "transfer", "proxy", "seen"),
        "rst",
    ),
    "the wrong name": (
        (echo, "hello", "sni match;"),
        ("sni-mismatch", "tls", "proxy", "seen"),
        "rst",
    ),
    "FIN inside a record": (
        (fin_inside_a_record, "tls", ""),
        ("incomplete", "transfer", "target", "seen"),
        None,
    ),
}


def die(proxy, target, act, certs):
    hello, how = client_hello("target.test"), None
    client = Client(proxy).connect(f"other.test:{target.port}")
    try:
        if act in ("ping", "reset"):
            client.send("ping").read(4)
            target.go_on.set()
        if act == "reset":
            time.sleep(0.05)
            client.reset()
            return None
        if act == "send":
            client.send("anybody there?")
        if act == "hello":
            client.send(hello)
        if act == "tls":
            client.start_tls(certs.client(), "target.test").send("ping")
        if act == "write":
            client.send(b"x" * MIB)
    except (ConnectionResetError, BrokenPipeError):
        how = "rst"
    if act == "tls":
        with pytest.raises((ssl.SSLError, ConnectionResetError, EOFError)):
            while client.sock.recv(100):
                pass
            raise EOFError
    else:
        how = how or client.end()[1]
    client.close()
    return how


@pytest.mark.parametrize("name", DEATHS)
def test_a_tunnel_dies(name, certs):
    (script, act, terms), record, cut = DEATHS[name]
    with Proxy(access=rules(terms), hosts=HOSTS) as proxy, Target(script) as target:
        target.context, target.go_on = certs.target(), threading.Event()
        how = die(proxy, target, act, certs)
        assert cut is None or how == cut, f"the client saw {how}"
        assert proxy.flow().expect(*record, status=200)["evidence"]


def test_ways_to_die_give_different_records():
    """No two ways leave the same record; the two directions of a size limit are one way."""
    records = [record for name, (_, record, _) in DEATHS.items() if name != "a size limit up"]
    assert len(set(records)) == len(records) >= 5


def test_tls_refused_by_the_client_in_words(proxy, certs):
    """TLS 1.2: the alert is readable."""
    old = (None, ssl.TLSVersion.TLSv1_2)
    with Target(echo, tls=certs.target(old)) as target, tunnel(proxy, target) as client:
        with pytest.raises(ssl.SSLCertVerificationError):
            client.start_tls(certs.client(trusting=False), "target.test")
    proxy.flow().expect("tls-failed", "tls", "client", "seen").says("unknown_ca")


def test_tls_refused_by_the_client_behind_encryption(proxy, certs):
    """TLS 1.3 hides the alert: it can be told by its size and its place only."""
    with Target(echo, tls=certs.target()) as target, tunnel(proxy, target) as client:
        client.send(client_hello("target.test"))
        assert client.more()
        client.send(b"\x14\x03\x03\x00\x01\x01", b"\x17\x03\x03\x00\x13", os.urandom(19)).close()
    proxy.flow().expect("tls-failed", "tls", "client", "inferred")


def test_tls_refused_by_the_target(proxy, certs):
    only_13 = certs.target((ssl.TLSVersion.TLSv1_3, None))
    with Target(echo, tls=only_13) as target, tunnel(proxy, target) as client:
        with pytest.raises(ssl.SSLError):
            client.start_tls(certs.client(versions=(None, ssl.TLSVersion.TLSv1_2)), "target.test")
    proxy.flow().expect("tls-failed", "tls", "target", "seen").says("protocol_version")


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_tls_asked_of_a_target_that_speaks_none(proxy, leave):
    """https:// for a port of http://: programs leave its answer half read, so their kernel sends RST."""

    def serve(connection):
        connection.read(1)
        connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad")
        connection.hold()

    with Target(serve) as target, tunnel(proxy, target) as client:
        client.send(client_hello("target.test"))
        assert client.more()
        getattr(client, leave)()
        proxy.flow().expect("tls-failed", "tls", "target", "seen").says("no ServerHello")


# --- sni


@pytest.mark.parametrize(
    "asked,named,verdict",
    [
        ("target.test", "target.test", "ok"),
        ("target.test", "TARGET.test", "ok"),
        ("target.test", "other.test", "sni-mismatch"),
        ("target.test", None, "sni-mismatch"),
        ("127.0.0.1", None, "ok"),
    ],
)
def test_sni_match(certs, asked, named, verdict):
    with Proxy(access=rules("sni match;"), hosts=HOSTS) as proxy, Target(
        echo, tls=certs.target()
    ) as target:
        context = certs.client()
        context.check_hostname = False
        with Client(proxy).connect(f"{asked}:{target.port}") as client:
            if verdict == "ok":
                client.start_tls(context, named).send("ping")
                assert client.read(4) == b"ping"
            else:
                with pytest.raises((ConnectionResetError, ssl.SSLError)):
                    client.start_tls(context, named)
        flow = proxy.flow().expect(verdict, "close" if verdict == "ok" else "tls")
        if named == "other.test":
            flow.says("other.test", "target.test")


@pytest.mark.parametrize(
    "data",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x40\x00\x01" + b"x" * 100],
    ids=["no TLS", "incomplete"],
)
def test_sni_match_holds_back_what_names_nobody(data):
    with Proxy(access=rules("sni match;"), hosts=HOSTS, limits="header-timeout 1s;") as proxy:
        received = []
        with Target(lambda c: received.append(c.to_end())) as target:
            with Client(proxy).connect(f"target.test:{target.port}") as client:
                client.send(data)
                assert client.end() == (b"", "rst")
            proxy.flow().expect("sni-mismatch", "tls", "proxy")
        assert not any(received)


def test_sni_match_takes_a_hello_in_pieces(certs):
    with Proxy(access=rules("sni match;"), hosts=HOSTS) as proxy, Target(
        lambda c: c.send(c.read(1))
    ) as target:
        hello = client_hello("target.test")
        with Client(proxy).connect(f"target.test:{target.port}") as client:
            for i in range(0, len(hello), 100):
                client.send(hello[i : i + 100])
                time.sleep(0.005)
            assert client.read(1) == hello[:1]
        proxy.flow()


def test_sni_report_holds_nothing_back(certs):
    with Proxy(access=rules("sni report;"), hosts=HOSTS) as proxy, Target(
        echo, tls=certs.target()
    ) as target:
        with Client(proxy).connect(f"target.test:{target.port}") as client:
            client.start_tls(certs.client(), "other.test").send("ping")
            assert client.read(4) == b"ping"
        proxy.flow().expect("ok").says("other.test")


# --- transfers


def after_head(*parts):
    def script(connection):
        connection.head()
        for part in parts:
            if callable(part):
                part(connection)
            else:
                connection.send(part)

    return script


LENGTH = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789"
CHUNKS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n"
OPEN_END = "HTTP/1.1 200 OK\r\n\r\n0123456789"

RESET = (wait_to_go_on, lambda c: c.reset())
TOO_MUCH = ("400\r\n" + "x" * 1024 + "\r\n") * 100

# name: what the target sends and does, terms of the rule, verdict, ended_by
CUTS = {
    "length, FIN": ((LENGTH, wait_to_go_on), "", "incomplete", "target"),
    "length, RST": ((LENGTH, *RESET), "", "reset-by-target", "target"),
    "length, silence": ((LENGTH, silent), IDLE, "stalled", "target"),
    "length, lifetime": ((LENGTH, silent), "lifetime 1s;", "lifetime-limit", "proxy"),
    "chunks, FIN": ((CHUNKS, wait_to_go_on), "", "incomplete", "target"),
    "chunks, RST": ((CHUNKS, *RESET), "", "reset-by-target", "target"),
    "chunks, silence": ((CHUNKS, silent), IDLE, "stalled", "target"),
    "chunks, size": ((CHUNKS, TOO_MUCH, silent), "max-download 50k;", "size-limit", "proxy"),
    "chunks, lifetime": ((CHUNKS, silent), "lifetime 1s;", "lifetime-limit", "proxy"),
    "until close, RST": ((OPEN_END, *RESET), "", "reset-by-target", "target"),
    "until close, size": (
        (OPEN_END, "x" * 100_000, silent),
        "max-download 50k;",
        "size-limit",
        "proxy",
    ),
}


@pytest.mark.parametrize("name", CUTS)
def test_a_download_is_cut(name):
    steps, terms, verdict, ended_by = CUTS[name]
    with Proxy(access=rules(terms)) as proxy, Target(after_head(*steps)) as target:
        target.go_on = threading.Event()
        with Client(proxy) as client:
            response = client.ask("GET", target.url()).head()
            assert response.status == 200
            target.go_on.set()
            data, how = client.end()
            if response.get("Transfer-Encoding"):
                assert not data.endswith(b"0\r\n\r\n"), "a cut looks like a proper end"
            else:
                assert how == "rst", "a cut looks like a proper end"
            if verdict not in ("size-limit", "reset-by-target"):
                assert b"0123456789" in data
        proxy.flow().expect(verdict, "transfer", ended_by, status=200)


def cut_short(size):
    """A target that promises a megabyte, sends less, and closes."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    return Target(after_head(head + b"x" * size))


@pytest.mark.parametrize("size", [20_000, 900_000])
def test_what_came_before_the_target_left_reaches_a_slow_client(proxy, size):
    """An RST makes the proxy's kernel forget what the client has not taken yet."""
    with cut_short(size) as target, Client(proxy, receive_buffer=4096) as client:
        client.ask("GET", target.url())
        if size < 100_000:  # the kernel takes it all
            proxy.flow().expect("incomplete", "transfer", "target", status=200, bytes_down=size)
        assert client.head().status == 200
        data, how = client.end()
        assert (len(data), how) == (size, "rst")


def test_who_takes_nothing_of_it_is_not_waited_for(proxy):
    with cut_short(20_000) as target, Client(proxy, receive_buffer=4096) as client:
        client.ask("GET", target.url())
        proxy.flow().expect("incomplete")
        with pytest.raises(ConnectionError):
            wait_until(lambda: client.sock.send(b"x") == 0, "the RST")
        assert len(client.end()[0]) < 20_000


def test_a_body_until_close_that_ends_is_ok(proxy):
    with Target(after_head(OPEN_END)) as target:
        response = get(proxy, target.url())
        assert response.body == b"0123456789" and response.complete
    proxy.flow().expect("ok", None, "target", bytes_down=10)


def test_a_download_over_the_limit_does_not_begin():
    with Proxy(access=rules("max-download 1k;")) as proxy, HttpTarget(
        lambda r: reply(b"x" * 2000)
    ) as target:
        get(proxy, target.url()).expect(
            403, "size-limit", "http_response_body_size", "max-download"
        )
        proxy.flow().expect("size-limit", "answer", "proxy", status=403).says("2000")


def test_an_upload_over_the_limit_does_not_begin():
    with Proxy(access=rules("max-upload 1k;")) as proxy, HttpTarget() as target:
        ask(proxy, "POST", target.url(), body=b"x" * 2000).expect(
            413, "size-limit", "http_request_error", "max-upload"
        )
        proxy.flow().expect("size-limit", "answer", "proxy", status=413).says("2000")
        assert not target.requests


def test_an_upload_over_the_limit_midway():
    with Proxy(access=rules("max-upload 1k;")) as proxy, HttpTarget() as target, Client(
        proxy
    ) as client:
        client.ask("POST", target.url(), "Transfer-Encoding: chunked")
        for _ in range(4):
            client.send("190\r\n" + "x" * 400 + "\r\n")
            time.sleep(0.02)
        client.response().expect(413, "size-limit", "http_request_error", "max-upload")
        proxy.flow().expect("size-limit", None, "proxy", status=413)
        assert not target.requests


def test_a_limit_is_not_reached_by_as_much_as_it_allows():
    with Proxy(access=rules("max-download 1k; max-upload 1k;")) as proxy:
        with HttpTarget(lambda r: reply(b"x" * 1024)) as target:
            assert len(ask(proxy, "POST", target.url(), body=b"x" * 1024).body) == 1024
        proxy.flow().expect("ok", bytes_up=1024, bytes_down=1024)
        with Target(echo) as target, tunnel(proxy, target) as client:
            assert client.send("x" * 1024).read(1024)
        proxy.flow().expect("ok", bytes_up=1024, bytes_down=1024)


@pytest.mark.parametrize(
    "leave,verdicts", [("reset", {"reset-by-client"}), ("close", {"reset-by-client", "incomplete"})]
)
def test_the_client_leaves_a_download(proxy, leave, verdicts):
    def script(connection):
        connection.head()
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 40}\r\n\r\n")
        while True:
            connection.send(b"x" * 65536)

    with Target(script) as target:
        client = Client(proxy).ask("GET", target.url())
        client.read(100_000)
        getattr(client, leave)()
        flow = proxy.flow()
        assert flow["verdict"] in verdicts, flow
        flow.expect(flow["verdict"], "transfer", "client")


def test_a_client_that_does_not_take_its_bytes_has_stalled():
    def script(connection):
        connection.head()
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 40}\r\n\r\n")
        while True:
            connection.send(b"x" * 65536)

    with Proxy(access=rules("idle-timeout 600ms;")) as proxy, Target(script) as target:
        with Client(proxy, receive_buffer=4096) as client:
            client.ask("GET", target.url())
            proxy.flow(20).expect("stalled", "transfer", "client", status=200)


def test_a_target_that_does_not_take_its_bytes_has_stalled():
    with Proxy(access=rules("idle-timeout 600ms;")) as proxy, Target(lambda c: c.wait()) as target:
        with tunnel(proxy, target) as client:
            client.sock.settimeout(3)
            with pytest.raises((ConnectionResetError, BrokenPipeError, TimeoutError)):
                for _ in range(10000):
                    client.send(b"x" * 65536)
        proxy.flow(20).expect("stalled", "transfer", "target")


def test_an_upload_that_stops():
    with Proxy(access=rules("idle-timeout 400ms;")) as proxy, HttpTarget() as target, Client(
        proxy
    ) as client:
        client.ask("POST", target.url(), "Content-Length: 1000").send("0123456789")
        client.sock.settimeout(30)
        client.end()
        flow = proxy.flow()
        flow.expect("stalled", None, "client")


def test_the_phases_follow_each_other(proxy):
    with HttpTarget(lambda r: (time.sleep(0.1), reply(b"x"))[1]) as target:
        get(proxy, target.url())
    flow = proxy.flow().expect("ok")
    phases = {p["phase"]: p for p in flow["phases"]}
    assert phases["tls"]["outcome"] == phases["exchange"]["outcome"] == "skipped"
    assert phases["answer"]["duration_us"] >= 100_000
    end = 0
    for phase in flow["phases"]:
        if phase["outcome"] in ("ok", "failed"):
            assert phase["start_us"] >= end - 1, flow["phases"]
            end = phase["start_us"] + phase["duration_us"]
    assert abs(end - flow["duration_us"]) <= 2
    assert {step["step"] for step in phases["answer"]["steps"]} >= {"authorize", "dial"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", flow["start"])


def test_rate_holds_a_flow_to_its_measure():
    with Proxy(access=rules("rate 400k;")) as proxy, HttpTarget(
        lambda r: reply(b"x" * (800 * 1024))
    ) as target:
        began = time.monotonic()
        assert len(get(proxy, target.url()).body) == 800 * 1024
        assert 1.0 < time.monotonic() - began < 12
        with Target(echo) as tunnelled, tunnel(proxy, tunnelled) as client:
            began = time.monotonic()
            threading.Thread(target=client.send, args=(b"y" * (800 * 1024),), daemon=True).start()
            assert len(client.read(800 * 1024)) == 800 * 1024
            assert 1.0 < time.monotonic() - began < 12


def test_the_rule_replaces_the_global_limit():
    access = OPEN.replace(
        "allow all { }", "allow long { to 127.0.0.1; lifetime 1h; } allow all { }"
    )
    with Proxy(
        access=access, limits="lifetime 1s;", hosts=[("127.0.0.2", "short.test")]
    ) as proxy:
        with Target(echo) as long, Target(echo, host="127.0.0.2") as short:
            with tunnel(proxy, long) as one, Client(proxy).connect(
                f"short.test:{short.port}"
            ) as two:
                assert two.end() == (b"", "rst")
                assert one.send("ping").read(4) == b"ping"
        first, second = proxy.flows(2)
        first.expect("lifetime-limit", None, "proxy")
        second.expect("ok")

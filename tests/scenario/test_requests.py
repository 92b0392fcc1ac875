"""Requests that are refused as they stand: each with its status, its place and its reason."""

import re
import time

import pytest

from client import Client, ask, get
from target import HttpTarget, Target, reply
from viaduct import Proxy, wait_until

HOST = "Host: target.test"


def line(first, *fields):
    """A request with this first line."""
    return "\r\n".join([first, *(fields or [HOST]), "", ""])


def field(*fields):
    """A GET that is good but for these fields."""
    return line("GET http://target.test/ HTTP/1.1", HOST, *fields)


def post(*fields, version="1.1"):
    """A POST that is good but for these fields."""
    return line(f"POST http://target.test/ HTTP/{version}", HOST, *fields)


def url(target):
    return line(f"GET {target} HTTP/1.1")


def tunnel(target):
    return line(f"CONNECT {target} HTTP/1.1")


# Name, bytes of the request (a "^" stands before the byte whose offset must be told), status.
BAD = [
    ("no HTTP at all", "hello^\r\n\r\n", 400),
    ("a binary stream", "^\x00\x01\x02\x03\x04\x05\x06\x07\r\n\r\n", 400),
    ("TLS on a plain port", "^\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a" * 64, 400),
    ("the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("a version of the future", line("GET http://target.test/ HTTP/3.0"), 505),
    ("a version that never was", line("GET http://target.test/ HTTP/1.10"), 400),
    ("HTTP in lower case", line("GET http://target.test/ ^http/1.1"), 400),
    ("no version", "GET http://target.test/\r\n\r\n", 400),
    ("two spaces", line("GET^  http://target.test/ HTTP/1.1"), 400),
    ("a tab for a space", line("GET^\thttp://target.test/ HTTP/1.1"), 400),
    ("a method that is no token", line("G^@T http://target.test/ HTTP/1.1"), 400),
    ("a bare LF", "GET http://target.test/ HTTP/1.1^\nHost: target.test\r\n\r\n", 400),
    ("a bare CR", field("X: a^\rb"), 400),
    ("NUL in a value", field("X: a^\0b"), 400),
    ("a control in a value", field("X: a^\x0bb"), 400),
    ("a folded field", field("X: a", "^ b"), 400),
    ("space before the colon", field("X^ : a"), 400),
    ("an empty name", field("^: a"), 400),
    ("a name that is no token", field("X^(y): a"), 400),
    ("a line without colon", field("nonsense"), 400),
    ("no Host", line("GET http://target.test/ HTTP/1.1", "Accept: */*"), 400),
    ("Host twice", field("Host: other.test"), 400),
    ("a Host that is none", line("GET http://target.test/ HTTP/1.1", "Host: target.test/x y"), 400),
    ("length and chunks", post("Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    ("two lengths", post("Content-Length: 5", "Content-Length: 6"), 400),
    ("two lengths in a list", post("Content-Length: 5, 6"), 400),
    ("a signed length", post("Content-Length: +5"), 400),
    ("a hexadecimal length", post("Content-Length: 0x5"), 400),
    ("an empty length", post("Content-Length: "), 400),
    ("a giant length", post("Content-Length: 99999999999999999999"), 400),
    ("an unknown coding", post("Transfer-Encoding: squash"), 501),
    ("chunked twice", post("Transfer-Encoding: chunked, chunked"), 400),
    ("chunked not last", post("Transfer-Encoding: chunked, identity"), (400, 501)),
    ("chunked with a tail", post("Transfer-Encoding: chunked\x0b"), 400),
    ("chunks in HTTP/1.0", post("Transfer-Encoding: chunked", version="1.0"), 400),
    ("framing named by Connection", post("Connection: content-length", "Content-Length: 0"), 400),
    ("Host named by Connection", field("Connection: close, host"), 400),
    ("user information", url("http://me:secret@target.test/"), 400),
    ("an empty host", url("http:///path"), 400),
    ("port 0", url("http://target.test:0/"), 400),
    ("port 65536", url("http://target.test:65536/"), 400),
    ("a fragment", url("http://target.test/#here"), 400),
    ("percent in a host", url("http://target%2etest/"), 400),
    ("a scheme that is not served", url("gopher://target.test:70/"), (400, 501)),
    ("a long URL", url(f"http://target.test/{'a' * 70000}"), 414),
    ("a long field", field(f"X: {'a' * 70000}"), 431),
    ("many fields", field(*["X: a"] * 1000), 431),
    ("CONNECT without a port", tunnel("target.test"), 400),
    ("CONNECT with an empty port", tunnel("target.test:"), 400),
    ("CONNECT to port 0", tunnel("target.test:0"), 400),
    ("CONNECT to port 65536", tunnel("target.test:65536"), 400),
    ("CONNECT to a port of letters", tunnel("target.test:https"), 400),
    ("CONNECT with a giant port", tunnel("target.test:4294967739"), 400),
    ("CONNECT with user information", tunnel("me@target.test:443"), 400),
    ("CONNECT with a URL", tunnel("https://target.test/"), 400),
    ("CONNECT to nothing", tunnel(":443"), 400),
    ("IPv6 without brackets", tunnel("::1:443"), 400),
    ("IPv6 with a zone", tunnel("[fe80::1%25lo]:443"), 400),
    ("IPv6 unfinished", tunnel("[::1:443"), 400),
    ("a short dotted host", tunnel("127.1:443"), 400),
    ("a hexadecimal host", tunnel("0x7f.1:443"), 400),
    ("a decimal host", tunnel("2130706433:443"), 400),
    ("an octal host", tunnel("0177.0.0.1:443"), 400),
    ("a quad out of range", tunnel("127.0.0.256:443"), 400),
    ("a long label", tunnel(f"{'a' * 64}.test:443"), 400),
    ("a long name", tunnel(f"{'a.' * 127}test:443"), 400),
    ("an empty label", tunnel("target..test:443"), 400),
]


@pytest.mark.parametrize("text,status", [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_request(proxy, text, status):
    offset = text.find("^")
    with Client(proxy) as client:
        client.send(text.replace("^", "", 1) if offset >= 0 else text)
        response = client.response()
        statuses = status if isinstance(status, tuple) else (status,)
        assert response.status in statuses, response.line
        response.expect(response.status, "bad-request", "http_request_error")
        assert response.get("Connection") == "close"
        assert client.end() == (b"", "fin")
    # what only a whole head shows falls in `answer`
    flow = proxy.flow().expect("bad-request", None, "proxy", status=response.status)
    assert flow["ended_in"] in ("request", "answer")
    assert flow["evidence"], flow
    if offset >= 0:
        assert re.search(
            rf"\b{offset}\b", " ".join(flow["evidence"])
        ), f"not at byte {offset}: {flow['evidence']}"


BAD_CHUNKS = [
    "g\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "11111111111111111\r\nhello\r\n0\r\n\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    "0\r\n bad\r\n\r\n",
]


@pytest.mark.parametrize("body", BAD_CHUNKS)
def test_bad_chunks_of_a_request(proxy, body):
    with HttpTarget() as target:
        with Client(proxy) as client:
            client.ask("POST", target.url(), "Transfer-Encoding: chunked").send(body)
            client.response().expect(400, "bad-request", "http_request_error")
        assert not target.requests, "a request that is refused reached the target whole"
    proxy.flow().expect("bad-request", None, "proxy", status=400)


def test_pipelined_after_a_bad_request_is_not_served(proxy):
    with HttpTarget() as target, Client(proxy) as client:
        client.send(url("http://target.test:0/"))
        client.ask("GET", target.url())
        client.response().expect(400, "bad-request")
        data, _ = client.end()
        assert data == b"" and target.accepts == 0
    proxy.flow().expect("bad-request")


def test_empty_lines_before_a_request_are_skipped(proxy):
    with HttpTarget() as target, Client(proxy) as client:
        client.send("\r\n")
        assert client.get(target.url()).status == 200
    proxy.flow().expect("ok")


def test_dribbled_head_is_408():
    with Proxy(limits="header-timeout 400ms;") as proxy:
        began, sent = (
            time.monotonic(),
            b"GET http://target.test/ HTTP/1.1\r\nHost: target.test\r\nX: ",
        )
        with Client(proxy) as client:
            client.sock.settimeout(0.05)
            for byte in sent + b"a" * 1000:
                client.send(bytes([byte]))
                try:
                    if client.more():
                        break
                except TimeoutError:
                    pass
            client.sock.settimeout(30)
            assert 0.4 <= time.monotonic() - began < 12
            client.response().expect(408, "request-timeout", "http_request_error", "head")
        proxy.flow().expect("request-timeout", "request", "client", status=408)


def test_a_dribbling_client_costs_nobody_else():
    with Proxy(limits="header-timeout 30s;", workers=1) as proxy, HttpTarget() as target:
        dribblers = [Client(proxy).send("GET http://target.test/") for _ in range(100)]
        began = time.monotonic()
        assert get(proxy, target.url()).status == 200
        assert time.monotonic() - began < 5
        proxy.flow().expect("ok")
        for client in dribblers:
            client.close()
        assert {flow["verdict"] for flow in proxy.flows(100)} == {"client-gone"}


def test_connections_without_a_request_are_no_flows(proxy):
    with HttpTarget() as target:
        for _ in range(5):
            Client(proxy).close()
        Client(proxy).reset()
        with Client(proxy) as client:
            client.get(target.url())  # and the idle end of a kept-alive connection
        assert get(proxy, target.url()).status == 200
    assert [flow["verdict"] for flow in proxy.flows(2)] == ["ok", "ok"]
    assert len(proxy.log_lines()) == proxy.taken


def test_idle_connections_are_closed_in_silence():
    with Proxy(
        limits="header-timeout 300ms; keepalive-timeout 300ms;"
    ) as proxy, HttpTarget() as target:
        with Client(proxy) as fresh, Client(proxy) as kept:
            kept.get(target.url())
            assert fresh.end() == (b"", "fin")
            assert kept.end() == (b"", "fin")
        proxy.flow().expect("ok")
        assert len(proxy.log_lines()) == 1


@pytest.mark.parametrize(
    "accept,kind,mark",
    [
        (None, "text/plain", "acl"),
        ("*/*", "text/plain", "acl"),
        ("application/json", "application/json", '"verdict"'),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html", "<html"),
    ],
)
def test_a_refusal_is_told_in_the_format_that_is_asked_for(accept, kind, mark):
    with Proxy(access="deny all { }") as proxy:
        fields = [f"Accept: {accept}"] if accept else []
        response = get(proxy, "http://target.test/", *fields).expect(
            403, "acl-denied", "http_request_denied", "rule all"
        )
        assert response.get("Content-Type").startswith(kind), response.fields
        assert mark in response.body.decode()
        flow = proxy.flow().expect("acl-denied", "answer", "proxy", status=403, rule="all")
        assert flow["id"] in response.body.decode()
        assert flow["cause"] in response.body.decode() or kind == "text/html"


def test_a_refusal_is_told_in_japanese():
    with Proxy(access="deny all { }") as proxy:
        response = get(proxy, "http://target.test/", "Accept-Language: ja,en;q=0.5").expect(
            403, "acl-denied"
        )
        assert any(ord(letter) > 0x3000 for letter in response.body.decode())
        assert response.line.isascii()


def test_head_is_refused_without_a_body():
    with Proxy(access="deny all { }") as proxy:
        with Client(proxy) as client:
            response = (
                client.ask("HEAD", "http://target.test/").response("HEAD").expect(403, "acl-denied")
            )
            assert int(response.get("Content-Length")) > 0
            data, _ = client.shutdown().end()
            assert data == b""


def test_the_names_of_others_are_escaped():
    with Proxy() as proxy:
        response = get(proxy, "http://target.test/<script>alert(1)</script>", "Accept: text/html")
        assert b"<script>alert" not in response.body
        assert proxy.flow()["url"].endswith("<script>alert(1)</script>")


def test_the_page_for_those_who_take_it_for_a_web_server(proxy):
    with Client(proxy) as client:
        client.send(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{proxy.port}\r\nAccept: text/html\r\n\r\n")
        response = client.response()
        assert response.status == 200 and response.complete, response.line
        assert b"viaduct" in response.body and b"proxy" in response.body
        assert response.get("Cache-Control") == "no-store" and response.get("Proxy-Status")
        client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.response("HEAD").status == 200
        client.send("GET /?from=a-bookmark HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.response().status == 200


def test_other_paths_are_404(proxy):
    with Client(proxy) as client:
        client.send("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        response = client.response()
        assert response.status == 404 and b"proxy" in response.body
        assert response.get("Proxy-Status")
    proxy.flow().expect("not-found", "answer", "proxy", status=404)


def test_a_refusal_survives_a_body_that_nobody_reads():
    """RFC 9112 9.6: closing with unread bytes would send RST and lose the answer on its way."""
    with Proxy(access="deny all { }") as proxy:
        for size in (1000, 60_000):
            with Client(proxy) as client:
                client.ask("POST", "http://target.test/", f"Content-Length: {size}").send(
                    b"x" * size
                )
                client.response().expect(403, "acl-denied")
            proxy.flow().expect("acl-denied")


def test_absolute_form_https_is_refused(proxy):
    """What would be sent in the clear although the client believes in TLS."""
    response = ask(proxy, "GET", "https://target.test/")
    assert response.status in (400, 501)
    response.expect(response.status, "bad-request", "http_request_error")
    proxy.flow().expect("bad-request", "answer", "proxy")


def test_many_bad_requests_leave_nothing_open(proxy):
    before = len(list(open_descriptors(proxy)))
    for _ in range(50):
        ask(proxy, "CONNECT", "target.test:0").expect(400, "bad-request")
    proxy.flows(50)
    wait_until(
        lambda: len(list(open_descriptors(proxy))) <= before + 2, "descriptors to be given back"
    )


def open_descriptors(proxy):
    import os

    return os.listdir(f"/proc/{proxy.pid}/fd")


def test_request_reaches_the_target_only_when_it_is_whole(proxy):
    with Target(lambda connection: connection.send(reply(connection.head()))) as target, Client(
        proxy
    ) as client:
        for piece in (
            f"GET {target.url()} HT",
            "TP/1.1\r\nHo",
            f"st: {target.authority}\r",
            "\n",
            "\r",
            "\n",
        ):
            assert target.accepts == 0
            client.send(piece)
        assert client.response().status == 200
    proxy.flow().expect("ok")

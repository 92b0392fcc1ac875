"""What HTTP asks of a proxy: connections, framing, interim answers, fields, tunnels."""

import hashlib
import re
import socket
import threading
import time

import pytest

from client import Client, ask, get
from target import MIB, HttpTarget, Target, echo, reply
from viaduct import Proxy, wait_until


# --- connections


def test_keep_alive_and_one_pooled_connection():
    with Proxy(workers=1) as proxy, HttpTarget(lambda r: reply(r.path)) as target:
        with Client(proxy) as client:
            for i in range(5):
                response = client.get(target.url(f"/{i}"))
                assert (response.status, response.body) == (200, f"/{i}".encode())
                assert (response.get("Connection") or "").lower() != "close"
        for i in range(5):
            assert get(proxy, target.url(f"/{i}")).body == f"/{i}".encode()
        assert target.accepts == 1
        flows = proxy.flows(10)
        assert {flow["verdict"] for flow in flows} == {"ok"} and len(
            {flow["id"] for flow in flows}
        ) == 10
        assert len({flow["client"] for flow in flows[:5]}) == 1


def test_parallel_requests_have_connections_of_their_own():
    gate = threading.Barrier(4, timeout=10)

    def answer(request):
        gate.wait()
        return reply(request.path)

    with Proxy(workers=1) as proxy, HttpTarget(answer) as target:
        clients = [Client(proxy).ask("GET", target.url(f"/{i}")) for i in range(4)]
        assert [c.response().body for c in clients] == [f"/{i}".encode() for i in range(4)]
        assert target.accepts == 4
        for client in clients:
            client.close()


def test_pipelining_keeps_the_order(proxy):
    def answer(request):
        if request.path == "/0":
            time.sleep(0.1)
        return reply(request.path + request.body.decode())

    with HttpTarget(answer) as target, Client(proxy) as client:
        wanted = []
        for i in range(20):
            if i % 3 == 1:
                client.ask("POST", target.url(f"/{i}"), body=b"+body")
                wanted.append(f"/{i}+body".encode())
            else:
                client.ask("GET", target.url(f"/{i}"))
                wanted.append(f"/{i}".encode())
        assert [client.response().body for _ in range(20)] == wanted
    proxy.flows(20)


def test_many_pipelined_requests_in_one_segment(proxy):
    with HttpTarget(lambda r: reply(r.path)) as target, Client(proxy) as client:
        client.send(*(f"GET {target.url(f'/{i}')} HTTP/1.1\r\nHost: x\r\n\r\n" for i in range(100)))
        for i in range(100):
            assert client.response().body == f"/{i}".encode()
    proxy.flows(100)


def stale_after(count, seen):
    """A target that closes a kept connection as soon as the next request comes, without a byte of answer."""

    def script(connection):
        for _ in range(count):
            seen.append(connection.request().method)
            connection.send(reply(b"first"))
        seen.append(connection.request().method)

    return script


def test_a_stale_pooled_connection_is_tried_again():
    seen = []
    with Proxy(workers=1) as proxy, Target(stale_after(1, seen)) as target, Client(proxy) as client:
        for _ in range(3):
            assert client.get(target.url()).body == b"first"
        assert target.accepts == 3
        assert seen.count("GET") == 5
        for flow in proxy.flows(3):
            flow.expect("ok")


@pytest.mark.parametrize("body", [b"", b"pay"])
def test_a_request_that_may_have_had_effects_is_not_sent_twice(body):
    seen = []
    with Proxy(workers=1) as proxy, Target(stale_after(1, seen)) as target, Client(proxy) as client:
        assert client.get(target.url()).body == b"first"
        response = client.ask(
            "POST", target.url(), f"Content-Length: {len(body)}", body=body
        ).response()
        if response.status != 200:  # it went on the stale connection; 200: on one of its own
            response.expect(502, "upstream-failed", "connection_terminated")
        assert seen.count("POST") == 1


def test_a_pooled_connection_that_the_target_closed_is_not_used():
    with Proxy(workers=1) as proxy:
        with Target(lambda c: (c.request(), c.send(reply(b"once")))) as target:
            for _ in range(3):
                response = ask(proxy, "POST", target.url(), body=b"x")
                assert response.body == b"once"
                wait_until(lambda: not is_linked_to(target), "the proxy to see the target's end")
            assert target.accepts == 3


def is_linked_to(target):
    """Whether somebody has a connection to the target that he has not closed: ESTABLISHED, CLOSE_WAIT."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in list(table)[1:]]
    return any(row[2].endswith(f":{target.port:04X}") and row[3] in ("01", "08") for row in rows)


def test_unasked_bytes_spoil_a_pooled_connection():
    """What a target sends after its answer would be taken for the next client's answer."""

    def script(connection):
        connection.request()
        connection.send(reply(b"right") + reply(b"smuggled"))
        connection.hold()

    with Proxy(workers=1) as proxy, Target(script) as target:
        for _ in range(3):
            assert get(proxy, target.url()).body == b"right"
            time.sleep(0.02)
        assert target.accepts == 3


def test_ntlm_connections_are_not_shared():
    challenge = reply(b"", "401 Unauthorized", "WWW-Authenticate: NTLM TlRMTVNTUAACAAAA")
    with Proxy(workers=1) as proxy, HttpTarget(lambda r: challenge) as target:
        with Client(proxy) as one, Client(proxy) as two:
            for _ in range(2):
                assert one.get(target.url(), "Authorization: NTLM TlRMTVNTUAABAAAA").status == 401
            assert two.get(target.url()).status == 401
        assert target.accepts == 2


def test_connection_close_of_either_side(proxy):
    with HttpTarget(lambda r: reply(b"x", "200 OK", "Connection: close")) as target, Client(
        proxy
    ) as client:
        assert client.get(target.url()).body == b"x"
        assert client.get(target.url(), "Connection: close").body == b"x"
        assert client.end() == (b"", "fin")
        assert target.accepts == 2


# --- HTTP/1.0


def test_http_10_gets_no_chunks_and_a_close(proxy):
    chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n"
    with HttpTarget(lambda r: chunks) as target, Client(proxy) as client:
        client.send(f"GET {target.url()} HTTP/1.0\r\n\r\n")
        response = client.head()
        assert response.status == 200 and not response.all("Transfer-Encoding")
        assert client.end() == (b"hello world", "fin")
        assert target.requests[0].version == "HTTP/1.1"
        assert target.requests[0].get("Host") == target.authority
    proxy.flow().expect("ok", bytes_down=11)


def test_http_10_keeps_alive_when_it_asks_to(proxy):
    with HttpTarget() as target, Client(proxy) as client:
        for _ in range(3):
            client.send(f"GET {target.url()} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            response = client.response()
            assert response.body == b"hello" and "keep-alive" in response.get("Connection").lower()


def test_http_10_connect_without_host(proxy):
    with Target(echo) as target, Client(proxy) as client:
        client.send(f"CONNECT {target.authority} HTTP/1.0\r\n\r\n")
        assert client.head().status == 200
        assert client.send("ping").read(4) == b"ping"


def test_a_target_of_http_10(proxy):
    def script(connection):
        connection.head()
        connection.send("HTTP/1.0 200 OK\r\nX: y\r\n\r\nold but good")

    with Target(script) as target:
        response = get(proxy, target.url())
        assert response.body == b"old but good" and response.complete
    proxy.flow().expect("ok", bytes_down=12)


# --- framing


def test_chunked_both_ways_with_trailers(proxy):
    def answer(request):
        assert request.trailers == [("X-Sum", "1")], request.trailers
        return (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            + b"%x;name=value\r\n%s\r\n" % (len(request.body), request.body)
            + b"0\r\nX-Sum: 2\r\n\r\n"
        )

    with HttpTarget(answer) as target, Client(proxy) as client:
        for body in (b"small", b"x" * 300_000):
            client.ask("POST", target.url(), "Transfer-Encoding: chunked", "Trailer: X-Sum")
            for i in range(0, len(body), 70_000):
                piece = body[i : i + 70_000]
                client.send(b"%x\r\n" % len(piece), piece, b"\r\n")
            client.send("0\r\nX-Sum: 1\r\n\r\n")
            response = client.response()
            assert response.body == body and response.trailers == [("X-Sum", "2")]
            proxy.flow().expect("ok", bytes_up=len(body), bytes_down=len(body))


def test_chunks_in_single_bytes(proxy):
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    def script(connection):
        connection.head()
        for byte in text:
            connection.send(bytes([byte]))
            time.sleep(0.001)

    with Target(script) as target:
        response = get(proxy, target.url())
        assert response.body == b"hello" and response.complete


def test_bodies_of_every_size_arrive(proxy):
    with HttpTarget(lambda r: reply(r.body)) as target, Client(proxy) as client:
        for size in (
            0,
            1,
            1023,
            1024,
            4095,
            4096,
            16383,
            16384,
            16385,
            65535,
            65536,
            65537,
            262144,
            1 << 20,
            3333333,
        ):
            body = hashlib.shake_128(str(size).encode()).digest(size)
            thread = threading.Thread(
                target=client.ask,
                args=("PUT", target.url(), f"Content-Length: {size}"),
                kwargs={"body": body},
            )
            thread.start()
            assert client.response().body == body, size
            thread.join()


def test_answers_without_a_body(proxy):
    def answer(request):
        if request.method == "HEAD":
            return b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
        return f"HTTP/1.1 {request.path[1:]} X\r\nContent-Length: 77\r\n\r\n".encode()

    with HttpTarget(answer) as target, Client(proxy) as client:
        client.ask("HEAD", target.url())
        response = client.response("HEAD")
        assert response.get("Content-Length") == "12345"
        assert client.get(target.url("/304")).status == 304
        client.ask("HEAD", target.url())
        assert client.response("HEAD").status == 200
        for flow in proxy.flows(3):
            flow.expect("ok", bytes_down=0)


def test_204_has_no_body(proxy):
    with HttpTarget(lambda r: b"HTTP/1.1 204 No Content\r\n\r\n") as target, Client(
        proxy
    ) as client:
        for _ in range(3):
            client.ask("DELETE", target.url())
            assert client.response().status == 204
        assert target.accepts == 1


def test_an_answer_before_the_upload_is_done(proxy):
    def script(connection):
        connection.head()
        connection.send(reply(b"enough", "403 Forbidden", "Connection: close"))
        connection.shutdown()
        connection.hold()

    with Target(script) as target, Client(proxy) as client:
        client.ask("POST", target.url(), f"Content-Length: {64 * MIB}").send(b"x" * 100_000)
        response = client.response()
        assert (response.status, response.body) == (403, b"enough")
    proxy.flow().expect("target-error", status=403)


def test_big_heads_pass(proxy):
    big = "y" * 12_000
    with HttpTarget(
        lambda r: reply(b"", "200 OK", f"X-Big: {r.get('X-Big')}", "Set-Cookie: a", "Set-Cookie: b")
    ) as target:
        response = get(proxy, target.url(), f"X-Big: {big}", *[f"X-{i}: {i}" for i in range(60)])
        assert response.get("X-Big") == big and response.all("Set-Cookie") == ["a", "b"]


# --- interim answers


def test_early_hints_pass(proxy):
    def script(connection):
        connection.head()
        connection.send(
            "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n",
            "HTTP/1.1 102 Processing\r\n\r\n",
        )
        time.sleep(0.05)
        connection.send(reply(b"done"))

    with Target(script) as target, Client(proxy) as client:
        response = client.ask("GET", target.url()).response()
        assert [r.status for r in response.interim] == [103, 102] and response.body == b"done"
        assert response.interim[0].get("Link") == "</style.css>"
    proxy.flow().expect("ok", status=200)


def test_http_10_gets_no_interim_answers(proxy):
    with Target(
        lambda c: (c.head(), c.send("HTTP/1.1 103 Early Hints\r\n\r\n", reply(b"x")))
    ) as target:
        with Client(proxy) as client:
            client.send(f"GET {target.url()} HTTP/1.0\r\n\r\n")
            assert client.head().status == 200


def test_expect_100_continue(proxy):
    def script(connection):
        request = connection.request(read_body=False)
        assert request.get("Expect") == "100-continue"
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")
        request.read_body(connection)
        connection.send(reply(request.body))

    with Target(script) as target, Client(proxy) as client:
        client.ask("PUT", target.url(), "Expect: 100-continue", "Content-Length: 5")
        assert client.head().status == 100
        assert client.send("hello").response().body == b"hello"
    proxy.flow().expect("ok", bytes_up=5)


def test_expect_refused_without_a_body(proxy):
    with Target(
        lambda c: (c.head(), c.send(reply(b"", "417 Expectation Failed")))
    ) as target, Client(proxy) as client:
        client.ask("PUT", target.url(), "Expect: 100-continue", "Content-Length: 5")
        assert client.response().status == 417
    proxy.flow().expect("target-error", status=417, bytes_up=0)


# --- methods


def test_upgrade_to_websocket(proxy):
    def script(connection):
        request = connection.request()
        assert (
            request.get("Upgrade") == "websocket" and "upgrade" in request.get("Connection").lower()
        )
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst"
        )
        echo(connection)

    with Target(script) as target:
        with Client(proxy) as client:
            client.ask(
                "GET",
                target.url(),
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Key: x",
            )
            response = client.head()
            assert response.status == 101 and response.get("Upgrade") == "websocket"
            assert "upgrade" in response.get("Connection").lower()
            assert client.read(5) == b"first"
            for size in (1, 1000, 200_000):
                threading.Thread(target=client.send, args=(b"f" * size,), daemon=True).start()
                assert client.read(size) == b"f" * size
        proxy.flow().expect("ok", None, "client", status=101)


def test_upgrade_that_is_not_granted(proxy):
    with HttpTarget() as target, Client(proxy) as client:
        for _ in range(2):
            assert client.get(target.url(), "Upgrade: h2c", "Connection: Upgrade").body == b"hello"


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE"])
def test_max_forwards(proxy, method):
    with HttpTarget(lambda r: reply(b"", "200 OK", f"X-Left: {r.get('Max-Forwards')}")) as target:
        response = ask(proxy, method, target.url(), "Max-Forwards: 0", "X-Secret: tell")
        assert response.get("Date") and response.get("Cache-Control") == "no-store"
        assert response.status == 200 and target.accepts == 0
        if method == "TRACE":
            assert response.get("Content-Type").startswith("message/http")
            assert response.body.startswith(b"TRACE ") and b"X-Secret: tell" in response.body
        else:
            assert response.get("Allow")
        assert ask(proxy, method, target.url(), "Max-Forwards: 5").get("X-Left") == "4"


def test_max_forwards_of_other_methods_is_left_alone(proxy):
    with HttpTarget(lambda r: reply(b"", "200 OK", f"X-Left: {r.get('Max-Forwards')}")) as target:
        assert get(proxy, target.url(), "Max-Forwards: 0").get("X-Left") == "0"


def test_options_of_the_whole_target(proxy):
    with HttpTarget() as target:
        ask(proxy, "OPTIONS", target.url(""))
        ask(proxy, "OPTIONS", target.url("/"))
        assert [request.path for request in target.requests] == ["*", "/"]


def test_methods_unknown_to_us(proxy):
    with HttpTarget(lambda r: reply(r.method)) as target:
        for method in ("PROPFIND", "BREW", "get", "QUERY"):
            assert ask(proxy, method, target.url()).body == method.encode()


# --- fields


def test_what_ends_at_this_hop(proxy):
    answer = reply(
        b"",
        "200 OK",
        "Connection: X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        'Proxy-Authenticate: Basic realm="x"',
        "X-End: 2",
    )
    with HttpTarget(lambda r: answer) as target:
        response = get(
            proxy,
            target.url(),
            "Connection: X-Mine, Keep-Alive",
            "X-Mine: 1",
            "Keep-Alive: 5",
            "TE: gzip",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic bWU6c2VjcmV0",
            "X-End: 3",
            "Authorization: Basic eW91OnRvbw==",
            "Cookie: a=b",
        )
        request = target.requests[0]
        for name in ("X-Mine", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization"):
            assert not request.all(name), request.head
        assert "gzip" not in (request.get("TE") or "")
        assert request.get("X-End") == "3" and request.get("Cookie") == "a=b"
        assert request.get("Authorization") == "Basic eW91OnRvbw=="
        for name in ("X-Hop", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate"):
            assert not response.all(name), response.fields
        assert response.get("X-End") == "2"
        assert not response.all("Proxy-Status"), "an answer of the target is not ours"


def test_te_trailers_is_handed_on(proxy):
    with HttpTarget() as target:
        get(proxy, target.url(), "TE: trailers, deflate", "Connection: TE")
        assert target.requests[0].get("TE") == "trailers"
        assert "te" in target.requests[0].get("Connection").lower()


def test_via(proxy):
    with HttpTarget(lambda r: reply(b"", "200 OK", "Via: 1.1 far")) as target:
        response = get(proxy, target.url(), "Via: 1.0 near")
        assert re.fullmatch(
            r"1\.0 near, 1\.1 viaduct-[0-9a-z]+", ", ".join(target.requests[0].all("Via"))
        )
        assert re.fullmatch(r"1\.1 far, 1\.1 viaduct-[0-9a-z]+", ", ".join(response.all("Via")))


def test_via_off():
    with Proxy(extra="via off;") as proxy, HttpTarget() as target:
        response = get(proxy, target.url())
        assert not target.requests[0].all("Via") and not response.all("Via")


@pytest.mark.parametrize(
    "mode,name,sent,wanted",
    [
        ("off", "Forwarded", None, []),
        ("off", "X-Forwarded-For", "192.0.2.1", ["192.0.2.1"]),
        ("append", "Forwarded", None, ["for=127.0.0.1"]),
        ("append", "Forwarded", "for=192.0.2.1", ["for=192.0.2.1", "for=127.0.0.1"]),
        ("x-forwarded-for", "X-Forwarded-For", None, ["127.0.0.1"]),
        ("x-forwarded-for", "X-Forwarded-For", "192.0.2.1", ["192.0.2.1", "127.0.0.1"]),
    ],
)
def test_forwarded(mode, name, sent, wanted):
    with Proxy(extra=f"forwarded {mode};") as proxy, HttpTarget() as target:
        get(proxy, target.url(), *([f"{name}: {sent}"] if sent else []))
        found = [
            part.strip() for value in target.requests[0].all(name) for part in value.split(",")
        ]
        assert [part.split(";")[0].replace('"', "") for part in found] == wanted


def test_the_url_wins_over_host(proxy):
    with HttpTarget() as target:
        get(proxy, target.url("/a?b=c"), host="elsewhere.test")
        assert (
            target.requests[0].get("Host") == target.authority
            and target.requests[0].path == "/a?b=c"
        )
        get(proxy, target.url("", host="target.test"))
        assert (
            target.requests[1].get("Host") == f"target.test:{target.port}"
            and target.requests[1].path == "/"
        )


# --- tunnels


def test_bytes_that_come_with_connect(proxy):
    with Target(echo) as target, Client(proxy) as client:
        client.send(f"CONNECT {target.authority} HTTP/1.1\r\nHost: x\r\n\r\nearly bytes")
        assert client.head().status == 200
        assert client.read(11) == b"early bytes"
    proxy.flow().expect("ok", bytes_up=11, bytes_down=11)


def test_bytes_that_the_target_sends_first(proxy):
    with Target(lambda c: (c.send("220 ready\r\n"), echo(c))) as target, Client(proxy) as client:
        client.connect(target.authority)
        assert client.read(11) == b"220 ready\r\n"
        assert client.send("ping").read(4) == b"ping"


@pytest.mark.parametrize("size", [5, 5_000_000])
def test_half_close_by_the_client(proxy, size):
    """The client is done sending, and gets all of the answer all the same."""
    with Target(lambda c: c.send(hashlib.sha256(c.to_end()).hexdigest(), b"x" * size)) as target:
        with Client(proxy).connect(target.authority) as client:
            client.send(b"y" * size).shutdown()
            data, how = client.end()
            assert (
                how == "fin"
                and data == hashlib.sha256(b"y" * size).hexdigest().encode() + b"x" * size
            )
    proxy.flow().expect("ok", "close", bytes_up=size)


@pytest.mark.parametrize("size", [5, 5_000_000])
def test_half_close_by_the_target(proxy, size):
    received, done = [], threading.Event()

    def script(connection):
        connection.send(b"x" * size)
        connection.shutdown()
        received.append(connection.to_end())
        done.set()

    with Target(script) as target:
        with Client(proxy).connect(target.authority) as client:
            data, how = client.end()
            assert how == "fin" and len(data) == size
            client.send(b"y" * size).shutdown()
            assert done.wait(10) and received == [b"y" * size]
    proxy.flow().expect("ok", "close", bytes_up=size, bytes_down=size)


def test_a_reset_of_the_client_reaches_the_target(proxy):
    endings = []

    def script(connection):
        connection.send(connection.read(4))
        try:
            connection.to_end()
            endings.append("fin")
        except ConnectionResetError:
            endings.append("rst")

    with Target(script) as target:
        client = Client(proxy).connect(target.authority)
        client.send("ping").read(4)
        client.reset()
        wait_until(lambda: endings == ["rst"], f"RST at the target, not {endings}")
    proxy.flow().expect("reset-by-client", "transfer", "client")


def test_a_reset_of_the_target_reaches_the_client(proxy):
    with Target(lambda c: (c.send(c.read(4)), c.reset())) as target:
        with Client(proxy).connect(target.authority) as client:
            client.send("ping")
            assert client.end()[1] == "rst"
    proxy.flow().expect("reset-by-target", None, "target")


def test_small_messages_are_not_held_back(proxy):
    with Target(echo) as target, Client(proxy).connect(target.authority) as client:
        took = []
        for _ in range(100):
            began = time.monotonic()
            client.send("a").send("b").read(2)
            took.append(time.monotonic() - began)
        assert sorted(took)[50] < 0.035, "some delay (Nagle, delayed ACK) is in the way"


def test_urgent_data_loses_no_bytes(proxy):
    wanted = b"".join(b"%d " % i for i in range(2000))
    with Target(lambda c: c.send(c.to_end())) as target, Client(proxy).connect(
        target.authority
    ) as client:
        for i in range(0, len(wanted), 500):
            client.send(wanted[i : i + 500])
            if i % 2000 == 0:
                client.sock.send(b"!", socket.MSG_OOB)
        client.shutdown()
        data, how = client.end()
        assert how == "fin" and data.replace(b"!", b"") == wanted

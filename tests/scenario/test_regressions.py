"""Each bug that was found by attacking the data path, named for what it shows."""

import os
import signal
import time

import pytest

from client import Client, ask, get
from target import HttpTarget, Target, echo, reply, silent
from viaduct import OPEN, Proxy, wait_until


def allow(terms):
    """Everything is allowed, under these terms."""
    return OPEN.replace("{ }", f"{{ {terms} }}")


def cpu_seconds(proxy):
    """What the process has used so far."""
    with open(f"/proc/{proxy.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fill(sock, seconds=0.5):
    """Sends until the other side takes no more for a while."""
    sock.settimeout(seconds)
    try:
        while True:
            sock.send(b"x" * 65536)
    except TimeoutError:
        pass


def flood(connection):
    while True:
        connection.send(b"x" * 65536)


def test_a_half_closed_client_with_a_slow_answer_does_not_stop_the_worker():
    def slow(connection):
        connection.head()
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for byte in b"slow":
            time.sleep(0.4)
            connection.send(bytes([byte]))

    with Proxy(workers=1) as proxy, Target(slow) as target, HttpTarget() as other:
        client = Client(proxy).ask("GET", target.url(), "Connection: close").shutdown()
        time.sleep(1.1)  # longer than the patience with a client that left before the answer
        assert get(proxy, other.url()).status == 200
        proxy.flow().expect("ok")
        data, how = client.end()
        assert data.endswith(b"slow") and how == "fin"
        proxy.flow().expect("ok")


def test_a_target_that_answers_nobody_is_asked_once_more_only():
    def script(connection):
        connection.head()
        if connection.target.accepts == 1:
            connection.send(reply(b"first"))
            connection.head()

    with Proxy(workers=1) as proxy, Target(script) as target, Client(proxy) as client:
        assert client.get(target.url()).status == 200
        assert client.get(target.url("/two")).status == 502
        assert target.accepts == 2


def test_a_post_on_a_link_of_ntlm_is_not_sent_again():
    bodies = []

    def script(connection):
        while (request := connection.request()).method != "POST":
            connection.send(reply(b"", "401 Unauthorized", "WWW-Authenticate: NTLM"))
        bodies.append(request.body)

    with Proxy(workers=1) as proxy, Target(script) as target, Client(proxy) as client:
        assert client.get(target.url()).status == 401
        response = client.ask("POST", target.url("/pay"), body=b"a hundred").response()
        response.expect(502, "upstream-failed", "connection_terminated")
        assert bodies == [b"a hundred"] and target.accepts == 1


def test_a_reload_that_makes_header_size_smaller_than_what_is_here():
    with Proxy(workers=1) as proxy, HttpTarget() as target:
        with Client(proxy) as client:
            client.send("GET / HTTP/1.1\r\nHost: x\r\nA: ", "a" * 20000)
            time.sleep(0.1)
            proxy.configure(limits="header-size 2k;")
            proxy.signal(signal.SIGHUP)
            wait_until(lambda: "reloaded" in proxy.stderr(), "the reload")
            long = "A: " + "a" * 4000
            wait_until(lambda: ask(proxy, "GET", "/", long).status == 431, "its effect")
            client.send("a")
            client.response().expect(431, "bad-request")
        assert get(proxy, target.url()).status == 200


@pytest.mark.parametrize("rate", ["1m", "20m"])
def test_a_rate_is_held_without_crumbs(rate):
    with Proxy(workers=1, access=allow(f"rate {rate};")) as proxy, Target(flood) as target:
        with Client(proxy).connect(target.authority) as client:
            client.more()
            before, end = cpu_seconds(proxy), time.monotonic() + 1
            while time.monotonic() < end:
                client.sock.recv(65536)
            assert cpu_seconds(proxy) - before < 0.4


def test_as_much_as_max_download_allows_reaches_a_slow_client():
    size = 3_000_000

    def script(connection):
        connection.send(b"x" * size)
        connection.hold()

    with Proxy(access=allow(f"max-download {size};")) as proxy, Target(script) as target:
        with Client(proxy, receive_buffer=4096).connect(target.authority) as client:
            time.sleep(0.5)
            assert len(client.read(size)) == size
        proxy.flow().expect("ok", bytes_down=size)


def test_max_upload_holds_for_bytes_behind_the_connect():
    with Proxy(access=allow("max-upload 1000;")) as proxy, Target(silent) as target:
        for size, verdict in ((1001, "size-limit"), (1000, "ok")):
            with Client(proxy) as client:
                client.send(
                    f"CONNECT {target.authority} HTTP/1.1\r\nHost: x:1\r\n\r\n" + "x" * size
                )
                client.until(b"\r\n\r\n")
                if verdict == "ok":
                    time.sleep(0.1)
                    client.shutdown()
                    assert client.end() == (b"", "fin")
                else:
                    assert client.end() == (b"", "rst")
            proxy.flow().expect(verdict)


def test_a_reset_is_seen_where_the_limit_was_reached_exactly():
    with Proxy(access=allow("max-upload 1000;")) as proxy, Target(silent) as target:
        client = Client(proxy).connect(target.authority).send("x" * 1000)
        time.sleep(0.1)
        client.reset()
        proxy.flow().expect("reset-by-client", ended_by="client")


def test_the_clients_reset_is_seen_while_its_bytes_wait(proxy):
    with Target(lambda connection: connection.wait()) as target:
        client = Client(proxy).connect(target.authority)
        fill(client.sock)
        client.reset()
        proxy.flow().expect("reset-by-client", ended_by="client")


def test_the_targets_reset_is_seen_while_its_bytes_wait(proxy):
    def script(connection):
        fill(connection.sock)
        connection.reset()

    with Target(script) as target:
        with Client(proxy, receive_buffer=4096).connect(target.authority):
            proxy.flow().expect("reset-by-target", ended_by="target")


def test_a_slow_taker_is_not_idle():
    """Nothing more comes from the target, but what it sent is still being read."""
    size = 150_000

    def script(connection):
        connection.send(b"x" * size)
        connection.hold()

    with Proxy(limits="idle-timeout 1s;") as proxy, Target(script) as target:
        with Client(proxy, receive_buffer=2048).connect(target.authority) as client:
            left, begin = size - len(client.buffer), time.monotonic()
            while left:
                data = client.sock.recv(min(left, 4096))
                assert data, f"{left} bytes are missing"
                left -= len(data)
                time.sleep(0.05)
            assert time.monotonic() - begin > 1.5, "too fast to show anything"
            proxy.flow().expect("ok")


@pytest.mark.parametrize("size", [60_000, 1_000_000])
def test_bytes_that_only_the_kernel_holds_are_owed_too(size):
    def script(connection):
        connection.send(b"x" * size)
        connection.hold()

    with Proxy(limits="idle-timeout 500ms;") as proxy, Target(script) as target:
        with Client(proxy, receive_buffer=2048).connect(target.authority):
            proxy.flow().expect("stalled", "transfer", "client")


def test_our_own_page_does_not_hold_up_a_stop():
    with Proxy(limits="drain-timeout 20s;") as proxy, Target(echo) as target:
        with Client(proxy).connect(target.authority) as tunnel, Client(proxy) as client:
            client.send("GET / HTTP/1.1\r\n")
            wait_until(lambda: proxy.count_open() == 2, "the request's beginning to be read")
            proxy.signal(signal.SIGTERM)
            wait_until(lambda: "stopping" in proxy.stderr(), "the stop")
            time.sleep(0.1)
            response = client.send("Host: x\r\n\r\n").response()
            assert response.get("Connection") == "close"
            tunnel.close()
            proxy.process.wait(15)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "[::]", "[::ffff:127.0.0.1]"])
def test_other_names_of_our_own_listener_are_a_loop(proxy, host):
    ask(proxy, "CONNECT", f"{host}:{proxy.port}").expect(502, "loop", "proxy_loop_detected")


def test_a_tls_client_that_closes_without_close_notify_sent_no_reset(certs):
    listen = f"127.0.0.1:0 {{ tls-certificate {certs.cert}; tls-key {certs.key}; }}"
    with Proxy(listen=(listen,), extra="user root;") as proxy, Target(echo) as target:
        client = Client(proxy, tls=certs.client()).connect(target.authority)
        assert client.send("ping").read(4) == b"ping"
        os.close(client.sock.detach())
        proxy.flow().expect("ok", ended_by="client")


def test_the_link_of_a_large_response_is_used_again():
    with Proxy(workers=1) as proxy, HttpTarget(lambda _: reply(b"x" * 500_000)) as target:
        with Client(proxy) as client:
            for _ in range(3):
                assert len(client.get(target.url()).body) == 500_000
        assert target.accepts == 1


def test_a_body_of_a_request_that_ends_here_is_no_next_request(proxy):
    with HttpTarget() as target, Client(proxy) as client:
        body = f"GET {target.url('/hidden')} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        client.ask("OPTIONS", target.url(), "Max-Forwards: 0", body=body)
        data, _ = client.end()
        assert data.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in data
        assert not target.requests

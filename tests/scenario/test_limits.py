"""Limits of the whole proxy and of one client: who goes over pays, nobody else."""

import os
import resource
import time

import pytest

from client import Client, ask, get
from target import HttpTarget, Target, echo
from viaduct import Proxy, wait_until


def test_connections_of_all_clients():
    with Proxy(limits="connections 8;") as proxy, Target(echo) as target:
        tunnels = [Client(proxy).connect(target.authority) for _ in range(8)]
        response = ask(proxy, "CONNECT", target.authority)
        response.expect(503, "overloaded", "connection_limit_reached", "connections")
        assert int(response.get("Retry-After")) > 0
        proxy.flow().expect("overloaded", None, "proxy", status=503)
        for client in tunnels:
            assert client.send("ping").read(4) == b"ping"
        tunnels.pop().close()
        proxy.flow().expect("ok")
        wait_until(lambda: ask(proxy, "GET", f"http://127.0.0.1:{target.port}/").status != 503)
        for client in tunnels:
            client.close()


def test_connections_of_one_client():
    with Proxy(limits="connections-per-client 4;") as proxy, Target(
        echo
    ) as target, HttpTarget() as http:
        tunnels = [Client(proxy).connect(target.authority) for _ in range(4)]
        response = get(proxy, http.url())
        response.expect(429, "client-limit", "http_request_error", "connections")
        assert int(response.get("Retry-After")) > 0
        proxy.flow().expect("client-limit", None, "proxy", status=429)
        with Client(proxy, source="127.0.0.7") as other:
            assert other.get(http.url()).status == 200
        proxy.flow().expect("ok")
        for client in tunnels:
            client.close()
        proxy.flows(4)
        wait_until(lambda: get(proxy, http.url()).status == 200)


@pytest.mark.parametrize("workers", [1, 2])
def test_out_of_descriptors(workers):
    """The limit of the process is lowered under it: it answers with its spare, and harms no open flow."""
    # as root: lowering the limit of another account's process takes a capability that a container may lack
    with Proxy(workers=workers, extra="user root;") as proxy, Target(echo) as target:
        tunnels = [Client(proxy).connect(target.authority) for _ in range(8)]
        room = max(int(fd) for fd in os.listdir(f"/proc/{proxy.pid}/fd")) + 4
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (room, room))
        refused = []
        for _ in range(12):
            client = Client(proxy).ask("CONNECT", target.authority)
            response = client.head()
            if response.status == 200:
                tunnels.append(client)
            else:
                response.expect(503, "overloaded")
                assert int(response.get("Retry-After")) > 0
                refused.append(response)
                client.close()
        assert refused
        for client in tunnels:
            assert client.send("ping").read(4) == b"ping"
        for flow in proxy.flows(len(refused)):
            flow.expect("overloaded", None, "proxy", status=503)
        for client in tunnels:
            client.close()
        proxy.flows(len(tunnels))
        wait_until(lambda: try_tunnel(proxy, target), "tunnels to be opened again")


def try_tunnel(proxy, target):
    with Client(proxy) as client:
        return client.ask("CONNECT", target.authority).head().status == 200


def test_connections_that_do_not_fit_are_lowered_with_a_warning():
    with Proxy(command=["prlimit", "--nofile=256:256", "--"], limits="connections 20000;") as proxy:
        assert "connections" in proxy.stderr() and "warning" in proxy.stderr(), proxy.stderr()


def endless(connection):
    """An answer that goes on for as long as somebody takes it."""
    connection.head()
    connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 40}\r\n\r\n")
    while True:
        connection.send(b"x" * 65536)


def test_clients_that_never_read_harm_nobody():
    with Proxy(workers=1) as proxy, Target(endless) as big, HttpTarget() as target:
        get(proxy, target.url())
        before = proxy.rss_kib()
        lazy = [Client(proxy, receive_buffer=4096).ask("GET", big.url()) for _ in range(50)]
        lazy += [
            Client(proxy, receive_buffer=4096).connect(big.authority).send("GET / HTTP/1.1\r\n\r\n")
            for _ in range(50)
        ]
        time.sleep(0.3)
        began = time.monotonic()
        for _ in range(50):
            assert get(proxy, target.url()).status == 200
        assert time.monotonic() - began < 10
        assert proxy.rss_kib() - before < 30_000, "what is not read is kept in memory"
        for client in lazy:
            client.close()


def test_a_flood_of_connections_costs_its_own_limit_only():
    with Proxy(limits="connections-per-client 50;") as proxy, HttpTarget() as target:
        flood = [Client(proxy, source="127.0.0.66") for _ in range(50)]
        for client in flood:  # an answer shows that a worker has accepted and counted it
            assert client.get(target.url()).status == 200
        answers = []
        for _ in range(100):
            client = Client(proxy, source="127.0.0.66")
            client.ask("GET", target.url())
            answers.append(client.response().status)
            client.close()
        assert set(answers) == {429}
        began = time.monotonic()
        assert get(proxy, target.url()).status == 200
        assert time.monotonic() - began < 5
        for client in flood:
            client.close()

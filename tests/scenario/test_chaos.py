"""Clients and targets that do as they please, from a seed: the proxy survives, gives everything back, and has a
record for what it was asked."""

import os
import random
import threading
import time

import pytest

from client import Client, get
from target import HttpTarget, Target, reply
from viaduct import OPEN, Proxy, wait_until

FLOWS = 400
THREADS = 16
LIMITS = "header-timeout 500ms; response-timeout 500ms; keepalive-timeout 500ms; connections-per-client 5000;"
TERMS = "idle-timeout 300ms; lifetime 3s;"


def unruly_target(connection):
    """Reads some, writes some, and leaves in one way or another."""
    dice = random.Random(os.urandom(8))
    connection.sock.settimeout(2)
    for _ in range(dice.randrange(1, 6)):
        act = dice.randrange(12)
        if act < 3:
            connection.head()
        elif act == 3:
            connection.more()
        elif act == 4:
            connection.send(reply(os.urandom(dice.randrange(100_000))))
        elif act == 5:
            connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {dice.randrange(200_000)}\r\n\r\n")
            connection.send(b"x" * dice.randrange(200_000))
        elif act == 6:
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(dice.randrange(5)):
                n = dice.randrange(1, 70_000)
                connection.send(b"%x\r\n" % n, b"c" * n, b"\r\n")
            connection.send(dice.choice([b"0\r\n\r\n", b"", b"zz\r\n", b"0\r\nX: y\r\n\r\n"]))
        elif act == 7:
            connection.send(os.urandom(dice.randrange(5000)))
        elif act == 8:
            connection.send("HTTP/1.1 103 Early Hints\r\n\r\n" * dice.randrange(4))
        elif act == 9:
            connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
            )
        elif act == 10:
            connection.shutdown()
        else:
            time.sleep(dice.random() * 0.05)
    if dice.random() < 0.3:
        connection.reset()


def unruly_client(proxy, target, dice):
    client = Client(proxy, timeout=2)
    for _ in range(dice.randrange(1, 5)):
        act = dice.randrange(12)
        if act < 3:
            client.ask("GET", target.url(f"/{dice.randrange(100)}"))
        elif act == 3:
            client.ask("POST", target.url(), body=b"p" * dice.randrange(1, 300_000))
        elif act == 4:
            client.ask("POST", target.url(), "Transfer-Encoding: chunked")
            client.send(
                dice.choice(
                    [b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhel", b"nonsense", b"ffff\r\n" + b"x" * 500]
                )
            )
        elif act == 5:
            client.ask("CONNECT", target.authority).send(os.urandom(dice.randrange(3000)))
        elif act == 6:
            client.ask("GET", target.url(), "Upgrade: x", "Connection: upgrade")
        elif act == 7:
            client.send(f"GET {target.url()} HTTP/1.1\r\nHost: x\r\n"[: dice.randrange(60)])
        elif act == 8:
            client.send(os.urandom(dice.randrange(200)))
        elif act == 9:
            client.more()
        elif act == 10:
            client.shutdown()
        else:
            client.ask(
                "HEAD", target.url(), "Connection: close", version=dice.choice(["1.0", "1.1"])
            )
        if dice.random() < 0.3:
            time.sleep(dice.random() * 0.03)
    if dice.random() < 0.5:
        client.end()
    if dice.random() < 0.4:
        client.reset()
    else:
        client.close()


def sockets(proxy):
    """How many sockets the proxy has open (pipes for splicing are kept for the next flow)."""
    count = 0
    for fd in os.scandir(f"/proc/{proxy.pid}/fd"):
        try:
            count += os.readlink(fd.path).startswith("socket:")
        except FileNotFoundError:
            pass  # it was closed meanwhile
    return count


@pytest.mark.parametrize("seed", [1, 2])
def test_chaos(seed):
    access = OPEN.replace("allow all { }", f"allow all {{ {TERMS} }}")
    with Proxy(access=access, limits=LIMITS) as proxy, Target(
        unruly_target
    ) as target, HttpTarget() as calm:
        assert get(proxy, calm.url()).status == 200
        before = sockets(proxy)

        def run(number):
            for i in range(number, FLOWS, THREADS):
                try:
                    unruly_client(proxy, target, random.Random(seed * 1_000_000 + i))
                except (OSError, AssertionError):
                    pass  # how a client fares is not the question here

        threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # (the targets' threads are busy still, and an answer has half a second)
        wait_until(lambda: get(proxy, calm.url()).status == 200, "an answer")
        wait_until(lambda: sockets(proxy) <= before + 2, "sockets to be given back", 60)
        proxy.settle()
        assert proxy.taken > FLOWS / 4
        proxy.taken = 0
        for flow in proxy.flows(len(proxy.log_lines())):
            assert flow["verdict"] != "proxy-error", flow
            assert flow["ended_in"] and flow["ended_by"], flow

"""Much, and many: a gibibyte each way, and a thousand tunnels at once, byte for byte."""

import asyncio
import hashlib
import os
import re
import subprocess
import threading

import pytest

from client import Client
from target import Blob, Target, hash_stream
from viaduct import Proxy

# A sanitizer's run may ask for less.
SIZE_MIB = int(os.environ.get("VIADUCT_BULK_MIB", "1024"))
TUNNELS = int(os.environ.get("VIADUCT_BULK_TUNNELS", "1000"))


@pytest.fixture(scope="module")
def blob():
    blob = Blob(SIZE_MIB)
    blob.sum = blob.hash()
    return blob


def giver(blob):
    """Sends the blob as an HTTP answer, or raw to whom says so."""

    def script(connection):
        if connection.read(4) != b"raw\n":
            connection.head()
            connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {blob.size}\r\n\r\n")
        blob.send(connection.sock)

    return script


def taker(blob):
    """Takes a blob, and answers with its hash."""

    def script(connection):
        if connection.read(4) == b"raw\n":
            connection.send(hash_stream(connection.sock, blob.size, connection.buffer))
        else:
            connection.head()
            found = hash_stream(connection.sock, blob.size, connection.buffer)
            connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(found)}\r\n\r\n{found}")

    return script


@pytest.mark.parametrize("way", ["tunnel", "plain"])
def test_download(proxy, blob, way):
    with Target(giver(blob)) as target, Client(proxy, timeout=120) as client:
        if way == "tunnel":
            client.connect(target.authority).send("raw\n")
        else:
            client.ask("GET", target.url())
            assert client.head().get("Content-Length") == str(blob.size)
        assert hash_stream(client.sock, blob.size, client.buffer) == blob.sum
    proxy.flow().expect("ok", bytes_down=blob.size)


@pytest.mark.parametrize("way", ["tunnel", "plain", "chunked"])
def test_upload(proxy, blob, way):
    if way == "chunked":
        upload_by_curl(proxy, Blob(64))
        return
    with Target(taker(blob)) as target, Client(proxy, timeout=120) as client:
        if way == "tunnel":
            client.connect(target.authority).send("raw\n")
            blob.send(client.sock)
            assert client.read(64).decode() == blob.sum
        else:
            client.ask("PUT", target.url(), f"Content-Length: {blob.size}")
            blob.send(client.sock)
            assert client.response().body.decode() == blob.sum
    proxy.flow().expect("ok", bytes_up=blob.size + (4 if way == "tunnel" else 0))


def upload_by_curl(proxy, blob):
    """A pipe into curl: it sends chunks of its own cut."""

    def script(connection):
        request = connection.request(read_body=False)
        assert request.get("Transfer-Encoding") == "chunked"
        digest = hashlib.sha256()
        while (size := int(connection.until(b"\r\n"), 16)) > 0:
            digest.update(connection.read(size))
            connection.read(2)
        connection.until(b"\r\n")
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n{digest.hexdigest()}")

    with Target(script) as target:
        with subprocess.Popen(
            ["curl", "-sS", "-x", proxy.url, "-H", "Expect:", "-T", "-", target.url()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as curl:
            for part in blob.parts():
                curl.stdin.write(part)
            curl.stdin.close()
            assert curl.stdout.read().decode() == blob.hash()
    proxy.flow().expect("ok", bytes_up=blob.size)


def test_both_ways_at_once(proxy):
    blob = Blob(64)
    wanted = blob.hash()

    def script(connection):
        up = threading.Thread(target=blob.send, args=(connection.sock,))
        up.start()
        found = hash_stream(connection.sock, blob.size)
        up.join()
        connection.send(found)

    with Target(script) as target, Client(proxy, timeout=60).connect(target.authority) as client:
        up = threading.Thread(target=blob.send, args=(client.sock,))
        up.start()
        assert hash_stream(client.sock, blob.size, client.buffer) == wanted
        client.buffer = b""
        up.join()
        assert client.read(64).decode() == wanted
    proxy.flow().expect("ok", bytes_up=blob.size, bytes_down=blob.size + 64)


class EchoServer:
    """Echoes on an event loop of its own: a thousand threads would measure threads."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def serve():
            self.server = await asyncio.start_server(self.echo, "127.0.0.1", 0, backlog=2048)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            self.loop.run_until_complete(serve())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        assert ready.wait(10)
        return self

    @staticmethod
    async def echo(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()
        except ConnectionError:
            pass

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


async def one_tunnel(proxy, port, number, barrier):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
    barrier[0] -= 1
    if barrier[0] == 0:
        barrier[1].set()
    await barrier[1].wait()
    data = hashlib.shake_128(str(number).encode()).digest(65536)

    async def send():
        for i in range(0, len(data), 10_000):
            writer.write(data[i : i + 10_000])
            await writer.drain()
        writer.write_eof()

    sending = asyncio.create_task(send())
    found = await reader.read(-1)
    await sending
    writer.close()
    return found == data


def test_a_thousand_tunnels_at_once():
    async def run(proxy, port):
        barrier = [TUNNELS, asyncio.Event()]
        return await asyncio.gather(*(one_tunnel(proxy, port, i, barrier) for i in range(TUNNELS)))

    with Proxy(limits="connections-per-client 5000;") as proxy, EchoServer() as target:
        assert all(asyncio.run(asyncio.wait_for(run(proxy, target.port), 120)))
        flows = proxy.flows(TUNNELS, 30)
        assert {flow["verdict"] for flow in flows} == {"ok"}
        assert {(flow["bytes_up"], flow["bytes_down"]) for flow in flows} == {(65536, 65536)}
        assert len({flow["id"] for flow in flows}) == TUNNELS


def test_short_tunnels_leave_nothing_behind():
    with Proxy() as proxy, EchoServer() as target:

        def one():
            with Client(proxy).connect(f"127.0.0.1:{target.port}") as client:
                assert client.send("ping").read(4) == b"ping"

        for _ in range(300):
            one()
        proxy.flows(300)
        before = proxy.rss_kib()
        for _ in range(1500):
            one()
        proxy.flows(1500)
        sanitized = re.search(
            "asan|tsan|clang_rt", open(f"/proc/{proxy.pid}/maps", encoding="ascii").read()
        )
        assert sanitized or proxy.rss_kib() - before < 2000, "memory grows with each tunnel"

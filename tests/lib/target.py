"""Scripted targets: TCP servers on a port of the kernel's choice, a thread a connection."""

import hashlib
import socket
import threading
import urllib.parse

from client import Response, reset


class Connection:
    """What a script sees of one accepted connection."""

    def __init__(self, sock, target):
        self.sock, self.target, self.buffer = sock, target, b""

    def send(self, *parts):
        for part in parts:
            self.sock.sendall(
                part if isinstance(part, (bytes, bytearray, memoryview)) else part.encode("latin-1")
            )
        return self

    def more(self):
        data = self.sock.recv(262144)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            if not self.more():
                raise EOFError
        part, self.buffer = self.buffer.split(mark, 1)
        return part + mark

    def read(self, n):
        while len(self.buffer) < n:
            if not self.more():
                raise EOFError
        part, self.buffer = self.buffer[:n], self.buffer[n:]
        return part

    def to_end(self):
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def head(self):
        """A request's or response's head, as it came."""
        return self.until(b"\r\n\r\n")

    def request(self, read_body=True):
        request = Request(self.head())
        if read_body:
            request.read_body(self)
        return request

    def hold(self):
        """Stays open and silent until the other side closes or the target is torn down."""
        try:
            while self.more():
                self.buffer = b""
        except OSError:
            pass

    def wait(self):
        """Waits until the target is torn down, without reading."""
        self.target.done.wait()

    def shutdown(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.sock)

    def close(self):
        self.sock.close()


class Request:
    def __init__(self, head):
        self.head = head
        lines = head[:-4].decode("latin-1").split("\r\n")
        self.method, self.path, self.version = lines[0].split(" ")
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        self.body, self.trailers = b"", []

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def read_body(self, connection):
        if "chunked" in (self.get("Transfer-Encoding") or ""):
            while (size := int(connection.until(b"\r\n").split(b";")[0], 16)) > 0:
                self.body += connection.read(size)
                connection.read(2)
            while (line := connection.until(b"\r\n")) != b"\r\n":
                self.trailers.append(tuple(p.strip() for p in line.decode().split(":", 1)))
        elif self.get("Content-Length"):
            self.body = connection.read(int(self.get("Content-Length")))


class Target:
    """Accepts until it is closed; `script(connection)` runs in a thread of its own for each connection, and
    its return closes the connection.  `accepts` counts; `failures` holds what scripts raised beside
    the ends of connections."""

    def __init__(self, script, host="127.0.0.1", tls=None, port=0):
        self.script, self.tls, self.done = script, tls, threading.Event()
        self.accepts, self.failures, self.threads, self.socks = 0, [], [], []
        self.lock = threading.Lock()
        self.listener = socket.create_server(
            (host, port), backlog=1024, family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        self.host, self.port = host, self.listener.getsockname()[1]
        self.accepting = threading.Thread(target=self.accept, daemon=True)
        self.accepting.start()

    @property
    def authority(self):
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, path="/", host=None, scheme=None):
        scheme = scheme or ("https" if self.tls else "http")
        return f"{scheme}://{f'{host}:{self.port}' if host else self.authority}{path}"

    def accept(self):
        while not self.done.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self.run, args=(sock,), daemon=True)
            with self.lock:
                self.accepts += 1
                self.socks.append(sock)
                self.threads.append(thread)
                thread.start()

    def run(self, sock):
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self.socks.append(sock)
            self.script(Connection(sock, self))
        except (EOFError, OSError):
            pass  # the other side left: what it means is for the test to say
        except Exception as failure:  # pylint: disable=broad-except
            self.failures.append(failure)
        finally:
            try:
                sock.close()
            except OSError:
                pass

    def close(self):
        self.done.set()
        # shutdown wakes the thread in accept; close alone does not
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.accepting.join(5)
        self.listener.close()
        for sock in self.socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close()
        if kind is None:
            assert not self.failures, self.failures


def reply(body=b"", status="200 OK", *fields):
    """A response with Content-Length."""
    body = body if isinstance(body, bytes) else body.encode()
    return (
        "\r\n".join(
            [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
        ).encode()
        + body
    )


class HttpTarget(Target):
    """Speaks HTTP/1.1 with keep-alive: `answer(request)` gives the bytes of each response; None closes.
    `requests` holds what was asked."""

    def __init__(self, answer=None, **more):
        self.answer, self.requests = answer or (lambda request: reply(b"hello")), []
        super().__init__(self.serve, **more)

    def serve(self, connection):
        while True:
            request = connection.request()
            self.requests.append(request)
            response = self.answer(request)
            if response is None:
                return
            connection.send(response)
            if (request.get("Connection") or "").lower() == "close":
                return


def echo(connection):
    """Sends back what comes, until the end; then ends as well."""
    while data := connection.sock.recv(65536):
        connection.sock.sendall(data)


def silent(connection):
    connection.hold()


class FileTarget(HttpTarget):
    """Serves the files of a folder."""

    def __init__(self, folder, **more):
        self.folder = folder
        super().__init__(self.find, **more)

    def find(self, request):
        path = self.folder / urllib.parse.unquote(request.path.split("?")[0]).lstrip("/")
        if ".." in path.parts or not path.is_file():
            return reply(b"no such file", "404 Not Found")
        body = path.read_bytes()
        return (
            reply(b"", "200 OK", f"X-Size: {len(body)}")
            if request.method == "HEAD"
            else reply(body)
        )


MIB = 1 << 20


class Blob:
    """A body of many MiB that needs no memory: windows of a seeded 2 MiB block, each at another offset, so that
    a piece that is lost, doubled or moved changes the hash."""

    def __init__(self, mib, seed=b"viaduct"):
        self.mib, self.size = mib, mib * MIB
        block = hashlib.shake_256(seed).digest(2 * MIB)
        self.block = memoryview(block)

    def parts(self):
        for i in range(self.mib):
            at = i * 4099 % MIB
            yield self.block[at : at + MIB]

    def hash(self):
        digest = hashlib.sha256()
        for part in self.parts():
            digest.update(part)
        return digest.hexdigest()

    def send(self, sock):
        for part in self.parts():
            sock.sendall(part)


def hash_stream(sock, size, first=b""):
    """Receives `size` bytes (the `first` ones are here already) and returns their hash."""
    digest = hashlib.sha256(first)
    left, room = size - len(first), memoryview(bytearray(MIB))
    while left:
        n = sock.recv_into(room, min(left, MIB))
        if n == 0:
            raise EOFError(f"{left} bytes are missing")
        digest.update(room[:n])
        left -= n
    return digest.hexdigest()


__all__ = [
    "Blob",
    "Connection",
    "FileTarget",
    "HttpTarget",
    "MIB",
    "Request",
    "Response",
    "Target",
    "echo",
    "hash_stream",
    "reply",
    "silent",
]

"""A client that says exactly the bytes it is told to, and tells FIN from RST."""

import re
import socket
import struct

REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    414: "URI Too Long",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
# Statuses whose phrase was another one in earlier standards.
OLD_REASONS = {413: ("Payload Too Large", "Request Entity Too Large")}


def reset(sock):
    """Closes a socket with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Response:
    """A response head as it came, and the body once it is read."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        found = re.fullmatch(r"HTTP/(\d\.\d) (\d{3})(?: (.*))?", lines[0])
        assert found, f"no status line: {lines[0]!r}"
        self.version, self.status, self.reason = found[1], int(found[2]), found[3] or ""
        self.fields = [
            tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line
        ]
        self.body, self.trailers, self.complete = b"", [], False

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    @property
    def error(self):
        """The RFC 9209 error type in Proxy-Status."""
        found = re.search(r"\berror=([a-z_]+)", self.get("Proxy-Status", ""))
        return found[1] if found else None

    def expect(self, status, verdict, error=None, reason=None):
        """Asserts that this is viaduct's own answer with that verdict, in all the places that say it."""
        assert self.status == status, f"{self.line} {self.body[:300]}"
        phrases = (REASONS[status], *OLD_REASONS.get(status, ()))
        assert any(self.reason.startswith(f"{phrase} ({verdict}") for phrase in phrases), self.line
        assert self.reason.endswith(")"), self.line
        if reason is not None:
            assert reason in self.reason, f"{reason!r} is not in {self.line!r}"
        assert self.get("Proxy-Status"), self.fields
        if error is not None:
            assert self.error == error, self.get("Proxy-Status")
        for name in ("Date", "Content-Type", "Content-Length"):
            assert len(self.all(name)) == 1, f"{name}: {self.fields}"
        assert self.get("Cache-Control") == "no-store", self.fields
        if self.body:
            assert verdict in self.body.decode(), self.body
        return self


class Client:
    """One connection to a proxy (its address, or an object that has one)."""

    def __init__(
        self,
        proxy,
        timeout=30.0,
        source=None,
        receive_buffer=None,
        tls=None,
        server_name="localhost",
    ):
        address = getattr(proxy, "address", proxy)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(address)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=server_name)
        self.buffer = b""

    def send(self, *parts):
        data = b"".join(
            p if isinstance(p, (bytes, bytearray, memoryview)) else p.encode("latin-1")
            for p in parts
        )
        self.sock.sendall(data)
        return self

    def more(self):
        """Receives some bytes into the buffer; false at the end of the stream."""
        data = self.sock.recv(262144)
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            assert self.more(), f"the stream ended before {mark!r}: {self.buffer[:500]!r}"
        part, self.buffer = self.buffer.split(mark, 1)
        return part + mark

    def read(self, n):
        while len(self.buffer) < n:
            assert self.more(), f"the stream ended after {len(self.buffer)} of {n} bytes"
        part, self.buffer = self.buffer[:n], self.buffer[n:]
        return part

    def head(self):
        return Response(self.until(b"\r\n\r\n")[:-4])

    def response(self, method="GET"):
        """A whole response; interim ones are collected in its `interim`."""
        interim = []
        response = self.head()
        while 100 <= response.status < 200 and response.status != 101:
            interim.append(response)
            response = self.head()
        response.interim = interim
        if method == "HEAD" or response.status in (101, 204, 304):
            response.complete = True
        elif "chunked" in (response.get("Transfer-Encoding") or ""):
            self.read_chunks(response)
        elif response.get("Content-Length") is not None:
            response.body = self.read(int(response.get("Content-Length")))
            response.complete = True
        else:
            response.body, how = self.end()
            response.complete = how == "fin"
        return response

    def read_chunks(self, response):
        parts = []
        while True:
            size = int(self.until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            parts.append(self.read(size))
            assert self.read(2) == b"\r\n"
        response.body, response.complete = b"".join(parts), True
        while (line := self.until(b"\r\n")) != b"\r\n":
            response.trailers.append(tuple(p.strip() for p in line.decode().split(":", 1)))

    def end(self):
        """Reads to the end: the bytes, and how it ended, "fin" or "rst"."""
        try:
            while self.more():
                pass
            how = "fin"
        except (ConnectionResetError, BrokenPipeError):
            how = "rst"
        data, self.buffer = self.buffer, b""
        return data, how

    def ask(self, method, url, *fields, body=b"", version="1.1", host=None):
        """Sends a request in absolute-form (or CONNECT); does not read."""
        name = host or (url if method == "CONNECT" else url.split("//", 1)[-1].split("/", 1)[0])
        lines = [f"{method} {url} HTTP/{version}", f"Host: {name}", *fields]
        if body and not any(
            f.lower().startswith(("content-length", "transfer-encoding")) for f in fields
        ):
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join(lines) + "\r\n\r\n", body)

    def get(self, url, *fields, **more):
        return self.ask("GET", url, *fields, **more).response()

    def connect(self, target, *fields):
        """Opens a tunnel, and asserts the answer that INTERFACES gives word for word."""
        self.ask("CONNECT", target, *fields)
        head = self.until(b"\r\n\r\n")
        assert head == b"HTTP/1.1 200 Connection established\r\n\r\n", head
        return self

    def start_tls(self, context, name):
        """TLS inside the tunnel."""
        self.sock = context.wrap_socket(self.sock, server_hostname=name)
        return self

    def shutdown(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        reset(self.sock)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ask(proxy, method, url, *fields, **more):
    """One request on a connection of its own; a CONNECT that is refused too."""
    with Client(proxy) as client:
        return client.ask(method, url, *fields, **more).response(method)


def get(proxy, url, *fields, **more):
    return ask(proxy, "GET", url, *fields, **more)

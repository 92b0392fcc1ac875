"""Parent proxies that tests play themselves: a working one that asks for credentials, and scripts."""

import base64
import hashlib
import os
import re
import socket
import threading

from target import Connection, Target, reply


def parameters(value):
    """The parameters of a Digest field."""
    return {
        name.lower(): quoted if quoted is not None else plain
        for name, _, quoted, plain in (
            (m[1], m[2], m[3] and re.sub(r"\\(.)", r"\1", m[3]) if m[3] is not None else None, m[4])
            for m in re.finditer(r'(\w+\*?)=("((?:[^"\\]|\\.)*)"|([^\s,"]+))', value)
        )
    }


class Login:
    """What a parent asks for and how it checks it.  `answers` holds what each request with credentials came
    to: "ok", "wrong", "stale"; nonces live for `uses` answers (0: for ever)."""

    def __init__(self, user, password, scheme="Digest", algorithm="SHA-256", uses=0, next_nonce=False):
        self.user, self.password, self.scheme, self.algorithm = user, password, scheme, algorithm
        self.uses, self.next_nonce = uses, next_nonce
        self.nonces, self.answers, self.counts, self.challenges = {}, [], [], 0
        self.lock = threading.Lock()

    def hash(self, text):
        kind = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
        return hashlib.new(kind[self.algorithm.removesuffix("-sess")], text.encode()).hexdigest()

    def new_nonce(self):
        nonce = os.urandom(12).hex()
        self.nonces[nonce] = set()
        return nonce

    def challenge(self, stale=False):
        self.challenges += 1
        if self.scheme == "Basic":
            return 'Proxy-Authenticate: Basic realm="parent"'
        return (
            f'Proxy-Authenticate: Digest realm="parent", nonce="{self.new_nonce()}", qop="auth", '
            f"algorithm={self.algorithm}{', stale=true' if stale else ''}"
        )

    def check(self, request):
        """None: go on, with a field to add; else the challenge."""
        with self.lock:
            value = request.get("Proxy-Authorization")
            if value is None:
                return self.challenge(), None
            verdict, info = self.judge(request, value)
            self.answers.append(verdict)
            return (None, info) if verdict == "ok" else (self.challenge(verdict == "stale"), None)

    def judge(self, request, value):
        scheme, _, rest = value.partition(" ")
        if self.scheme == "Basic":
            right = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return ("ok" if (scheme, rest) == ("Basic", right) else "wrong"), None
        p = parameters(rest)
        ha1 = self.hash(f"{self.user}:parent:{self.password}")
        if self.algorithm.endswith("-sess"):
            ha1 = self.hash(f"{ha1}:{p['nonce']}:{p['cnonce']}")
        middle = f"{p['nonce']}:{p['nc']}:{p['cnonce']}:auth"
        response = self.hash(f"{ha1}:{middle}:{self.hash(f'{request.method}:{request.path}')}")
        if p["uri"] != request.path or p["response"] != response or p["username"] != self.user:
            return "wrong", None
        seen = self.nonces.get(p["nonce"])
        if seen is None or p["nc"] in seen or (self.uses and len(seen) >= self.uses):
            return "stale", None
        seen.add(p["nc"])
        self.counts.append(int(p["nc"], 16))
        if not self.next_nonce:
            return "ok", None
        rspauth = self.hash(f"{ha1}:{middle}:{self.hash(f':{request.path}')}")
        return "ok", (
            f'Proxy-Authentication-Info: nextnonce="{self.new_nonce()}", qop=auth, '
            f'rspauth="{rspauth}", cnonce="{p["cnonce"]}", nc={p["nc"]}'
        )


def pipe(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Parent(Target):
    """A small HTTP/1.1 proxy.  `login` asks for credentials; `names` maps hosts to addresses (the proxy in
    front must not resolve them); `closes`: each 407 ends the connection."""

    def __init__(self, login=None, names=None, closes=False, read_first=True, **more):
        self.login, self.names, self.closes, self.read_first = login, names or {}, closes, read_first
        self.requests = []
        super().__init__(self.serve, **more)

    def dial(self, authority):
        host, port = authority.rsplit(":", 1)
        return socket.create_connection((self.names.get(host, host.strip("[]")), int(port)))

    def serve(self, connection):
        while True:
            request = connection.request(read_body=False)
            self.requests.append(request)
            challenge, info = self.login.check(request) if self.login else (None, None)
            if challenge is None and (request.get("Expect") or "").lower() == "100-continue":
                connection.send("HTTP/1.1 100 Continue\r\n\r\n")
            if challenge is None or self.read_first and not request.get("Expect"):
                request.read_body(connection)
            if challenge:
                fields = [challenge] + (["Connection: close"] if self.closes else [])
                connection.send(reply(b"log in" * 100, "407 Proxy Authentication Required", *fields))
                if self.closes:
                    return
            elif request.method == "CONNECT":
                self.tunnel(connection, request, info)
                return
            else:
                connection.send(self.forward(request, info))

    def tunnel(self, connection, request, info):
        with self.dial(request.path) as far:
            fields = f"{info}\r\n" if info else ""
            connection.send(f"HTTP/1.1 200 OK\r\n{fields}\r\n", b"")
            far.sendall(connection.buffer)
            up = threading.Thread(target=pipe, args=(connection.sock, far), daemon=True)
            up.start()
            pipe(far, connection.sock)
            up.join(10)

    def forward(self, request, info):
        authority, _, path = request.path.removeprefix("http://").partition("/")
        with self.dial(authority if ":" in authority else f"{authority}:80") as far:
            fields = "".join(
                f"{k}: {v}\r\n"
                for k, v in request.fields
                if k.lower() not in ("connection", "proxy-authorization", "content-length", "expect")
                and k.lower() != "transfer-encoding"
            )
            length = f"Content-Length: {len(request.body)}\r\n" if request.body else ""
            far.sendall(
                f"{request.method} /{path} HTTP/1.1\r\n{fields}{length}Connection: close\r\n\r\n".encode()
                + request.body
            )
            answer = Connection(far, self).to_end()
        head, body = answer.split(b"\r\n\r\n", 1)
        extra = f"\r\n{info}".encode() if info else b""
        return head + extra + b"\r\n\r\n" + body


def upstream(parent, *more, host="127.0.0.1", port=None):
    """The text of upstream.conf."""
    port = port or getattr(parent, "port", parent)
    return f"iprep_proxy {{ PROXY_HOST {host}; PROXY_PORT {port}; {' '.join(more)} }}\n"

"""Who listens in the place of a proxy at its control socket, and says what it is told to."""

import contextlib
import os
import pathlib
import shutil
import socket
import tempfile
import threading


def http(body, status="200 OK", fields=""):
    body = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


class Mockery:
    """`say(connection, request)` answers each request head; the connection is closed behind it.  `env` is for the
    commands that are to find it."""

    def __init__(self, say, accepts=True, backlog=16):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="viaduct-mockery-"))
        self.env = {**os.environ, "RUNTIME_DIRECTORY": str(self.folder)}
        self.say, self.requests, self.over = say, [], threading.Event()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.folder / "control.sock"))
        self.socket.listen(backlog)
        self.thread = threading.Thread(target=self.serve) if accepts else None

    def serve(self):
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(20)
                request = b""
                while b"\r\n\r\n" not in request and (more := connection.recv(65536)):
                    request += more
                self.requests.append(request)
                if request:
                    self.say(connection, request)

    def __enter__(self):
        if self.thread:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        if self.thread:
            self.thread.join(30)
        shutil.rmtree(self.folder, ignore_errors=True)

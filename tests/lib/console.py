"""A browser's part of talking with the console: a cookie, a token, JSON."""

import hashlib
import http.client
import json
import os
import socket

PASSWORD = "correct horse"


def administrators(name="root", password=PASSWORD):
    """A file of administrators with one whose password is checked at once: scrypt at its cheapest."""
    salt = b"\x5a" * 16
    value = hashlib.scrypt(password.encode(), salt=salt, n=16, r=8, p=1, dklen=32)
    return f'# made for a test\nadmin "{name}" {{ scrypt 4 8 1 {salt.hex()} {value.hex()}; }}\n'


def make_administrator(proxy, name="root", password=PASSWORD):
    """Puts such a file where the running proxy looks for it."""
    path = proxy.folder / "admins.conf"
    path.write_text(administrators(name, password))
    os.chown(path, os.stat(f"/proc/{proxy.pid}").st_uid, -1)
    path.chmod(0o600)


class Answer:
    def __init__(self, response, body):
        self.status, self.body = response.status, body
        self.fields = {name.lower(): value for name, value in response.getheaders()}
        self.text = body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)


class Local(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


class Console:
    """Who talks with the console of a proxy, or (path) with its control socket."""

    def __init__(self, proxy, path=None):
        self.port, self.path = (None, path) if path else (proxy.console_port, None)
        self.cookie = self.csrf = None

    def open(self):
        if self.path:
            return Local(self.path)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method, path, body=None, fields=None, cookie=True, csrf=True):
        """`body`: JSON to be, or bytes.  The cookie and the token go along unless told otherwise."""
        connection = self.open()
        headers = dict(fields or {})
        if self.cookie and cookie:
            headers.setdefault("Cookie", self.cookie)
        if self.csrf and csrf:
            headers.setdefault("X-CSRF-Token", self.csrf)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = Answer(response, response.read())
        finally:
            connection.close()
        if "set-cookie" in answer.fields:
            self.cookie = answer.fields["set-cookie"].split(";")[0]
        return answer

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def enter(self, proxy, name="root", password=PASSWORD):
        """Is logged in as an administrator that is made for it."""
        make_administrator(proxy, name, password)
        answer = self.log_in(name, password)
        assert answer.status == 200, answer.text
        return self

    def log_in(self, name="root", password=PASSWORD):
        answer = self.ask("POST", "/api/v1/session", {"name": name, "password": password})
        if answer.status == 200:
            self.csrf = answer.json["csrf"]
        return answer

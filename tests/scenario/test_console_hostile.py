"""The console against whoever means it harm: every route, every field, bodies, clients that are slow or many; none
of it stops the proxy, or gets a secret out of it."""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import urllib.parse

import pytest

from client import Client, get
from console import Console, administrators
from target import HttpTarget, Target, echo
from test_console import BLOCK, children_of, mute, read_events
from test_console_settings import UPSTREAM, form, give
from viaduct import BINARY, Proxy, wait_until

EXTRA = "upstream upstream.conf; authentication { accounts accounts.conf; }"
FILES = {"upstream.conf": UPSTREAM, "accounts.conf": ""}
PAGES = ("/", "/connections", "/history", "/diagnose", "/settings", "/access", "/accounts", "/configuration")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get")


def read_routes():
    """[(method, path, query arguments, members)] of the interface's own description, which is printed from the
    table of routes."""
    described = json.loads((pathlib.Path(BINARY).resolve().parents[2] / "doc/openapi.json").read_text())
    routes = []
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            members = content.get("application/json", {}).get("schema", {}).get("properties", {})
            arguments = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
            routes.append((method.upper(), path, arguments, list(members)))
    return routes


ROUTES = read_routes()
OPEN_TO_ALL = {("POST", "/api/v1/session"), ("POST", "/api/v1/setup")}
ONLY_READ = {("POST", "/api/v1/access/test")}
UPLOAD = ("POST", "/api/v1/explain")
CHANGES = [(m, p) for m, p, _, _ in ROUTES if m != "GET" and (m, p) not in OPEN_TO_ALL | ONLY_READ]


def at(path, part="0123456789abcdef"):
    return path.replace("{id}", part).replace("{name}", part)


@contextlib.contextmanager
def open_site(**more):
    """A proxy whose administrator is root, logged in."""
    settings = {"console": BLOCK, "extra": EXTRA, "files": FILES, **more}
    with Proxy(log="history history.db;", **settings) as proxy:
        give(proxy, "upstream.conf", "accounts.conf", "viaduct.conf")
        yield proxy, Console(proxy).enter(proxy)


@pytest.fixture(scope="module")
def site():
    with open_site() as (proxy, console), HttpTarget() as target:
        yield proxy, console, target


def patiently(ask):
    """Passwords are tried one at a time."""
    return wait_until(lambda: (a := ask()).status != 429 and a)


def is_well(site):
    """The proxy serves, and the console answers."""
    proxy, console, target = site
    assert get(proxy, target.url()).status in (200, 407)
    assert console.get("/healthz").text == "ok\n"


def is_refusal(answer, status, error):
    assert (answer.status, answer.json["error"]) == (status, error), answer.text
    assert answer.json["message"] and answer.fields["content-type"] == "application/json"
    return True


# --- methods


def test_each_path_names_the_methods_it_has(site):
    _, console, _ = site
    known = {}
    for method, path, _, _ in ROUTES:
        known.setdefault(path, []).append(method)
    for path in PAGES + ("/assets/style.css",):
        known[path] = ["GET"]
    for path, methods in known.items():
        methods += ["HEAD"] * ("GET" in methods)
        for method in set(METHODS) - set(methods):
            answer = console.ask(method, at(path), fields={"Sec-Fetch-Site": "same-origin"})
            assert answer.status == 405, (method, path)
            assert sorted(answer.fields["allow"].split(", ")) == sorted(methods)
    is_well(site)


def test_head_is_get_without_a_body(site):
    _, console, _ = site
    for method, path, _, _ in ROUTES:
        if method == "GET":
            answer = console.ask("HEAD", at(path))
            assert answer.status in (200, 400, 404, 409, 503) and answer.body == b"", path
    wait_until(lambda: console.get("/api/v1/state").status == 200)


# --- bodies


def test_a_body_that_is_too_large_is_refused(site):
    _, console, _ = site
    for method, path, _, _ in ROUTES:
        size = 1 if method == "GET" else 3 << 20
        if (method, path) != UPLOAD:
            is_refusal(console.ask(method, at(path), b"x" * size), 413, "too-large")
    is_refusal(console.ask(*UPLOAD, b"x" * ((64 << 20) + 1)), 413, "too-large")
    is_well(site)


def test_a_body_without_end_is_cut_off(site):
    """Who is not logged in can send one, too."""
    proxy, console, _ = site
    before = proxy.rss_kib()
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as s:
        s.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost:%d\r\n" % console.port)
        s.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
        with pytest.raises(OSError):
            for _ in range(400):
                s.sendall(chunk)
    assert proxy.rss_kib() < before + 30_000
    is_well(site)


DEEP = b'{"a":' * 3000 + b"1" + b"}" * 3000


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b'{"a":1}{', b'{"name":"a","name":"b"}', b'{"name":"\xff"}',
        b'{"name":"a\\u0000b"}', b'{"na\\u0000me":"a"}', b'{"name":"\\ud800"}', b'{"n":1e999}', b'{"n":1' + b"0" * 400 + b"}",
        DEEP, b"[" * 3900, b"\xef\xbb\xbf{}", b"\0", b'{"name":"\x01"}',
    ],
    ids=lambda body: body[:20].decode("latin-1").encode("unicode_escape").decode(),
)  # fmt: skip
def test_what_is_no_json_is_refused(site, body):
    _, console, _ = site
    for method, path, _, members in ROUTES:
        if members:
            answer = patiently(lambda: console.ask(method, at(path), body))
            if (method, path) == ("PUT", "/api/v1/configuration"):
                assert answer.status in (400, 413)
            is_refusal(answer, *((413, "too-large") if answer.status == 413 else (400, "bad-json")))
    is_well(site)


NO_TEXTS = [5, True, [], {}, ["a"], 1e300, -(1 << 63)]
GOOD = {"name": "fmc", "password": "correct horse", "token": "0" * 64, "text": "", "base": "0" * 64, "url": "http://a.test/",
        "file": "accounts.conf", "change": "add"}  # fmt: skip
FLAGS = {"disabled", "insecure", "mtu", "follow", "enabled", "authentication", "tls", "smart_licensing", "force"}


def test_members_of_another_kind_are_refused(site):
    """A word where a flag is wanted must not become its opposite."""
    _, console, _ = site
    for method, path, _, members in ROUTES:
        good = GOOD
        if "/upstream" in path and method != "GET":
            members, good = [*form(), "password"], form()
        for member in set(members) - {"port"}:
            for value in ["on", 1, {}] if member in FLAGS else ["a", {}, [1]] if member == "no_proxy" else NO_TEXTS:
                body = {**{m: good[m] for m in members if m in good}, member: value}
                answer = console.ask(method, at(path, "fmc"), body)
                is_refusal(answer, 400, "unfit")
                assert answer.json["field"] == member
    is_well(site)


# --- who may


def test_nothing_is_told_or_changed_without_a_session(site):
    proxy, console, _ = site
    for method, path, _, _ in ROUTES:
        if path.startswith("/api/") and (method, path) not in OPEN_TO_ALL | {("GET", "/api/v1/session")}:
            name = console.cookie.split("=")[0]
            for cookie in (None, f"{name}=", f"{name}=" + "0" * 64, f"{name}=\x01;;=;a"):
                fields = {"Cookie": cookie} if cookie else {}
                answer = Console(proxy).ask(method, at(path), b"{}" if method in ("POST", "PUT") else None, fields)
                is_refusal(answer, 401, "log-in")
    is_well(site)


def test_no_change_without_its_token_or_from_another_site(site):
    _, console, _ = site
    for method, path in CHANGES:
        for token in ("", "0" * 64, "x", "0" * 4000):
            is_refusal(console.ask(method, at(path), fields={"X-CSRF-Token": token}), 403, "csrf")
        is_refusal(console.ask(method, at(path), csrf=False), 403, "csrf")
    for method, path in CHANGES + sorted(OPEN_TO_ALL | ONLY_READ):
        for fields in (
            {"Origin": "http://evil.test"},
            {"Origin": "null"},
            {"Origin": f"http://localhost:{console.port + 1}"},
            {"Origin": f"http://127.0.0.1:{console.port}.evil.test"},
            {"Origin": ""},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": f"http://127.0.0.1:{console.port}"},
        ):
            is_refusal(console.ask(method, at(path), b"{}", fields), 403, "cross-site")
    answer = console.ask("POST", "/api/v1/admin-link", fields={"Origin": f"http://127.0.0.1:{console.port}"})
    assert answer.status == 200
    for host in ("evil.test", "", "localhost", "a" * 8192, "<script>", "\u202e".encode().decode("latin-1"), "[::1"):
        answer = console.ask("GET", "/", fields={"Host": host})
        is_refusal(answer, 421, "wrong-host")
    is_well(site)


def test_a_link_is_used_up_by_nothing_but_its_post(site):
    proxy, console, _ = site
    url = console.ask("POST", "/api/v1/admin-link").json["url"]
    page, token = url.split("#setup=")  # a browser sends no fragment
    assert console.get("/?setup=" + token).status == 200
    assert console.ask("HEAD", "/").status == 200
    assert console.get("/api/v1/setup?token=" + token).status == 405
    stranger = Console(proxy)
    answer = patiently(lambda: stranger.ask("POST", "/api/v1/setup", {"token": token, "name": "second", "password": "correct horse"}))
    assert answer.status == 200, answer.text
    cookie = answer.fields["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    path = proxy.folder / "admins.conf"
    assert token not in path.read_text() and "scrypt 15 8 3" in path.read_text()


def test_a_session_ends_with_its_administrator(site):
    proxy, console, _ = site
    path = proxy.folder / "admins.conf"
    text = path.read_text()
    path.write_text(text + administrators("third").replace("# made for a test\n", ""))
    third = Console(proxy)
    assert patiently(lambda: third.log_in("third")).status == 200
    assert third.get("/api/v1/state").status == 200
    path.write_text(text)
    is_refusal(third.get("/api/v1/state"), 401, "log-in")
    assert console.get("/api/v1/state").status == 200


def test_a_stream_ends_with_its_session(site):
    proxy, _, _ = site
    other = Console(proxy)
    assert patiently(other.log_in).status == 200
    connection = http.client.HTTPConnection("127.0.0.1", other.port, timeout=20)
    connection.request("GET", "/api/v1/events", headers={"Cookie": other.cookie})
    response = connection.getresponse()
    assert response.readline() == b"event: state\n"
    cookie = other.cookie
    assert other.ask("DELETE", "/api/v1/session").status == 200
    wait_until(lambda: response.readline() == b"")  # it ends
    connection.close()
    assert Console(proxy).get("/api/v1/state", fields={"Cookie": cookie}).status == 401


def test_a_stream_ends_with_its_administrator(site):
    proxy, _, _ = site
    path = proxy.folder / "admins.conf"
    text = path.read_text()
    path.write_text(text + administrators("fourth").replace("# made for a test\n", ""))
    fourth = Console(proxy)
    assert patiently(lambda: fourth.log_in("fourth")).status == 200
    connection = http.client.HTTPConnection("127.0.0.1", fourth.port, timeout=20)
    connection.request("GET", "/api/v1/events", headers={"Cookie": fourth.cookie})
    response = connection.getresponse()
    assert response.readline() == b"event: state\n"
    path.write_text(text)
    wait_until(lambda: response.readline() == b"")  # it ends, though nobody asks for anything else
    connection.close()


# --- every field

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x01\x07\x1b[31m\x7f\x85",
    "\r\nSet-Cookie: evil=1\r\n\r\n",
    "\u202eevil\u2066\ufeff",
    "a" * 8192,
    "a." * 4096,
    "%00%0d%0a../../etc/passwd",
    "../../../../etc/passwd",
    "'; DROP TABLE flows; --",
    "{{7*7}}${7*7}`id`$(id)",
    "-o/etc/passwd",
    "\U0001f4a9é日本",
    " ",
    "*",
    "%s%n%999999d",
    "99999999999999999999",
]


def is_harmless(answer):
    """Of any status but the server's own fault; JSON, or text that no browser takes for markup."""
    assert answer.status < 500 or answer.json["error"] in ("busy", "no-history"), answer.text
    assert answer.fields["content-type"] == "application/json", answer.fields
    assert answer.fields["x-content-type-options"] == "nosniff" and "set-cookie" not in answer.fields
    json.loads(answer.body)
    for odd in ("\u202e", "\ufeff", "\x1b", "\x85"):
        assert odd not in answer.text  # escaped
    return answer


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: ascii(v)[1:20])
def test_every_member_of_every_body_may_be_hostile(site, value):
    proxy, console, _ = site
    for method, path, _, members in ROUTES:
        if "/upstream" in path and method != "GET":
            members = [*form(), "password", "url"]
        for member in set(members) - FLAGS:
            body = form(authentication=True) if "upstream" in path else {m: GOOD[m] for m in members if m in GOOD}
            body[member] = [value, "x"] if member == "no_proxy" else value
            answer = is_harmless(console.ask(method, at(path, "fmc"), body))
            if answer.status == 202:
                console.ask("DELETE", f"/api/v1/jobs/{answer.json['job']}")
    for entry in console.get("/api/v1/audit?limit=1000").json["entries"]:
        assert set(entry) == {"time", "who", "what"}
    for line in proxy.stderr().rstrip("\n").split("\n"):
        assert line.startswith(("viaduct: ", "warning: ")), line  # nobody writes lines of his own
        assert line.isprintable(), line
    for account in console.get("/api/v1/accounts").json["accounts"]:  # whatever was taken for a name
        name = urllib.parse.quote(account["name"], safe="")
        assert console.ask("DELETE", "/api/v1/accounts/" + name).status == 200, account
    is_well(site)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: ascii(v)[1:20])
def test_every_argument_and_part_of_a_path_may_be_hostile(site, value):
    _, console, _ = site
    quoted = urllib.parse.quote(value, safe="")
    for method, path, arguments, _ in ROUTES:
        if "{" in path and method in ("GET", "DELETE"):
            is_refusal(console.ask(method, at(path, quoted)), *((400, "unfit") if "accounts" in path and value in
                       NO_NAMES else (404, "not-found")))
        if path == "/api/v1/events":
            arguments = ["sort", "offset", "limit"]
        for argument in arguments:
            query = f"{at(path)}?connections=1&by=target&{argument}={quoted}"
            is_harmless(console.ask(method, query))
    for path in ("/" + quoted, "/assets/" + quoted, "/api/v1/" + quoted, "/?" + quoted):
        assert console.get(path).status in (200, 404)
    is_well(site)


def is_name(text):
    """As accounts have them."""
    return len(text.encode()) <= 255 and ":" not in text and all(ord(c) >= 32 and not 127 <= ord(c) < 160 for c in text)


NO_NAMES = {value for value in HOSTILE if not is_name(value)}


def test_numbers_out_of_range(site):
    _, console, _ = site
    for path in (
        "connections?offset=", "connections?limit=", "audit?limit=", "flows?since=", "flows?until=", "flows?before=",
        "flows?limit=", "top?by=target&limit=",
    ):  # fmt: skip
        for value in ("-1", "1e3", "0x10", "99999999999999999999999", "%201", "1%20", "%2B1", "1.5", "NaN"):
            answer = console.get("/api/v1/" + path + value)
            is_refusal(answer, 400, "bad-argument")
    for port in (-1, 0, 65536, 1 << 40, 1.5, 1e300, None, "x", "1 2"):
        answer = console.ask("POST", "/api/v1/upstream/validate", {**form(), "port": port})
        assert answer.status == 200 and (port is None or answer.json["problems"][0]["field"] == "port"), port
    is_well(site)


def test_settings_that_are_too_much_are_refused_and_not_cut(site):
    proxy, console, _ = site
    before = (proxy.folder / "upstream.conf").read_text()
    for change in (
        {"no_proxy": [f"{i}.test" for i in range(300)]},
        {"no_proxy": ["a" * 60] * 100},
        {"authentication": True, "user": "u" * 5000},
    ):
        field = next(iter(set(change) - {"authentication"}))
        problems = console.ask("POST", "/api/v1/upstream/validate", form(**change)).json["problems"]
        assert [p["field"] for p in problems] == [field] and "more than the settings can take" in problems[0]["message"]
        is_refusal(console.ask("PUT", "/api/v1/upstream", form(**change, force=True)), 400, "unfit")
    for password in ("good\nrest", "x" * 1025):
        answer = console.ask("PUT", "/api/v1/upstream", form(authentication=True, user="u", password=password, force=True))
        is_refusal(answer, 400, "unfit")
        assert answer.json["field"] == "password"
    assert (proxy.folder / "upstream.conf").read_text() == before


def test_hostile_names_in_accounts_can_be_removed_again(site):
    _, console, _ = site
    names = ["<script>alert(1)</script>", "a/b", "a/b/../c", "?x=1#y", "%2F", "\u202eevil", "..."]
    for name in names:
        assert console.ask("POST", "/api/v1/accounts", {"name": name, "password": "x"}).status == 200, name
    assert {a["name"] for a in console.get("/api/v1/accounts").json["accounts"]} == set(names)
    for name in names:
        path = "/api/v1/accounts/" + urllib.parse.quote(name, safe="")
        assert console.ask("PUT", path, {"disabled": True}).status == 200, name
        assert console.ask("DELETE", path).status == 200, name
    assert console.get("/api/v1/accounts").json["accounts"] == []


def test_an_empty_configuration_has_to_be_meant(site):
    proxy, console, _ = site
    before = proxy.config.read_text()
    base = hashlib.sha256(before.encode()).hexdigest()
    for body in ({"base": base}, {"base": base, "text": None}, {"base": base, "text": ["x"]}):
        is_refusal(console.ask("PUT", "/api/v1/configuration", body), 400, "unfit")
    assert proxy.config.read_text() == before


def test_hostile_names_of_flows_in_every_answer(site):
    """What passes the proxy comes back in lists, charts and metrics."""
    proxy, console, _ = site
    name = b"<script>alert(1)</script>\xe2\x80\xae"
    with Target(echo) as target:
        odd = Client(proxy)
        odd.send(b"GET http://%s/%s HTTP/1.1\r\nHost: a\r\n\r\n" % (target.authority.encode(), name))
        bad = Client(proxy)
        bad.send(b"CONNECT " + name + b".test:443 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert bad.response("CONNECT").status == 400
        wait_until(lambda: "script" in console.get("/api/v1/flows?limit=200").text)
        for method, path, _, _ in ROUTES:
            if method == "GET" and path.startswith("/api/") and not path.endswith("events"):
                is_harmless(console.get(at(path) + "?by=target&text=script"))
        assert "<script" not in console.get("/metrics").text
        odd.close()
        bad.close()


# --- clients


def test_a_byte_at_a_time(site):
    _, console, _ = site
    body = b'{"name":"root","password":"wrong password"}'
    head = f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nContent-Length: {len(body)}\r\n\r\n"

    def ask():
        with socket.create_connection(("127.0.0.1", console.port), timeout=20) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in head.encode() + body:
                s.sendall(bytes([byte]))
            response = http.client.HTTPResponse(s)
            response.begin()
            response.read()
            return response

    assert patiently(ask).status == 403
    is_well(site)


def test_heads_that_are_none(site):
    _, console, _ = site
    all_of_them = []
    for head in (
        b"\0" * 100, b"\r\n" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G" * 40_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 600,
        b"POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/session HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nCookie: " + b"a=b; " * 2000 + b"\r\n\r\n",
    ):  # fmt: skip
        all_of_them.append(socket.create_connection(("127.0.0.1", console.port), timeout=20))
        with contextlib.suppress(OSError):
            all_of_them[-1].sendall(head)
    is_well(site)
    for one in all_of_them:
        one.close()


def test_readers_that_do_not_read(site):
    _, console, _ = site
    lazy = []
    for path in ["/api/v1/events?connections=1"] * 20 + ["/assets/chart.js", "/api/v1/configuration"] * 10:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        s.connect(("127.0.0.1", console.port))
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nCookie: {console.cookie}\r\n\r\n"
        s.sendall(request.encode() * (1 if "events" in path else 20))
        lazy.append(s)
    is_well(site)
    for s in lazy:
        s.close()
    is_well(site)


def test_streams_are_few(site):
    _, console, _ = site
    streams = []

    def follow():
        connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=20)
        connection.request("GET", "/api/v1/events", headers={"Cookie": console.cookie})
        streams.append((connection, connection.getresponse()))
        return streams[-1][1].status == 200

    for _ in range(64):
        wait_until(follow)  # readers that left are noticed within a second
    is_refusal(console.get("/api/v1/events"), 503, "too-many-streams")
    is_well(site)
    for connection, response in streams:
        response.close()
        connection.close()
    wait_until(lambda: console.ask("HEAD", "/api/v1/events").status == 200)


def test_a_thousand_connections_keep_nobody_out(site):
    """They are silent, or stop in the middle; a page still gets in."""
    proxy, console, target = site
    head = f"GET /api/v1/state HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\n".encode()
    post = f"POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{console.port}\r\nContent-Length: 99\r\n\r\n{{".encode()
    many = []
    for i in range(1000):
        s = socket.create_connection(("127.0.0.1", console.port), timeout=20)
        with contextlib.suppress(OSError):
            s.sendall((b"", head, post, b"G")[i % 4])
        many.append(s)
        if i % 100 == 99:
            is_well(site)
            assert console.get("/api/v1/state").status == 200
    events = http.client.HTTPConnection("127.0.0.1", console.port, timeout=20)
    events.request("GET", "/api/v1/events", headers={"Cookie": console.cookie})
    assert events.getresponse().readline() == b"event: state\n"
    for s in many:
        s.close()
    events.close()
    is_well(site)


# --- secrets


def test_no_secret_gets_out():
    """Passwords, cookies and tokens stand in no answer, log or argument but where they are given out."""
    with open_site() as (proxy, console), Target(mute) as silent:
        secrets = {"upstream": "canary-up", "account": "canary-acc", "check": "canary-check", "admin": "canary-admin"}
        host, port = silent.authority.split(":")
        token = console.ask("POST", "/api/v1/metrics-token", {"name": "prometheus"}).json["token"]
        link = console.ask("POST", "/api/v1/admin-link").json["url"].split("=")[1]
        assert console.ask("POST", "/api/v1/accounts", {"name": "fmc", "password": secrets["account"]}).status == 200
        assert console.ask("PUT", "/api/v1/accounts/fmc", {"password": secrets["account"]}).status == 200
        body = {"token": link, "name": "second", "password": secrets["admin"]}
        second = Console(proxy)
        assert patiently(lambda: second.ask("POST", "/api/v1/setup", body)).status == 200
        patiently(lambda: Console(proxy).log_in("second", secrets["admin"] + "-wrong"))
        text = form(host=host, port=int(port), authentication=True, user="u", password=secrets["upstream"], force=True)
        saving = console.ask("PUT", "/api/v1/upstream", text).json["job"]
        checking = console.ask(
            "POST", "/api/v1/check",
            {"url": "http://a.test/", "proxy": f"http://{silent.authority}", "user": "u", "password": secrets["check"]},
        ).json["job"]  # fmt: skip
        children = wait_until(lambda: len(c := children_of(proxy.pid)) == 2 and c)
        seen = [open(f"/proc/{pid}/{name}", "rb").read() for pid in children for name in ("cmdline", "environ")]
        for job in (saving, checking):
            console.ask("DELETE", f"/api/v1/jobs/{job}")
        saving = console.ask("PUT", "/api/v1/upstream", {**text, "enabled": False}).json["job"]
        events = read_events(console, f"/api/v1/jobs/{saving}/events")
        assert ("saved", {"ok": True}) in events
        seen.append(json.dumps(events).encode())
        bad = {**text, "password": secrets["upstream"] + "ä", "host": "a_b"}
        seen.append(console.ask("POST", "/api/v1/upstream/validate", bad).body)
        for method, path, _, _ in ROUTES:
            if method == "GET" and path not in ("/api/v1/session", "/api/v1/events"):
                seen.append(console.get(at(path) + "?by=user").body)
        seen += [(proxy.folder / name).read_bytes() for name in ("audit.log", "stderr", "access.log", "admins.conf", "accounts.conf")]
        for secret in [*secrets.values(), token, link, console.cookie.split("=")[1], console.csrf, second.cookie.split("=")[1]]:
            assert not any(secret.encode() in text for text in seen), secret
        assert secrets["upstream"] in (proxy.folder / "upstream.conf").read_text()  # where it has to be


def test_every_change_is_in_the_audit_log():
    with open_site() as (proxy, console), Target(echo) as target:
        before = proxy.config.read_text()
        base = hashlib.sha256(before.encode()).hexdigest()
        client = Client(proxy).connect(target.authority)
        flow = wait_until(lambda: console.get("/api/v1/connections").json["rows"])[0]["flow"]["id"]
        saving = console.ask("PUT", "/api/v1/upstream", form(enabled=False)).json["job"]
        read_events(console, f"/api/v1/jobs/{saving}/events")
        saving = console.ask("PUT", "/api/v1/upstream", form(host="a_b")).json["job"]
        read_events(console, f"/api/v1/jobs/{saving}/events")
        for method, path, body in [
            ("POST", "/api/v1/admin-link", None),
            ("POST", "/api/v1/metrics-token", {"name": "m"}),
            ("DELETE", f"/api/v1/connections/{flow}?reason=" + "%01" * 2000, None),
            ("POST", "/api/v1/accounts", {"name": "<b>", "password": "x"}),
            ("PUT", "/api/v1/accounts/%3Cb%3E", {"password": "y", "disabled": True}),
            ("DELETE", "/api/v1/accounts/%3Cb%3E", None),
            ("PUT", "/api/v1/configuration", {"text": before + "\n", "base": base}),
        ]:
            answer = console.ask(method, path, body)
            assert answer.status == 200, (path, answer.text)
        client.close()
        entries = console.get("/api/v1/audit").json["entries"]
        assert [json.loads(line) for line in (proxy.folder / "audit.log").read_text().splitlines()] == entries
        said = [entry["what"] for entry in entries]
        for words in (
            "logged in as root", "tests upstream settings, to save them", "saved the upstream settings", "upstream settings were not saved",
            "made a one-time link", "made a bearer token for m", f"ended flow {flow}: \x01\x01", "added the account <b>",
            "changed the account <b>, a new password, disabled", "removed the account <b>", "changed the configuration",
        ):  # fmt: skip
            assert any(what.startswith(words) for what in said), (words, said)
        assert {e["who"] for e in entries if e["what"] == "logged in as root"} == {"root from 127.0.0.1"}
        assert all(e["who"] in ("root from 127.0.0.1", "a stranger from 127.0.0.1") and e["time"].endswith("Z") for e in entries)


# --- the history's file


def break_file(path, how):
    if how == "missing":
        path.unlink()
    elif how == "corrupt":
        path.write_bytes(b"SQLite format 3\0" + os.urandom(60_000))
    elif how == "truncated":
        os.truncate(path, 5000)
    elif how == "newer":
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA user_version = 9999")


@pytest.mark.parametrize("how", ["missing", "corrupt", "truncated", "newer"])
def test_a_history_of_no_use_is_told_and_never_deleted(how):
    """While the proxy runs; what it does with such a file at its start is in test_history."""
    with open_site() as (proxy, console), HttpTarget() as target:
        get(proxy, target.url())
        path = proxy.folder / "history.db"
        wait_until(lambda: console.get("/api/v1/flows").json.get("flows"))
        stat = path.stat()
        kept = proxy.folder / "kept.db"
        shutil.copy(path, kept)
        break_file(path, how)
        for query in ("flows", "flows/0123456789abcdef", "charts", "top?by=target", "flows?text=a"):
            answer = is_harmless(console.get("/api/v1/" + query))
            if answer.status >= 500:
                assert "history.db: " in answer.json["message"], answer.text
        is_well((proxy, console, target))
        left = [p for p in proxy.folder.iterdir() if p.name.startswith("history.db")]
        assert how == "missing" or any(p.stat().st_ino == stat.st_ino for p in left), left


def test_a_locked_history_is_read_all_the_same():
    with open_site() as (proxy, console), HttpTarget() as target:
        get(proxy, target.url())
        path = proxy.folder / "history.db"
        wait_until(lambda: console.get("/api/v1/flows").json.get("flows"))
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            assert len(console.get("/api/v1/flows").json["flows"]) == 1
            is_well((proxy, console, target))
            db.execute("COMMIT")


# --- what else was found


def test_a_check_by_this_proxy_takes_the_port_that_it_has():
    with open_site() as (proxy, console), HttpTarget() as target:  # `listen 127.0.0.1:0`
        job = console.ask("POST", "/api/v1/check", {"url": target.url(), "proxy": "this"}).json["job"]
        flows = [data for name, data in read_events(console, f"/api/v1/jobs/{job}/events") if name == "flow"]
        assert flows[-1]["verdict"] == "ok" and flows[-1]["proxy"] == f"127.0.0.1:{proxy.port}"


def test_problems_of_settings_are_told_in_the_reader_s_language(site):
    _, console, _ = site
    bad = form(host="a_b.test", port=0, authentication=True, user="a:b", password="p ", no_proxy=["a,b"])
    for fields, japanese in (({"Accept-Language": "ja,en"}, True), ({"Accept-Language": "de"}, False)):
        problems = console.ask("POST", "/api/v1/upstream/validate", bad, fields).json["problems"]
        assert [p["field"] for p in problems] == ["host", "port", "user", "password", "no_proxy"]
        for problem in problems:
            assert any(ord(c) > 0x3000 for c in problem["message"]) is japanese, problem
        answer = console.ask("PUT", "/api/v1/upstream", form(host="a" * 5000), fields)
        is_refusal(answer, 400, "unfit")
        assert any(ord(c) > 0x3000 for c in answer.json["message"]) is japanese, answer.text

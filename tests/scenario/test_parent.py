"""Through a parent proxy: which way, with which credentials, and what becomes of all that a parent may do."""

import contextlib
import hashlib
import pathlib
import re
import socket
import subprocess
import threading
import time

import pytest

from client import Client, ask, get
from parent import Login, Parent, upstream
from squid import Squid
from target import HttpTarget, Target, echo, reply
from viaduct import BINARY, Proxy, wait_until

USER = 'PROXY_USER fmc; PROXY_PASSWORD "s3cret!";'
SECRET = "s3cret!"


@contextlib.contextmanager
def through(parent, *settings, workers=1, port=None, host="127.0.0.1", **more):
    """A proxy behind `parent`.  Leaving it asserts that nothing it wrote holds the password."""
    files = {"upstream.conf": upstream(parent, *settings, host=host, port=port), **more.pop("files", {})}
    with Proxy(workers=workers, files=files, **more) as proxy:
        yield proxy
        told = proxy.stderr() + "\n".join(proxy.log_lines())
        assert SECRET not in told


def tunnel(proxy, target, text=b"hello"):
    with Client(proxy) as client:
        client.connect(target).send(text)
        assert client.read(len(text)) == text


def login(**more):
    return Login("fmc", SECRET, **more)


# --- the way


def test_tunnels_and_plain_http_go_through_it():
    with HttpTarget(lambda r: reply(r.path)) as target, Target(echo) as far:
        names = {"plain.test": "127.0.0.1", "far.test": "127.0.0.1"}
        with Parent(names=names) as parent, through(parent) as proxy:
            assert get(proxy, f"http://plain.test:{target.port}/x?y").body == b"/x?y"
            tunnel(proxy, f"far.test:{far.port}")
            plain, opened = proxy.flows(2)
            plain.expect("ok", parent=parent.authority, target_address=None, status=200)
            opened.expect("ok", parent=parent.authority, target=f"far.test:{far.port}")
            for flow in (plain, opened):
                steps = [step["step"] for step in flow.phase("answer")["steps"]]
                assert "parent" in steps and "dial" in steps and "resolve" not in steps
            first, second = parent.requests
            assert (first.method, first.path) == ("GET", f"http://plain.test:{target.port}/x?y")
            assert (second.method, second.path) == ("CONNECT", f"far.test:{far.port}")
            assert second.get("Host") == f"far.test:{far.port}" and "viaduct-" in second.get("Via")


def test_connections_to_it_are_kept_and_are_no_targets():
    """The parent is a target, too: a request for it never takes a link that leads through it."""
    with HttpTarget(lambda r: reply("direct" if r.path.startswith("/") else "through")) as parent:
        with through(parent, "NO_PROXY 127.0.0.1;") as proxy:
            for _ in range(3):
                assert get(proxy, "http://a.test/").body == b"through"
                assert get(proxy, f"http://{parent.authority}/").body == b"direct"
            assert parent.accepts == 2
            assert [flow["parent"] for flow in proxy.flows(6)] == [parent.authority, None] * 3


def test_no_proxy_goes_direct():
    with HttpTarget() as target, Parent() as parent:
        settings = "NO_PROXY target.test .inside.test 127.0.0.0/8;"
        hosts = [("127.0.0.1", "target.test"), ("127.0.0.1", "a.inside.test")]
        with through(parent, settings, hosts=hosts) as proxy:
            for host in ("target.test", "a.inside.test", "127.0.0.1"):
                assert get(proxy, target.url(host=host)).body == b"hello"
                assert proxy.flow().expect("ok")["parent"] is None
            parent.names["other.test"] = "127.0.0.1"
            assert get(proxy, target.url(host="other.test")).body == b"hello"
            assert proxy.flow()["parent"] == parent.authority
            assert len(parent.requests) == 1


def test_names_are_not_resolved_and_rules_by_address_do_not_match_them():
    access = "deny private off; deny ports off; allow net { to 127.0.0.0/8; } allow n { to named.test; }"
    with HttpTarget() as target, Parent(names={"named.test": "127.0.0.1"}) as parent:
        hosts = [("127.0.0.1", "other.test")]
        with through(parent, access=access, hosts=hosts) as proxy:
            assert get(proxy, target.url(host="named.test")).body == b"hello"
            assert get(proxy, target.url()).body == b"hello"
            get(proxy, target.url(host="other.test")).expect(403, "acl-denied")
            flows = proxy.flows(3)
            assert [flow["rule"] for flow in flows] == ["n", "net", None]
            assert [flow["parent"] for flow in flows] == [parent.authority] * 2 + [None]


def test_private_lets_no_proxy_targets_and_the_parent_itself_pass():
    access = "deny ports off; allow all { }"
    with HttpTarget() as target, Target(echo) as far, Parent() as parent:
        with through(parent, "NO_PROXY 127.0.0.1;", access=access) as proxy:
            assert get(proxy, target.url()).body == b"hello"
            tunnel(proxy, far.authority)
        with through(parent, access=access) as proxy:
            get(proxy, target.url()).expect(403, "acl-denied")
            tunnel(proxy, parent.authority, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[:0])
            assert parent.requests[-1].path == parent.authority


def test_access_test_knows_of_the_parent():
    with Proxy(start=False, access="deny ports off; allow all { }") as proxy:
        proxy.write("upstream.conf", upstream(3128, "NO_PROXY 127.0.0.1;", host="10.1.1.1"))
        proxy.configure()
        for client, target, status in (
            ("127.0.0.1", "127.0.0.1:80", 0),
            ("192.0.2.1", "127.0.0.1:80", 1),
            ("127.0.0.1", "10.1.1.2:80", 1),
            ("192.0.2.1", "10.1.1.1:3128", 0),
            ("192.0.2.1", "some.test:80", 0),
        ):
            done = subprocess.run(
                [BINARY, "access", "test", "-c", str(proxy.config), "--client", client, target],
                capture_output=True,
                check=False,
            )
            assert done.returncode == status, (client, target, done.stdout, done.stderr)


def test_bulk_passes_both_ways_in_a_tunnel():
    data = bytes(range(256)) * 20000

    with Target(echo) as far, Parent() as parent, through(parent) as proxy:
        with Client(proxy) as client:
            client.connect(far.authority)
            sender = threading.Thread(target=client.send, args=(data,), daemon=True)
            sender.start()
            assert client.read(len(data)) == data
            sender.join(10)
        assert proxy.flow().expect("ok")["bytes_down"] == len(data)


def test_a_loop_through_the_parent_is_found():
    with Proxy(workers=1) as one, through(one.port) as other:
        one.write("upstream.conf", upstream(other.port))
        one.signal(1)
        wait_until(lambda: "reloaded" in one.stderr(), "the reload")
        for method, url in (("GET", "http://a.test/"), ("CONNECT", "a.test:443")):
            response = ask(one, method, url)
            assert response.status == 502 and "loop" in response.reason
            one.flow().expect("loop", None, "proxy").says("came back to us")
            assert [flow["verdict"] for flow in (one.flow(), other.flow())] == ["loop", "loop"]
        one.write("upstream.conf", upstream(one.port))
        one.signal(1)
        wait_until(lambda: one.stderr().count("reloaded") == 2, "the second reload")
        get(one, "http://a.test/").expect(502, "loop")
        one.flow().expect("loop", None, "proxy").says("the parent is a listener of this proxy")


# --- credentials


@pytest.mark.parametrize(
    "algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"]
)
@pytest.mark.parametrize("closes", [False, True])
def test_one_nonce_for_all_requests(algorithm, closes):
    auth = login(algorithm=algorithm)
    try:
        auth.hash("")
    except ValueError:
        pytest.skip(f"this Python has no {algorithm}")
    with HttpTarget(lambda r: reply(r.body)) as target, Target(echo) as far:
        with Parent(auth, closes=closes) as parent, through(parent, USER) as proxy:
            for i in range(4):
                tunnel(proxy, far.authority)
                assert get(proxy, target.url(f"/{i}?a=\"b\"".replace('"', "%22"))).status == 200
            assert auth.challenges == 1 and auth.counts == list(range(1, 9))
            assert {flow["verdict"] for flow in proxy.flows(8)} == {"ok"}
            assert all(r.get("Proxy-Authorization") is None for r in target.requests)


def test_basic_is_warned_of_without_tls():
    with HttpTarget() as target, Parent(login(scheme="Basic")) as parent:
        with through(parent, USER) as proxy:
            assert get(proxy, target.url()).body == b"hello"
            assert get(proxy, target.url()).body == b"hello"
            flow, _ = proxy.flows(2)
            assert "weak-auth" in flow["warnings"]
            assert parent.login.challenges == 1


def test_parallel_first_requests_share_one_nonce():
    auth = login()
    with Target(echo) as far, Parent(auth) as parent, through(parent, USER) as proxy:
        threads = [
            threading.Thread(target=tunnel, args=(proxy, far.authority), daemon=True) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
        assert {flow["verdict"] for flow in proxy.flows(16)} == {"ok"}
        assert sorted(auth.counts) == list(range(1, 17))


def test_stale_and_next_nonce_are_honoured():
    with Target(echo) as far, Parent(login(uses=2)) as parent, through(parent, USER) as proxy:
        for _ in range(6):
            tunnel(proxy, far.authority)
        assert parent.login.answers.count("stale") == 2 and "wrong" not in parent.login.answers
        assert {flow["verdict"] for flow in proxy.flows(6)} == {"ok"}
    with Target(echo) as far, Parent(login(uses=1, next_nonce=True)) as parent:
        with through(parent, USER) as proxy:
            for _ in range(4):
                tunnel(proxy, far.authority)
            assert parent.login.challenges == 1 and set(parent.login.counts) == {1}
            proxy.flows(4)


def test_a_parent_that_forgot_its_nonces_is_no_wrong_password():
    auth = login()
    with Target(echo) as far, Parent(auth) as parent, through(parent, USER) as proxy:
        tunnel(proxy, far.authority)
        auth.judge = lambda request, value, judge=auth.judge: (
            ("wrong", None) if judge(request, value)[0] == "stale" else ("ok", None)
        )
        auth.nonces.clear()
        tunnel(proxy, far.authority)
        assert auth.answers[:3] == ["ok", "wrong", "ok"]
        proxy.flows(2)


def test_a_wrong_password_is_sent_once_until_the_settings_change():
    auth = Login("fmc", "another")
    with Target(echo) as far, Parent(auth) as parent, through(parent, USER) as proxy:
        for i in range(4):
            ask(proxy, "CONNECT", far.authority).expect(502, "parent-auth-failed", "proxy_configuration_error")
            flow = proxy.flow().expect("parent-auth-failed", "answer", "parent", parent=parent.authority)
            flow.says("parent: 407", "not accepted" if i == 0 else "not sent again yet")
        assert auth.answers == ["wrong"]
        proxy.write("upstream.conf", upstream(parent, 'PROXY_USER fmc; PROXY_PASSWORD "another";'))
        before = proxy.stderr().count("reloaded")
        proxy.signal(1)
        wait_until(lambda: proxy.stderr().count("reloaded") > before, "the reload")
        tunnel(proxy, far.authority)
        proxy.flow().expect("ok")
        proxy.signal(1)
        wait_until(lambda: proxy.stderr().count("reloaded") > before + 1, "the second reload")
        tunnel(proxy, far.authority)
        assert auth.answers == ["wrong", "ok", "ok"] and auth.counts == [1, 2]


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("scheme", ["Digest", "Basic"])
def test_parallel_first_requests_send_a_wrong_password_once(scheme, workers):
    """Accounts get locked, and the parent counts all workers' failures."""
    auth = Login("fmc", "another", scheme=scheme)
    with Target(echo) as far, Parent(auth) as parent, through(parent, USER, workers=workers) as proxy:
        for _ in range(2):
            clients = [Client(proxy).ask("CONNECT", far.authority) for _ in range(16)]
            for client in clients:
                client.response().expect(502, "parent-auth-failed")
                client.close()
            assert auth.answers == ["wrong"]
        proxy.flows(32)


def test_workers_do_not_wait_for_each_other_once_the_password_is_proved():
    auth = login()
    with Target(echo) as far, Parent(auth) as parent, through(parent, USER, workers=4) as proxy:
        for _ in range(24):
            tunnel(proxy, far.authority)
        assert set(auth.answers) == {"ok"} and len(auth.answers) == 24
        proxy.flows(24)


def test_a_slow_first_login_does_not_hold_the_others_for_ever():
    auth, gate = login(), threading.Event()
    with Target(echo) as far, Parent(auth) as parent, through(parent, USER) as proxy:
        parent.dial = lambda authority, dial=parent.dial: (
            gate.wait(10) if authority == "slow.test:443" else None,
            dial(far.authority),
        )[1]
        with Client(proxy) as slow:
            slow.ask("CONNECT", "slow.test:443")
            wait_until(lambda: auth.answers, "the first login")
            tunnel(proxy, far.authority)
            gate.set()
            assert slow.head().status == 200


def test_a_held_login_outlives_a_reload_that_changes_nothing():
    auth = Login("fmc", "another")
    with Target(echo) as far, Parent(auth) as parent, through(parent, USER) as proxy:
        for _ in range(2):
            ask(proxy, "CONNECT", far.authority).expect(502, "parent-auth-failed")
            before = proxy.stderr().count("reloaded")
            proxy.signal(1)
            wait_until(lambda: proxy.stderr().count("reloaded") > before, "the reload")
        assert auth.answers == ["wrong"]


def test_a_reload_changes_the_parent_for_new_flows():
    with Target(echo) as far, Parent() as one, Parent() as other, through(one) as proxy:
        with Client(proxy) as client:
            client.connect(far.authority).send(b"a")
            assert client.read(1) == b"a"
            proxy.write("upstream.conf", upstream(other))
            proxy.signal(1)
            wait_until(lambda: "reloaded" in proxy.stderr(), "the reload")
            tunnel(proxy, far.authority)
            client.send(b"b")
            assert client.read(1) == b"b"
            proxy.write("upstream.conf", "iprep_proxy { ENABLED off; }")
            proxy.signal(1)
            wait_until(lambda: proxy.stderr().count("reloaded") == 2, "the second reload")
            tunnel(proxy, far.authority)
        flows = {flow["parent"] for flow in proxy.flows(3)}
        assert flows == {one.authority, other.authority, None}
        assert (one.accepts, other.accepts) == (1, 1)


def test_credentials_do_not_travel():
    """Ours not to the target, the client's not to the parent."""
    with HttpTarget() as target, Parent(login(scheme="Basic")) as parent:
        with through(parent, USER) as proxy:
            mine = "Proxy-Authorization: Basic bWU6bWluZQ=="
            assert get(proxy, target.url(), mine).body == b"hello"
            with Client(proxy) as client:
                client.connect(target.authority, mine)
                client.send(f"GET / HTTP/1.1\r\nHost: {target.authority}\r\n\r\n")
                assert client.response().body == b"hello"
            assert all("bWU6bWluZQ" not in r.head.decode() for r in parent.requests)
            assert all("Proxy-Auth" not in r.head.decode() for r in target.requests)
            proxy.flows(2)


def test_no_core_file_holds_the_password():
    with Parent() as parent, through(parent, USER) as proxy:
        limits = pathlib.Path(f"/proc/{proxy.pid}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0", limits)


def test_no_credentials_are_sent_unasked():
    with HttpTarget() as target, Parent() as parent, through(parent, USER) as proxy:
        assert get(proxy, target.url()).body == b"hello"
        tunnel(proxy, target.authority, b"")
        assert all(r.get("Proxy-Authorization") is None for r in parent.requests)


# --- bodies


@pytest.mark.parametrize("size", [10, 64 * 1024, 300 * 1024])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("uses", [0, 1])
def test_a_body_is_sent_where_it_is_wanted(size, chunked, uses):
    body = bytes(i * 7 % 251 for i in range(size))
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if chunked else body
    fields = ("Transfer-Encoding: chunked",) if chunked else ()
    with HttpTarget(lambda r: reply(r.body)) as target, Parent(login(uses=uses)) as parent:
        with through(parent, USER) as proxy, Client(proxy) as client:
            for _ in range(3):
                client.ask("POST", target.url(), *fields, body=sent)
                response = client.response()
                assert response.status == 200 and response.body == body
                assert not response.interim
            assert [len(r.body) for r in target.requests] == [size] * 3
            for flow in proxy.flows(3):
                flow.expect("ok", bytes_up=size)


def test_a_parent_that_does_not_know_expect_gets_the_body_all_the_same():
    def script(connection):
        request = connection.request()
        connection.send(reply(request.body))

    with Target(script) as parent, through(parent, USER) as proxy:
        response = ask(proxy, "POST", "http://a.test/", body=b"late")
        assert (response.status, response.body) == (200, b"late")


def test_the_clients_own_expect_is_answered_by_the_parent():
    with HttpTarget(lambda r: reply(r.body)) as target, Parent(login()) as parent:
        with through(parent, USER) as proxy, Client(proxy) as client:
            client.ask("POST", target.url(), "Expect: 100-continue", "Content-Length: 4")
            assert client.head().status == 100
            client.send(b"body")
            assert client.response().body == b"body"


# --- parents that do it wrong


def scripted(*parts, then=None, times=None):
    """Answers each connection's first request with these bytes, one write each."""

    def script(connection):
        connection.head()
        for part in parts:
            connection.send(part)
            if times:
                time.sleep(times)
        if then:
            then(connection)

    return Target(script)


ANSWER_407 = b"HTTP/1.1 407 Proxy Authentication Required\r\n"
NOTHING = b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize("head", ["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n"])
@pytest.mark.parametrize(
    "version, field",
    [
        ("1.0", ""),
        ("1.0", "Content-Length: 5\r\n"),
        ("1.1", ""),
        ("1.1", "Content-Length: 5\r\n"),
        ("1.1", "Transfer-Encoding: chunked\r\n"),
    ],
)
def test_every_dress_of_a_200(head, version, field):
    text = f"{head}HTTP/{version} 200 OK\r\n{field}\r\nfirst"
    with scripted(text, then=echo_rest) as parent, through(parent) as proxy, Client(proxy) as client:
        client.connect("far.test:22").send(b"second")
        assert client.read(11) == b"firstsecond"
        client.shutdown()
        assert client.end() == (b"", "fin")
        proxy.flow().expect("ok", bytes_down=11, bytes_up=6)


def echo_rest(connection):
    while connection.more():
        connection.send(connection.buffer)
        connection.buffer = b""


def test_a_head_that_drips_in_time_is_taken():
    parts = [bytes([c]) for c in b"HTTP/1.1 200 OK\r\n\r\n"]
    with scripted(*parts, then=echo_rest, times=0.005) as parent, through(parent) as proxy:
        tunnel(proxy, "far.test:443")


@pytest.mark.parametrize("method, url", [("CONNECT", "far.test:443"), ("GET", "http://far.test/")])
class TestRefusals:
    """All that a parent may answer instead of an answer."""

    def refuse(self, proxy, method, url, status, verdict, error=None, certainty="seen", by="parent"):
        response = ask(proxy, method, url)
        response.expect(status, verdict, error)
        flow = proxy.flow().expect(verdict, "answer", by, certainty, status=status)
        return flow.says("parent")

    def test_drips_for_ever(self, method, url):
        parts = [bytes([c]) for c in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 500]
        with scripted(*parts, times=0.02) as parent:
            with through(parent, limits="response-timeout 1s;") as proxy:
                self.refuse(proxy, method, url, 504, "upstream-timeout", "http_response_timeout")

    def test_never_answers(self, method, url):
        with Target(lambda c: c.hold()) as parent:
            with through(parent, limits="response-timeout 1s;") as proxy:
                self.refuse(proxy, method, url, 504, "upstream-timeout", "http_response_timeout")

    def test_closes_instead_of_407(self, method, url):
        with scripted() as parent, through(parent, USER) as proxy:
            self.refuse(proxy, method, url, 502, "upstream-failed", "connection_terminated")
            assert parent.accepts == 1

    def test_closes_after_credentials(self, method, url):
        """Asked again on a new connection once, and no more."""

        def script(connection):
            connection.head()
            connection.send(ANSWER_407, 'Proxy-Authenticate: Digest realm="r", nonce="n", qop="auth"\r\n', NOTHING)
            connection.head()

        with Target(script) as parent, through(parent, USER) as proxy:
            ask(proxy, method, url)
            proxy.flow()
            assert parent.accepts == 2

    def test_resets(self, method, url):
        with scripted(then=lambda c: c.reset()) as parent, through(parent) as proxy:
            self.refuse(proxy, method, url, 502, "upstream-failed", "connection_terminated")

    def test_closes_inside_the_head(self, method, url):
        with scripted(b"HTTP/1.1 200 OK\r\nX: ") as parent, through(parent) as proxy:
            self.refuse(proxy, method, url, 502, "upstream-failed", "connection_terminated")

    @pytest.mark.parametrize(
        "text", [b"SSH-2.0-OpenSSH_9\r\n", b"\x16\x03\x01\x00\x02\x02\x28", b"HTTP/2 200\r\n\r\n", b"\0" * 64]
    )
    def test_speaks_nonsense(self, method, url, text):
        with scripted(text, then=lambda c: c.hold()) as parent, through(parent) as proxy:
            self.refuse(proxy, method, url, 502, "upstream-failed", "http_protocol_error")

    def test_asks_without_a_challenge(self, method, url):
        with scripted(ANSWER_407 + NOTHING) as parent, through(parent, USER) as proxy:
            self.refuse(proxy, method, url, 502, "upstream-failed").says("no Proxy-Authenticate")

    def test_asks_as_a_web_server(self, method, url):
        text = ANSWER_407 + b'WWW-Authenticate: Basic realm="r"\r\n' + NOTHING
        with scripted(text) as parent, through(parent, USER) as proxy:
            self.refuse(proxy, method, url, 502, "upstream-failed").says("WWW-Authenticate")

    def test_offers_only_what_we_do_not_speak(self, method, url):
        text = ANSWER_407 + b"Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n" + NOTHING
        with scripted(text) as parent, through(parent, USER) as proxy:
            flow = self.refuse(proxy, method, url, 502, "auth-unsupported", "proxy_configuration_error")
            flow.says("NTLM, Negotiate")

    def test_asks_and_no_credentials_are_set(self, method, url):
        text = ANSWER_407 + b'Proxy-Authenticate: Basic realm="r"\r\n' + NOTHING
        with scripted(text) as parent, through(parent) as proxy:
            response = ask(proxy, method, url).expect(502, "parent-auth-failed")
            assert response.get("Proxy-Authenticate") is None
            proxy.flow().expect("parent-auth-failed", "answer", "parent").says("offers Basic")

    @pytest.mark.parametrize("stale", [b"", b", stale=true"])
    def test_asks_for_ever(self, method, url, stale):
        asked = []

        def script(connection):
            while True:
                asked.append(connection.head())
                nonce = b"n%d" % len(asked)
                connection.send(
                    ANSWER_407, b'Proxy-Authenticate: Digest realm="r", nonce="', nonce, b'"', stale, b"\r\n", NOTHING
                )

        with Target(script) as parent, through(parent, USER) as proxy:
            self.refuse(proxy, method, url, 502, "parent-auth-failed").says("407")
            assert len(asked) == (4 if stale else 2)

    @pytest.mark.parametrize("how", ["refused", "blackholed", "unresolved"])
    def test_is_not_there(self, method, url, how):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            if how == "blackholed":
                taken.listen(0)
                full = [socket.socket() for _ in range(4)]
                for one in full:
                    one.setblocking(False)
                    one.connect_ex(("127.0.0.1", port))
            host = "gone.test" if how == "unresolved" else "127.0.0.1"
            with through(None, host=host, port=port, limits="connect-timeout 1s;") as proxy:
                verdict, status, by = {
                    "refused": ("upstream-refused", 502, "parent"),
                    "blackholed": ("upstream-timeout", 504, "parent"),
                    "unresolved": ("upstream-unresolved", 502, "proxy"),
                }[how]
                flow = self.refuse(proxy, method, url, status, verdict, by=by)
                assert flow["parent"] == f"{host}:{port}"
            if how == "blackholed":
                for one in full:
                    one.close()


def test_other_answers_to_connect_open_nothing():
    for status in ("204 No", "302 Found", "401 No", "404 Not Found", "405 No", "501 No"):
        text = f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno"
        with scripted(text, then=lambda c: c.hold()) as parent, through(parent) as proxy:
            if status.startswith("204"):
                with Client(proxy) as client:  # any 2xx opens the tunnel (RFC 9110 9.3.6)
                    client.connect("far.test:443")
                continue
            response = ask(proxy, "CONNECT", "far.test:443").expect(502, "upstream-failed", "http_protocol_error")
            assert status[:3] in response.reason
            proxy.flow().expect("upstream-failed", "answer", "parent").says("parent", status[:3])


@pytest.mark.parametrize(
    "status, verdict",
    [
        ("403", "acl-denied"),
        ("451", "acl-denied"),
        ("500", "upstream-failed"),
        ("502", "upstream-failed"),
        ("503", "overloaded"),
        ("504", "upstream-timeout"),
    ],
)
def test_a_refused_tunnel_is_handed_on(status, verdict):
    text = f"HTTP/1.1 {status} Its Words\r\nContent-Type: text/x\r\nContent-Length: 4\r\n\r\nbody"
    with scripted(text) as parent, through(parent) as proxy, Client(proxy) as client:
        client.ask("CONNECT", "far.test:443").send(b"early")
        response = client.response()
        assert (response.status, response.reason, response.body) == (int(status), "Its Words", b"body")
        assert re.fullmatch(
            rf'viaduct-\w+; received-status={status}; next-hop="{parent.authority}"', response.get("Proxy-Status")
        )
        assert client.end() == (b"", "fin")
        flow = proxy.flow().expect(verdict, None, certainty="inferred", status=int(status))
        assert flow["ended_by"] == ("target" if status in ("502", "504") else "parent")
        flow.says(f"the answer was {status} Its Words", f"through the parent {parent.authority}")


@pytest.mark.parametrize("method, url", [("CONNECT", "far.test:443"), ("GET", "http://far.test/")])
@pytest.mark.parametrize(
    "words, verdict",
    [
        ('Proxy-Status: p; error=dns_error; rcode="NXDOMAIN"', "upstream-unresolved"),
        ("Proxy-Status: p; error=connection_refused", "upstream-refused"),
        ("Proxy-Status: p; error=http_request_denied", "acl-denied"),
        ("Proxy-Status: p; error=proxy_loop_detected", "loop"),
        ("X-Squid-Error: ERR_DNS_FAIL 0", "upstream-unresolved"),
        ("X-Squid-Error: ERR_CONNECT_FAIL 111", "upstream-refused"),
    ],
)
def test_words_come_before_numbers(method, url, words, verdict):
    text = f"HTTP/1.1 503 No\r\n{words}\r\nContent-Length: 4\r\n\r\nbody"
    with scripted(text) as parent, through(parent) as proxy:
        response = ask(proxy, method, url)
        assert (response.status, response.body) == (503, b"body")
        members = response.all("Proxy-Status")
        if words.startswith("Proxy-Status"):
            assert members[0] == words.split(": ", 1)[1]
        assert members[-1].startswith("viaduct-") and "received-status=503" in members[-1]
        proxy.flow().expect(verdict, None, certainty="seen").says(re.split("; |: ", words)[-1 if "Squid" in words else 2], "parent")


def test_an_error_without_words_is_the_targets():
    with HttpTarget(lambda r: reply(b"no", "403 Forbidden")) as target, Parent() as parent:
        with through(parent) as proxy:
            assert get(proxy, target.url()).body == b"no"
            proxy.flow().expect("target-error", None, "target", status=403)


def test_a_stale_kept_connection_is_replaced():
    def script(connection):
        connection.head()
        connection.send(reply(b"once"))
        connection.head()

    with Target(script) as parent, through(parent) as proxy:
        for _ in range(3):
            assert get(proxy, "http://far.test/").body == b"once"
        assert parent.accepts == 3


@pytest.mark.parametrize("framing", ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf"])
def test_who_cuts_an_answer_is_the_parent(framing):
    def script(connection):
        connection.head()
        connection.send(f"HTTP/1.1 200 OK\r\n{framing}")
        connection.close()

    with Target(script) as parent, through(parent) as proxy, Client(proxy) as client:
        client.ask("GET", "http://far.test/").end()
        proxy.flow().expect("incomplete", "transfer", "parent")


def test_a_parent_that_is_down_at_the_start():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with through(None, port=port) as proxy:
        ask(proxy, "CONNECT", "far.test:443").expect(502, "upstream-refused", "connection_refused")
        with Target(echo) as far, Parent(port=port) as parent:
            tunnel(proxy, far.authority)
            assert parent.accepts == 1


# --- TLS


def test_tls_to_the_parent(certs):
    with HttpTarget() as target, Target(echo) as far, Parent(login(), tls=certs.target()) as parent:
        settings = f"PROXY_TLS on; PROXY_CA {certs.ca}; {USER}"
        with through(parent, settings) as proxy:
            assert get(proxy, target.url()).body == b"hello"
            tunnel(proxy, far.authority, b"x" * 300000)
            assert parent.login.challenges == 1
            assert {flow["verdict"] for flow in proxy.flows(2)} == {"ok"}


def test_a_parent_without_a_good_certificate(certs):
    with Parent(tls=certs.target()) as parent, through(parent, "PROXY_TLS on;") as proxy:
        for method, url in (("CONNECT", "far.test:443"), ("GET", "http://far.test/")):
            ask(proxy, method, url).expect(502, "upstream-failed", "tls_certificate_error")
            proxy.flow().expect("upstream-failed", "answer", "parent").says("certificate of the parent")
        assert not parent.requests
    with Parent(tls=certs.target()) as parent:
        settings = f"PROXY_TLS on; PROXY_CA {certs.ca};"
        hosts = [("127.0.0.1", "wrong.test")]
        with through(parent, settings, host="wrong.test", hosts=hosts) as proxy:
            ask(proxy, "CONNECT", "far.test:443").expect(502, "upstream-failed", "tls_certificate_error")
    with Target(lambda c: c.more() and c.send("HTTP/1.1 400 Bad\r\n\r\n")) as parent:
        with through(parent, "PROXY_TLS on;") as proxy:
            ask(proxy, "CONNECT", "far.test:443").expect(502, "upstream-failed", "tls_protocol_error")
    with Target(lambda c: c.hold()) as parent:
        with through(parent, "PROXY_TLS on;", limits="connect-timeout 1s;") as proxy:
            ask(proxy, "CONNECT", "far.test:443").expect(504, "upstream-timeout", "connection_timeout")
            proxy.flow().says("TLS not ready")


def test_a_reload_reads_the_certificates_again(certs):
    with Target(echo) as far, Parent(tls=certs.target()) as parent:
        with through(parent, "PROXY_TLS on; PROXY_CA ca.pem;", files={"ca.pem": certs.ca.read_text()}) as proxy:
            tunnel(proxy, far.authority)
            (proxy.folder / "ca.pem").unlink()
            proxy.signal(1)
            wait_until(lambda: "the configuration in force stays" in proxy.stderr(), "the reload")
            tunnel(proxy, far.authority)
            proxy.write("ca.pem", other_ca(proxy.folder))
            proxy.signal(1)
            wait_until(lambda: "reloaded" in proxy.stderr(), "the second reload")
            ask(proxy, "CONNECT", far.authority).expect(502, "upstream-failed", "tls_certificate_error")


def other_ca(folder):
    from certs import Authority

    (folder / "other").mkdir()
    return Authority(folder / "other").ca.read_text()


def test_a_ca_file_that_cannot_be_read_ends_the_start():
    with Proxy(start=False) as proxy:
        proxy.write("upstream.conf", upstream(3128, "PROXY_TLS on; PROXY_CA nowhere.pem;"))
        proxy.configure()
        proxy.launch()
        assert proxy.process.wait(10) == 2
        assert "nowhere.pem" in proxy.stderr()
        proxy.process = None


# --- squid


@pytest.mark.parametrize("scheme", [None, "basic", "digest"])
def test_squid_as_the_parent(scheme):
    with HttpTarget(lambda r: reply(r.path)) as target, Target(echo) as far:
        rules = "acl bad dstdomain -n bad.test\nhttp_access deny bad"
        with Squid(scheme, rules=rules) as squid, through(squid.port, USER if scheme else "") as proxy:
            for i in range(3):
                assert get(proxy, target.url(f"/{i}")).body == f"/{i}".encode()
                tunnel(proxy, far.authority)
            response = ask(proxy, "POST", target.url("/post"), body=b"x" * 100000)
            assert response.body == b"/post" and len(target.requests[-1].body) == 100000
            assert {flow["verdict"] for flow in proxy.flows(7)} == {"ok"}
            for method, url in (("GET", "http://bad.test/"), ("CONNECT", "bad.test:443")):
                response = ask(proxy, method, url)
                assert response.status == 403 and b"ERR_ACCESS_DENIED" in response.body
                flow = proxy.flow().expect("acl-denied", None, "parent", "seen", status=403)
                flow.says("ERR_ACCESS_DENIED")
            wait_until(lambda: len(squid.lines()) >= 9, "squid's log")
            denied = [line for line in squid.lines() if "/407 " in line]
            assert len(denied) == (1 if scheme else 0), denied
            assert all(" fmc " in line for line in squid.lines() if "/200 " in line) or not scheme


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_squid_is_told_a_wrong_password_once(scheme):
    with Target(echo) as far, Squid(scheme, password="another") as squid:
        with through(squid.port, USER) as proxy:
            for _ in range(3):
                ask(proxy, "CONNECT", far.authority).expect(502, "parent-auth-failed")
            proxy.flows(3)
            wait_until(lambda: len(squid.lines()) >= 4, "squid's log")
            assert len(squid.lines()) == 4


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_an_odd_path_is_no_wrong_password(scheme):
    """Which would hold up everybody else for a minute."""
    with HttpTarget() as target, Squid(scheme) as squid, through(squid.port, USER) as proxy:
        for path in (b"/plain", b'/a"b', b"/a\\b?\"", b"/<b>'", "/\u202e".encode(), b"/%", b"/" + b"x" * 3000, b"/plain"):
            client = Client(proxy)
            client.send(b"GET http://" + target.authority.encode() + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.response("GET").status == 200, path
            client.close()


def test_squid_cannot_reach_the_target():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Squid() as squid, through(squid.port) as proxy:
        for method, url in (("GET", f"http://127.0.0.1:{port}/"), ("CONNECT", f"127.0.0.1:{port}")):
            response = ask(proxy, method, url)
            assert response.status == 503 and response.body
            proxy.flow().expect("upstream-refused", None, "target", "seen").says("ERR_CONNECT_FAIL 111")


# --- viaduct


@contextlib.contextmanager
def viaduct_parent(user="fmc", password=SECRET, algorithms="sha-256"):
    """A viaduct that asks for a login: by Digest with these algorithms."""
    kinds = {"sha-256": "sha256", "md5": "md5", "sha-512-256": "sha512_256"}
    digests = " ".join(
        f"{name} {hashlib.new(kinds[name], f'{user}:viaduct:{password}'.encode()).hexdigest()};"
        for name in algorithms.split()
    )
    with Proxy(
        workers=1,
        access="deny private off; deny ports off; deny bad { to bad.test; } allow all { authenticated; }",
        extra=f"authentication {{ accounts accounts.conf; schemes digest; algorithms {algorithms}; }}",
        files={"accounts.conf": f"user {user} {{ realm viaduct; {digests} }}\n"},
    ) as parent:
        yield parent


@pytest.mark.parametrize("algorithms", ["sha-256", "sha-512-256", "md5", "md5 sha-512-256 sha-256"])
@pytest.mark.parametrize("user", ["fmc", "Jürgen"])
def test_viaduct_as_the_parent_of_viaduct(algorithms, user):
    settings = f'PROXY_USER "{user}"; PROXY_PASSWORD "{SECRET}";'
    with HttpTarget(lambda r: reply(r.path)) as target, Target(echo) as far:
        with viaduct_parent(user, algorithms=algorithms) as parent, through(parent.port, settings) as proxy:
            for i in range(3):
                assert get(proxy, target.url(f"/{i}")).body == f"/{i}".encode()
                tunnel(proxy, far.authority)
            assert ask(proxy, "POST", target.url("/post"), body=b"x" * 100000).body == b"/post"
            flows = proxy.flows(7)
            assert {flow["verdict"] for flow in flows} == {"ok"}
            strongest = "SHA-256" if "sha-256" in algorithms.split() else algorithms.upper()
            flows[0].says(f"Digest {strongest}")
            first, *others = parent.flows(8)
            assert (first["verdict"], first["superseded_by"]) == ("auth-required", others[0]["id"])
            assert {(flow["verdict"], flow["user"]) for flow in others} == {("ok", user)}
            assert all("Proxy-Auth" not in r.head.decode() for r in target.requests)


def test_viaduct_is_told_a_wrong_password_once():
    with Target(echo) as far, viaduct_parent(password="another") as parent:
        with through(parent.port, USER) as proxy:
            for _ in range(3):
                ask(proxy, "CONNECT", far.authority).expect(502, "parent-auth-failed")
            proxy.flows(3)
            assert [flow["verdict"] for flow in parent.flows(4)].count("auth-failed") == 1


def test_what_viaduct_denies_is_handed_on():
    with viaduct_parent() as parent, through(parent.port, USER) as proxy:
        for method, url in (("GET", "http://bad.test/"), ("CONNECT", "bad.test:443")):
            response = ask(proxy, method, url)
            assert response.status == 403 and "rule bad" in response.reason
            theirs, ours = response.all("Proxy-Status")
            assert "error=http_request_denied" in theirs and "received-status=403" in ours
            proxy.flow().expect("acl-denied", None, "parent", "seen").says("rule bad")

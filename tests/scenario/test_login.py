"""Clients log in: challenges, Basic, Digest, counts and nonces, what is told to whom, accounts that change."""

import datetime
import os
import pathlib
import pwd
import shutil
import signal
import stat
import subprocess
import threading
import warnings

import pytest

from client import Client, ask
from login import Digest, basic, challenges
from target import HttpTarget, Target, reply
from viaduct import OPEN, Proxy, open_folder, run_command, wait_until

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

LOGIN = "accounts accounts.conf; realm here;"
RULES = "deny private off; deny ports off; allow all { authenticated; }"
USERS = [("alice", "sesame"), ("Jürgen", "pässwörd"), ("fmc", "a:b:c"), ("gone", "away")]


def extra(settings=LOGIN):
    return f"authentication {{ {settings} }}"


def account(proxy, *arguments, password=None):
    """viaduct account, on the proxy's own file."""
    done = run_command(
        "account", *arguments, "-c", proxy.config, input=None if password is None else password + "\n"
    )
    assert done.returncode == 0, done.stderr
    return done


def give(path):
    """A file becomes the proxy's own."""
    if os.geteuid() == 0:
        os.chown(path, pwd.getpwnam("nobody").pw_uid, -1)


def open_proxy(settings=LOGIN, users=USERS, text="", access=RULES, **more):
    """A proxy that asks for one of `users`; `text` is more of the accounts file."""
    proxy = Proxy(access=access, extra=extra(settings), start=False, **more)
    try:
        proxy.configure()
        if text:
            give(proxy.write("accounts.conf", text))
        for user, password in users:
            account(proxy, "add", user, password=password)
        proxy.start()
    except BaseException:
        proxy.kill()
        raise
    return proxy


@pytest.fixture(scope="module")
def shared():
    with open_proxy() as proxy:
        account(proxy, "passwd", "gone", password="away")
        text = (proxy.folder / "accounts.conf").read_text()
        replace(proxy, text.replace("user gone {", "user gone { disabled;"))
        wait_until(lambda: "5 accounts" in proxy.stderr() or "4 accounts" in proxy.stderr())
        yield proxy


@pytest.fixture
def proxy(shared):
    shared.settle()
    return shared


@pytest.fixture(scope="module")
def web():
    with HttpTarget(lambda r: reply(r.body or r.head)) as target:
        yield target


def replace(proxy, text):
    """Puts another accounts file in place, as an editor does."""
    beside = proxy.folder / "accounts.new"
    beside.write_text(text)
    beside.chmod(0o644)
    beside.rename(proxy.folder / "accounts.conf")


def challenge_of(proxy, which=0, target="target.test:443"):
    with Client(proxy) as client:
        found = challenges(client.ask("CONNECT", target).response())[which]
    proxy.flow().expect("auth-required")
    return found


# ---- the question


def test_challenges_are_lines_of_their_own_strongest_first(proxy):
    with Client(proxy) as client:
        response = client.ask("CONNECT", "target.test:443").response()
    response.expect(407, "auth-required", "http_request_denied")
    values = response.all("Proxy-Authenticate")
    assert [v.split(" ")[0] for v in values] == ["Digest", "Digest", "Basic"]
    assert [c["algorithm"] for c in challenges(response)] == ["SHA-256", "MD5"]
    assert len({c["nonce"] for c in challenges(response)}) == 1
    assert values[2] == 'Basic realm="here", charset="UTF-8"'
    assert "stale" not in values[0] and "userhash=true" in values[0] and 'qop="auth"' in values[0]
    assert response.get("Connection") is None
    flow = proxy.flow().expect("auth-required", "answer", "proxy", status=407, user=None)
    assert flow["superseded_by"] is None
    flow.says("allow all asks for a user")


def test_schemes_and_algorithms_are_what_the_configuration_says():
    url = "http://127.0.0.1:1/"
    with open_proxy(LOGIN + "schemes basic digest; algorithms sha-512-256;") as proxy:
        with Client(proxy) as client:
            response = client.ask("GET", url).response()
            assert [v.split(" ")[0] for v in response.all("Proxy-Authenticate")] == ["Basic", "Digest"]
            digest = Digest(challenges(response)[0])
            assert digest.challenge["algorithm"] == "SHA-512-256"
            assert client.ask("GET", url, digest.line("GET", url)).response().status == 502
            md5 = Digest(digest.challenge, algorithm="MD5")
            client.ask("GET", url, md5.line("GET", url)).response().expect(407, "auth-failed")
        proxy.flows(2)
        proxy.flow().expect("auth-failed").says("the algorithm was not offered")
    with open_proxy(LOGIN + "schemes digest;") as proxy:
        assert ask(proxy, "GET", url, basic("alice", "sesame")).status == 407
        proxy.flow().expect("auth-failed").says("the scheme is not offered")


@pytest.mark.parametrize("method", ["CONNECT", "GET"])
def test_the_connection_stays_open_across_407(proxy, web, method):
    url = web.authority if method == "CONNECT" else web.url("/x")
    with Client(proxy) as client:
        digest = Digest(challenges(client.ask(method, url).response())[0])
        client.ask(method, url, digest.line(method, url))
        response = client.head() if method == "CONNECT" else client.response()
        assert response.status == 200, response.line
        assert digest.proves(response, url)
        if method == "CONNECT":
            assert len(response.fields) == 1, response.fields
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.response().status == 200
    first = proxy.flow().expect("auth-required")
    second = proxy.flow().expect("ok", user="alice", rule="all")
    assert first["superseded_by"] == second["id"] and second["superseded_by"] is None
    assert "authenticate" in {step["step"] for step in second.phase("answer")["steps"]}


def test_a_407_is_superseded_only_by_its_answer(proxy, web):
    with Client(proxy) as client:
        digest = Digest(challenges(client.get(web.url("/a")).expect(407, "auth-required"))[0])
        client.get(web.url("/a")).expect(407, "auth-required")  # asked again, without
        url = web.url("/b", host="127.0.0.2")  # another target
        client.get(url, digest.line("GET", url))
    flows = proxy.flows(3)
    assert [flow["superseded_by"] for flow in flows] == [None] * 3


def test_a_body_that_is_small_keeps_the_connection(proxy, web):
    for fields, body, kept in (
        ((), b"x" * 60000, True),
        (("Transfer-Encoding: chunked",), b"3\r\nabc\r\n0\r\n\r\n", True),
        ((), b"x" * 100000, False),
        (("Expect: 100-continue", "Content-Length: 3"), b"", False),
        (("Transfer-Encoding: chunked",), b"z\r\n", False),
    ):
        with Client(proxy) as client:
            client.ask("POST", web.url(), *fields, body=body)
            response = client.response()
            response.expect(407, "auth-required")
            assert (response.get("Connection") is None) == kept, fields
            if kept:
                digest = Digest(challenges(response)[0])
                client.ask("POST", web.url(), digest.line("POST", web.url()), body=b"again")
                assert client.response().body == b"again"
            else:
                assert client.end()[0] == b""


def test_nothing_but_a_connect_follows_a_refused_connect(proxy):
    with Client(proxy) as client:
        assert client.ask("CONNECT", "127.0.0.1:9").response().status == 407
        client.get("http://127.0.0.1:9/", basic("alice", "sesame")).expect(400, "bad-request")
        assert client.end()[0] == b""
    assert [flow["verdict"] for flow in proxy.flows(2)] == ["auth-required", "bad-request"]
    with Client(proxy) as client:  # who speaks without waiting is not listened to
        client.send("CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n\x16\x03\x01\x02\x00\x01")
        response = client.response()
        assert response.status == 407 and response.get("Connection") == "close"
        assert client.end()[0] == b""
    proxy.flow().expect("auth-required")


# ---- the answer


@pytest.mark.parametrize("user, password", USERS[:3], ids=["plain", "utf-8", "colons"])
def test_basic(proxy, web, user, password):
    response = ask(proxy, "GET", web.url(), basic(user, password))
    assert response.status == 200 and response.get("Proxy-Authentication-Info") is None
    assert b"roxy-" not in response.body, "credentials travelled to the target"
    proxy.flow().expect("ok", user=user, warnings=["weak-auth"])


def test_basic_inside_tls_is_not_weak(certs, web):
    listen = f"127.0.0.1:0 {{ tls-certificate {certs.cert}; tls-key {certs.key}; }}"
    with open_proxy(listen=(listen,)) as proxy:
        with Client(proxy, tls=certs.client()) as client:
            assert client.get(web.url(), basic("alice", "sesame")).status == 200
        proxy.flow().expect("ok", user="alice", warnings=[])


@pytest.mark.parametrize("algorithm", ["SHA-256", "SHA-256-sess", "MD5", "MD5-sess"])
@pytest.mark.parametrize("user, password", USERS[:3], ids=["plain", "utf-8", "colons"])
@pytest.mark.parametrize("form", ["plain", "userhash", "extended"])
def test_digest(proxy, web, algorithm, user, password, form):
    digest = Digest(challenge_of(proxy), user, password, algorithm=algorithm)
    url = web.url("/a?b=c")
    with Client(proxy) as client:
        for uri in (url, "/a?b=c"):  # curl and others write the path alone
            line = digest.line("GET", uri, **({} if form == "plain" else {form: True}))
            client.send(f"GET {url} HTTP/1.1\r\nHost: x\r\n".encode(), line.encode(), b"\r\n\r\n")
            response = client.response()
            assert response.status == 200, response.line
            assert digest.proves(response, uri)
            assert b"roxy-" not in response.body, "credentials travelled to the target"
    for flow in proxy.flows(2):
        flow.expect("ok", user=user, warnings=[])


def test_auth_int_with_and_without_a_body(proxy, web):
    digest, url = Digest(challenge_of(proxy)), web.url()
    body = bytes(range(256)) * 200

    def line(covered, method="POST"):
        return digest.line(method, url, qop="auth-int", body=covered)

    with Client(proxy) as client:
        assert client.get(url, line(b"", "GET")).status == 200
        assert client.ask("POST", url, line(body), body=body).response().body == body
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (body[:7], body[7:])) + b"0\r\n\r\n"
        client.ask("POST", url, line(body), "Transfer-Encoding: chunked", body=chunks)
        assert client.response().body == body
        client.ask("POST", url, line(body), "Expect: 100-continue", f"Content-Length: {len(body)}")
        assert client.head().status == 100
        client.send(body)
        assert client.response().body == body
        client.ask("POST", url, line(b"other"), body=body)  # kept: the body was read
        client.response().expect(407, "auth-failed")
        client.ask("POST", url, line(b"x" * 65536), body=b"x" * 65536)
        assert client.response().status == 200
        client.ask("POST", url, line(b""), body=b"x" * 65537)
        client.response().expect(413, "bad-request", reason="auth-int")


def test_a_logged_in_user_whom_no_rule_lets_pass_gets_403():
    access = "deny private off; deny ports off; allow fmc { user fmc; port 9; } deny gone { user gone; }"
    with open_proxy(access=access) as proxy:
        with Client(proxy) as client:
            response = client.get("http://127.0.0.1:9/", basic("alice", "sesame"))
            response.expect(403, "acl-denied")
            assert response.all("Proxy-Authenticate") == []
            client.get("http://127.0.0.1:9/", basic("fmc", "a:b:c")).expect(502, "upstream-refused")
        proxy.flow().expect("acl-denied", user="alice")
        proxy.flow().expect("upstream-refused", user="fmc", rule="fmc")
        assert ask(proxy, "CONNECT", "127.0.0.1:8").status == 403, "nobody can pass: nobody is asked"
        proxy.flow().expect("acl-denied", user=None)


def test_credentials_where_no_rule_asks_are_ignored(web):
    with open_proxy(access=OPEN) as proxy:
        assert "no rule asks for a user" in proxy.stderr()
        for line in (basic("nobody", "x"), "Proxy-Authorization: garbage"):
            assert ask(proxy, "GET", web.url(), line).status == 200
            assert proxy.flow().expect("ok")["user"] is None


def test_without_an_access_block_every_user_may_pass():
    with open_proxy(access=None) as proxy:
        ask(proxy, "CONNECT", "127.0.0.1:443").expect(403, "acl-denied", reason="private")
        ask(proxy, "CONNECT", "192.0.2.1:443").expect(407, "auth-required")
        ask(proxy, "CONNECT", "192.0.2.1:444", basic("alice", "sesame")).expect(403, "acl-denied")


# ---- what is refused, and what is told about it


def test_why_a_login_failed_is_told_to_the_log_alone(proxy):
    told = []
    url = "http://127.0.0.1:9/"
    digest = Digest(challenge_of(proxy))
    foreign = Digest(digest.challenge, password="no", nonce="A" * 40)
    for line, why in (
        (basic("nobody", "x"), "unknown user"),
        (basic("alice", "x"), "wrong password"),
        (basic("gone", "away"), "the account is disabled"),
        (Digest(digest.challenge, "nobody").line("GET", url), "unknown user"),
        (Digest(digest.challenge, password="no").line("GET", url), "wrong password"),
        (digest.line("GET", "http://127.0.0.1:10/"), "the uri is not the request's target"),
        (digest.line("BREW", url), "wrong password"),
        (digest.line("CONNECT", url), "computed with another method than the request's"),
        (digest.line("DELETE", url), "computed with another method than the request's"),
        (foreign.line("GET", url), "wrong password"),
        (Digest(digest.challenge, realm="there").line("GET", url), "the realm is not the one"),
    ):
        proxy.settle()
        with Client(proxy, source="127.0.0.3") as client:
            response = client.get(url, line, "Accept: application/json")
            response.expect(407, "auth-failed", "http_request_denied")
        assert why not in response.body.decode() + response.line + str(response.fields)
        flow = proxy.flow().expect("auth-failed", "answer", "proxy", user=None, status=407)
        flow.says(why)
        secret = (proxy.log_lines()[-1], proxy.stderr())
        assert not any(word in text for text in secret for word in ("sesame", "cGFz", digest.challenge["nonce"]))
        fields = [f for f in response.fields if f[0] not in ("Date", "Proxy-Authenticate")]
        told.append((response.line, fields, len(response.body)))
    assert all(one == told[0] for one in told), told


def test_stale_says_so_only_to_who_knows_the_password(proxy):
    url = "http://127.0.0.1:9/"
    challenge = challenge_of(proxy)
    used = Digest(challenge)
    assert ask(proxy, "GET", url, used.line("GET", url)).status == 502
    for digest, nc, stale, why in (
        (used, 1, True, "replayed count"),
        (Digest(challenge, nonce="A" * 40), 1, True, "the nonce is not ours"),
        (Digest(challenge, nonce="nonsense"), 1, True, "the nonce is not ours"),
        (Digest(challenge, password="no", nonce="A" * 40), 1, False, "wrong password"),
    ):
        proxy.settle()
        response = ask(proxy, "GET", url, digest.line("GET", url, nc=nc))
        response.expect(407, "auth-failed")
        assert all(("stale" in c) == stale for c in challenges(response))
        proxy.flow().expect("auth-failed").says(why)
        again = Digest(challenges(response)[0])
        assert ask(proxy, "GET", url, again.line("GET", url)).status == 502


def test_old_nonces_are_stale_and_nextnonce_comes_before():
    url = "http://127.0.0.1:9/"
    with open_proxy(LOGIN + "nonce-lifetime 3s;") as proxy, Client(proxy) as client:
        digest = Digest(challenges(client.get(url))[0])
        first = digest.challenge["nonce"]

        def until(status, name):
            def once():
                response = client.get(url, digest.line("GET", url))
                text = str(response.all("Proxy-Authenticate") + response.all("Proxy-Authentication-Info"))
                return response if response.status == status and name in text else None

            return wait_until(once)

        info = until(502, "nextnonce")
        assert digest.proves(info, url)
        following = Digest(digest.challenge, nonce=info.get("Proxy-Authentication-Info").split('"')[1])
        assert following.challenge["nonce"] != first
        assert client.get(url, following.line("GET", url)).status == 502
        response = until(407, "stale=true")
        fresh = Digest(challenges(response)[0])
        assert client.get(url, fresh.line("GET", url)).status == 502


MALFORMED = [
    ("", "no scheme"),
    ("Basic", "no colon"),
    ("Basic !!!", "no base64"),
    ("Basic YWxpY2U=", "no colon"),
    ("Basic YTr/", "not UTF-8"),
    ("Digest", "no username"),
    ('Digest username="a', "malformed list"),
    ('Digest username="a", username*=UTF-8\'\'a', "both username and username*"),
    ('Digest username="a", realm="r"', "no nonce"),
    ("Digest =,=", "malformed list"),
]


@pytest.mark.parametrize("value, what", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_credentials_are_400(proxy, value, what):
    response = ask(proxy, "GET", "http://127.0.0.1:9/", f"Proxy-Authorization: {value}")
    response.expect(400, "bad-request", "http_request_error", reason=what)
    proxy.flow().expect("bad-request", user=None)


def test_malformed_parameters_are_400(proxy):
    digest, url = Digest(challenge_of(proxy)), "http://127.0.0.1:9/"
    for changes, status, what in (
        ({"nc": 0}, 400, "nc is not a count"),
        ({"nc": 1 << 32}, 400, "nc is not a count"),
        ({"nonce": None}, 400, "no nonce"),
        ({"cnonce": None}, 400, "no cnonce"),
        ({"qop": None}, 400, "no qop"),
        ({"response": '"00"'}, 400, "algorithm's length"),
        ({"qop": "auth, qop=auth"}, 400, "stands twice"),
        ({"algorithm": "SHA-1024"}, 407, "unknown algorithm"),
        ({"qop": "auth-more"}, 407, "unknown qop"),
    ):
        proxy.settle()
        says = {name: value for name, value in changes.items() if name != "nc"}
        if "qop" in says:
            line = digest.line("GET", url, nc=7).replace("qop=auth,", f"qop={says['qop']}," if says["qop"] else "")
        else:
            line = digest.line("GET", url, nc=changes.get("nc", 7), **says)
        response = ask(proxy, "GET", url, line)
        assert response.status == status, (changes, response.line)
        if status == 400:
            response.expect(400, "bad-request", reason=what)
        proxy.flow().says(what)
    for lines in ([basic("alice", "sesame")] * 2, ["Proxy-Authorization: Basic " + "A" * 30000]):
        ask(proxy, "GET", url, *lines).expect(400, "bad-request")
    for scheme in ("NTLM TlRMTVNTUAABAAAA", "Negotiate YII=", "Bearer x"):
        proxy.settle()
        ask(proxy, "GET", url, f"Proxy-Authorization: {scheme}").expect(407, "auth-failed")
        proxy.flow().says("neither Basic nor Digest")


def test_ten_wrong_passwords_in_a_minute_are_enough():
    url = "http://127.0.0.1:9/"
    with open_proxy() as proxy:
        for _ in range(30):  # what does not count
            ask(proxy, "GET", url).expect(407, "auth-required")
        digest = Digest(challenge_of(proxy))
        ask(proxy, "GET", url, digest.line("GET", url))
        for _ in range(15):
            ask(proxy, "GET", url, digest.line("GET", url, nc=1)).expect(407, "auth-failed")
        for user in ("alice", "nobody"):  # known or not: the same
            for i in range(10):
                line = Digest(digest.challenge, user, "no").line("GET", url) if i % 2 else basic(user, "no")
                ask(proxy, "GET", url, line).expect(407, "auth-failed")
            response = ask(proxy, "GET", url, basic(user, "sesame"))
            response.expect(429, "client-limit", "http_request_error")
            assert 1 <= int(response.get("Retry-After")) <= 60
            assert response.all("Proxy-Authenticate") == []
        line = digest.line("GET", url, userhash=True)
        ask(proxy, "GET", url, line).expect(429, "client-limit")
        with Client(proxy, source="127.0.0.9") as other:
            assert other.get(url, basic("alice", "sesame")).status == 502
        assert ask(proxy, "GET", url, basic("fmc", "a:b:c")).status == 502
        for i in range(80):  # a name a try does not help: with those before, it is a hundred
            ask(proxy, "GET", url, basic(f"user{i}", "no")).expect(407, "auth-failed")
        ask(proxy, "GET", url, basic("fmc", "a:b:c")).expect(429, "client-limit")
        with Client(proxy, source="127.0.0.9") as other:
            assert other.get(url, basic("alice", "sesame")).status == 502


# ---- many at once, and again


def test_32_parallel_connects_on_one_nonce_across_a_restart():
    with Target(lambda c: c.hold()) as target, open_proxy() as proxy:
        digest, lock = Digest(challenge_of(proxy)), threading.Lock()
        lines, failures = [], []

        def connect(gate):
            try:
                with lock:
                    line = digest.line("CONNECT", target.authority)
                    lines.append(line)
                gate.wait()
                with Client(proxy) as client:
                    response = client.ask("CONNECT", target.authority, line).head()
                    assert response.status == 200, response.line
            except Exception as e:  # pylint: disable=broad-except
                failures.append(repr(e))

        for again in range(2):
            gate = threading.Barrier(32)
            threads = [threading.Thread(target=connect, args=(gate,)) for _ in range(32)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not failures, failures
            for line in lines[-32:]:
                response = ask(proxy, "CONNECT", target.authority, line)
                assert response.status == 407 and "stale=true" in str(response.fields)
            if not again:
                key = proxy.folder / "nonce.key"
                assert stat.S_IMODE(key.stat().st_mode) == 0o600 and key.stat().st_size == 32
                status = pathlib.Path(f"/proc/{proxy.pid}/status").read_text()
                assert f"Uid:\t{key.stat().st_uid}\t" in status
                assert proxy.stop() == 0
                proxy.launch()
                wait_until(proxy.is_listening)


@pytest.fixture
def wall():
    """A folder with what takes the wall clock of a program elsewhere: the seconds in its file `ahead`."""
    folder = open_folder()
    source = pathlib.Path(__file__).parent.parent / "lib" / "wall.c"
    (folder / "ahead").write_text("0")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "wall.so", source], check=True)
    yield folder
    shutil.rmtree(folder)


def test_a_wall_clock_that_is_put_back_or_forward_ages_no_nonce(wall, web):
    env = {
        "LD_PRELOAD": str(wall / "wall.so"),
        "WALL": str(wall / "ahead"),
        "ASAN_OPTIONS": "detect_leaks=1:verify_asan_link_order=0",
    }
    with open_proxy(workers=1, env=env) as proxy:
        digest, url = Digest(challenge_of(proxy)), web.url("/")
        for ahead in (0, -3600, 3600, 0):
            (wall / "ahead").write_text(str(ahead))
            assert ask(proxy, "GET", url, digest.line("GET", url)).status == 200, ahead
            off = datetime.datetime.fromisoformat(proxy.flow()["start"].rstrip("Z")) - datetime.datetime.utcnow()
            assert abs(off.total_seconds() - ahead) < 600  # the log follows the clock


def test_a_key_that_cannot_be_kept_is_told(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with open_proxy(env={"STATE_DIRECTORY": str(file)}) as proxy:
        assert "the key of Digest nonces cannot be kept" in proxy.stderr()
        digest, url = Digest(challenge_of(proxy)), "http://127.0.0.1:9/"
        assert ask(proxy, "GET", url, digest.line("GET", url)).status == 502


@pytest.mark.parametrize("content, mode", [(b"x" * 32, 0o644), (b"short", 0o600)])
def test_a_key_that_is_none_is_replaced(content, mode):
    proxy = Proxy(access=RULES, extra=extra(), start=False)
    key = proxy.folder / "nonce.key"
    key.write_bytes(content)
    key.chmod(mode)
    give(key)
    with proxy:
        proxy.start()
        assert "it is replaced" in proxy.stderr()
        assert key.stat().st_size == 32 and key.read_bytes() != content
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert "accounts.conf is not there: nobody can log in" in proxy.stderr()


# ---- accounts that change


def test_a_reload_before_the_first_account(web):
    """What the start takes for no accounts yet is the same to a reload; a file that went is not."""
    with Proxy(access=RULES, extra=extra()) as proxy:
        (proxy.folder / "accounts.conf").unlink(missing_ok=True)
        proxy.configure(limits="lifetime 1h;")
        for i in (1, 2):
            proxy.signal(signal.SIGHUP)
            wait_until(lambda i=i: proxy.stderr().count("info: reloaded") == i, "a reload without the file")
        account(proxy, "add", "alice", password="sesame")
        wait_until(lambda: ask(proxy, "GET", web.url(), basic("alice", "sesame")).status == 200)
        (proxy.folder / "accounts.conf").unlink()
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: "accounts.conf cannot be used; the configuration in force stays" in proxy.stderr())
        assert ask(proxy, "GET", web.url(), basic("alice", "sesame")).status == 200


def test_an_account_that_is_added_may_log_in_at_once(web):
    with open_proxy() as proxy, Target(lambda c: c.hold()) as target:
        line = basic("new", "born")
        assert ask(proxy, "GET", web.url(), line).status == 407
        with Client(proxy) as tunnel:
            tunnel.connect(target.authority, basic("alice", "sesame"))
            account(proxy, "add", "new", password="born")
            wait_until(lambda: ask(proxy, "GET", web.url(), line).status == 200)
            account(proxy, "remove", "alice")
            wait_until(lambda: ask(proxy, "GET", web.url(), basic("alice", "sesame")).status == 407)
            before = proxy.stderr()
            replace(proxy, "user new { realm here; md5 12; }\nuser other")
            wait_until(lambda: "the accounts in force stay" in proxy.stderr())
            assert "accounts.conf:1:" in proxy.stderr()[len(before) :]
            assert ask(proxy, "GET", web.url(), line).status == 200
            (proxy.folder / "accounts.conf").unlink()
            wait_until(lambda: proxy.stderr().count("the accounts in force stay") == 2)
            assert ask(proxy, "GET", web.url(), line).status == 200
            tunnel.send("still there")
            wait_until(lambda: True)
            account(proxy, "add", "late", password="x")
            wait_until(lambda: ask(proxy, "GET", web.url(), basic("late", "x")).status == 200)
            assert ask(proxy, "GET", web.url(), line).status == 407
            assert target.accepts == 1


def test_a_reload_may_ask_for_logins_and_stop_asking(web):
    import signal

    with Proxy(access=OPEN) as proxy:
        account_text = extra() + ""
        assert ask(proxy, "GET", web.url()).status == 200
        proxy.configure(extra=account_text, access=RULES)
        account(proxy, "add", "alice", password="sesame")
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: ask(proxy, "GET", web.url()).status == 407)
        assert ask(proxy, "GET", web.url(), basic("alice", "sesame")).status == 200
        account(proxy, "add", "bob", password="b")
        wait_until(lambda: ask(proxy, "GET", web.url(), basic("bob", "b")).status == 200)
        (proxy.folder / "accounts.conf").write_text("nonsense")
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: "the configuration in force stays" in proxy.stderr())
        assert ask(proxy, "GET", web.url(), basic("bob", "b")).status == 200
        proxy.configure(extra="", access=OPEN)
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: ask(proxy, "GET", web.url()).status == 200)


def test_accounts_that_a_failed_reload_read_are_taken_all_the_same(web):
    import signal

    with open_proxy() as proxy:
        alice = basic("alice", "sesame")
        assert ask(proxy, "GET", web.url(), alice).status == 200
        proxy.signal(signal.SIGSTOP)  # then the reload comes first, and the change of the file behind it
        account(proxy, "remove", "alice")
        proxy.configure(listen=("192.0.2.1:1",))
        proxy.signal(signal.SIGHUP)
        proxy.signal(signal.SIGCONT)
        wait_until(lambda: "the configuration in force stays" in proxy.stderr())
        wait_until(lambda: ask(proxy, "GET", web.url(), alice).status == 407)


def test_a_file_behind_a_link_is_followed(tmp_path, web):
    tmp_path.chmod(0o755)
    with open_proxy(users=()) as proxy:
        elsewhere = proxy.folder / "elsewhere"
        elsewhere.mkdir()
        elsewhere.chmod(0o777)
        (elsewhere / "real").write_text("")
        give(elsewhere / "real")
        (proxy.folder / "link").symlink_to("elsewhere/real")
        (proxy.folder / "link").rename(proxy.folder / "accounts.conf")
        wait_until(lambda: "0 accounts" in proxy.stderr())
        account(proxy, "add", "alice", password="sesame")
        wait_until(lambda: ask(proxy, "GET", web.url(), basic("alice", "sesame")).status == 200)


def test_serve_does_not_start_with_a_bad_accounts_file():
    proxy = Proxy(access=RULES, extra=extra(), start=False)
    try:
        proxy.configure()
        proxy.write("accounts.conf", "user a { md5 1; }")
        done = run_command("serve", "-c", proxy.config)
        assert done.returncode == 2 and "accounts.conf:1:" in done.stderr
        checked = run_command("config", "check", "-c", proxy.config)
        assert checked.returncode == 2 and "accounts.conf:1:" in checked.stderr
        proxy.write("accounts.conf", f"user a {{ realm there; md5 {'0' * 32}; }}")
        checked = run_command("config", "check", "-c", proxy.config)
        assert checked.returncode == 0
        assert "the realm is not" in checked.stderr and "should be 0600" in checked.stderr
    finally:
        proxy.kill()


# ---- slow hashes


def hashed(name, password, method=crypt.METHOD_BLOWFISH, rounds=16):
    kind = {"rounds": rounds} if method is crypt.METHOD_BLOWFISH else {}
    return f'user {name} {{ hash "{crypt.crypt(password, crypt.mksalt(method, **kind))}"; }}\n'


def test_imported_hashes_are_checked_beside_the_workers(web):
    text = hashed("old", "slow") + hashed("older", "five", crypt.METHOD_SHA256)
    with open_proxy(users=USERS[:1], text=text) as proxy:
        digest = Digest(challenge_of(proxy), "old", "slow")
        with Client(proxy) as client:
            for _ in range(3):
                assert client.get(web.url(), basic("old", "slow")).status == 200
            assert client.get(web.url(), basic("older", "five")).status == 200
            client.ask("POST", web.url(), basic("old", "slow"), body=b"kept meanwhile")
            assert client.response().body == b"kept meanwhile"
            assert client.get(web.url(), basic("alice", "sesame")).status == 200
            for name in ("old", "alice", "nobody"):
                client.ask("POST", web.url(), basic(name, "wrong"), body=b"x")
                client.response().expect(407, "auth-failed")
            client.get(web.url(), digest.line("GET", web.url())).expect(407, "auth-failed")
        flows = proxy.flows(10)
        users = [flow["user"] for flow in flows if flow["verdict"] == "ok"]
        assert users == ["old"] * 3 + ["older", "old", "alice"]
        flows[-1].says("no digest")
        # the account changes: what was found right a moment ago is not any more
        replace(proxy, hashed("old", "changed"))
        wait_until(lambda: ask(proxy, "GET", web.url(), basic("old", "slow")).status == 407)
        assert ask(proxy, "GET", web.url(), basic("old", "changed")).status == 200


def test_digests_of_another_realm_are_warned_of(web):
    """`account add --accounts FILE` without the configuration takes the realm that is the default."""
    text = f"user else {{ realm there; sha-256 {'0' * 64}; }}\n"
    with open_proxy(users=(), text=text) as proxy:
        warned = 'accounts.conf:1: the realm of 1 account is not "here", which clients are told'
        wait_until(lambda: warned in proxy.stderr())
        replace(proxy, text + text.replace("else", "more"))
        wait_until(lambda: 'accounts.conf:1: the realm of 2 accounts is not "here"' in proxy.stderr())
        account(proxy, "passwd", "else", password="anew")
        wait_until(lambda: proxy.stderr().count('the realm of 1 account is not "here"') == 2)


def test_who_leaves_while_his_password_is_checked_is_let_go(web):
    """Costly hashes; clients that reset, close, or come again meanwhile; the proxy stops with some under way."""
    with open_proxy(users=(), text=hashed("old", "slow", rounds=4096)) as proxy:
        for how in ("reset", "close", "reset", "close"):
            client = Client(proxy).ask("CONNECT", web.authority, basic("old", "wrong"))
            getattr(client, how)()
        flows = proxy.flows(4)
        assert {flow["verdict"] for flow in flows} == {"client-gone"}
        assert ask(proxy, "GET", web.url(), basic("old", "slow")).status == 200
        late = [Client(proxy).ask("GET", web.url(), basic("old", str(i))) for i in range(8)]
        assert proxy.stop() == 0
        for client in late:
            client.close()


def test_more_checks_than_the_thread_can_take_are_refused_not_queued_for_ever():
    with open_proxy(users=(), text=hashed("old", "slow", rounds=4096), workers=1) as proxy:
        clients = [Client(proxy).ask("GET", "http://127.0.0.1:9/", basic(f"u{i}", "x")) for i in range(80)]
        statuses = [wait_for(client) for client in clients[64:]]
        assert 503 in statuses, statuses
        for client in clients:
            client.close()


def wait_for(client):
    client.sock.settimeout(30)
    return client.response().status


def test_access_test_says_what_a_user_may():
    with open_proxy(access="deny private off; allow fmc { user fmc; }") as proxy:
        for user, status, says in ((None, 1, "login needed"), ("fmc", 0, "allowed"), ("alice", 1, "denied")):
            who = ["--user", user] if user else []
            done = run_command("access", "test", "-c", proxy.config, *who, "192.0.2.1:443")
            assert done.returncode == status and says in done.stdout, done.stdout

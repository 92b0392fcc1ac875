"""`viaduct check` against proxies and targets that misbehave: in each phase a verdict, never a crash, never a
hang.  The proxies are scripts; a tunnel's target is played by the proxy's script, at the tunnel's other end."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import threading

import pytest

from check import ENVIRONMENT, check, check_all, check_raw
from target import HttpTarget, Target, reply
from viaduct import BINARY, Proxy, wait_until

URL = "https://target.test/"
PLAIN = "http://target.test/a"
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
MIB = 1 << 20


def ask(script, *arguments, url=URL, scheme="http", **more):
    """The flow of a check through a proxy that is played by `script`."""
    with Target(script) as proxy:
        return check("-x", f"{scheme}://127.0.0.1:{proxy.port}", *arguments, url, **more)


def end(connection):
    """FIN, and nothing that could become RST: what still comes is read."""
    connection.shutdown()
    connection.hold()


def reset(connection):
    connection.reset()


def say(*parts, then=end):
    """A proxy's script: takes a request's head, says something and ends it."""

    def script(connection):
        connection.head()
        connection.send(*parts)
        then(connection)

    return script


def greet(*parts):
    """The script of a server that speaks first."""

    def script(connection):
        connection.send(*parts)
        connection.head()
        end(connection)

    return script


def tunnel(inner):
    """A proxy's script: opens the tunnel, whose other end is `inner`."""

    def script(connection):
        connection.head()
        connection.send(OPENED)
        inner(connection)

    return script


def secure(certs, inner, versions=(None, None)):
    """The same with TLS at the other end, by a certificate that --cacert certs.ca verifies."""

    def script(connection):
        connection.head()
        connection.send(OPENED)
        under = connection.sock
        connection.sock = certs.target(versions).wrap_socket(under, server_side=True)
        try:
            inner(connection)
        finally:
            connection.sock.close()

    return script


# --- what answers CONNECT --------------------------------------------------------------------------------

NO_PROXY = {
    "garbage": (say(b"\x00\x01\x02\xfe\xff" * 20), "bytes"),
    "text": (say("hello there\r\n\r\n"), "hello there"),
    "no-number": (say("HTTP/1.1 OK\r\n\r\n"), "HTTP/1.1 OK"),
    "no-space": (say("HTTP/1.1200 OK\r\n\r\n"), "HTTP/1.1200"),
    "ssh": (greet("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"), "SSH server"),
    "smtp": (greet("220 mail.test ESMTP Postfix\r\n"), "(SMTP) server"),
    "ftp": (greet("220 ProFTPD Server (FTP) ready\r\n"), "FTP server"),
    "pop3": (greet("+OK Dovecot ready.\r\n"), "(POP3) server"),
    "tls-alert": (say(b"\x15\x03\x01\x00\x02\x02\x46"), "TLS server"),
    "socks": (say(b"\x05\xff"), "SOCKS"),
    "http2": (say(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18), "HTTP/2"),
    "portal-redirect": (
        say("HTTP/1.1 302 Found\r\nLocation: http://login.test/?from=1\r\nContent-Length: 0\r\n\r\n"),
        "http://login.test/?from=1",
    ),
    "portal-511": (
        say("HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n"),
        "captive portal",
    ),
    "portal-200": (
        say("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html>log in!"),
        "web server",
    ),
    **{
        f"web-{status}": (say(reply(b"<html>", f"{status} No", "Server: nginx/1.22")), "nginx/1.22")
        for status in (400, 404, 405, 501)
    },
}


@pytest.mark.parametrize("name", NO_PROXY)
def test_what_is_no_proxy_is_named(name):
    script, word = NO_PROXY[name]
    nearly = name in ("no-number", "no-space")  # HTTP, but for a slip: it may be a proxy all the same
    ask(script).expect("not-a-proxy", "answer", certainty="inferred" if nearly else "seen").says(word)


ANSWERS = {
    # name: answer, verdict, certainty, ended_by, words
    "403": ("403 Forbidden", "acl-denied", "inferred", "proxy", "403 Forbidden"),
    "451": ("451 Unavailable For Legal Reasons", "acl-denied", "inferred", "proxy", "451"),
    "500": ("500 Oops", "proxy-error", "inferred", "proxy", "500 Oops"),
    "502": ("502 Bad Gateway", "upstream-failed", "inferred", "target", "502"),
    "503": ("503 Service Unavailable", "overloaded", "inferred", "proxy", "503"),
    "504": ("504 Gateway Timeout", "upstream-timeout", "inferred", "target", "504"),
    "429": ("429 Too Many Requests\r\nRetry-After: 7", "client-limit", "inferred", "proxy", "Retry-After: 7"),
    "401": (
        '401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"',
        "auth-required",
        "inferred",
        "proxy",
        "a proxy should answer 407",
    ),
    "407-without-challenge": ("407 Proxy Authentication Required", "auth-required", "inferred", "proxy", "no Proxy-Authenticate"),
    "407-www-authenticate": (
        '407 Proxy Authentication Required\r\nWWW-Authenticate: Basic realm="x"',
        "auth-required",
        "inferred",
        "proxy",
        "a web server's",
    ),
    "407-ntlm": (
        "407 Proxy Authentication Required\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate",
        "auth-unsupported",
        "seen",
        "proxy",
        "NTLM, Negotiate",
    ),
    "proxy-status": (
        "502 Bad Gateway\r\nProxy-Status: edge; error=dns_error; rcode=NXDOMAIN",
        "upstream-unresolved",
        "seen",
        "network",
        "dns_error",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_status_is_read(name):
    answer, verdict, certainty, by, words = ANSWERS[name]
    script = say(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n")
    flow = ask(script)
    flow.expect(verdict, "answer", by, certainty=certainty, status=int(answer[:3])).says(words)


def test_the_body_of_a_refusal_is_read():
    page = b"<html><title>ERROR: The requested URL could not be retrieved</title>" + b"x" * 3000
    for fields in (
        [f"Content-Length: {len(page)}\r\n\r\n".encode(), page],
        [b"\r\n", page],
        [b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(page), page, b"\r\n0\r\n\r\n"],
    ):
        flow = ask(say(b"HTTP/1.1 403 Forbidden\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\n", *fields))
        flow.expect("acl-denied", "answer", "proxy").says("squid")


PAGE = b"<html><head><title>403</title></head><body><h1>Blocked</h1><p>Category: games. Call&nbsp;1234.</p></body></html>"


@pytest.mark.parametrize("url", [URL, PLAIN])
@pytest.mark.parametrize("status", [b"403 Forbidden", b"407 Log in\r\nProxy-Authenticate: Basic realm=x", b"503 Busy", b"511 No"])
def test_the_page_of_a_refusal_is_shown_whoever_wrote_it(status, url):
    for page, words in ((PAGE, "Blocked Category: games. Call 1234."), (b"policy 17 says no\n", "policy 17 says no")):
        for fields in (
            [f"Content-Length: {len(page)}\r\n\r\n".encode(), page],
            [b"\r\n", page],
            [b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(page), page, b"\r\n0\r\n\r\n"],
        ):
            flow = ask(say(b"HTTP/1.1 ", status, b"\r\n", *fields), url=url)
            flow.says(f"the page says: {words}", status[:3].decode())


def test_what_a_407_says_beside_its_challenge_is_shown():
    script = say(
        b"HTTP/1.1 407 Log in\r\nServer: edge/1\r\nProxy-Authenticate: Digest realm=x, nonce=secret-nonce\r\n",
        b'Proxy-Status: edge; error=http_request_denied; details="account expired"\r\nContent-Length: 3\r\n\r\nno\n',
    )
    flow = ask(script)
    flow.expect("auth-required", "answer", "proxy", status=407).says("account expired", "edge/1", "page says: no")
    assert "secret-nonce" not in json.dumps(flow)


def test_a_head_that_comes_drop_by_drop_is_counted():
    def drip(connection):
        connection.head()
        connection.send("HTTP/1.1 ")
        connection.hold()

    flow = ask(drip, "-m", "3")
    flow.expect("open", "answer").says("9 bytes of a response head came, and not its end")


def test_what_answers_a_clienthello_in_another_tongue_is_the_reason():
    def speak(connection):
        connection.head()
        connection.send(OPENED)
        connection.read(1)
        connection.send("220 mail.test ESMTP\r\n")
        end(connection)

    flow = ask(speak).expect("tls-failed", "tls", "target")
    assert flow["evidence"][0].startswith("no TLS answers: a mail (SMTP) server"), flow["evidence"]


@pytest.mark.parametrize("page", ["HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad", "<html><p>bad request"], ids=["http1", "bare"])
@pytest.mark.parametrize("direct", [False, True], ids=["tunnel", "direct"])
def test_https_on_a_port_for_http(page, direct):
    def speak(connection):
        if not direct:
            connection.head()
            connection.send(OPENED)
        connection.read(1)
        connection.send(page)
        end(connection)

    if direct:
        with Target(speak) as target:
            flow = check("-x", "direct", f"https://{target.authority}/")
    else:
        flow = ask(speak)
    flow.expect("tls-failed", "tls", "target").says("use http:// for it")
    assert flow["evidence"][0] == "no TLS answers: a web server that speaks plain HTTP", flow["evidence"]


# --- odd, and yet a proxy --------------------------------------------------------------------------------

ODD = {
    "1xx-first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OPENED,
    "lower-case-fields": b"HTTP/1.0 200 fine\r\nvia: 1.0 odd\r\n\r\n",
    "no-phrase": b"HTTP/1.1 200\r\n\r\n",
    "length-on-200": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
    "chunked-on-200": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "any-2xx": b"HTTP/1.1 299 Whatever\r\n\r\n",
    "html-without-a-page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_ways_to_open_a_tunnel(certs, name):
    def script(connection):
        connection.head()
        connection.send(ODD[name])
        connection.sock = certs.target().wrap_socket(connection.sock, server_side=True)
        connection.head()
        connection.send(reply(b"hello"))
        connection.close()

    ask(script, "--cacert", certs.ca).expect("ok", "close", status=200)


def test_bytes_behind_the_200():
    flow = ask(say(OPENED + b"220 mail.test ESMTP\r\n"))
    flow.expect("tls-failed", "tls", "target").says("speaks first", "(SMTP) server")


# --- logging in ------------------------------------------------------------------------------------------

CHALLENGE = "HTTP/1.1 407 Proxy Authentication Required\r\n"
DIGEST = 'Digest realm="r", nonce="n1", qop="auth", algorithm=SHA-256'


def login_script(certs, challenge, body=b"", closes=False, fields=""):
    """Asks once, opens the tunnel for whoever answers.  `seen` has the credentials."""
    seen = []

    def script(connection):
        while True:
            request = connection.request()
            credentials = request.get("Proxy-Authorization")
            seen.append(credentials)
            if credentials:
                break
            connection.send(f"{CHALLENGE}{challenge}\r\n{fields}Content-Length: {len(body)}\r\n\r\n", body)
            if closes:
                end(connection)
                return
        connection.send(OPENED)
        connection.sock = certs.target().wrap_socket(connection.sock, server_side=True)
        connection.head()
        connection.send(reply(b"hello"))
        connection.close()

    return script, seen


@pytest.mark.parametrize("closes", [False, True], ids=["keeps", "closes"])
@pytest.mark.parametrize(
    "challenge,scheme",
    [
        ('proxy-authenticate: digest Realm="r",Nonce="n1",QOP="auth"', "Digest"),
        (f"Proxy-Authenticate: {DIGEST}", "Digest"),
        (f'Proxy-Authenticate: NTLM, Basic realm="r", {DIGEST}', "Digest"),
        (f'Proxy-Authenticate: Basic realm="r"\r\nProxy-Authenticate: {DIGEST}', "Digest"),
        ('Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: bAsIc realm="r"', "Basic"),
    ],
)
def test_challenges_are_answered(certs, challenge, scheme, closes):
    script, seen = login_script(
        certs, challenge, body=b"<html>" * 500, closes=closes, fields="Connection: close\r\n" if closes else ""
    )
    flow = ask(script, "-U", "user:pass", "--cacert", certs.ca)
    flow.expect("ok", "close", status=200)
    assert len(seen) == 2 and seen[1].startswith(f"{scheme} "), seen
    assert [step["step"] for step in flow.phase("answer")["steps"]] == ["authenticate"]


def test_a_407_that_closes_without_a_word(certs):
    script, _ = login_script(certs, f"Proxy-Authenticate: {DIGEST}", closes=True)
    ask(script, "-U", "user:pass", "--cacert", certs.ca).expect("ok", "close")


def test_what_stands_behind_a_407_is_no_answer():
    """…to a request that was not sent yet: that one goes on a new connection."""
    seen = []

    def script(connection):
        seen.append(connection.request().get("Proxy-Authorization"))
        if seen[-1]:
            say_no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        else:
            say_no = (
                f"{CHALLENGE}Proxy-Authenticate: {DIGEST}\r\nContent-Length: 0\r\n\r\n"
                "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"
            )
        connection.send(say_no)
        connection.hold()

    flow = ask(script, "-U", "user:pass")
    assert flow["status"] == 403 and len(seen) == 2 and seen[1], (flow["status"], seen)


@pytest.mark.parametrize("stale", ["", ", stale=true"], ids=["refuses", "stale"])
def test_a_proxy_that_asks_forever(stale):
    asked = []

    def script(connection):
        while True:
            asked.append(connection.request().get("Proxy-Authorization"))
            connection.send(f'{CHALLENGE}Proxy-Authenticate: Digest realm="r", nonce="n{len(asked)}", ')
            connection.send(f'qop="auth"{stale}\r\nContent-Length: 0\r\n\r\n')

    flow = ask(script, "-U", "user:wrong")
    flow.expect("auth-failed", "answer", "proxy", status=407)
    assert len(asked) <= 5 and "wrong" not in json.dumps(flow), asked


def test_a_407_whose_body_never_ends():
    """…costs a new connection and no more."""
    accepted = []

    def script(connection):
        accepted.append(connection)
        request = connection.head()
        if b"Proxy-Authorization" in request:
            connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            end(connection)
        else:
            connection.send(f"{CHALLENGE}Proxy-Authenticate: {DIGEST}\r\nContent-Length: 1000\r\n\r\nabc")
            connection.hold()

    ask(script, "-U", "user:pass").expect("acl-denied", "answer", certainty="inferred")
    assert len(accepted) == 2


# --- heads and bodies without an end ---------------------------------------------------------------------


def pour(first, part, total):
    """Sends `first`, then `part` again and again until it is `total` bytes or nobody takes them."""

    def script(connection):
        connection.head()
        connection.send(first)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < total:
                connection.send(part)
                sent += len(part)

    return script


FIELD = b"X-Filler: " + b"y" * 90 + b"\r\n"

FLOODS = {
    "many-fields": (b"HTTP/1.1 200 OK\r\n", FIELD * 10000, 1024 * MIB, "not-a-proxy"),
    "one-field": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * MIB, 1024 * MIB, "not-a-proxy"),
    "no-line-end": (b"", b"A" * MIB, 1024 * MIB, "not-a-proxy"),
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10000, 1024 * MIB, "proxy-error"),
    "refusal": (b"HTTP/1.1 403 Forbidden\r\n\r\n", b"z" * MIB, 1024 * MIB, "acl-denied"),
    "challenge": (CHALLENGE.encode() + b"Proxy-Authenticate: NTLM\r\n\r\n", b"z" * MIB, 1024 * MIB, "auth-unsupported"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_takes_no_memory(name):
    first, part, total, verdict = FLOODS[name]
    with Target(pour(first, part, total)) as proxy:
        child = subprocess.Popen(
            [BINARY, "check", "--json", "-m", "20", "-x", f"http://127.0.0.1:{proxy.port}", URL],
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        out = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        child.stdout.close()
    assert child.returncode == 1
    flow = json.loads(out)
    assert flow["verdict"] == verdict, flow
    assert usage.ru_maxrss < 128 * 1024, usage.ru_maxrss  # KiB; a build with sanitizers takes most of it


def test_an_endless_body_ends_with_the_time():
    script = pour(b"HTTP/1.1 200 OK\r\nVia: 1.1 p\r\n\r\n", b"z" * MIB, 1 << 40)
    flow = ask(script, "-m", "3", url=PLAIN)
    flow.expect("open", "transfer")
    assert flow["bytes_down"] > 0


def test_a_flood_leaves_room_for_others():
    """One connection that is never empty does not keep the others from their turn."""

    def script(connection):
        head = connection.head()
        if b"/flood" in head:
            pour_on(connection)
        else:
            connection.send(reply(b"hello", "200 OK", "Via: 1.1 p", "Connection: close"))
            end(connection)

    def pour_on(connection):
        connection.send(b"HTTP/1.1 200 OK\r\nVia: 1.1 p\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                connection.send(b"z" * MIB)

    with Target(script) as proxy:
        flows = check_all(
            "-m", "4", "-x", f"http://127.0.0.1:{proxy.port}", "http://target.test/flood", "http://target.test/b"
        )
    assert [flow["verdict"] for flow in flows] == ["open", "ok"]


def test_a_flood_behind_the_end_is_not_waited_for():
    def script(connection):
        connection.head()
        connection.send(reply(b"hello"))
        with contextlib.suppress(OSError):
            while True:
                connection.send(b"z" * MIB)

    ask(script, url=PLAIN).expect("ok", "close")


def test_a_dripped_head_is_read():
    done = threading.Event()

    def script(connection):
        connection.head()
        for byte in b"HTTP/1.1 403 Forbidden\r\nVia: 1.1 p\r\nContent-Length: 0\r\n\r\n":
            connection.send(bytes([byte]))
            done.wait(0.002)
        end(connection)

    ask(script).expect("acl-denied", "answer", certainty="inferred")


# --- what comes from outside is shown, not obeyed --------------------------------------------------------


@pytest.mark.parametrize("where", ["reason", "field", "location", "greeting", "body"])
def test_control_characters_are_escaped(where):
    evil = b"\x1b]0;owned\x07\x1b[2J\x9b31m\x08\x7f"
    scripts = {
        "reason": say(b"HTTP/1.1 403 No" + evil + b"\r\nContent-Length: 0\r\n\r\n"),
        "field": say(b"HTTP/1.1 403 No\r\nServer: " + evil + b"\r\nContent-Length: 0\r\n\r\n"),
        "location": say(b"HTTP/1.1 302 No\r\nLocation: http://" + evil + b"/\r\nContent-Length: 0\r\n\r\n"),
        "greeting": greet(b"SSH-2.0-" + evil + b"\r\n"),
        "body": say(b"HTTP/1.1 403 No\r\nX-Squid-Error: ERR" + evil + b" 0\r\nContent-Length: 40\r\n\r\n" + evil * 2),
    }
    with Target(scripts[where]) as proxy:
        place = f"http://127.0.0.1:{proxy.port}"
        for arguments in ([], ["--json"]):
            done = subprocess.run(
                [BINARY, "check", *arguments, "-x", place, URL],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=60,
                env=ENVIRONMENT,
                check=False,
            )
            assert done.returncode == 1
            text = done.stdout + done.stderr
            bad = [byte for byte in text if byte < 32 and byte != 10 or byte in (0x7F, 0x9B)]
            assert not bad, text


# --- the ends of connections, in each phase --------------------------------------------------------------


def at_once(then):
    def script(connection):
        then(connection)

    return script


def within(certs, inner):
    return lambda then: secure(certs, lambda connection: inner(connection, then))


def begin_handshake(then):
    """A ServerHello's first bytes, at the tunnel's other end."""

    def inner(connection):
        connection.more()
        connection.send(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03")
        then(connection)

    return tunnel(inner)


def hello_only(then):
    def inner(connection):
        connection.more()
        then(connection)

    return tunnel(inner)


def cut(connection):
    """The TCP connection under TLS ends, without close_notify."""
    under = connection.sock.detach()
    plain = socket.socket(fileno=under)
    plain.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError):
        while plain.recv(65536):
            pass
    plain.close()


def part(text, length=None):
    def inner(connection, then):
        connection.head()
        if text:
            connection.send(text)
        then(connection)

    return inner


HEAD = "HTTP/1.1 200 OK\r\n"
PHASES = {
    # name: how the connection comes to its end, what FIN means there, what RST means there, in which phase
    "connected": (lambda certs: at_once, "proxy-silent", "reset-by-proxy", "answer"),
    "asked": (lambda certs: lambda then: say(then=then), "proxy-silent", "reset-by-proxy", "answer"),
    "answer-head": (
        lambda certs: lambda then: say("HTTP/1.1 200 Conn", then=then),
        "incomplete",
        "reset-by-proxy",
        "answer",
    ),
    "opened": (lambda certs: lambda then: say(OPENED, then=then), "stalled", "reset-by-proxy", "tls"),
    "client-hello": (lambda certs: hello_only, "stalled", "reset-by-proxy", "tls"),
    "server-hello": (lambda certs: begin_handshake, "tls-failed", "reset-by-proxy", "tls"),
    "requested": (lambda certs: within(certs, part("")), "upstream-failed", "reset-by-proxy", "exchange"),
    "response-head": (
        lambda certs: within(certs, part(HEAD + "Serv")),
        "incomplete",
        "reset-by-proxy",
        "exchange",
    ),
    "body-length": (
        lambda certs: within(certs, part(HEAD + "Content-Length: 10\r\n\r\n")),
        "incomplete",
        "reset-by-proxy",
        "transfer",
    ),
    "body-chunk": (
        lambda certs: within(certs, part(HEAD + "Transfer-Encoding: chunked\r\n\r\n")),
        "incomplete",
        "reset-by-proxy",
        "transfer",
    ),
}


@pytest.mark.parametrize("name", PHASES)
def test_the_connection_closes(certs, name):
    make, verdict, _, phase = PHASES[name]
    inside = name in ("requested", "response-head", "body-length", "body-chunk")
    script = make(certs)(cut if inside else end)
    ask(script, "--cacert", certs.ca).expect(verdict, phase)


@pytest.mark.parametrize(
    "text,verdict,phase",
    [
        ("", "upstream-failed", "exchange"),
        (HEAD + "Serv", "incomplete", "exchange"),
        (HEAD + "Content-Length: 10\r\n\r\n", "incomplete", "transfer"),
        (HEAD + "Content-Length: 10\r\n\r\nhello", "size-limit", "transfer"),
    ],
    ids=["requested", "response-head", "body", "twice"],
)
def test_who_says_close_notify_ended_it(certs, text, verdict, phase):
    """The target does: a proxy has no key for it.  FIN alone may be either's."""

    def good_bye(connection):
        connection.sock = connection.sock.unwrap()

    arguments = ("--cacert", certs.ca)
    certainty = "inferred" if verdict == "size-limit" else "seen"
    ask(within(certs, part(text))(good_bye), *arguments).expect(verdict, phase, "target", certainty=certainty)
    flow = ask(within(certs, part(text))(cut), *arguments).expect(verdict, phase, "proxy", certainty=certainty)
    flow.says("a proxy passes the end of the target's connection on, too")


@pytest.mark.parametrize("name", PHASES)
def test_the_connection_is_reset(certs, name):
    make, _, verdict, phase = PHASES[name]
    flow = ask(make(certs)(reset), "--cacert", certs.ca)
    tunnelled = name not in ("connected", "asked", "answer-head")
    # in a tunnel, who sent the first RST is not to be seen
    flow.expect(verdict, None, "proxy", certainty="inferred" if tunnelled else "seen")
    # right after the handshake it comes before the request went out, or behind it
    assert flow["ended_in"] in ({"connect", "request", "answer"} if name == "connected" else {phase})


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tunnel"])
@pytest.mark.parametrize(
    "framing",
    ["Content-Length: 200000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n30d40\r\n"],
    ids=["length", "chunk"],
)
def test_a_body_that_is_cut(certs, framing, tls):
    """At another count each time: no limit; at the same one: a size limit (inferred)."""
    counts = iter([50000, 150000, 70000, 70000])

    def inner(connection, then=None):
        connection.head()
        connection.send("HTTP/1.1 200 OK\r\nVia: 1.1 p\r\n" + framing, b"x" * next(counts))
        (cut if tls else end)(connection)

    script = secure(certs, inner) if tls else inner
    url = URL if tls else PLAIN
    flow = ask(script, "--cacert", certs.ca, url=url)
    flow.expect("incomplete", "transfer", "proxy").says("50000", "150000")
    flow = ask(script, "--cacert", certs.ca, url=url)
    flow.expect("size-limit", "transfer", "proxy", certainty="inferred").says("70000")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tunnel"])
def test_nonsense_in_a_body_is_no_cut(certs, tls):
    """It comes at the same count each time, as it must: that makes no size limit of it."""

    def inner(connection, then=None):
        connection.head()
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n")
        (cut if tls else end)(connection)

    flow = ask(secure(certs, inner) if tls else inner, "--cacert", certs.ca, url=URL if tls else PLAIN)
    flow.expect("upstream-failed", "transfer", "target", certainty="seen").says("chunk size")


def test_a_body_until_the_close_ends_well_with_close_notify(certs):
    def inner(connection):
        connection.head()
        connection.send(HEAD + "\r\n", b"x" * 1000)
        connection.sock = connection.sock.unwrap()

    ask(secure(certs, inner), "--cacert", certs.ca).expect("ok", "close")


def test_a_body_until_the_close_without_close_notify(certs):
    """Nothing was promised, and no record is cut: TLS 1.3's close is not always sent."""

    def inner(connection):
        connection.head()
        connection.send(HEAD + "\r\n", b"x" * 1000)
        cut(connection)

    ask(secure(certs, inner), "--cacert", certs.ca).expect("ok", "close")


@pytest.mark.parametrize("then,word", [(end, "closed"), (reset, "RST")], ids=["closes", "resets"])
def test_tls_to_the_proxy_that_breaks(then, word):
    def script(connection):
        connection.more()
        then(connection)

    ask(script, scheme="https").expect("proxy-tls-failed", "proxy-tls", "proxy").says(word)


def test_tls_to_a_proxy_without_tls():
    def script(connection):
        connection.more()
        connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        end(connection)

    ask(script, scheme="https").expect("proxy-tls-failed", "proxy-tls", "proxy").says("http://")


# --- silence, in each phase ------------------------------------------------------------------------------


def hush(connection):
    connection.wait()


def silent_everywhere(certs):
    """By the target's name, in another phase each."""
    scripts = {
        "answer": hush,
        "answer-head": lambda c: (c.send("HTTP/1.1 200 Conn"), c.wait()),
        "hello": tunnel_now(hush),
        "server-hello": tunnel_now(lambda c: (c.more(), c.send(b"\x16\x03\x03\x00\x7a\x02\x00"), c.wait())),
        "exchange": secure_now(certs, lambda c: (c.head(), c.wait())),
        "response-head": secure_now(certs, lambda c: (c.head(), c.send(HEAD), c.wait())),
        "length": secure_now(certs, lambda c: (c.head(), c.send(HEAD, "Content-Length: 9\r\n\r\nabc"), c.wait())),
        "chunk": secure_now(
            certs, lambda c: (c.head(), c.send(HEAD, "Transfer-Encoding: chunked\r\n\r\n9\r\nabc"), c.wait())
        ),
    }

    def script(connection):
        name = connection.head().split(b".")[0].split(b" ")[1].decode()
        scripts[name](connection)

    return script, list(scripts)


def tunnel_now(inner):
    return lambda connection: (connection.send(OPENED), inner(connection))


def secure_now(certs, inner):
    def script(connection):
        connection.send(OPENED)
        connection.sock = certs.target().wrap_socket(connection.sock, server_side=True)
        inner(connection)

    return script


@pytest.mark.parametrize("where", ["answer", "body", "hello", "exchange"])
def test_every_other_connection_hangs(certs, where):
    """One of two machines behind an address is dead: that is no question of size."""
    count, lock = [0], threading.Lock()

    def script(connection):
        with lock:
            count[0] += 1
            dead = count[0] % 2 == 1
        if where == "hello" and dead:
            connection.hold()
        if where in ("hello", "exchange"):
            connection.sock = certs.target().wrap_socket(connection.sock, server_side=True)
        connection.head()
        if where == "body":
            connection.send(HEAD + "Content-Length: 5\r\n\r\nx")
        if dead:
            connection.hold()
        connection.send(b"1234" if where == "body" else reply(b"hello"))

    with Target(script) as target:
        scheme = "https" if where in ("hello", "exchange") else "http"
        flow = check("-x", "direct", "-m", "20", "--cacert", certs.ca, target.url(scheme=scheme))
    flow.expect("stalled", None, "target").says("no question of size", "others are not")


def test_every_other_hello_is_reset(certs):
    """A small ClientHello that passes behind it does not make it too large."""
    count, lock = [0], threading.Lock()

    def script(connection):
        with lock:
            count[0] += 1
            dead = count[0] % 2 == 1
        if dead:
            connection.more()
            connection.reset()
            return
        connection.sock = certs.target().wrap_socket(connection.sock, server_side=True)
        connection.request()
        connection.send(reply(b"hello"))

    with Target(script) as target:
        flow = check("-x", "direct", "--cacert", certs.ca, target.url(scheme="https"))
    flow.expect("reset-by-target", "tls", "target").says("no question of size", "others are not")


def test_large_hellos_are_reset(certs):
    def script(connection):
        if len(connection.sock.recv(65536, socket.MSG_PEEK)) > 1000:
            connection.reset()
            return
        connection.sock = certs.target().wrap_socket(connection.sock, server_side=True)
        connection.hold()

    with Target(script) as target:
        flow = check("-x", "direct", "--cacert", certs.ca, target.url(scheme="https"))
        assert target.accepts == 4
    flow.expect("reset-by-target", "tls", "target").says("so it is the size that is refused")


@pytest.mark.parametrize("seconds", [9, 12])
def test_every_other_hello_hangs_with_little_time(certs, seconds):
    count, lock = [0], threading.Lock()

    def script(connection):
        with lock:
            count[0] += 1
            dead = count[0] % 2 == 1
        if dead:
            connection.hold()
        connection.sock = certs.target().wrap_socket(connection.sock, server_side=True)
        connection.hold()

    with Target(script) as target:
        flow = check("-x", "direct", "-m", seconds, "--cacert", certs.ca, target.url(scheme="https"))
    flow.expect("stalled", "tls", "target").says("no question of size", "others are not")


SILENT_PHASES = {
    "answer": ("answer", "proxy-silent"),
    "answer-head": ("answer", "stalled"),
    "hello": ("tls", "stalled"),
    "server-hello": ("tls", "stalled"),
    "exchange": ("exchange", "stalled"),
    "response-head": ("exchange", "stalled"),
    "length": ("transfer", "stalled"),
    "chunk": ("transfer", "stalled"),
}


@pytest.mark.parametrize("seconds", [3, 9])  # each far enough from 5 s
def test_silence(certs, seconds):
    """Below 5 s it is no failure yet."""
    script, names = silent_everywhere(certs)
    with Target(script) as proxy:
        flows = check_all(
            "-m", seconds, "-k", "-x", f"http://127.0.0.1:{proxy.port}", *[f"https://{name}.test/" for name in names]
        )
    found = {name: (flow["ended_in"], flow["verdict"]) for name, flow in zip(names, flows)}
    wanted = {name: (phase, "open" if seconds < 5 else verdict) for name, (phase, verdict) in SILENT_PHASES.items()}
    assert found == wanted


@pytest.mark.parametrize("seconds,verdict", [(3, "open"), (8, "proxy-silent")])
def test_silence_in_the_proxys_tls(seconds, verdict):
    ask(hush, "-m", seconds, scheme="https").expect(verdict, "proxy-tls")


# --- the target ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 429, 500, 502, 503, 504])
def test_a_status_inside_the_tunnel_is_the_targets(certs, status):
    def inner(connection):
        connection.head()
        connection.send(reply(b"no", f"{status} No", 'WWW-Authenticate: Basic realm="x"'))

    flow = ask(secure(certs, inner), "--cacert", certs.ca)
    flow.expect("target-error", ended_by="target", status=status)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500, 502, 503, 504])
def test_a_status_that_a_proxy_passes_on(proxy, status):
    with HttpTarget(lambda request: reply(b"no", f"{status} No", "Server: Apache")) as target:
        flow = check("-x", f"http://127.0.0.1:{proxy.port}", target.url())
        flow.expect("target-error", ended_by="target", status=status)
        direct = check("-x", "direct", target.url())
        direct.expect("target-error", ended_by="target", status=status)


def test_garbage_inside_the_tunnel(certs):
    def inner(connection):
        connection.head()
        connection.send("SSH-2.0-what\r\n")
        connection.hold()

    flow = ask(secure(certs, inner), "--cacert", certs.ca)
    flow.expect("upstream-failed", "exchange", "target").says("SSH server")


@pytest.mark.parametrize(
    "first,word",
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH server"),
        (b"\x00" * 40, "bytes"),
    ],
    ids=["http", "ssh", "garbage"],
)
def test_a_target_without_tls(first, word):
    def inner(connection):
        connection.more()
        connection.send(first)
        end(connection)

    ask(tunnel(inner)).expect("tls-failed", "tls", "target").says(word)


def test_an_alert_of_the_target():
    def inner(connection):
        connection.more()
        connection.send(b"\x15\x03\x03\x00\x02\x02\x28")
        end(connection)

    ask(tunnel(inner)).expect("tls-failed", "tls", "target").says("handshake_failure")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_target_that_wants_a_client_certificate(certs, version):
    """Before the request or behind it: the alert of TLS 1.3 comes when it comes."""

    def script(connection):
        context = certs.target((ssl.TLSVersion[version],) * 2)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certs.ca)
        connection.head()
        connection.send(OPENED)
        connection.sock = context.wrap_socket(connection.sock, server_side=True, do_handshake_on_connect=False)
        with contextlib.suppress(ssl.SSLError):
            connection.sock.do_handshake()
        cut(connection)  # closed with the request unread it would be an RST, which takes the alert along

    flow = ask(script, "--cacert", certs.ca)
    flow.expect("tls-failed", None, "target").says("client certificate", "TLS alert")


def test_a_target_that_is_too_old():
    """A ServerHello of TLS 1.0, as those give who never learned of supported_versions."""
    body = b"\x03\x01" + bytes(32) + b"\x00" + b"\xc0\x13" + b"\x00"
    hello = b"\x02" + len(body).to_bytes(3, "big") + body

    def inner(connection):
        connection.more()
        connection.send(b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello)
        connection.hold()

    ask(tunnel(inner)).expect("tls-failed", "tls", "target").says("TLSv1, which is too old")


@pytest.mark.parametrize("name,arguments,word", [
    ("expired.test", ["-not_before", "20200101000000Z", "-not_after", "20200201000000Z"], "expired"),
    ("self.test", None, "self-signed"),
])
def test_certificates(certs, tmp_path, name, arguments, word):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make_certificate(certs, tmp_path, name, arguments)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def script(connection):
        connection.head()
        connection.send(OPENED)
        connection.sock = context.wrap_socket(connection.sock, server_side=True)
        connection.head()
        connection.send(reply(b"hello"))
        connection.close()

    flow = ask(script, "--cacert", certs.ca, url=f"https://{name}/")
    flow.expect("tls-untrusted", "tls", "target").says(word)
    flow = ask(script, "--cacert", certs.ca, "-k", url=f"https://{name}/")
    flow.expect("ok", "close")
    assert "tls-untrusted" in flow["warnings"]


def make_certificate(certs, folder, name, dates):
    """cert.pem and key.pem in `folder`: by the CA and with those dates, or self-signed."""
    def run(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    key, cert, request = folder / "key.pem", folder / "cert.pem", folder / "request.pem"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    if dates is None:
        run("req", "-x509", *curve, *names, "-days", 30, "-out", cert)
        return
    run("req", "-new", *curve, *names, "-out", request)
    (folder / "index.txt").touch()
    (folder / "ca.conf").write_text(
        f"[ca]\ndefault_ca=a\n[a]\ndatabase={folder}/index.txt\nnew_certs_dir={folder}\nrand_serial=yes\n"
        f"default_md=sha256\npolicy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n"
    )
    run(
        "ca", "-batch", "-config", folder / "ca.conf", "-cert", certs.ca, "-keyfile", certs.folder / "ca.key",
        "-startdate", dates[1], "-enddate", dates[3], "-in", request, "-out", cert, "-notext",
    )


def test_a_certificate_for_another_name(certs):
    def inner(connection):
        connection.head()
        connection.send(reply(b"hello"))

    flow = ask(secure(certs, inner), "--cacert", certs.ca, url="https://elsewhere.test/")
    flow.expect("tls-untrusted", "tls", "target").says("mismatch")


# --- Ctrl-C ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["ladder", "json"])
def test_an_interrupt_shows_what_is_known(arguments):
    asked = threading.Event()

    def script(connection):
        connection.head()
        asked.set()
        connection.hold()

    with Target(script) as proxy:
        child = subprocess.Popen(
            [BINARY, "check", *arguments, "-x", f"http://127.0.0.1:{proxy.port}", URL],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert asked.wait(30)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 1 and err == ""
    assert "open" in out and "stopped by the user" in out, out

"""`viaduct check` against real proxies that are not viaduct: squid and tinyproxy, as Debian has them."""

import json
import socket

import pytest

from check import check
from squid import Squid
from target import HttpTarget, Target, reply
from tinyproxy import Tinyproxy

FORBIDDEN = """
dns_timeout 1 second
acl forbidden dst 127.0.0.9
acl ports port 25
http_access deny forbidden
http_access deny ports
"""


def url_at(peer):
    return f"http://127.0.0.1:{peer.port}"


@pytest.fixture(scope="module")
def plain_squid():
    with Squid(rules=FORBIDDEN) as peer:
        yield peer


@pytest.fixture(scope="module")
def basic_squid():
    with Squid("basic", "user", "pass") as peer:
        yield peer


@pytest.fixture(scope="module")
def digest_squid():
    with Squid("digest", "user", "pass") as peer:
        yield peer


@pytest.fixture(scope="module")
def plain_tinyproxy():
    with Tinyproxy("ConnectPort 443\nConnectPort 1", [r"forbidden\.test"]) as peer:
        yield peer


@pytest.fixture(scope="module")
def basic_tinyproxy():
    with Tinyproxy("BasicAuth user pass") as peer:
        yield peer


@pytest.fixture(scope="module")
def tls_target(certs):
    with HttpTarget(tls=certs.target()) as target:
        yield target


@pytest.fixture(scope="module")
def target():
    with HttpTarget(lambda request: reply(b"x" * 5000)) as plain:
        yield plain


@pytest.fixture(name="free_port")
def a_port_that_refuses():
    """Bound and not listening: nobody else gets it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def url_of(scheme, target, tls_target):
    return target.url() if scheme == "http" else tls_target.url()


both = pytest.mark.parametrize("scheme", ["http", "https"])


# --- squid -----------------------------------------------------------------------------------------------


@both
def test_squid_passes(plain_squid, certs, target, tls_target, scheme):
    url = url_of(scheme, target, tls_target)
    check("-x", url_at(plain_squid), "--cacert", certs.ca, url).expect("ok", "close", "client", status=200)


@both
def test_squid_denies(plain_squid, scheme):
    flow = check("-x", url_at(plain_squid), f"{scheme}://127.0.0.9/")
    flow.expect("acl-denied", "answer", "proxy", status=403).says("squid", "ERR_ACCESS_DENIED")


@both
def test_squid_forbids_a_port(plain_squid, scheme):
    flow = check("-x", url_at(plain_squid), f"{scheme}://127.0.0.1:25/")
    flow.expect("acl-denied", "answer", "proxy", status=403).says("squid")


@both
def test_squid_cannot_resolve(plain_squid, scheme):
    flow = check("-x", url_at(plain_squid), f"{scheme}://unknown.test/")
    flow.expect("upstream-unresolved", "answer", "network", certainty=flow["certainty"]).says("squid")


@both
def test_squid_cannot_connect(plain_squid, free_port, scheme):
    flow = check("-x", url_at(plain_squid), f"{scheme}://127.0.0.1:{free_port}/")
    flow.expect("upstream-refused", "answer", "target", status=503).says("squid")


@both
def test_a_targets_answer_through_squid(plain_squid, certs, scheme):
    def answer(request):
        return reply(b"no", "503 Service Unavailable", "Server: Apache")

    with HttpTarget(answer, tls=certs.target() if scheme == "https" else None) as target:
        flow = check("-x", url_at(plain_squid), "--cacert", certs.ca, target.url())
        flow.expect("target-error", ended_by="target", status=503)


@both
@pytest.mark.parametrize("kind", ["basic", "digest"])
def test_squid_asks(basic_squid, digest_squid, certs, target, tls_target, kind, scheme):
    """Right, wrong, none."""
    peer = basic_squid if kind == "basic" else digest_squid
    url = url_of(scheme, target, tls_target)
    shared = ("--cacert", certs.ca, url)
    flow = check("-x", url_at(peer), *shared)
    flow.expect("auth-required", "answer", "proxy", status=407).says(kind.capitalize())
    flow = check("-x", url_at(peer), "-U", "user:wrong", *shared)
    flow.expect("auth-failed", "answer", "proxy", status=407).says(kind.capitalize())
    assert "wrong" not in json.dumps(flow)
    flow = check("-x", url_at(peer), "-U", "user:pass", *shared)
    flow.expect("ok", "close", status=200, user="user")
    assert ("weak-auth" in flow["warnings"]) == (kind == "basic")
    assert [step["step"] for step in flow.phase("answer")["steps"]] == ["authenticate"]


@pytest.mark.parametrize("path", ['/a"b', "/a\\b?\"", "/<b>'"])
def test_an_odd_path_is_no_wrong_password(digest_squid, target, path):
    flow = check("-x", url_at(digest_squid), "-U", "user:pass", target.url(path))
    flow.expect("ok", "close", status=200, user="user")


def test_basic_where_only_digest_is_taken(digest_squid, target):
    flow = check("-x", url_at(digest_squid), "--basic", "-U", "user:pass", target.url())
    flow.expect("auth-failed", "answer", "proxy", status=407).says("Digest", "--basic")


def test_digest_where_only_basic_is_taken(basic_squid, target):
    """The password is not shown to a proxy that takes it in the clear."""
    flow = check("-x", url_at(basic_squid), "--digest", "-U", "user:pass", target.url())
    flow.expect("auth-required", "answer", "proxy", status=407).says("Basic", "--digest")


# --- tinyproxy -------------------------------------------------------------------------------------------


@both
def test_tinyproxy_passes(certs, target, tls_target, scheme):
    with Tinyproxy() as peer:
        url = url_of(scheme, target, tls_target)
        check("-x", url_at(peer), "--cacert", certs.ca, url).expect("ok", "close", "client", status=200)


@both
def test_tinyproxy_denies(plain_tinyproxy, scheme):
    flow = check("-x", url_at(plain_tinyproxy), f"{scheme}://forbidden.test/")
    flow.expect("acl-denied", "answer", "proxy", status=403).says("tinyproxy")


def test_tinyproxy_denies_the_client(target):
    with Tinyproxy("Deny 127.0.0.1") as peer:
        flow = check("-x", url_at(peer), target.url())
        flow.expect("acl-denied", "answer", "proxy", status=403).says("tinyproxy")


def test_tinyproxy_forbids_a_port(plain_tinyproxy):
    flow = check("-x", url_at(plain_tinyproxy), "https://127.0.0.1:25/")
    flow.expect("acl-denied", "answer", "proxy", status=403).says("tinyproxy")


@both
def test_tinyproxy_cannot_resolve_or_connect(plain_tinyproxy, free_port, scheme):
    """It says the same of both, and that is said."""
    for place in ("unknown.test", f"127.0.0.1:{free_port}" if scheme == "http" else "127.0.0.1:1"):
        flow = check("-x", url_at(plain_tinyproxy), f"{scheme}://{place}/")
        flow.expect("upstream-failed", "answer", "target", certainty="inferred", status=500).says("tinyproxy")


def test_tinyproxy_cannot_read_the_answer(plain_tinyproxy):
    """Its 503 is no overload."""
    def half(connection):
        connection.head()
        connection.send("HTTP/1.1 200 OK\r\nServ")

    with Target(half) as target:
        flow = check("-x", url_at(plain_tinyproxy), target.url())
    flow.expect("upstream-failed", "answer", "target", certainty="seen", status=503).says("tinyproxy")


@both
def test_tinyproxy_asks(basic_tinyproxy, certs, target, tls_target, scheme):
    shared = ("--cacert", certs.ca, url_of(scheme, target, tls_target))
    check("-x", url_at(basic_tinyproxy), *shared).expect("auth-required", "answer", "proxy", status=407)
    flow = check("-x", url_at(basic_tinyproxy), "-U", "user:wrong", *shared)
    flow.expect("auth-failed", "answer", "proxy", certainty="inferred", status=401).says("a proxy should answer 407")
    check("-x", url_at(basic_tinyproxy), "-U", "user:pass", *shared).expect("ok", "close", status=200)

"""Programs log in at the proxy, each with what it knows: the table in README.md says what these tests show."""

import pathlib
import subprocess
import sys

import pytest

from chromium import Browser, chromium, through
from netns import Namespace
from target import reply
from viaduct import Proxy, run_command
from world import World, git

HERE = pathlib.Path(__file__).resolve().parent
USER, PASSWORD, ASCII = "alice", "open sesame/ü", "open sesame"
BODY = b"<!doctype html><title>t</title><p>reached</p>" + b"<!-- padding -->" * 3000
ASKS = "deny private off; deny ports off; allow all { authenticated; }"
BOTH = pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])

# What the proxies of this file offer.
OFFERS = {
    "all": "",
    "basic": "schemes basic;",
    "sha-256": "schemes digest; algorithms sha-256;",
    "md5": "schemes digest; algorithms md5;",
    "three": "schemes digest; algorithms sha-256 sha-512-256 md5;",
}


@pytest.fixture(scope="module")
def namespace():
    with Namespace() as ns:
        yield ns


@pytest.fixture(scope="module")
def proxies(namespace):
    """A proxy for each of OFFERS, started when it is asked for."""
    started = {}

    def get(offer):
        if offer not in started:
            proxy = Proxy(
                command=namespace.command,
                hosts=[("127.0.0.1", "target.test")],
                resolver="hosts hosts; servers 127.0.0.1:9; timeout 200ms;",
                access=ASKS,
                extra=f"authentication {{ accounts accounts.conf; {OFFERS[offer]} }}",
                start=False,
            )
            started[offer] = proxy
            proxy.configure()
            for user, password in ((USER, PASSWORD), ("ascii", ASCII)):
                done = run_command("account", "add", user, "-c", proxy.config, input=password)
                assert done.returncode == 0, done.stderr
            proxy.start()
        started[offer].settle()
        return started[offer]

    yield get
    for proxy in started.values():
        with proxy:
            pass


@pytest.fixture
def world_of(namespace, proxies, certs):
    """A world around the proxy that makes this offer."""
    worlds = []

    def get(offer):
        worlds.append(World(namespace, proxies(offer), certs).__enter__())
        return worlds[-1]

    yield get
    for world in worlds:
        world.__exit__(None, None, None)


def used(world, scheme, user=USER):
    """Asserts that all flows of this test but the questions were this user's, and by which scheme he logged in."""
    flows = [flow for flow in world.flows() if flow["verdict"] != "auth-required"]
    assert flows and {flow["user"] for flow in flows} == {user}, flows
    assert all(flow["verdict"] in ("ok", "reset-by-client", "target-error") for flow in flows), flows
    weak = {"weak-auth" in flow["warnings"] for flow in flows}
    assert weak == {scheme == "basic"}, weak


CURL = [
    ("--proxy-basic", "all", "basic"),
    ("--proxy-digest", "sha-256", "digest"),
    ("--proxy-digest", "md5", "digest"),
    ("--proxy-digest", "all", "digest"),
    ("--proxy-digest", "three", "digest"),
    ("--proxy-anyauth", "all", "digest"),
    ("--proxy-anyauth", "basic", "basic"),
]


@BOTH
@pytest.mark.parametrize("option, offer, scheme", CURL)
def test_curl(world_of, option, offer, scheme, tls):
    world = world_of(offer)
    target = world.target(lambda r: reply(r.body or BODY), tls)
    common = ["curl", "-sS", "--max-time", "30", "-x", world.proxy.url, "--cacert", world.certs.ca]
    common += [option, "-U", f"{USER}:{PASSWORD}"]
    assert world.run(*common, *[world.url(target)] * 3).stdout.encode() == BODY * 3
    (world.folder / "up").write_bytes(b"u" * 200_000)
    assert len(world.run(*common, "--data-binary", "@up", world.url(target)).stdout) == 200_000
    used(world, scheme)


def test_curl_with_a_wrong_password(world_of):
    world = world_of("all")
    target = world.target(lambda r: reply(BODY))
    common = ["curl", "-sS", "--proxy-anyauth", "-x", world.proxy.url, "-U", f"{USER}:no"]
    done = world.run(*common, "-o", "/dev/null", "-w", "%{http_code}", world.url(target))
    assert done.stdout == "407"
    assert [flow["verdict"] for flow in world.flows()] == ["auth-required", "auth-failed"]


@BOTH
@pytest.mark.parametrize("offer", ["all", "basic"])
def test_wget(world_of, offer, tls):
    """Basic, unasked."""
    world = world_of(offer)
    target = world.target(lambda r: reply(BODY), tls)
    env = {"http_proxy": world.proxy.url, "https_proxy": world.proxy.url}
    options = ["--tries=1", "--timeout=20", f"--ca-certificate={world.certs.ca}", "-O", "got"]
    options += [f"--proxy-user={USER}", f"--proxy-password={PASSWORD}"]
    world.run("wget", "-q", *options, world.url(target), env=env)
    assert (world.folder / "got").read_bytes() == BODY
    used(world, "basic")


@BOTH
@pytest.mark.parametrize("method, offer, scheme", [("basic", "all", "basic"), ("digest", "sha-256", "digest"), ("anyauth", "all", "digest")])
def test_git(world_of, method, offer, scheme, tls):
    world = world_of(offer)
    target = world.target(lambda r: reply(b"no repository", "404 Not Found"), tls)
    quoted = "open%20sesame%2F%C3%BC"
    url = f"http://{USER}:{quoted}@127.0.0.1:{world.proxy.port}"
    where = ["-c", f"http.proxy={url}", "-c", f"http.proxyAuthMethod={method}"]
    done = git(world, *where, "ls-remote", world.url(target, "/r.git"), check=False)
    assert "not found" in done.stderr, done.stderr
    used(world, scheme)


URLLIB = """
import ssl, sys, urllib.request as u
proxy, url, ca, user, password, kind = sys.argv[1:]
passwords = u.HTTPPasswordMgrWithDefaultRealm()
for where in proxy, url:  # Digest looks the password up by the target
    passwords.add_password(None, where, user, password)
handlers = {"basic": u.ProxyBasicAuthHandler, "digest": u.ProxyDigestAuthHandler}
more = [handlers[kind](passwords)] if kind in handlers else []
if kind == "url":
    proxy = proxy.replace("//", f"//{u.quote(user)}:{u.quote(password, safe='')}@")
opener = u.build_opener(u.ProxyHandler({"http": proxy, "https": proxy}), *more,
                        u.HTTPSHandler(context=ssl.create_default_context(cafile=ca)))
print(len(opener.open(url, timeout=20).read()))
"""


@pytest.mark.parametrize(
    "kind, offer, tls, scheme",
    [
        ("url", "all", False, "basic"),
        ("url", "all", True, "basic"),
        ("basic", "basic", False, "basic"),
        ("basic", "all", False, "basic"),
        ("digest", "md5", False, "digest"),
    ],
)
def test_pythons_urllib(world_of, kind, offer, tls, scheme):
    """Its Digest knows MD5 and ASCII, and no tunnels."""
    world = world_of(offer)
    who = ("ascii", ASCII) if scheme == "digest" else (USER, PASSWORD)
    target = world.target(lambda r: reply(BODY), tls)
    done = world.run(
        sys.executable, "-c", URLLIB, world.proxy.url, world.url(target), world.certs.ca, *who, kind
    )
    assert done.stdout.split() == [str(len(BODY))]
    used(world, scheme, who[0])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, certs):
    """Where Login.class and trust.p12 are: made once, as that takes longer than a test."""
    folder = tmp_path_factory.mktemp("java")
    subprocess.run(["javac", "-d", folder, HERE / "Login.java"], check=True)
    subprocess.run(
        ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", certs.ca,
         "-keystore", folder / "trust.p12", "-storepass", "changeit", "-storetype", "PKCS12"],
        check=True,
    )  # fmt: skip
    return folder


def java(world, compiled, kind, target, user, password, *options):
    trust = [f"-Djavax.net.ssl.trustStore={compiled}/trust.p12", "-Djavax.net.ssl.trustStorePassword=changeit"]
    hosts = world.folder / "jhosts"
    hosts.write_text("127.0.0.1 target.test\n")
    return world.run(
        "java", "-XX:TieredStopAtLevel=1", "-cp", compiled, f"-Djdk.net.hosts.file={hosts}", *trust, *options,
        "Login", kind, world.proxy.port, user, password, world.url(target), world.url(target, "/2"),
        check=False,
    )  # fmt: skip


@BOTH
@pytest.mark.parametrize(
    "kind, offer, scheme", [("new", "basic", "basic"), ("new", "all", "basic"), ("old", "basic", "basic"), ("old", "md5", "digest"), ("old", "sha-256", "digest"), ("old", "all", "digest")]
)
def test_java(world_of, compiled, kind, offer, scheme, tls):
    """Basic in a tunnel is off in Java until it is turned on; its Digest writes passwords in Latin-1."""
    world = world_of(offer)
    target = world.target(lambda r: reply(BODY), tls)
    who = ("ascii", ASCII) if scheme == "digest" else (USER, PASSWORD)
    done = java(world, compiled, kind, target, *who, "-Djdk.http.auth.tunneling.disabledSchemes=")
    assert done.stdout.split() == ["200", str(len(BODY))] * 2, done.stderr
    used(world, scheme, who[0])


@BOTH
@pytest.mark.parametrize("offer, scheme", [("all", "digest"), ("sha-256", "digest"), ("md5", "digest"), ("basic", "basic")])
def test_chromium(world_of, offer, scheme, tls):
    world = world_of(offer)
    target = world.target(lambda r: reply(BODY, "200 OK", "Content-Type: text/html"), tls)
    command = [*world.ns.command, *chromium(world.folder, *through(world.proxy, world.certs))]
    with Browser(command, world.environment()) as browser:
        text = browser.open(world.url(target), USER, PASSWORD)
        assert "reached" in text, text
        assert browser.asked >= 1
    used(world, scheme)

"""/proxy.pac and /wpad.dat: what is given out, and what JavaScript engines make of it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from certs import Authority
from chromium import chromium
from client import Client
from netns import Namespace
from target import HttpTarget, reply
from viaduct import BINARY, Proxy, open_folder, wait_until

HERE = pathlib.Path(__file__).parent
# prints the script for given exceptions: a program of the unit tests, beside the binary's folder
BUILD = pathlib.Path(BINARY).parents[2] if "/" in BINARY else pathlib.Path("build")
PRINT = os.environ.get("PAC_PRINT") or BUILD / "tests/unit/proxy/pac_print"
DIRECT, VIA = "DIRECT", "PROXY 192.0.2.1:3128"

NO_PROXY = [
    "plain.example",
    ".both.example",
    "*.below.example",
    "MiXeD.Example.",
    "intranet",
    "10.0.0.0/8",
    "192.0.2.7",
    "203.0.113.64/27",
    "198.51.100.0/23",
    "2001:db8:1::/48",
    "2001:db8:2::7",
    "2001:db8:8000::/33",
    "::ffff:172.16.0.0/108",
    "fc00::/7",
]

# host, as an engine hands it over; what becomes of it
HOSTS = [
    ("www.example.com", VIA),
    ("plain.example", DIRECT),
    ("PLAIN.Example", DIRECT),
    ("plain.example.", DIRECT),
    ("www.plain.example", VIA),
    ("xplain.example", VIA),
    ("both.example", DIRECT),
    ("a.both.example", DIRECT),
    ("a.b.both.example.", DIRECT),
    ("notboth.example", VIA),
    ("a.both.example.com", VIA),
    ("below.example", VIA),
    ("a.below.example", DIRECT),
    ("mixed.example", DIRECT),
    ("intranet", DIRECT),
    ("extranet", VIA),
    ("example", VIA),
    ("10.0.0.1", DIRECT),
    ("10.255.255.255", DIRECT),
    ("11.0.0.1", VIA),
    ("9.255.255.255", VIA),
    ("10.0.0.1.example", VIA),
    ("10.0.0.256", VIA),
    ("10.0.1", VIA),
    ("192.0.2.7", DIRECT),
    ("192.0.2.8", VIA),
    ("203.0.113.63", VIA),
    ("203.0.113.64", DIRECT),
    ("203.0.113.95", DIRECT),
    ("203.0.113.96", VIA),
    ("198.51.101.255", DIRECT),
    ("198.51.102.0", VIA),
    ("172.16.0.1", DIRECT),
    ("172.32.0.1", VIA),
    ("2001:db8:1::1", DIRECT),
    ("[2001:DB8:1:ffff::1]", DIRECT),
    ("2001:db8:0001:0:0:0:0:9", DIRECT),
    ("2001:db8:3::1", VIA),
    ("2001:db8:2::7", DIRECT),
    ("2001:db8:2:0::7", DIRECT),
    ("2001:db8:2::8", VIA),
    ("2001:db8:8000::1", DIRECT),
    ("2001:db8:7fff::1", VIA),
    ("fd00::1", DIRECT),
    ("fe80::1%25eth0", VIA),
    ("::ffff:10.1.2.3", DIRECT),
    ("::ffff:a01:203", DIRECT),
    ("::ffff:11.1.2.3", VIA),
    ("::10.1.2.3", VIA),
    ("2001:db8:1:::1", VIA),
    ("2001:db8:1::1::", VIA),
    ("1:2:3:4:5:6:7:8:9", VIA),
    ("", VIA),
    # the client's own machine
    ("localhost", DIRECT),
    ("LOCALHOST.", DIRECT),
    ("a.localhost", DIRECT),
    ("notlocalhost", VIA),
    ("127.0.0.1", DIRECT),
    ("127.200.3.4", DIRECT),
    ("128.0.0.1", VIA),
    ("::1", DIRECT),
    ("[::1]", DIRECT),
    ("::2", VIA),
]


@pytest.fixture
def folder():
    path = open_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def evaluate(folder, script, hosts):
    path = folder / "proxy.pac"
    path.write_bytes(script)
    asked = [(f"https://{host}/", host) for host in hosts]
    done = subprocess.run(
        ["node", HERE / "pac.js", path],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def printed(*arguments):
    return subprocess.run([PRINT, *arguments], capture_output=True, check=True).stdout


def fetch(address, path="/proxy.pac", method="GET", host="x", **more):
    with Client(address, **more) as client:
        client.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        answer = client.response(method)
        assert client.end() == (b"", "fin")  # no body behind an answer to HEAD
        return answer


def test_every_host_goes_its_way(folder):
    script = printed("http", "192.0.2.1:3128", *NO_PROXY)
    found = evaluate(folder, script, [host for host, _ in HOSTS])
    wrong = [(h, got, want) for (h, want), got in zip(HOSTS, found) if got != want]
    assert not wrong


def test_each_exception_does_it_alone(folder):
    """No entry is lost among the others, and none matters to what another one is for."""
    directs = [host for host, want in HOSTS if want == DIRECT]
    alone = set()
    for word in NO_PROXY + [None]:
        script = printed("http", "192.0.2.1:3128", *([word] if word else []))
        found = evaluate(folder, script, directs)
        here = {host for host, got in zip(directs, found) if got == DIRECT}
        if word is None:
            own = here
            loopback = ("127", "::1", "[::")
            assert own == {h for h in directs if "localhost" in h.lower() or h[:3] in loopback}
        alone |= here
    assert alone == set(directs)


@pytest.mark.parametrize(
    "scheme, listener, says",
    [
        ("http", "[2001:db8::1]:3128", "PROXY [2001:db8::1]:3128"),
        ("https", "192.0.2.1:3443", "HTTPS 192.0.2.1:3443"),
        ("https", "proxy.example:3443", "HTTPS proxy.example:3443"),
    ],
)
def test_the_listener_is_named(folder, scheme, listener, says):
    assert evaluate(folder, printed(scheme, listener), ["www.example.com"]) == [says]


def test_nothing_gets_out_of_its_string(folder):
    """The configuration lets no such words in; the script would hold them all the same."""
    evil = ['";throw 1;"', "\\", "a\nb", "\u2028", "</script>", "*.\"+x+\"", "." + '"]']
    script = printed("http", '";throw 1;"', *evil)
    assert evaluate(folder, script, ["www.example.com", *evil[:1]])[0] == 'PROXY ";throw 1;"'
    assert b"\n" not in script.split(b"var names")[0].split(b"var proxy")[1].rstrip(b"\n")


@pytest.mark.parametrize("path", ["/proxy.pac", "/wpad.dat", "/proxy.pac?x=1"])
def test_it_is_served(path, folder):
    with Proxy() as proxy:
        answer = fetch(proxy.address, path)
        assert answer.status == 200 and answer.reason == "OK"
        assert answer.get("Content-Type") == "application/x-ns-proxy-autoconfig"
        assert answer.get("Cache-Control") == "no-store" and answer.get("Date")
        assert int(answer.get("Content-Length")) == len(answer.body) and answer.complete
        want = f"PROXY 127.0.0.1:{proxy.port}"
        assert evaluate(folder, answer.body, ["www.example.com", "localhost"]) == [want, DIRECT]
        head = fetch(proxy.address, path, "HEAD")
        assert head.status == 200 and not head.body
        assert head.get("Content-Length") == answer.get("Content-Length")
        for flow in proxy.flows(2):
            flow.expect("ok", status=200)


def test_other_paths_are_still_not_there():
    with Proxy() as proxy:
        for path in ("/proxy.pac/", "/Proxy.pac", "/wpad.da", "/x/proxy.pac"):
            assert fetch(proxy.address, path).status == 404
        page = fetch(proxy.address, "/")
        assert f"http://127.0.0.1:{proxy.port}/proxy.pac".encode() in page.body


def test_a_wildcard_listener_gives_the_address_that_was_reached(folder):
    with Namespace() as net:
        net.run("ip addr add 192.0.2.1/32 dev lo", "ip -6 addr add 2001:db8::1/128 dev lo nodad")
        with Proxy(listen=("[::]:0", "0.0.0.0:0"), command=net.command) as proxy:
            six, four = proxy.ports
            for address, want in (
                (("192.0.2.1", four), f"PROXY 192.0.2.1:{four}"),
                (("2001:db8::1", six), f"PROXY [2001:db8::1]:{six}"),
            ):
                with net.entered():
                    script = fetch(address).body
                assert evaluate(folder, script, ["www.example.com"]) == [want]


def test_a_tls_listener_is_named_as_it_was_asked_for(folder):
    authority = Authority(folder)
    for path in (authority.cert, authority.key):
        path.chmod(0o644)
    listener = f"127.0.0.1:0 {{ tls-certificate {authority.cert}; tls-key {authority.key}; }}"
    with Proxy(listen=(listener,)) as proxy:
        for host, want in (
            (f"target.test:{proxy.port}", f"target.test:{proxy.port}"),
            ("target.test", f"127.0.0.1:{proxy.port}"),  # another port: not this listener
        ):
            done = subprocess.run(
                [
                    "curl",
                    "-qsk",
                    "-H",
                    f"Host: {host}",
                    f"https://127.0.0.1:{proxy.port}/proxy.pac",
                ],
                capture_output=True,
                timeout=30,
                check=True,
            )
            assert evaluate(folder, done.stdout, ["www.example.com"]) == [f"HTTPS {want}"]


def test_chromium_follows_it(folder):
    body = b"<!doctype html><title>t</title><p>reached through the proxy"
    with HttpTarget(lambda r: reply(body, "200 OK", "Content-Type: text/html")) as target:
        with Proxy(hosts=[("127.0.0.1", "target.test")]) as proxy:
            done = subprocess.run(
                [
                    *chromium(folder),
                    f"--proxy-pac-url=http://127.0.0.1:{proxy.port}/proxy.pac",
                    "--virtual-time-budget=5000",
                    "--dump-dom",
                    f"http://target.test:{target.port}/",
                ],
                env={**os.environ, "HOME": str(folder)},
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert "reached through the proxy" in done.stdout, done.stderr[-2000:]
            asked = [json.loads(line) for line in proxy.log_lines()]
            assert any(f["url"] == f"http://target.test:{target.port}/" for f in asked)


def test_no_proxy_while_the_settings_are_enabled(folder):
    """What is disabled is kept and not used; a reload follows."""

    def settings(enabled):
        return (
            f"iprep_proxy {{ ENABLED {enabled}; PROXY_HOST 192.0.2.9; PROXY_PORT 9;\n"
            "NO_PROXY .internal.example 10.0.0.0/8 2001:db8::/32; }"
        )

    hosts = ["www.internal.example", "10.1.2.3", "2001:db8::1", "www.example.com"]
    with Proxy(files={"upstream.conf": settings("on")}) as proxy:
        via = f"PROXY 127.0.0.1:{proxy.port}"
        assert evaluate(folder, fetch(proxy.address).body, hosts) == [DIRECT] * 3 + [via]
        proxy.write("upstream.conf", settings("off"))
        proxy.signal(signal.SIGHUP)
        wait_until(
            lambda: evaluate(folder, fetch(proxy.address).body, hosts) == [via] * 4, "the reload"
        )

"""Access rules as a client meets them."""

import subprocess
import time

import pytest

from client import Client, ask, get
from dns import Answer, DnsServer, rotating
from target import HttpTarget, Target, echo
from viaduct import BINARY, Proxy

DENIED = "http_request_denied"
PROHIBITED = "destination_ip_prohibited"


@pytest.fixture(scope="module")
def safe():
    """The safe defaults: no access block."""
    with Proxy(
        access=None, hosts=[("127.0.0.1", "inside.test"), ("10.1.2.3", "office.test")]
    ) as shared:
        yield shared


FORBIDDEN = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "224.0.0.1",
    "239.1.1.1",
    "255.255.255.255",
    "240.0.0.1",
    "[::1]",
    "[::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[ff02::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]",
    "[2002:a00:1::1]",
    "[2001:0:7f00:1::]",
    "[2001:0:102:304:0:0:80ff:fffe]",
    "[0:0:0:0:0:ffff:7f00:1]",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_forbidden_addresses_in_all_their_forms(safe, address):
    ask(safe, "CONNECT", f"{address}:443").expect(403, "acl-denied", PROHIBITED, "rule private")
    safe.flow().expect("acl-denied", "answer", "proxy", rule="private", status=403)


def test_this_machines_own_addresses_are_loopback(safe):
    found = subprocess.run(
        ["ip", "-brief", "-4", "address"], capture_output=True, text=True, check=True
    ).stdout
    own = [word.split("/")[0] for line in found.splitlines() for word in line.split()[2:]]
    for address in own:
        ask(safe, "CONNECT", f"{address}:443").expect(403, "acl-denied", PROHIBITED, "rule private")


def test_names_of_forbidden_addresses(safe):
    for name in ("inside.test", "office.test", "localhost", "any.localhost"):
        for method, url in (("CONNECT", f"{name}:443"), ("GET", f"http://{name}/")):
            ask(safe, method, url).expect(403, "acl-denied", PROHIBITED, "rule private")
            safe.flow().expect("acl-denied", "answer", "proxy", rule="private")


def test_ports_of_connect(safe):
    ask(safe, "CONNECT", "192.0.2.1:8443").expect(403, "acl-denied", DENIED, "rule ports")
    safe.flow().expect("acl-denied", "answer", "proxy", rule="ports")
    ask(safe, "CONNECT", "unknown.test:22").expect(403, "acl-denied", DENIED, "rule ports")
    safe.flow().expect("acl-denied", "answer", "proxy", rule="ports", target_address=None)


def test_with_the_built_in_rules_off_a_tunnel_is_established(proxy, certs):
    with Target(echo, tls=certs.target()) as target, Client(proxy) as client:
        client.connect(target.authority)
        client.start_tls(certs.client(), "target.test").send("ping")
        assert client.read(4) == b"ping"


RULES = """
deny private off; deny ports off;
list social file social.txt;
deny social { to list social; }
deny post { method POST; }
deny zone { to *.zone.test; }
deny whole { to .whole.test; }
deny port { to target.test; port 1-1023; }
deny address { to 127.0.0.9 127.0.9.0/24; }
allow mine { from 127.0.0.1; to target.test *.good.test; }
allow rest { from 127.0.0.8; }
"""


@pytest.fixture(scope="module")
def ruled():
    names = "target.test x.zone.test zone.test x.whole.test whole.test a.good.test good.test example.com"
    with Proxy(
        access=RULES,
        hosts=[("127.0.0.1", names)],
        files={
            "social.txt": "# names\nfriends.test\n.video.test\n*.only-below.test\n203.0.113.0/24\n"
        },
    ) as shared:
        yield shared


@pytest.mark.parametrize(
    "host,rule",
    [
        ("friends.test", "social"),
        ("FRIENDS.test.", "social"),
        ("video.test", "social"),
        ("a.video.test", "social"),
        ("a.only-below.test", "social"),
        ("203.0.113.77", "social"),
        ("x.zone.test", "zone"),
        ("whole.test", "whole"),
        ("x.whole.test", "whole"),
        ("127.0.0.9", "address"),
        ("127.0.9.1", "address"),
        ("[::ffff:127.0.0.9]", "address"),
        ("only-below.test", None),
        ("zone.test", None),
        ("good.test", None),
        ("example.com", None),
        ("notvideo.test", None),
    ],
)
def test_rules_by_target(ruled, host, rule):
    response = ask(ruled, "CONNECT", f"{host}:443").expect(
        403, "acl-denied", None, f"rule {rule}" if rule else None
    )
    assert response.error in (DENIED, PROHIBITED)
    ruled.flow().expect("acl-denied", "answer", "proxy", rule=rule)


def test_rules_by_method_port_and_client(ruled):
    with HttpTarget() as target:
        assert get(ruled, target.url(host="target.test")).status == 200
        ruled.flow().expect("ok", rule="mine")
        assert get(ruled, target.url(host="a.good.test")).status == 200
        ruled.flow().expect("ok", rule="mine")
        ask(ruled, "POST", target.url(host="target.test"), body=b"x").expect(
            403, "acl-denied", DENIED, "rule post"
        )
        ruled.flow().expect("acl-denied", rule="post")
        ask(ruled, "CONNECT", "target.test:443").expect(403, "acl-denied", DENIED, "rule port")
        ruled.flow().expect("acl-denied", rule="port")
        with Client(ruled, source="127.0.0.8") as client:
            assert client.get(target.url(host="good.test")).status == 200
        ruled.flow().expect("ok", rule="rest")


def test_no_query_leaves_for_what_is_denied_by_name():
    with DnsServer({"bad.test": ["127.0.0.1"]}) as dns:
        access = "deny private off; deny ports off; deny bad { to bad.test; } allow good { to good.test; port 443; }"
        with Proxy(access=access, resolver=f"servers {dns.address};") as proxy:
            ask(proxy, "CONNECT", "bad.test:443").expect(403, "acl-denied", DENIED, "rule bad")
            ask(proxy, "CONNECT", "other.test:443").expect(403, "acl-denied", DENIED)
            ask(proxy, "CONNECT", "good.test:80").expect(403, "acl-denied", DENIED)
            assert dns.total == 0


def test_forbidden_addresses_of_a_name_are_dropped():
    zone = {"mixed.test": ["127.0.0.2", "127.0.0.1"]}
    with DnsServer(zone) as dns, HttpTarget() as good:
        access = "deny private off; deny ports off; deny two { to 127.0.0.2; } allow all { }"
        with Target(echo, host="127.0.0.2", port=good.port) as bad:
            with Proxy(access=access, resolver=f"servers {dns.address};") as proxy:
                for _ in range(4):
                    assert get(proxy, good.url(host="mixed.test")).status == 200
                assert bad.accepts == 0
                proxy.flow().expect("ok", target_address=f"127.0.0.1:{good.port}").says("127.0.0.2")


def test_rebinding():
    """The connection goes to the address that was judged: no second look-up gives another one."""
    zone = {"rebind.test": rotating(Answer(["127.0.0.2"], ttl=0), Answer(["127.0.0.1"], ttl=0))}
    with DnsServer(zone) as dns, HttpTarget(host="127.0.0.2") as outside:
        access = "deny private off; deny ports off; deny inside { to 127.0.0.1; } allow all { }"
        with HttpTarget(port=outside.port) as inside:
            with Proxy(access=access, resolver=f"servers {dns.address};", workers=1) as proxy:
                for _ in range(6):
                    response = get(proxy, outside.url(host="rebind.test"))
                    assert response.status in (200, 403), response.line
                assert inside.accepts == 0
                assert outside.accepts >= 1


def test_report_only_rules_never_decide():
    access = (
        "deny private off; deny ports off; deny report would-deny { to target.test; } "
        "allow report would-allow { } deny report never { to other.test; } allow all { }"
    )
    with Proxy(
        access=access, hosts=[("127.0.0.1", "target.test")]
    ) as proxy, HttpTarget() as target:
        assert get(proxy, target.url(host="target.test")).status == 200
        flow = proxy.flow().expect("ok", rule="all")
        assert flow["reported"] == ["would-deny", "would-allow"]


def test_negated_conditions_and_hours():
    now = time.localtime()
    day, other = time.strftime("%a", now), time.strftime(
        "%a", time.localtime(time.time() + 3 * 86400)
    )
    access = (
        f"deny private off; deny ports off; deny others {{ from not 127.0.0.1; }} "
        f"deny closed {{ hours {other}; }} allow open {{ hours {day} {time.strftime('%a', time.localtime(time.time() + 3600))}; }}"
    )
    with Proxy(access=access) as proxy, HttpTarget() as target:
        assert get(proxy, target.url()).status == 200
        proxy.flow().expect("ok", rule="open")
        with Client(proxy, source="127.0.0.5") as client:
            client.ask("GET", target.url()).response().expect(
                403, "acl-denied", DENIED, "rule others"
            )


def test_a_denial_leaves_the_connection_open(ruled):
    with HttpTarget() as target, Client(ruled) as client:
        client.get("http://friends.test/").expect(403, "acl-denied")
        assert client.get(target.url(host="target.test")).status == 200


def test_access_test_tells_without_sending(tmp_path):
    with Proxy(access=RULES, files={"social.txt": "friends.test\n"}, start=False) as proxy:
        proxy.configure()
        proxy.process = None

        def run(*arguments):
            return subprocess.run(
                [BINARY, "access", "test", "-c", str(proxy.config), *arguments],
                text=True,
                capture_output=True,
                check=False,
                timeout=20,
            )

        denied = run("friends.test:443")
        assert (
            denied.returncode == 1
            and "social" in denied.stdout
            and "viaduct.conf:" in denied.stdout
        ), denied
        allowed = run("--client", "127.0.0.8", "http://example.com/")
        assert allowed.returncode == 0 and "rest" in allowed.stdout, allowed
        assert run("not a target").returncode == 2

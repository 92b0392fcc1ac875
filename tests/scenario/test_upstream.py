"""Targets that cannot be reached, or answer badly: each cause has its own verdict."""

import contextlib
import threading
import time

import pytest

from client import Client, ask, get
from dns import Answer, DnsServer
from netns import Namespace
from squid import free_port
from target import HttpTarget, Target, reply, silent
from viaduct import Proxy, wait_until


@contextlib.contextmanager
def proxy_with_dns(zone, **more):
    more.setdefault("limits", "resolve-timeout 5s;")
    with DnsServer(zone) as dns:  # no answer may seem lost because it is late
        with Proxy(resolver=f"hosts hosts; servers {dns.address}; timeout 3s;", **more) as proxy:
            proxy.dns = dns
            yield proxy


METHODS = pytest.mark.parametrize("method", ["CONNECT", "GET"])


def place(method, host, port):
    return f"{host}:{port}" if method == "CONNECT" else f"http://{host}:{port}/"


# --- names


@METHODS
@pytest.mark.parametrize(
    "zone,status,error,word",
    [
        ({}, 502, "dns_error", "NXDOMAIN"),
        ({"name.test": []}, 502, "dns_error", "address"),
        ({"name.test": "SERVFAIL"}, 502, "dns_error", "SERVFAIL"),
        ({"name.test": "REFUSED"}, 502, "dns_error", "REFUSED"),
        ({"name.test": "SILENT"}, 504, "dns_timeout", ""),
    ],
    ids=["nxdomain", "nodata", "servfail", "refused", "silent"],
)
def test_unresolved(method, zone, status, error, word):
    limits = "resolve-timeout 1s;" if status == 504 else "resolve-timeout 5s;"
    with proxy_with_dns(zone, limits=limits) as proxy:
        response = ask(proxy, method, place(method, "name.test", 443))
        response.expect(status, "upstream-unresolved", error)
        flow = (
            proxy.flow()
            .expect(
                "upstream-unresolved",
                "answer",
                "network",
                status=status,
                target="name.test:443",
                target_address=None,
            )
            .says(word)
        )
        steps = [step["step"] for step in flow.phase("answer")["steps"]]
        assert "resolve" in steps and "dial" not in steps


def test_dns_error_tells_the_rcode():
    with proxy_with_dns({}) as proxy:
        response = get(proxy, "http://name.test/")
        assert "rcode=" in response.get("Proxy-Status") and "NXDOMAIN" in response.get(
            "Proxy-Status"
        )


def test_answers_are_cached_negative_ones_too():
    with HttpTarget() as target, proxy_with_dns({"name.test": ["127.0.0.1"]}, workers=1) as proxy:
        for _ in range(3):
            assert get(proxy, target.url(host="name.test")).status == 200
            get(proxy, "http://gone.test/").expect(502, "upstream-unresolved", "dns_error")
        assert proxy.dns.count("name.test", "A") == 1
        assert proxy.dns.count("gone.test", "A") == 1


def test_equal_names_at_the_same_time_share_one_query():
    zone = {"slow.test": Answer(["127.0.0.1"], delay=0.3)}
    with HttpTarget() as target, proxy_with_dns(zone, workers=1) as proxy:
        clients = [Client(proxy).ask("GET", target.url(host="slow.test")) for _ in range(10)]
        assert [client.response().status for client in clients] == [200] * 10
        assert proxy.dns.count("slow.test", "A") == 1
        for client in clients:
            client.close()


def test_a_truncated_answer_is_asked_by_tcp():
    with HttpTarget() as target, proxy_with_dns(
        {"big.test": Answer(["127.0.0.1"], truncate=True)}
    ) as proxy:
        assert get(proxy, target.url(host="big.test")).status == 200


def test_hosts_file_and_aliases():
    with HttpTarget() as target:
        zone = {"alias.test": Answer(["127.0.0.1"], cname="real.test")}
        with proxy_with_dns(zone, hosts=[("127.0.0.1", "Listed.Test also.test")]) as proxy:
            for name in ("listed.test", "LISTED.test.", "also.test", "alias.test"):
                assert get(proxy, target.url(host=name)).status == 200
                proxy.flow().expect("ok", target_address=f"127.0.0.1:{target.port}")
            assert proxy.dns.count("listed.test") == 0


# --- connecting


@METHODS
def test_refused(proxy, method):
    port = free_port()
    response = ask(proxy, method, place(method, "127.0.0.1", port))
    response.expect(502, "upstream-refused", "connection_refused")
    proxy.flow().expect("upstream-refused", "answer", "target", status=502).says(
        f"127.0.0.1:{port}"
    )


def test_every_address_is_tried_and_told():
    port = free_port()
    zone = {"many.test": ["127.0.0.2", "127.0.0.3", "127.0.0.4"]}
    with proxy_with_dns(zone) as proxy:
        ask(proxy, "CONNECT", f"many.test:{port}").expect(502, "upstream-refused")
        proxy.flow().expect("upstream-refused").says("127.0.0.2", "127.0.0.3", "127.0.0.4")


def test_the_next_address_serves_when_the_first_refuses():
    with HttpTarget(host="127.0.0.3") as target, proxy_with_dns(
        {"two.test": ["127.0.0.2", "127.0.0.3"]}
    ) as proxy:
        assert get(proxy, target.url(host="two.test")).status == 200
        proxy.flow().expect("ok", target_address=f"127.0.0.3:{target.port}")


@METHODS
def test_unreachable(method):
    """A namespace without a route: the kernel says so at once."""
    with Namespace() as ns, Proxy(command=ns.command) as proxy:
        with ns.entered():
            response = ask(proxy, method, place(method, "192.0.2.1", 443))
        response.expect(502, "upstream-unreachable", "destination_ip_unroutable")
        proxy.flow().expect("upstream-unreachable", "answer", "network", status=502).says(
            "192.0.2.1"
        )


def test_a_link_local_address_has_no_way_without_its_zone():
    """Linux calls it an invalid argument; it is no error of the proxy's."""
    access = 'deny private off; allow all { }'
    with Proxy(access=access) as proxy:
        response = ask(proxy, "CONNECT", "[fe80::1]:443")
        response.expect(502, "upstream-unreachable", "destination_ip_unroutable")
        proxy.flow().expect("upstream-unreachable", "answer", "network", status=502)


def test_reasons_are_in_english_whatever_the_locale():
    """A status line and Proxy-Status have ASCII only; a log is searched by the same words everywhere."""
    japanese = {"LC_ALL": "C.UTF-8", "LANGUAGE": "ja"}
    with Namespace() as ns, Proxy(command=ns.command, env=japanese) as proxy:
        with ns.entered():
            response = ask(proxy, "GET", "http://192.0.2.1/")
        response.expect(502, "upstream-unreachable", reason="Network is unreachable")
        assert 'details="Network is unreachable"' in response.get("Proxy-Status")
        proxy.flow().says("192.0.2.1:80: Network is unreachable after")


@METHODS
def test_unreachable_by_icmp(method):
    with Namespace() as ns:
        ns.run("ip route add unreachable 192.0.2.0/24")
        with Proxy(command=ns.command) as proxy:
            with ns.entered():
                response = ask(proxy, method, place(method, "192.0.2.1", 443))
            response.expect(502, "upstream-unreachable", "destination_ip_unroutable")
            proxy.flow().expect("upstream-unreachable", "answer", "network")


@METHODS
def test_connect_timeout(method):
    """SYNs that nobody answers."""
    with Namespace() as ns:
        ns.add_hole("192.0.2.1/24")
        with Proxy(command=ns.command, limits="connect-timeout 600ms;") as proxy:
            with ns.entered():
                began = time.monotonic()
                response = ask(proxy, method, place(method, "192.0.2.99", 443))
            assert 0.5 < time.monotonic() - began < 10
            response.expect(504, "upstream-timeout", "connection_timeout")
            proxy.flow().expect("upstream-timeout", "answer", "target", status=504).says(
                "192.0.2.99"
            )


def test_mixed_failures_refused_before_timeout_before_unreachable():
    port = free_port()
    with Namespace() as ns:
        ns.add_hole("192.0.2.1/24")
        hosts = [
            ("192.0.2.99", "a.test"),
            ("127.0.0.1", "a.test"),
            ("192.0.2.99", "b.test"),
            ("198.51.100.1", "b.test"),
        ]
        with Proxy(
            command=ns.command, limits="connect-timeout 800ms;", hosts=hosts
        ) as proxy, ns.entered():
            ask(proxy, "CONNECT", f"a.test:{port}").expect(
                502, "upstream-refused", "connection_refused"
            )
            ask(proxy, "CONNECT", f"b.test:{port}").expect(
                504, "upstream-timeout", "connection_timeout"
            )
            first, second = proxy.flows(2)
            first.says("192.0.2.99", "127.0.0.1")
            second.says("192.0.2.99", "198.51.100.1")


def test_happy_eyeballs():
    """A name with a dead IPv6 address and a live IPv4 one costs a fraction of a second (RFC 8305)."""
    with Namespace() as ns:
        ns.add_hole("2001:db8::1/64")
        hosts = [("2001:db8::99", "dual.test"), ("127.0.0.1", "dual.test")]
        with ns.entered():
            target = HttpTarget()
        with target, Proxy(command=ns.command, hosts=hosts) as proxy:
            with ns.entered():
                began = time.monotonic()
                assert get(proxy, target.url(host="dual.test")).status == 200
                assert time.monotonic() - began < 5  # of the 10 s that a connection may take
            proxy.flow().expect("ok", target_address=f"127.0.0.1:{target.port}").says(
                "2001:db8::99"
            )


def test_ipv6():
    with HttpTarget(host="::1") as target, Proxy(
        listen=["[::1]:0"], hosts=[("::1", "six.test")]
    ) as proxy:
        with Client(("::1", proxy.port)) as client:
            assert client.get(target.url()).status == 200
            assert client.get(target.url(host="six.test")).status == 200
        assert target.requests[0].get("Host") == f"[::1]:{target.port}"
        for flow in proxy.flows(2):
            flow.expect("ok", target_address=f"[::1]:{target.port}")
            assert flow["client"].startswith("[::1]:")


# --- answering


def after_request(*steps):
    """A target that reads a request head and then does the steps."""

    def script(connection):
        connection.head()
        for step in steps:
            if callable(step):
                step(connection)
            else:
                connection.send(step)

    return script


def reset(connection):
    connection.reset()


BAD_ANSWERS = {
    "closes": ([], "connection_terminated"),
    "resets": ([reset], "connection_terminated"),
    "closes inside the head": (["HTTP/1.1 200 OK\r\nContent-Le"], "connection_terminated"),
    "resets inside the head": (
        ["HTTP/1.1 200 OK\r\nContent-Le", lambda c: time.sleep(0.05), reset],
        "connection_terminated",
    ),
    "speaks SSH": (["SSH-2.0-OpenSSH_9.2\r\n", silent], "http_protocol_error"),
    "has a bad status": (
        ["HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", silent],
        "http_protocol_error",
    ),
    "has length and chunks": (
        ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", silent],
        "http_protocol_error",
    ),
    "has two lengths": (
        ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", silent],
        "http_protocol_error",
    ),
    "folds a field": (
        ["HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", silent],
        "http_protocol_error",
    ),
    "has a bare CR": (
        ["HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n", silent],
        "http_protocol_error",
    ),
    "has an endless head": (
        ["HTTP/1.1 200 OK\r\n", "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 20000, silent],
        None,
    ),
    "switches unasked": (
        ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", silent],
        "http_protocol_error",
    ),
}


@pytest.mark.parametrize("steps,error", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_upstream_failed(proxy, steps, error):
    with Target(after_request(*steps)) as target:
        response = ask(proxy, "POST", target.url(), body=b"x").expect(502, "upstream-failed", error)
    flow = proxy.flow().expect("upstream-failed", "answer", "target", status=502)
    assert flow["evidence"]
    assert response.error.startswith(("connection_", "http_")), response.get("Proxy-Status")


def test_a_bad_chunk_midway_is_shown_as_a_cut(proxy):
    taken = threading.Event()
    with Target(
        after_request(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            lambda c: taken.wait(30),
            "zz\r\nhello\r\n0\r\n\r\n",
        )
    ) as target:
        with Client(proxy) as client:
            response = client.ask("GET", target.url()).head()
            assert response.status == 200
            taken.set()
            data, _ = client.end()
            assert not data.endswith(b"0\r\n\r\n")
    proxy.flow().expect("upstream-failed", "transfer", "target", status=200)


@pytest.mark.parametrize(
    "script", [silent, after_request(silent)], ids=["never reads", "reads and is silent"]
)
def test_response_timeout(script):
    with Target(script) as target, Proxy(limits="response-timeout 300ms;") as proxy:
        get(proxy, target.url()).expect(504, "upstream-timeout", "http_response_timeout")
        proxy.flow().expect("upstream-timeout", "answer", "target", status=504)


def test_interim_answers_do_not_end_the_wait():
    with Target(after_request("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", silent)) as target:
        with Proxy(limits="response-timeout 1s;") as proxy, Client(proxy) as client:
            response = client.ask("GET", target.url()).response()
            assert [r.status for r in response.interim] == [103]
            response.expect(504, "upstream-timeout", "http_response_timeout")
            proxy.flow().expect("upstream-timeout", "answer", "target")


def test_a_target_error_is_the_targets_own(proxy):
    with HttpTarget(lambda request: reply(b"no", request.path[1:] + " Whatever")) as target:
        for status in (400, 404, 500, 502, 503):
            response = get(proxy, target.url(f"/{status}"))
            assert (response.status, response.reason, response.body) == (status, "Whatever", b"no")
            flow = proxy.flow().expect("target-error", None, "target", status=status)
            assert flow["ended_in"] in ("transfer", "close")


def test_a_407_of_a_target_is_no_challenge_of_ours(proxy):
    with HttpTarget(
        lambda request: reply(b"", "407 No", 'Proxy-Authenticate: Basic realm="phish"')
    ) as target:
        response = get(proxy, target.url())
        assert not response.all("Proxy-Authenticate")
    proxy.flow().expect("target-error", status=response.status)


# --- loops


def test_loop_by_own_listener(proxy):
    for method in ("CONNECT", "GET"):
        for host in ("127.0.0.1", "target.test"):
            ask(proxy, method, place(method, host, proxy.port)).expect(
                502, "loop", "proxy_loop_detected"
            )
            proxy.flow().expect("loop", "answer", "proxy", status=502)


def test_loop_by_via(proxy):
    with HttpTarget() as target:
        get(proxy, target.url())
        via = target.requests[0].get("Via")
        assert via.startswith("1.1 viaduct-"), via
        proxy.flow().expect("ok")
        get(proxy, target.url(), f"Via: 1.0 fred, {via}").expect(502, "loop", "proxy_loop_detected")
        proxy.flow().expect("loop", "answer", "proxy", status=502)
        assert get(proxy, target.url(), "Via: 1.1 viaduct-0").status == 200
        proxy.flow().expect("ok")
        assert len(target.requests) == 2


def test_each_instance_has_its_own_pseudonym():
    names = set()
    with HttpTarget() as target:
        for _ in range(2):
            with Proxy() as proxy:
                get(proxy, target.url())
        names = {request.get("Via") for request in target.requests}
    assert len(names) == 2


def test_two_proxies_in_a_ring_end_it():
    """B forwards to A what A sends to B; neither is the other's listener, so only Via can tell."""
    hosts = [("127.0.0.1", "target.test")]
    with Proxy(hosts=hosts) as a:
        with Target(lambda connection: relay_to(a, connection)) as ring:
            assert get(a, ring.url(host="target.test")).reason.startswith("Bad Gateway (loop")
            verdicts = {flow["verdict"] for flow in a.flows(2)}
            assert verdicts == {"loop", "target-error"}


def relay_to(proxy, connection):
    """Hands a request to a proxy in absolute-form and its answer back."""
    head = (
        connection.head()
        .decode()
        .replace("GET /", f"GET http://target.test:{connection.target.port}/", 1)
    )
    with Client(proxy) as client:
        client.send(head)
        response = client.response()
        connection.send(
            f"HTTP/1.1 {response.status} {response.reason}\r\nContent-Length: 0\r\n\r\n"
        )


# --- clients that leave while all this goes on


def test_client_gone_while_a_name_is_looked_up():
    with proxy_with_dns({"slow.test": "SILENT"}, limits="resolve-timeout 30s;") as proxy:
        client = Client(proxy).ask("CONNECT", "slow.test:443")
        wait_until(lambda: proxy.dns.count("slow.test"))
        client.reset()
        proxy.flow().expect("client-gone", "answer", "client", status=None)


def test_client_gone_while_the_target_is_dialled():
    with Namespace() as ns:
        ns.add_hole("192.0.2.1/24")
        with Proxy(command=ns.command) as proxy, ns.entered():
            client = Client(proxy).ask("CONNECT", "192.0.2.99:443")
            wait_until(proxy.count_open, "the request to be read")
            time.sleep(0.1)
            client.close()
            proxy.flow().expect("client-gone", "answer", "client", status=None)


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_client_gone_while_the_target_thinks(proxy, leave):
    asked = threading.Event()

    def script(connection):
        connection.head()
        asked.set()
        connection.hold()

    with Target(script) as target:
        client = Client(proxy).ask("GET", target.url())
        assert asked.wait(30)
        getattr(client, leave)()
        proxy.flow().expect("client-gone", "answer", "client", status=None)


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_client_gone_inside_its_request(proxy, leave):
    client = Client(proxy).send("GET http://target.test/ HT")
    wait_until(proxy.count_open, "the request to be read")
    getattr(client, leave)()
    proxy.flow().expect("client-gone", "request", "client", status=None)

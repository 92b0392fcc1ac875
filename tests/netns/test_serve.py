"""What the proxy's own log says of each failure on either side of it, as far as it can know."""

import pytest

from target import HttpTarget, Target, echo, reply

METHODS = pytest.mark.parametrize("method", ["GET", "CONNECT"])
FAMILIES = pytest.mark.parametrize("family", [4, 6])
BIG = bytes(1 << 20)
QUICK = "connect-timeout 1s; idle-timeout 1s;"
HOLE = "idle-timeout 3500ms;"  # a hole must stay unfilled for 3 s


def fails(lab, proxy, target, method):
    """Asks for the target, and gives up when there is an answer, or none for 20 s."""
    with lab.client.connect(proxy, timeout=20) as client:
        url = target.authority if method == "CONNECT" else target.url()
        return client.ask(method, url).response(method)


@METHODS
def test_syn_dropped(lab, method):
    lab.r2.drop_syn()
    with lab.target.serve(echo) as target, lab.proxy.viaduct(limits=QUICK) as proxy:
        fails(lab, proxy, target, method).expect(504, "upstream-timeout", "connection_timeout")
        proxy.flow().expect("upstream-timeout", "answer", "target", status=504)


@FAMILIES
@pytest.mark.parametrize("why", ["host-unreachable", "admin-prohibited"])
def test_syn_rejected_by_icmp(lab, family, why):
    lab.r2.reject_syn(why=why)
    with lab.target.serve(echo, family=family) as target, lab.proxy.viaduct() as proxy:
        response = fails(lab, proxy, target, "CONNECT")
        response.expect(502, "upstream-unreachable", "destination_ip_unroutable")
        proxy.flow().expect("upstream-unreachable", "answer", "network")


def test_no_route(lab):
    lab.proxy.run("ip route del 198.18.4.0/24", check_status=True)
    with lab.target.serve(echo) as target, lab.proxy.viaduct() as proxy:
        fails(lab, proxy, target, "GET").expect(502, "upstream-unreachable")
        proxy.flow().expect("upstream-unreachable", "answer", "network")


@FAMILIES
def test_reset_injected_between_proxy_and_target(lab, family):
    lab.r2.inject_reset(towards="target", larger_than=300)
    with lab.target.serve(echo, family=family) as target, lab.proxy.viaduct() as proxy:
        with lab.client.connect(proxy) as client:
            client.connect(target.authority).send("small").read(5)
            client.send(bytes(600))
            assert client.end()[1] == "rst"
        proxy.flow().expect("reset-by-target", "transfer", "target")


def test_reset_injected_between_client_and_proxy(lab):
    """In the client's name: the proxy cannot tell it from the client's own."""
    with lab.target.serve(echo) as target, lab.proxy.viaduct() as proxy:
        with lab.client.connect(proxy) as client:
            client.connect(target.authority).send("small").read(5)
            lab.r1.inject_reset(towards="client", larger_than=300)
            client.send(bytes(600))
            proxy.flow(15).expect("reset-by-client", "transfer", "client")


@FAMILIES
def test_loss_is_a_warning(lab, family):
    lab.r2.lose(5)
    with lab.target.serve(lambda r: reply(str(len(r.body))), kind=HttpTarget, family=family) as target:
        with lab.proxy.viaduct() as proxy, lab.client.connect(proxy) as client:
            client.ask("POST", target.url(), body=BIG)
            assert client.response().body == str(len(BIG)).encode()
            flow = proxy.flow(20).expect("ok")
            # (what is lost at the end of the request is sent again late)
            assert set(flow["warnings"]) in ({"retransmissions"}, {"retransmissions", "slow-target"})
            assert flow["tcp"]["upstream"]["retransmissions"] > 0
            flow.says("segments to the target")


@FAMILIES
@pytest.mark.parametrize("router", ["r1", "r2"])
def test_a_smaller_mtu_with_icmp_is_no_failure(lab, family, router):
    getattr(lab, router).narrow(1290)
    with lab.target.serve(lambda r: reply(r.body), kind=HttpTarget, family=family) as target:
        with lab.proxy.viaduct(family=family) as proxy, lab.client.connect(proxy) as client:
            client.ask("POST", target.url(), body=BIG)
            assert client.response().body == BIG
            flow = proxy.flow(20).expect("ok")
            leg = flow["tcp"]["client" if router == "r1" else "upstream"]
            assert leg["pmtu"] == 1290
            assert "mtu-healed" not in flow["warnings"]


def test_delay_shows_in_the_round_trip(lab):
    lab.r2.delay(20)
    with lab.target.serve(lambda r: reply(b"late"), kind=HttpTarget) as target:
        with lab.proxy.viaduct() as proxy, lab.client.connect(proxy) as client:
            assert client.get(target.url()).body == b"late"
            legs = proxy.flow().expect("ok")["tcp"]
            assert legs["upstream"]["rtt_us"] >= 40_000 > legs["client"]["rtt_us"]


def test_reordering_is_no_failure(lab):
    """Segments overtake each other and fill their holes: nothing is said of a black hole."""
    lab.r2.delay(2, reorder=30)
    with lab.target.serve(lambda r: reply(BIG), kind=HttpTarget) as target:
        with lab.proxy.viaduct() as proxy, lab.client.connect(proxy) as client:
            assert client.get(target.url()).body == BIG
            proxy.flow(20).expect("ok")


def test_a_router_dies_in_a_download(lab):
    def script(connection):
        connection.head()
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BIG)}\r\n\r\n", BIG[:100_000])
        connection.wait()

    with lab.target.serve(script) as target, lab.proxy.viaduct(limits=QUICK) as proxy:
        with lab.client.connect(proxy) as client:
            client.ask("GET", target.url()).read(100_000)
            lab.r2.die()
            proxy.flow(20).expect("stalled", "transfer", "target").says("of 1048576 bytes")


def test_a_router_dies_in_an_upload(lab):
    """Full-size segments were acknowledged before: no black hole, whatever is sent again in vain."""

    def script(connection):
        while connection.more():
            connection.send("+")

    with lab.target.serve(script) as target:
        with lab.proxy.viaduct(limits="idle-timeout 4s;") as proxy, lab.client.connect(proxy) as client:
            client.connect(target.authority).send(bytes(100_000)).read(1)
            lab.r2.die()
            client.send(bytes(100_000))
            proxy.flow(30).expect("stalled", "transfer", "target")


# ---- black holes: towards the target, from it, towards the client, from it


def test_blackhole_towards_the_target(lab):
    lab.r2.drop_large(1300, towards="target")
    with lab.target.serve(echo) as target, lab.proxy.viaduct(limits=HOLE) as proxy:
        with lab.client.connect(proxy) as client:
            client.connect(target.authority).send("small").read(5)
            client.send(BIG[:100_000])
            flow = proxy.flow(30)
    flow.expect("mtu-blackhole", "transfer", "network", "inferred").says("for the target", "1448")


@FAMILIES
def test_blackhole_from_the_target(lab, family, blackholed):
    """A hello of two segments, of which only the rest of the second is small."""
    lab.r2.drop_large(1300, towards="proxy")
    with lab.target.serve(blackholed, family=family) as target:
        with lab.proxy.viaduct(limits=HOLE) as proxy, lab.client.connect(proxy) as client:
            client.connect(target.authority).send("hello")
            flow = proxy.flow(30)
    flow.expect("mtu-blackhole", None, "network", "inferred").says("from the target", "0 bytes")


def test_blackhole_towards_the_client(lab, blackholed):
    lab.r1.drop_large(1300, towards="client")
    with lab.target.serve(blackholed) as target:
        with lab.proxy.viaduct(limits=HOLE) as proxy, lab.client.connect(proxy) as client:
            client.connect(target.authority).send("hello")
            flow = proxy.flow(30)
            flow.expect("mtu-blackhole", "transfer", "network", "inferred").says("for the client")
            assert "mtu-healing" not in proxy.stderr()  # the target's address is not to blame


def test_blackhole_from_the_client(lab):
    lab.r1.drop_large(1300, towards="proxy")
    with lab.target.serve(echo) as target, lab.proxy.viaduct(limits=HOLE) as proxy:
        with lab.client.connect(proxy) as client:
            client.connect(target.authority).send(BIG[:2000])
            flow = proxy.flow(30)
    flow.expect("mtu-blackhole", None, "network", "inferred").says("from the client")


def test_a_client_that_gives_up_over_a_blackhole(lab, blackholed):
    """Its FIN ends the flow once the hole shows, not an hour later."""
    lab.r2.drop_large(1300)
    with lab.target.serve(blackholed) as target, lab.proxy.viaduct() as proxy:
        with lab.client.connect(proxy) as client:
            client.connect(target.authority).send("hello")
        proxy.flow(15).expect("mtu-blackhole", None, "network", "inferred")


def test_a_response_in_a_blackhole(lab):
    """A client that still waits is told what it waited for; the log has the reason."""
    lab.r2.drop_large(1300)
    with lab.target.serve(lambda request: reply(bytes(2000)), kind=HttpTarget) as target:
        with lab.proxy.viaduct(limits="response-timeout 4s;") as proxy, lab.client.connect(proxy) as client:
            client.get(target.url()).expect(504, "upstream-timeout", "http_response_timeout")
            proxy.flow().expect("upstream-timeout", "answer", "target").says("came behind a hole")
            assert "mtu-healing" in proxy.stderr()


def test_a_client_that_gives_up_on_a_response(lab):
    lab.r2.drop_large(1300)
    with lab.target.serve(lambda request: reply(bytes(2000)), kind=HttpTarget) as target:
        with lab.proxy.viaduct() as proxy:
            assert lab.client.curl("-m", 4, "-x", proxy.url, target.url()).returncode == 28
            proxy.flow().expect("mtu-blackhole", "answer", "network", "inferred")


def test_a_quiet_target_is_no_blackhole(lab):
    """Nothing came because nothing was sent."""
    with lab.target.serve(lambda connection: connection.hold(), kind=Target) as target:
        with lab.proxy.viaduct(limits=HOLE) as proxy, lab.client.connect(proxy) as client:
            client.connect(target.authority).send("hello")
            proxy.flow(15).expect("stalled", "transfer", "target", "inferred")


@pytest.fixture
def blackholed():
    """The script of a target whose answer is one full-size segment and a small one."""

    def script(connection):
        connection.until(b"hello")
        connection.send(bytes(2000))
        connection.hold()

    return script

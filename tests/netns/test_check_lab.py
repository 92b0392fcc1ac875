"""`viaduct check` in the lab: each failure of the network gives its verdict, and --mtu finds the sizes that pass.

The ways of one lab are checked side by side: a hang that must be told from slowness takes its seconds."""

import concurrent.futures
import json
import re

import pytest

from check import BINARY, ENVIRONMENT
from target import HttpTarget, reply
from viaduct import Flow

FAMILIES = pytest.mark.parametrize("family", [4, 6])
BODY = b"x" * 300_000


def answer(request):
    """A long body, or as much of it as Range asks for."""
    wanted = re.match(r"bytes=0-(\d+)$", request.get("Range", ""))
    if wanted:
        return reply(BODY[: int(wanted[1]) + 1], "206 Partial Content")
    return reply(BODY)


def run(lab, certs, *arguments):
    """The one flow of a check from the client's host."""
    command = [BINARY, "check", "--json", "--cacert", certs.ca, *arguments]
    done = lab.client.run(list(map(str, command)), env=ENVIRONMENT)
    assert done.returncode in (0, 1) and "Sanitizer" not in done.stderr, done.stderr
    (line,) = done.stdout.splitlines()
    return Flow(json.loads(line))


class Ways:
    """Checks side by side: (way, scheme) -> flow; way "proxy" or "direct"."""

    def __init__(self, lab, certs, family=4, **settings):
        self.lab, self.certs = lab, certs
        at = {"kind": HttpTarget, "family": family}
        self.plain = lab.target.serve(answer, **at)
        self.tls = lab.target.serve(answer, tls=certs.target(), **at)
        self.proxy = lab.proxy.viaduct(family=family, **settings)

    def check(self, *arguments, ways=("proxy", "direct"), schemes=("http", "https")):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = {
                (way, scheme): pool.submit(self.one, way, scheme, *arguments)
                for way in ways
                for scheme in schemes
            }
            return {key: future.result() for key, future in runs.items()}

    def one(self, way, scheme, *arguments):
        target = self.plain if scheme == "http" else self.tls
        through = self.proxy.url if way == "proxy" else "direct"
        return run(self.lab, self.certs, "-k", "-m", "12", "-x", through, *arguments, target.url())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (self.plain, self.tls, self.proxy):
            one.__exit__(None, None, None)


def expect_blackhole(flow, phase, words):
    """`phase` may be several: whether the head came in a packet of its own is the sender's luck."""
    flow.expect("mtu-blackhole", None, "network", certainty="inferred").says("second probe", words)
    assert flow["ended_in"] in phase.split(), (flow["ended_in"], flow["evidence"])


@FAMILIES
def test_large_packets_vanish_on_the_way_up(lab, certs, family):
    """Only the ClientHello is as large as that.  Nothing beyond the proxy answers for the first proof."""
    lab.r1.drop_large(1300, towards="proxy")
    with Ways(lab, certs, family) as ways:
        flows = ways.check()
        for way in ("proxy", "direct"):
            flows[way, "http"].expect("ok")
            name = "proxy" if way == "proxy" else "target"
            expect_blackhole(flows[way, "https"], "tls", f"from here to the {name} loses them")
        lab.r1.heal()
        lab.r2.drop_large(1300, towards="target")
        flows = ways.check(ways=["proxy"])
        flows["proxy", "http"].expect("ok")
        expect_blackhole(flows["proxy", "https"], "tls", "beyond the proxy")


@FAMILIES
def test_large_packets_vanish_on_the_way_down(lab, certs, family):
    """A sender of full segments only leaves no trace here at all."""
    lab.r1.drop_large(1300, towards="client")
    with Ways(lab, certs, family) as ways:
        flows = ways.check()
        phases = {"http": ("answer transfer", "exchange"), "https": ("exchange", "exchange")}
        for scheme, (proxied, direct) in phases.items():
            expect_blackhole(flows["proxy", scheme], proxied, "from the proxy to here loses them")
            expect_blackhole(flows["direct", scheme], direct, "from the target to here loses them")


def test_large_packets_vanish_on_the_way_down_to_the_proxy(lab, certs):
    """A slow target looks no other from here."""
    lab.r2.drop_large(1300, towards="proxy")
    with Ways(lab, certs) as ways:
        flows = ways.check("-m", "10", ways=["proxy"])
        flows["proxy", "http"].expect("proxy-silent", "answer", "proxy")
        flows["proxy", "https"].expect("stalled", "exchange", "proxy")
        for flow in flows.values():
            flow.says("stands still as well", "viaduct check --mtu -x direct")


def test_large_packets_vanish_both_ways(lab, certs):
    lab.r1.drop_large(1300)
    with Ways(lab, certs) as ways:
        flows = ways.check()
        for (way, scheme), flow in flows.items():
            phase = "tls" if scheme == "https" else "answer transfer" if way == "proxy" else "exchange"
            expect_blackhole(flow, phase, "loses them")


def test_what_is_no_black_hole(lab, certs):
    """Loss, ICMP that arrives, packets that are late and overtake others."""
    with Ways(lab, certs) as ways:
        for hurt in (lambda: lab.r1.lose(4), lambda: lab.r2.lose(1), lambda: lab.r1.narrow(1290)):
            hurt()
            for flow in ways.check().values():
                flow.expect("ok")
            lab.r1.heal()
            lab.r2.heal()
        lab.r2.delay(10, reorder=10)
        for flow in ways.check().values():
            flow.expect("ok")


@FAMILIES
def test_no_connection(lab, certs, family):
    with Ways(lab, certs, family) as ways:
        lab.r1.reject_syn(towards="proxy")
        flows = ways.check("-m", "4")
        for scheme in ("http", "https"):
            flows["proxy", scheme].expect("proxy-unreachable", "connect", "network")
            flows["direct", scheme].expect("upstream-unreachable", "connect", "network")
        lab.r1.heal()
        lab.r1.drop_syn(towards="proxy")
        flows = ways.check("-m", "2")
        for scheme in ("http", "https"):
            flows["proxy", scheme].expect("proxy-unreachable", "connect", "network")
            flows["direct", scheme].expect("upstream-timeout", "connect", "network")


def test_a_reset_from_a_box_between(lab, certs):
    """It bears the name of the next hop, and that is whom it is put down to."""
    with Ways(lab, certs, limits="idle-timeout 1s;") as ways:
        lab.r1.inject_reset(towards="proxy", larger_than=1000)
        flows = ways.check()
        flows["proxy", "https"].expect("reset-by-proxy", "tls", "proxy", certainty="inferred")
        flows["direct", "https"].expect("reset-by-target", "tls", "target")


def test_a_router_dies_in_the_middle(lab, certs):
    def half(connection):
        connection.head()
        connection.send(reply(BODY)[:150_000])
        lab.r1.die()
        connection.hold()

    with lab.target.serve(half) as target, lab.proxy.viaduct() as proxy:
        flow = run(lab, certs, "-m", "9", "-x", proxy.url, f"http://{target.host}:{target.port}/")
        flow.expect("stalled", "transfer").says("of 300000 bytes of the body came")


# ---- sizes

LINE = re.compile(
    r"mtu (?P<way>[\w ]+ to [\w ]+): (?:(?P<least>at least )?path MTU (?P<mtu>\d+), MSS (?P<mss>\d+), "
    r"payload (?P<payload>\d+), )?(?P<known>seen|inferred|unknown), (?P<probes>\d+) probes?(?:; (?P<why>.*))?$"
)
UP, DOWN = "this machine to proxy", "proxy to this machine"
FAR_UP, FAR_DOWN = "proxy to target", "target to proxy"


def sizes(flow):
    """way -> (path MTU or None, "seen" …, whether that is the least only)."""
    found = {}
    for line in flow["evidence"]:
        if line.startswith("mtu "):
            m = LINE.match(line)
            assert m, line
            found[m["way"]] = (int(m["mtu"]) if m["mtu"] else None, m["known"], bool(m["least"]))
    return found


@FAMILIES
def test_all_sizes_pass(lab, certs, family):
    with Ways(lab, certs, family) as ways:
        flows = ways.check("--mtu")
        full = (1500, "seen", False)
        for scheme in ("http", "https"):
            found = sizes(flows["proxy", scheme].expect("ok"))
            assert found[UP] == found[DOWN] == full
            assert found[FAR_UP] == (1500, "inferred", False)
            assert found[FAR_DOWN] == (1500 if scheme == "http" else None, "inferred", False)
            found = sizes(flows["direct", scheme].expect("ok"))
            assert found == {"this machine to target": full, "target to this machine": full}


def test_the_size_that_passes_to_the_next_hop(lab, certs, limit=1300):
    """In both directions: exact; and no more than ten connections on that leg."""
    with Ways(lab, certs) as ways:
        lab.r1.drop_large(limit)
        with lab.client.capture(expression=f"tcp[13] == 2 and dst port {ways.tls.port}") as packets:
            flow = ways.one("direct", "https", "--mtu")
        found = sizes(flow.expect("mtu-blackhole", certainty="inferred"))
        assert found["this machine to target"] == (limit, "seen", False)
        mtu, known, least = found["target to this machine"]
        assert known == "seen" and (mtu == limit or (least and mtu < limit))
        assert len(packets.lines()) <= 2 + 10  # the check itself, with its second probe


def test_the_sizes_of_each_leg(lab, certs):
    """Packets over 1300 bytes vanish on the way down here, over 1400 on the way up beyond the proxy."""
    with Ways(lab, certs, family=6) as ways:
        lab.r1.drop_large(1300, towards="client")
        lab.r2.drop_large(1400, towards="target")
        flows = ways.check("--mtu", ways=["proxy"])
        for scheme, flow in flows.items():
            found = sizes(flow)
            assert found[UP] == (1500, "seen", False)
            mtu, known, least = found[DOWN]
            assert known == "seen" and (mtu == 1300 or (least and 1290 <= mtu < 1300))
        mtu, known, least = sizes(flows["proxy", "https"])[FAR_UP]
        assert known == "inferred" and 1280 <= mtu <= 1400


def test_what_cannot_be_told_is_unknown(lab, certs):
    """Nothing long comes from beyond the proxy: then nothing tells what passes from it to here."""
    with Ways(lab, certs) as ways:
        lab.r2.drop_large(1300, towards="proxy")
        flows = ways.check("--mtu", "-m", "9", ways=["proxy"])
        for scheme in ("http", "https"):
            found = sizes(flows["proxy", scheme])
            assert found[UP] == (1500, "seen", False)
            assert found[DOWN][1] == "unknown" or found[DOWN][2]
            assert found[FAR_UP][1] == "inferred"
        assert sizes(flows["proxy", "https"])[FAR_DOWN] == (None, "inferred", False)
        flows["proxy", "https"].says("as where large segments vanish")


def test_a_size_that_icmp_tells(lab, certs):
    with Ways(lab, certs) as ways:
        lab.r1.narrow(1300)
        found = sizes(ways.one("direct", "https", "--mtu").expect("ok"))
        assert found["this machine to target"] == (1300, "seen", False)


def test_loss_does_not_look_like_a_limit(lab, certs):
    with Ways(lab, certs) as ways:
        lab.r1.delay(40)
        lab.r2.lose(1)
        flow = ways.one("proxy", "https", "--mtu").expect("ok")
        for way in (UP, DOWN):  # what is lost just then leaves "at least", never a limit
            size, how, at_least = sizes(flow)[way]
            assert how == "seen" and (size == 1500 or at_least), (way, sizes(flow)[way])

"""`viaduct explain` of what tcpdump saw in the lab: of each failure of the network it says what `viaduct check` said, and
what the proxy's log has, or something coarser where it cannot see more (tests/lib/explain.py has the table).

The captures are taken on the client's host and on the proxy's, on one interface and on all of them at once.  Several
labs are at work side by side, as most of their time is waiting: a test asks for the outcome of its own."""

import concurrent.futures
import contextlib
import json
import os

import pytest

from check import BINARY, ENVIRONMENT
from explain import agree, explain
from lab import Lab, Unavailable
from target import Target, reply
from viaduct import Flow, wait_until

LABS = 4
BODY = b"x" * 300_000
POINTS = [("client", "any"), ("client", "r1"), ("proxy", "any"), ("proxy", "r1")]


class Fickle(Target):
    """An HTTP target that does what the path says.  `on_half` is called in the middle of a body."""

    on_half = staticmethod(lambda: None)

    def __init__(self, **more):
        super().__init__(self.serve, **more)

    def serve(self, connection):
        while True:
            path, whole = connection.request().path, reply(BODY)
            if path == "/404":
                whole = reply(b"no such page", "404 Not Found")
            if path == "/silent":
                return connection.hold()
            if path in ("/cut", "/reset", "/stall"):
                connection.send(whole[: len(whole) // 2])
                self.on_half()
                return {"/cut": connection.shutdown, "/reset": connection.reset, "/stall": connection.hold}[path]()
            connection.send(whole)


class Watch:
    """Checks side by side through one proxy and past it, watched by tcpdump."""

    def __init__(self, lab, certs, family=4, trusting=True):
        self.lab, self.certs, self.trusting = lab, certs, trusting
        self.stack = contextlib.ExitStack()
        enter, at = self.stack.enter_context, {"host": lab.target.address(family)}
        with lab.target.entered():
            self.plain = enter(Fickle(**at))
            self.tls = enter(Fickle(tls=certs.target(), **at))
        # longer than any check waits
        self.proxy = enter(lab.proxy.viaduct(family=family, limits="idle-timeout 14s;"))
        self.captures = {
            (host, interface): getattr(lab, host).capture(interface, "tcp or icmp or icmp6")
            for host, interface in POINTS
        }
        self.checked = []

    def check(self, *arguments, ways=("proxy", "direct"), schemes=("http", "https"), path="/"):
        """Runs a check for each way and scheme; all are remembered."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = [
                pool.submit(self.one, way, scheme, path, *arguments) for way in ways for scheme in schemes
            ]
            self.checked += [future.result() for future in runs]

    def one(self, way, scheme, path, *arguments):
        target = self.plain if scheme == "http" else self.tls
        command = [BINARY, "check", "--json", "--cacert", self.certs.ca, "-m", 9]
        command += [*(["-k"] if self.trusting else []), "-x", self.proxy.url if way == "proxy" else "direct"]
        command += [*arguments, target.url(path)]
        done = self.lab.client.run(list(map(str, command)), env=ENVIRONMENT)
        assert done.returncode in (0, 1) and "Sanitizer" not in done.stderr, done.stderr
        (line,) = done.stdout.splitlines()
        return Flow(json.loads(line))

    def is_idle(self):
        lines = self.lab.proxy.run(["ss", "-Htanp"]).stdout.splitlines()
        return not any("viaduct" in line and "LISTEN" not in line for line in lines)

    def explain(self):
        """What explain says at each point, once the proxy has ended its flows."""
        wait_until(self.is_idle, "the proxy to end its flows", 30)
        for capture in self.captures.values():
            capture.stop()
        host, port = self.proxy.address
        proxy = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return {point: explain("-x", proxy, capture.path) for point, capture in self.captures.items()}

    def logged(self):
        return [Flow(json.loads(line)) for line in self.proxy.log_lines()]

    def __enter__(self):
        return self

    def __exit__(self, *how):
        return self.stack.__exit__(*how)


# ---- what happens: name -> (function of a lab and its watch, verdicts that check may have, settings, verdicts that
# explain may have on the proxy's host, too)


def lost_on_the_way_up(lab, watch):
    lab.r1.drop_large(1300, towards="proxy")
    watch.check()


def lost_on_the_way_up_beyond(lab, watch):
    lab.r2.drop_large(1300, towards="target")
    watch.check(ways=["proxy"])


def lost_on_the_way_down(lab, watch):
    lab.r1.drop_large(1300, towards="client")
    watch.check()


def lost_on_the_way_down_beyond(lab, watch):
    lab.r2.drop_large(1300, towards="proxy")
    watch.check(ways=["proxy"])


def lost_both_ways(lab, watch):
    lab.r1.drop_large(1300)
    watch.check()


def unreachable(lab, watch):
    lab.r1.reject_syn(towards="proxy")
    watch.check("-m", 3)
    lab.r1.heal()
    lab.r1.drop_syn(towards="proxy")
    watch.check("-m", 3)


def unreachable_beyond(lab, watch):
    """The proxy says what it met: 10 s are its own patience."""
    lab.r2.reject_syn(towards="target")
    watch.check("-m", 3)
    lab.r2.heal()
    lab.r2.drop_syn(towards="target")
    watch.check("-m", 25, ways=["proxy"])


def refused(_, watch):
    watch.plain.close()
    watch.tls.close()
    watch.check("-m", 3)


def reset(lab, watch):
    lab.r1.inject_reset(towards="proxy", larger_than=1000)
    watch.check()


def reset_beyond(lab, watch):
    lab.r2.inject_reset(towards="target", larger_than=1000)
    watch.check()


def dies(router, scheme):
    def happen(lab, watch):
        watch.plain.on_half = watch.tls.on_half = getattr(lab, router).die
        watch.check(ways=["proxy"], schemes=[scheme], path="/stall")

    return happen


def path(name):
    return lambda _, watch: watch.check(path=name)


def no_failure(lab, watch):
    for hurt in (lambda: lab.r1.lose(4), lambda: lab.r2.lose(1), lambda: lab.r1.narrow(1290)):
        hurt()
        watch.check()
        lab.r1.heal()
        lab.r2.heal()
    lab.r2.delay(10, reorder=10)
    watch.check()


SCENARIOS = {
    "large packets are lost on the way up": (lost_on_the_way_up, "ok mtu-blackhole"),
    "and on IPv6": (lost_on_the_way_up, "ok mtu-blackhole", {"family": 6}),
    "large packets are lost on the way up beyond the proxy": (lost_on_the_way_up_beyond, "ok mtu-blackhole"),
    "large packets are lost on the way down": (lost_on_the_way_down, "mtu-blackhole"),
    "large packets are lost on the way down to the proxy": (lost_on_the_way_down_beyond, "proxy-silent stalled"),
    "large packets are lost both ways": (lost_both_ways, "mtu-blackhole", {"family": 6}),
    "no SYN comes through": (unreachable, "proxy-unreachable upstream-unreachable upstream-timeout"),
    "no SYN comes through beyond the proxy": (unreachable_beyond, "upstream-unreachable upstream-timeout"),
    "the target refuses": (refused, "upstream-refused"),
    "a box on the way resets": (reset, "ok reset-by-proxy reset-by-target"),
    "a box beyond the proxy resets": (reset_beyond, "ok reset-by-proxy reset-by-target"),
    "a router dies": (dies("r1", "http"), "stalled"),
    # (the proxy's FIN never gets onto a wire: nobody answers ARP)
    "a router dies, under TLS": (dies("r1", "https"), "stalled", {}, {"open"}),
    "a router beyond the proxy dies": (dies("r2", "http"), "stalled"),
    "a router beyond the proxy dies, under TLS": (dies("r2", "https"), "stalled"),
    "the target says nothing": (path("/silent"), "proxy-silent stalled"),
    "the target stops in the middle": (path("/stall"), "stalled"),
    "the target closes in the middle": (path("/cut"), "size-limit"),
    "the target resets in the middle": (path("/reset"), "size-limit reset-by-proxy reset-by-target"),
    "the target answers 404": (path("/404"), "target-error"),
    "the certificate is wrong": (path("/"), "ok tls-untrusted", {"trusting": False}),
    "loss, ICMP, delay, packets out of order": (no_failure, "ok"),
}


def play(certs, happen, _, settings=None, *_more):
    """(what check said, what the proxy's log has, what explain says at each point)."""
    with Lab() as lab, Watch(lab, certs, **(settings or {})) as watch:
        happen(lab, watch)
        explained = watch.explain()
        return watch.checked, watch.logged(), explained


@pytest.fixture(scope="module")
def outcomes(certs):
    """name -> the future of its outcome."""
    try:
        with Lab():
            pass
    except Unavailable as why:
        if os.environ.get("CI"):
            pytest.fail(f"no network namespaces here: {why}")
        pytest.skip(f"no network namespaces here: {why}")
    with concurrent.futures.ThreadPoolExecutor(LABS) as pool:
        yield {name: pool.submit(play, certs, *scenario) for name, scenario in SCENARIOS.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sources_agree(outcomes, name):
    checked, logged, explained = outcomes[name].result()
    words, also = SCENARIOS[name][1], SCENARIOS[name][3:] or [()]
    may, have = set(words.split()), {flow["verdict"] for flow in checked}
    assert have <= may and (have - {"ok"} or may == {"ok"}), (have, may)
    for (host, interface), flows in explained.items():
        try:
            agree(flows, checked) if host == "client" else agree(flows, logged, also[0])
        except AssertionError as wrong:
            raise AssertionError(f"captured on the {host}, {interface}:\n{wrong}") from None

"""`viaduct explain` of what tcpdump saw in the lab: the same verdict as from `viaduct check`, and as in the proxy's
log, for each failure of the network; or a coarser one, inferred, where explain cannot see more.

The captures are taken at once on the client's host and on the proxy's, on one interface and on all of them."""

import concurrent.futures
import contextlib
import json

import pytest

from check import BINARY, ENVIRONMENT
from explain import agree, explain
from lab import Lab, Unavailable
from target import Target, reply
from viaduct import Flow, wait_until

BODY = b"x" * 300_000

# What a capture cannot tell (viaduct-verdicts(7), "From what"): verdict of the other source -> what explain says, inferred.
# From the client's side of the proxy nobody sees why its own leg stands still.
BEYOND = {}
POINTS = [("client", "any"), ("client", "r1"), ("proxy", "any"), ("proxy", "r1")]


def run(lab, certs, *arguments):
    """The one flow of a check from the client's host."""
    command = [BINARY, "check", "--json", "--cacert", certs.ca, *arguments]
    done = lab.client.run(list(map(str, command)), env=ENVIRONMENT)
    assert done.returncode in (0, 1) and "Sanitizer" not in done.stderr, done.stderr
    (line,) = done.stdout.splitlines()
    return Flow(json.loads(line))


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
            if path == "/slow":
                self.done.wait(6)
            if path in ("/cut", "/reset", "/stall"):
                connection.send(whole[: len(whole) // 2])
                self.on_half()
                return {"/cut": connection.shutdown, "/reset": connection.reset, "/stall": connection.hold}[path]()
            connection.send(whole)


class Watch:
    """Checks side by side through one proxy and past it, watched by tcpdump."""

    def __init__(self, lab, certs, limits="idle-timeout 14s;", trusting=True, **settings):
        self.lab, self.certs, self.trusting = lab, certs, trusting
        self.stack = contextlib.ExitStack()
        at = {"host": lab.target.address()}
        with lab.target.entered():
            self.plain = self.stack.enter_context(Fickle(**at))
            self.tls = self.stack.enter_context(Fickle(tls=certs.target(), **at))
        self.proxy = self.stack.enter_context(lab.proxy.viaduct(limits=limits, **settings))
        self.captures = {
            (host, interface): getattr(lab, host).capture(interface, "tcp or icmp or icmp6")
            for host, interface in POINTS
        }
        self.flows, self.stopped = [], False

    def check(self, *arguments, ways=("proxy", "direct"), schemes=("http", "https"), path="/"):
        """Runs a check for each way and scheme; all are remembered."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = [
                pool.submit(self.one, way, scheme, path, *arguments) for way in ways for scheme in schemes
            ]
            self.flows += [future.result() for future in runs]

    def one(self, way, scheme, path, *arguments):
        target = self.plain if scheme == "http" else self.tls
        through = ["-x", self.proxy.url if way == "proxy" else "direct"]
        trust = ["-k"] if self.trusting else []
        return run(self.lab, self.certs, "-m", "12", *trust, *through, *arguments, target.url(path))

    def is_idle(self):
        lines = self.lab.proxy.run(["ss", "-Htanp"]).stdout.splitlines()
        return not any("viaduct" in line and "LISTEN" not in line for line in lines)

    def stop(self):
        """Waits until the proxy has ended its flows, then ends the captures."""
        if not self.stopped:
            wait_until(self.is_idle, "the proxy to end its flows", 30)
            for capture in self.captures.values():
                capture.stop()
            self.stopped = True

    def logged(self):
        return [Flow(json.loads(line)) for line in self.proxy.log_lines()]

    def explain(self, point, *arguments):
        self.stop()
        proxy = "{}:{}".format(*self.proxy.address)
        return explain("-x", proxy, *arguments, self.captures[point].path)

    def agree(self, checked=None, logged=None):
        """`checked`, `logged`: what may be coarser than in check, and than in the proxy's log."""
        wrong = []
        for point in POINTS:
            flows = self.explain(point)
            mine = self.flows if point[0] == "client" else [f for f in self.flows if f["proxy"]]
            for others, coarser in ((mine, checked), (self.logged(), logged)):
                try:
                    agree(flows, others, coarser)
                except AssertionError as trouble:
                    wrong.append(f"captured on {' '.join(point)}:\n{trouble}")
        assert not wrong, "\n".join(wrong)

    def __enter__(self):
        return self

    def __exit__(self, *how):
        return self.stack.__exit__(*how)


def test_large_packets_vanish_on_the_way_up(lab, certs):
    lab.r1.drop_large(1300, towards="proxy")
    with Watch(lab, certs) as watch:
        watch.check()
        watch.agree()


def test_large_packets_vanish_beyond_the_proxy(lab, certs):
    lab.r2.drop_large(1300, towards="target")
    with Watch(lab, certs) as watch:
        watch.check()
        watch.agree()


def test_large_packets_vanish_on_the_way_down(lab, certs):
    lab.r1.drop_large(1300, towards="client")
    with Watch(lab, certs) as watch:
        watch.check()
        watch.agree()


def test_large_packets_vanish_on_the_way_down_to_the_proxy(lab, certs):
    lab.r2.drop_large(1300, towards="proxy")
    with Watch(lab, certs) as watch:
        watch.check("-m", "7", ways=["proxy"])
        watch.agree()


def test_large_packets_vanish_both_ways(lab, certs):
    lab.r1.drop_large(1300)
    with Watch(lab, certs) as watch:
        watch.check()
        watch.agree()


def test_what_is_no_failure(lab, certs):
    with Watch(lab, certs) as watch:
        for hurt in (lambda: lab.r1.lose(4), lambda: lab.r2.lose(1), lambda: lab.r1.narrow(1290)):
            hurt()
            watch.check()
            lab.r1.heal()
            lab.r2.heal()
        lab.r2.delay(10, reorder=10)
        watch.check()
        watch.agree()

"""The lab itself: each fault does what it says, and nothing stays behind."""

import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from target import HttpTarget, echo, reply
from viaduct import wait_until

FAMILIES = pytest.mark.parametrize("family", [4, 6])
BIG = bytes(100_000)


def sink(connection):
    """Tells how many bytes came, when they end."""
    n = 0
    while data := connection.sock.recv(65536):
        n += len(data)
    connection.send(f"{n}\n")


def source(connection):
    connection.until(b"\n")
    connection.send(BIG)


def upload(lab, target, timeout=20):
    with lab.client.connect((target.host, target.port), timeout=timeout) as client:
        client.send(BIG).shutdown()
        return int(client.until(b"\n"))


def download(lab, target, timeout=20):
    with lab.client.connect((target.host, target.port), timeout=timeout) as client:
        return len(client.send("go\n").read(len(BIG)))


def stands_still(action, *arguments):
    with pytest.raises(TimeoutError):
        action(*arguments, timeout=1)


@FAMILIES
def test_packets_pass_both_ways(lab, family):
    with lab.target.serve(sink, family=family) as target:
        assert upload(lab, target) == len(BIG)
    with lab.target.serve(source, family=family) as target:
        assert download(lab, target) == len(BIG)


def test_no_packet_is_larger_than_the_mtu(lab):
    with lab.target.serve(source) as target:
        with lab.r2.capture("target") as packets, lab.client.capture() as there:
            download(lab, target)
        for capture in (packets, there):
            sizes = [int(line.split("length ")[1].split()[0].strip(":")) for line in capture.lines()]
            assert max(sizes) == 1448 and len(sizes) > 70


@FAMILIES
@pytest.mark.parametrize("router", ["r1", "r2"])
def test_large_packets_vanish_in_one_direction(lab, family, router):
    getattr(lab, router).drop_large(1300, towards="target" if router == "r2" else "proxy")
    with lab.target.serve(source, family=family) as target:
        assert download(lab, target) == len(BIG)
    with lab.target.serve(sink, family=family) as target:
        stands_still(upload, lab, target)
        getattr(lab, router).heal()
        assert upload(lab, target) == len(BIG)


def test_large_packets_vanish_in_both_directions(lab):
    lab.r2.drop_large(1300)
    with lab.target.serve(source) as target:
        stands_still(download, lab, target)
    with lab.target.serve(sink) as target:
        stands_still(upload, lab, target)


@FAMILIES
def test_a_smaller_mtu_is_told_by_icmp(lab, family):
    lab.r2.narrow(1290)
    with lab.r2.capture("proxy", "icmp or icmp6") as packets:
        with lab.target.serve(sink, family=family) as target:
            assert upload(lab, target) == len(BIG)
    assert any("need to frag" in line or "too big" in line for line in packets.lines())
    with lab.target.serve(source, family=family) as target:
        assert download(lab, target) == len(BIG)


@FAMILIES
def test_syn_is_dropped(lab, family):
    lab.r1.drop_syn()
    with lab.target.serve(echo, family=family) as target, pytest.raises(TimeoutError):
        lab.client.connect((target.host, target.port), timeout=1)
    assert target.accepts == 0


@FAMILIES
def test_syn_is_rejected(lab, family):
    lab.r2.reject_syn()
    with lab.target.serve(echo, family=family) as target, pytest.raises(OSError) as failed:
        lab.client.connect((target.host, target.port), timeout=5)
    assert failed.value.strerror in ("No route to host", "Network is unreachable")


@FAMILIES
def test_reset_is_injected(lab, family):
    lab.r2.inject_reset(towards="target", larger_than=200)
    with lab.target.serve(echo, family=family) as target:
        with lab.client.connect((target.host, target.port)) as client:
            assert client.send("small").read(5) == b"small"
            client.send(bytes(500))
            assert client.end() == (b"", "rst")


@FAMILIES
def test_packets_are_lost(lab, family):
    lab.r2.lose(5)
    with lab.target.serve(sink, family=family) as target:
        with lab.client.connect((target.host, target.port)) as client:
            client.send(BIG * 3).shutdown()
            assert int(client.until(b"\n")) == 3 * len(BIG)
            assert retransmissions(client.sock) > 0


def retransmissions(sock):
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[100:104], sys.byteorder)


def round_trip_us(sock):
    return int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[68:72], sys.byteorder)


@FAMILIES
def test_packets_are_late(lab, family):
    """30 ms each way: the round trip that the kernel measured cannot be less."""
    lab.r2.delay(30)
    with lab.target.serve(echo, family=family) as target:
        with lab.client.connect((target.host, target.port)) as client:
            assert client.send("x").read(1) == b"x"
            assert round_trip_us(client.sock) >= 60_000


def test_packets_overtake_others(lab):
    lab.r2.delay(5, reorder=20)
    with lab.target.serve(source) as target:
        with lab.client.capture(expression="src port " + str(target.port)) as packets:
            assert download(lab, target) == len(BIG)
    starts = [
        int(line.split("seq ")[1].split(":")[0])
        for line in packets.lines()
        if "seq " in line and ":" in line.split("seq ")[1].split(",")[0]
    ]
    assert sorted(starts[1:]) != starts[1:]


def test_a_router_dies(lab):
    with lab.target.serve(echo) as target:
        with lab.client.connect((target.host, target.port), timeout=1) as client:
            assert client.send("x").read(1) == b"x"
            lab.r2.die()
            with pytest.raises(TimeoutError):
                client.send("x").read(1)


def test_a_capture_tells_the_mss(lab):
    with lab.target.serve(echo) as target, lab.r2.capture("proxy") as packets:
        lab.client.connect((target.host, target.port)).close()
    assert packets.mss(f"dst port {target.port}") == [1460]


def test_names_are_served_in_there(lab):
    with lab.target.serve(echo) as target, lab.r2.dns({"a.test": [target.host]}) as dns:
        with lab.proxy.viaduct(resolver=f"servers {dns.address};") as proxy:
            with lab.client.connect(proxy) as client:
                client.connect(f"a.test:{target.port}")
        assert dns.count("a.test") > 0


def test_the_checker_runs_in_there(lab):
    with lab.target.serve(lambda request: reply(b"here"), kind=HttpTarget) as target:
        with lab.proxy.viaduct() as proxy:
            flow = lab.client.check("-x", proxy.url, target.url()).expect("ok")
            assert flow["client"].startswith(lab.client.address())


def test_commands_run_in_there(lab):
    assert "198.18.1.1/24" in lab.client.run("ip address").stdout
    assert lab.client.run(["cat"], input="said").stdout == "said"
    pids = [name for name in lab.r1.run("ls /proc").stdout.split() if name.isdigit()]
    assert len(pids) == 2  # the keeper's, and ls itself


def test_the_machine_sees_nothing_of_it(lab):
    links = subprocess.run(["ip", "link"], check=True, capture_output=True, text=True).stdout
    assert not any(f" {name}@" in links for name in ("client", "r1", "r2", "target"))
    assert not any(name in lab_names() for name in ("client", "r1", "r2"))


def lab_names():
    folder = pathlib.Path("/run/netns")
    return os.listdir(folder) if folder.exists() else []


LEFT_ALONE = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
import scratch
from lab import Lab
folder, _ = scratch.begin()
lab = Lab()
lab.r2.delay(5)
lab.target.popen(["sh", "-c", "trap '' HUP TERM INT; sleep 1000 & sleep 1000"])
lab.proxy.viaduct()
lab.client.capture()
print(folder)
print(lab.cell.keeper.pid, *(os.fstat(host.fd).st_ino for host in lab.all.values()), flush=True)
time.sleep(1000)
"""


def processes():
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def net_of(pid):
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def test_nothing_is_left_of_a_test_that_is_killed(lab):
    """With a proxy that has dropped its privileges, daemons that ignore signals, a forwarder and a capture."""
    test = subprocess.Popen(
        [sys.executable, "-c", LEFT_ALONE, str(pathlib.Path(__file__).parent.parent / "lib")],
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = pathlib.Path(test.stdout.readline().strip())
    keeper, *spaces = (int(word) for word in test.stdout.readline().split())
    inside = {pid for pid in processes() if net_of(pid) in spaces}
    assert len(inside) >= 5 and len(list(folder.iterdir())) == 2  # the proxy's folder, and the capture
    test.send_signal(signal.SIGKILL)
    test.wait()
    test.stdout.close()
    wait_until(lambda: not ({keeper} | inside) & processes(), "the lab's processes to end")
    wait_until(lambda: not folder.exists(), "the files to go")
    assert not [pid for pid in processes() if net_of(pid) in spaces]

"""`viaduct explain` of real clients' traffic through real proxies, as tcpdump saw it: it says what the proxy's own log
says (viaduct), and what `viaduct check` says of the same way (squid, tinyproxy); and nothing alarming of what is well.

All of it runs in a namespace of its own that has nothing but loopback."""

import json
import os
import socket
import subprocess

import pytest

from check import check
from chromium import chromium, through
from explain import agree, agrees, explain, pair, tell
from netns import Namespace
from squid import Squid
from target import HttpTarget, reply
from tcpdump import Tcpdump
from tinyproxy import Tinyproxy
from viaduct import Flow, Proxy, run_command, wait_until
from world import World, git

PAGE = b"<!doctype html><title>t</title>" + b"".join(
    b"<img src='%s/%d.svg'>" % (b"HERE", n) for n in range(12)
)
FORBIDDEN = """
dns_timeout 1 second
acl forbidden dstdomain forbidden.test
http_access deny forbidden
"""
FINE = {"ok", "open"}


@pytest.fixture(scope="module", autouse=True)
def alone():
    """This process is in a namespace with loopback only, and so is all that it starts."""
    with Namespace() as ns, ns.entered():
        yield ns


@pytest.fixture(name="listen")
def tcpdumps():
    """Starts a tcpdump; its file goes when the test does."""
    started = []

    def start(*arguments):
        started.append(Tcpdump(*arguments))
        return started[-1]

    yield start
    for tap in started:
        tap.remove()


@pytest.fixture(name="tap")
def a_running_tcpdump(listen):
    return listen()


def answer(request):
    """What the targets of this file say."""
    if request.path == "/404":
        return reply(b"no such page", "404 Not Found")
    if request.path == "/moved":
        return reply(b"", "302 Found", "Location: /there")
    return reply(b"x" * 40_000)


@pytest.fixture(name="targets", scope="module")
def two_targets(alone, certs):
    """scheme -> target."""
    with HttpTarget(answer) as plain, HttpTarget(answer, tls=certs.target()) as tls:
        yield {"http": plain, "https": tls}


@pytest.fixture(name="free_port")
def a_port_that_refuses():
    """Bound and not listening: nobody else gets it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture(name="served", scope="module")
def a_viaduct(alone):
    with Proxy(
        access="deny private off; deny ports off; deny social { to forbidden.test; } allow all { }",
        hosts=[("127.0.0.1", "target.test"), ("127.0.0.1", "forbidden.test")],
        resolver="hosts hosts; servers 127.0.0.1:9; timeout 200ms;",
    ) as proxy:
        yield proxy


@pytest.fixture(name="squid", scope="module")
def a_squid(alone):
    with Squid(rules=FORBIDDEN, hosts=["127.0.0.1 target.test forbidden.test"]) as peer:
        yield peer


@pytest.fixture(name="tinyproxy", scope="module")
def a_tinyproxy(alone):
    with Tinyproxy("", [r"forbidden\.test"]) as peer:
        yield peer


def clean(**more):
    """No setting of this machine's."""
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return {**env, "HOME": "/nonexistent", **more}


def curl(proxy, certs, *arguments, **more):
    return subprocess.run(
        ["curl", "-q", "-sS", "-m", "20", "--cacert", certs.ca, "-x", proxy, "-o", "/dev/null", *map(str, arguments)],
        env=clean(**more),
        capture_output=True,
        check=False,
    ).returncode


def wget(proxy, certs, url):
    options = ["--no-config", "-q", "-t1", "-T20", "-O", "/dev/null", f"--ca-certificate={certs.ca}"]
    options += ["-e", f"http_proxy={proxy}", "-e", f"https_proxy={proxy}"]
    return subprocess.run(["wget", *options, str(url)], env=clean(), capture_output=True, check=False).returncode


CLIENTS = {"curl": curl, "wget": wget}


def urls(targets, free_port, name):
    """What the clients ask for; `name` is that of the targets."""
    return [
        *(target.url(path, host=name) for target in targets.values() for path in ("/", "/404", "/moved")),
        *(f"{scheme}://{name}:{free_port}/" for scheme in ("http", "https")),
        *(f"{scheme}://{host}/" for scheme in ("http", "https") for host in ("forbidden.test", "unknown.test")),
    ]


def log_of(proxy, n):
    """The flows in viaduct's log since `settle`, once there are `n`."""
    wait_until(lambda: len(proxy.log_lines()) >= proxy.taken + n, f"{n} flows")
    return [Flow(json.loads(line)) for line in proxy.log_lines()[proxy.taken :]]


# ---- viaduct


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_through_viaduct(tap, served, targets, free_port, certs, client):
    served.settle()
    asked = urls(targets, free_port, "target.test")
    for url in asked:
        CLIENTS[client](served.url, certs, url)
    log = log_of(served, len(asked))
    tap.stop()
    flows = explain(tap.path)
    agree([flow for flow in flows if flow["proxy"]], log)
    assert {flow["verdict"] for flow in log} >= {"ok", "target-error", "acl-denied", "upstream-refused"}


def test_both_legs_on_all_interfaces(listen, targets, certs):
    """Each packet of loopback is there twice then, and the proxy's own leg belongs to the client's."""
    with Proxy(hosts=[("127.0.0.1", "target.test")]) as proxy, listen("any") as tap:
        for target in targets.values():
            assert curl(proxy.url, certs, target.url(host="target.test")) == 0
        log = log_of(proxy, 2)
    flows = explain(tap.path)
    assert len(flows) == 2, "\n".join(map(tell, flows))
    agree(flows, log)
    for flow, target in zip(flows, targets.values()):
        assert flow["target_address"] == f"127.0.0.1:{target.port}", tell(flow)


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_logging_in(tap, targets, certs, scheme):
    """A 407 and its answer are two flows, of which the first is no failure; a wrong password is one."""
    proxy = Proxy(
        access="deny private off; deny ports off; allow all { authenticated; }",
        extra=f"authentication {{ accounts accounts.conf; schemes {scheme}; }}",
        hosts=[("127.0.0.1", "target.test")],
        start=False,
    )
    proxy.configure()
    done = run_command("account", "add", "alice", "-c", proxy.config, input="secret")
    assert done.returncode == 0, done.stderr
    proxy.start()
    with proxy:
        for target in targets.values():
            url = target.url(host="target.test")
            assert curl(proxy.url, certs, "--proxy-anyauth", "-U", "alice:secret", url) == 0
            curl(proxy.url, certs, "--proxy-anyauth", "-U", "alice:wrong", url)
            curl(proxy.url, certs, url)
        log = log_of(proxy, 10)
    tap.stop()
    flows = explain(tap.path)
    agree(flows, log)
    for flow, other in pair(flows, log):
        assert bool(flow["superseded_by"]) == bool(other["superseded_by"]), (tell(flow), tell(other))
    assert {flow["verdict"] for flow in log} == {"ok", "auth-required", "auth-failed"}
    assert "secret" not in json.dumps(flows)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_git(tap, served, certs, alone, tls):
    with World(alone, served, certs) as world:
        work = world.folder / "work"
        git(world, "init", "-q", work)
        (work / "file").write_bytes(os.urandom(300_000))
        git(world, "add", ".", cwd=work)
        git(world, "commit", "-q", "-m", "one", cwd=work)
        git(world, "clone", "-q", "--bare", work, world.folder / "repository.git")
        git(world, "update-server-info", cwd=world.folder / "repository.git")

        def find(request):
            path = world.folder / request.path.split("?")[0].lstrip("/")
            return reply(path.read_bytes()) if path.is_file() else reply(b"", "404 Not Found")

        served.settle()
        target = world.target(find, tls)
        git(world, "clone", "-q", world.url(target, "/repository.git"), world.folder / "copy")
        log = log_of(served, 1)
        tap.stop()
        agree([flow for flow in explain(tap.path) if flow["proxy"]], log)


# ---- squid and tinyproxy


def asks_for(flow):
    """What a proxy is asked for: of a tunnel it does not know more."""
    return flow["target"], None if flow["method"] == "CONNECT" else flow["url"]


@pytest.mark.parametrize("peer", ["squid", "tinyproxy"])
def test_clients_through_other_proxies(request, tap, targets, free_port, certs, peer):
    """Of each URL check says what it meets, and explain says so of check, of curl and of wget."""
    proxy = request.getfixturevalue(peer)
    way = f"http://127.0.0.1:{proxy.port}"
    name = "target.test" if peer == "squid" else "127.0.0.1"
    checked = []
    for url in urls(targets, free_port, name):
        checked.append(check("-x", way, "--cacert", certs.ca, "-m", "10", url))
        for client in CLIENTS.values():
            client(way, certs, url)
    tap.stop()
    flows = [flow for flow in explain("-x", f"127.0.0.1:{proxy.port}", tap.path) if flow["proxy"]]
    agree(flows, checked)
    wrong = []
    for other in checked:
        # (not the second probe of a check, which is given up once the first has its answer)
        same = [f for f in flows if asks_for(f) == asks_for(other) and "small-mss" not in f["warnings"]]
        assert len(same) >= 3, (tell(other), list(map(tell, same)))
        wrong += [f"{tell(flow)}\n   but {tell(other)}" for flow in same if not agrees(flow, other)]
    assert not wrong, "\n".join(wrong)
    assert {flow["verdict"] for flow in checked} >= {"ok", "target-error", "acl-denied"}


# ---- what keys open


def test_inside_a_capture_of_check(served, targets, certs, tmp_path):
    """Its secrets are in the file: so explain sees statuses and redirects inside the tunnel, as check did."""
    for path in ("/", "/404", "/moved"):
        capture = tmp_path / "check.pcapng"
        url = targets["https"].url(path, host="target.test")
        keys = ["--pcap", capture, "--keylog", tmp_path / "keys"]
        checked = check("-x", served.url, "--cacert", certs.ca, *keys, url)
        (flow,) = explain(capture)
        assert (flow["verdict"], flow["status"]) == (checked["verdict"], checked["status"]), tell(flow)
        assert flow["redirects"] == checked["redirects"]
        assert flow["tls"]["alpn"] == checked["tls"]["alpn"] and flow["tls"]["issuer"]
        flow.says(f"GET {path} answered {checked['status']}")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_inside_with_a_key_log(tap, served, targets, certs, tmp_path, version):
    """curl writes its secrets to a file, and follows a redirect on the same connection."""
    keys = tmp_path / "keys"
    url = targets["https"].url("/moved", host="target.test")
    limits = ["--tls-max", version, f"--tlsv{version}"]
    assert curl(served.url, certs, "-L", *limits, url, SSLKEYLOGFILE=str(keys)) == 0
    tap.stop()
    (closed,) = [flow for flow in explain(tap.path) if flow["proxy"]]
    (opened,) = [flow for flow in explain("--keylog", keys, tap.path) if flow["proxy"]]
    assert closed["verdict"] == opened["verdict"] == "ok"
    assert closed["redirects"] == [] and closed["status"] == 200
    assert opened["redirects"] == [{"status": 302, "location": "/there"}]
    opened.says("GET /moved answered 302", "GET /there answered 200")


# ---- what is well


def test_a_browser(tap, served, certs, alone):
    """Tunnels side by side, kept alive, given up half-way: no failure, and the proxy's log says the same."""
    others = []

    def show(request):
        if request.path == "/":
            parts = PAGE.split(b"HERE")
            hosts = [other.url("", host="target.test").encode() for other in others]
            page = b"".join(part + hosts[n % len(hosts)] for n, part in enumerate(parts[:-1])) + parts[-1]
            return reply(page, "200 OK", "Content-Type: text/html")
        return reply(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "200 OK", "Content-Type: image/svg+xml")

    with World(alone, served, certs) as world:
        served.settle()
        others += [world.target(show, True) for _ in range(3)]
        world.run(
            *chromium(world.folder, *through(served, certs)),
            "--virtual-time-budget=5000",
            "--dump-dom",
            world.url(others[0]),
            seconds=90,
        )
        log = [flow for flow in log_of(served, 3) if "target.test" in (flow["target"] or "")]
    tap.stop()
    flows = [flow for flow in explain(tap.path) if flow["proxy"] and "target.test" in (flow["target"] or "")]
    agree(flows, log)
    assert len(flows) >= 3
    bad = [tell(flow) for flow in flows if flow["verdict"] not in FINE]
    assert not bad, bad


def test_a_download_with_loss(listen, certs):
    """1 % of all packets vanish: retransmissions are a warning."""
    body = b"y" * 3_000_000
    with Namespace() as lossy, lossy.entered():
        lossy.run("ip link set lo mtu 1500")
        subprocess.run(
            ["nft", "-f", "-"],
            input=b"add table inet t\nadd chain inet t in { type filter hook input priority 0 ; }\n"
            b"add rule inet t in meta l4proto tcp numgen random mod 100 == 0 drop\n",
            check=True,
        )
        with Proxy() as proxy, HttpTarget(lambda r: reply(body)) as plain, HttpTarget(
            lambda r: reply(body), tls=certs.target()
        ) as tls, listen() as tap:
            for target in (plain, tls):
                assert curl(proxy.url, certs, target.url()) == 0
            log = log_of(proxy, 2)
    flows = [flow for flow in explain(tap.path) if flow["proxy"]]
    agree(flows, log)
    assert {flow["verdict"] for flow in flows} == {"ok"}
    assert any("retransmissions" in flow["warnings"] for flow in flows)


def test_long_idle(tap, served, certs):
    """Quiet for longer than any answer would take, then used again, then closed by nobody's fault."""
    with HttpTarget(tls=certs.target()) as target:
        served.settle()
        script = (
            "import http.client, ssl, sys, time\n"
            "c = http.client.HTTPSConnection(*sys.argv[1].split(':'), context=ssl.create_default_context(cafile=sys.argv[3]))\n"
            "c.set_tunnel('target.test', int(sys.argv[2]))\n"
            "for pause in (7, 0):\n"
            "    c.request('GET', '/'); c.getresponse().read(); time.sleep(pause)\n"
            "c.close()\n"
        )
        way = "{}:{}".format(*served.address)
        done = subprocess.run(
            ["python3", "-c", script, way, str(target.port), certs.ca], env=clean(), check=False
        )
        assert done.returncode == 0
        log = log_of(served, 1)
    tap.stop()
    flows = [flow for flow in explain(tap.path) if flow["proxy"]]
    agree(flows, log)
    assert [flow["verdict"] for flow in flows] == ["ok"]

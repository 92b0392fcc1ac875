"""The life of the process: start, stop, reload, logs, systemd, privileges, listeners."""

import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest

from client import Client, ask, get
from netns import Namespace
from squid import free_port
from target import HttpTarget, Target, echo, reply
from viaduct import OPEN, Proxy, wait_until


# --- stopping


def test_stop_without_flows():
    with Proxy(limits="drain-timeout 1h;") as proxy, HttpTarget() as target, Client(proxy) as idle:
        get(proxy, target.url())
        proxy.signal(signal.SIGTERM)
        assert proxy.process.wait(30) == 0
        assert idle.end()[0] == b""


def test_draining_lets_open_flows_finish():
    with Proxy(limits="drain-timeout 20s;") as proxy, Target(echo) as target, HttpTarget() as http:
        with Client(proxy).connect(target.authority) as tunnel, Client(proxy) as kept:
            kept.get(http.url())
            slow = Client(proxy).send(f"GET {http.url()} HTTP/1.1\r\n")
            wait_until(lambda: proxy.count_open() == 2, "its beginning to be read")
            proxy.signal(signal.SIGTERM)
            wait_until(lambda: refuses(proxy, http), "503 while draining")
            assert tunnel.send("ping").read(4) == b"ping"
            assert proxy.process.poll() is None
            slow.close()
        assert proxy.process.wait(15) == 0
        flows = [json.loads(line) for line in proxy.log_lines()]
        assert {"ok", "draining"} <= {flow["verdict"] for flow in flows}
        assert [f["verdict"] for f in flows if f["target"] == target.authority] == ["ok"]
        draining = next(flow for flow in flows if flow["verdict"] == "draining")
        assert (draining["status"], draining["ended_by"], draining["certainty"]) == (
            503,
            "proxy",
            "seen",
        )


def refuses(proxy, target):
    """Whether a new request is answered as the table says of `draining`; just before, a connection on which
    nothing was asked yet may be closed."""
    try:
        response = get(proxy, target.url())
    except (AssertionError, ConnectionError):
        return False
    if response.status != 503:
        return False
    response.expect(503, "draining", "proxy_internal_response")
    return True


def test_drain_timeout_cuts_what_is_left():
    with Proxy(limits="drain-timeout 500ms;") as proxy, Target(echo) as target:
        with Client(proxy).connect(target.authority) as tunnel:
            tunnel.send("ping").read(4)
            proxy.signal(signal.SIGTERM)
            assert tunnel.end() == (b"", "rst")
        assert proxy.process.wait(30) == 0
        proxy.flow().expect("draining", "transfer", "proxy", status=200)


def test_a_second_signal_ends_at_once():
    with Proxy(limits="drain-timeout 1h;") as proxy, Target(echo) as target:
        with Client(proxy).connect(target.authority):
            proxy.signal(signal.SIGTERM)
            wait_until(lambda: "stopping" in proxy.stderr(), "the stop")
            time.sleep(0.2)
            assert proxy.process.poll() is None
            proxy.signal(signal.SIGTERM)
            assert proxy.process.wait(30) == 0
        proxy.flow().expect("draining")


def test_sigint_stops_too():
    with Proxy() as proxy:
        proxy.signal(signal.SIGINT)
        assert proxy.process.wait(30) == 0


# --- reloading


def test_a_bad_file_changes_nothing_and_says_why():
    with Proxy() as proxy, HttpTarget() as target:
        proxy.configure(access=OPEN.replace("allow all", "alow all"), extra="viaa on;")
        proxy.signal(signal.SIGHUP)
        wait_until(
            lambda: "alow" in proxy.stderr() and "viaa" in proxy.stderr(), "all errors of the file"
        )
        assert re.search(r"viaduct\.conf:\d+:\d+: ", proxy.stderr()), proxy.stderr()
        assert "allow" in proxy.stderr() and "via" in proxy.stderr()
        assert get(proxy, target.url()).status == 200


def test_a_good_file_applies_and_leaves_open_flows_alone():
    hosts = [("127.0.0.1", "target.test")]
    with Proxy(
        hosts=hosts, access=OPEN.replace("allow all { }", "allow before { }")
    ) as proxy, Target(echo) as target:
        with Client(proxy).connect(target.authority) as tunnel, Client(
            proxy
        ) as kept, HttpTarget() as http:
            assert kept.get(http.url()).status == 200
            port = proxy.port
            proxy.configure(access=OPEN.replace("allow all", "deny after"), limits="lifetime 50ms;")
            proxy.signal(signal.SIGHUP)
            wait_until(lambda: get(proxy, http.url()).status == 403, "the new rules")
            assert proxy.port == port
            kept.get(http.url()).expect(403, "acl-denied", None, "rule after")
            time.sleep(0.2)
            assert tunnel.send("ping").read(4) == b"ping", "an open flow keeps its limits"
        wait_until(
            lambda: any('"before"' in line and '"CONNECT"' in line for line in proxy.log_lines())
        )


def test_listeners_come_and_go_with_a_reload():
    with Proxy(listen=["127.0.0.1:0"]) as proxy, HttpTarget() as target:
        first = proxy.port
        extra_port = free_port()
        proxy.configure(listen=["127.0.0.1:0", f"127.0.0.1:{extra_port}"])
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: can_connect(extra_port), "the new listener")
        assert get(("127.0.0.1", extra_port), target.url()).status == 200
        assert get(("127.0.0.1", first), target.url()).status == 200
        proxy.configure(listen=["127.0.0.1:0"])
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: not can_connect(extra_port), "the listener to go")
        assert get(("127.0.0.1", first), target.url()).status == 200


def can_connect(port):
    try:
        Client(("127.0.0.1", port)).close()
        return True
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it goes just now
        return False


def test_reloads_under_load_lose_nothing():
    with Proxy() as proxy, HttpTarget() as target, Client(proxy) as client:
        for i in range(60):
            if i % 5 == 0:
                proxy.signal(signal.SIGHUP)
            assert client.get(target.url()).status == 200
            assert get(proxy, target.url()).status == 200
        assert all(flow["verdict"] == "ok" for flow in proxy.flows(120))


# --- logs


def test_sigusr1_reopens_the_log():
    with Proxy() as proxy, HttpTarget() as target:
        get(proxy, target.url())
        proxy.flow()
        old = proxy.folder / "access.log.1"
        proxy.log_path.rename(old)
        get(proxy, target.url())
        wait_until(lambda: len(proxy.log_lines(old)) == 2, "the moved file is still written")
        proxy.signal(signal.SIGUSR1)
        wait_until(proxy.log_path.exists, "a new file")
        get(proxy, target.url())
        wait_until(lambda: len(proxy.log_lines()) == 1)
        assert len(proxy.log_lines(old)) == 2


def test_the_text_log():
    with Proxy(log_format="text") as proxy, HttpTarget(lambda r: reply(b"x" * 77)) as target:
        get(proxy, target.url("/path"))
        line = wait_until(proxy.log_lines)[0]
        for word in ("127.0.0.1", "GET", target.authority, "200", "77", "ok", "all"):
            assert word in line, line


def test_squids_log():
    with Proxy(
        log_format="squid", access=OPEN.replace("allow all", "deny no { to 192.0.2.1; } allow all")
    ) as proxy:
        with HttpTarget() as target:
            get(proxy, target.url("/path"))
            ask(proxy, "CONNECT", "192.0.2.1:443")
            wait_until(lambda: len(proxy.log_lines()) == 2)
            native = re.compile(
                r"(\d{10}\.\d{3}) +(\d+) (\S+) ([A-Z_]+)/(\d{3}) (\d+) ([A-Z]+) (\S+) (\S+) ([A-Z_]+)/(\S+) (\S+)"
            )
            found = sorted(
                (native.fullmatch(line).groups() for line in proxy.log_lines()), key=lambda g: g[6]
            )
            assert (
                found[0][2:5] == ("127.0.0.1", "TCP_DENIED", "403")
                and found[0][7] == "192.0.2.1:443"
            )
            assert (
                found[1][4] == "200"
                and found[1][7] == target.url("/path")
                and found[1][10] == "127.0.0.1"
            )


def test_the_log_on_stdout():
    with Proxy(log="access stdout json;") as proxy, HttpTarget() as target:
        get(proxy, target.url())
        wait_until(lambda: "\n" in proxy.stdout())
        assert json.loads(proxy.stdout())["verdict"] == "ok"


def test_no_log():
    with Proxy(log="access off;") as proxy, HttpTarget() as target:
        assert get(proxy, target.url()).status == 200
    assert proxy.process.returncode == 0


def test_the_log_holds_no_secrets(proxy):
    with HttpTarget() as target:
        get(
            proxy,
            target.url(),
            "Proxy-Authorization: Basic c2VjcmV0OnNlY3JldA==",
            "Authorization: Bearer hush",
        )
        proxy.flow()
        for url in ("http://al:hush@127.0.0.1/", "https://al:hush@a.test/", "ftp://al:hush@a.test/", "http:///al:hush@a/"):
            assert ask(proxy, "GET", url).status == 400
            proxy.flow()
        text = proxy.log_path.read_text() + proxy.stderr()
        assert "c2VjcmV0" not in text and "hush" not in text


def test_a_log_that_cannot_be_written_does_not_stop_traffic():
    with Proxy(log="access /dev/full json;") as proxy, HttpTarget() as target:
        for _ in range(5):
            assert get(proxy, target.url()).status == 200
        wait_until(lambda: "/dev/full" in proxy.stderr(), "a warning")


# --- starting


@pytest.mark.parametrize(
    "extra,word",
    [
        ("viaa on;", "via"),
        ("via on; via off;", "via"),
        ("mss 100000;", "mss"),
        ("via on", ";"),
        ("authentication { accounts accounts.conf; scheme basic; }", "schemes"),
    ],
)
def test_a_bad_configuration_is_refused_with_its_place(extra, word):
    with Proxy(extra=extra, start=False) as proxy:
        proxy.configure()
        proxy.launch()
        assert proxy.process.wait(30) == 2
        assert re.search(r"viaduct\.conf:\d+", proxy.stderr()), proxy.stderr()
        assert word in proxy.stderr()
        proxy.process = None


def test_a_port_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Proxy(listen=[f"127.0.0.1:{port}"], start=False) as proxy:
            proxy.configure()
            proxy.launch()
            assert proxy.process.wait(30) in (2, 3)
            assert str(port) in proxy.stderr()
            proxy.process = None


def test_the_safe_defaults():
    """Without a file: 127.0.0.1:3128, in a namespace of its own because the port is a fixed one."""
    with Namespace() as ns, Proxy(command=ns.command, arguments=["serve"], start=False) as proxy:
        proxy.arguments = ["serve"]
        proxy.launch()
        wait_until(proxy.is_listening)
        assert proxy.port == 3128
        with ns.entered():
            ask(proxy, "CONNECT", "127.0.0.1:443").expect(
                403, "acl-denied", "destination_ip_prohibited", "rule private"
            )
            ask(proxy, "CONNECT", "192.0.2.1:443").expect(502, "upstream-unreachable")
        wait_until(lambda: proxy.stdout().count("\n") == 2)


def test_listen_on_the_command_line():
    with Proxy(start=False) as proxy, HttpTarget() as target:
        proxy.configure()
        proxy.arguments = ["serve", "-c", str(proxy.config), "-l", "127.0.0.2:0"]
        proxy.launch()
        wait_until(proxy.is_listening)
        assert get(("127.0.0.2", proxy.port), target.url()).status == 200


def test_privileges_are_dropped():
    with Proxy() as proxy:
        status = pathlib.Path(f"/proc/{proxy.pid}/status").read_text()
        uids = re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)", status, re.M).groups()
        assert "0" not in uids, status
        assert re.search(r"^CapEff:\s+0+$", status, re.M) and re.search(
            r"^CapPrm:\s+0+$", status, re.M
        )
        assert "0" not in re.search(r"^Groups:(.*)$", status, re.M)[1].split()


def test_the_account_of_the_configuration():
    with Proxy(extra="user daemon;") as proxy, HttpTarget() as target:
        assert pathlib.Path(f"/proc/{proxy.pid}").stat().st_uid == 1
        assert get(proxy, target.url()).status == 200
        proxy.flow()
        assert proxy.log_path.stat().st_uid == 1


def test_an_unknown_account_is_refused():
    with Proxy(extra="user nosuchaccount;", start=False) as proxy:
        proxy.configure()
        proxy.launch()
        assert proxy.process.wait(30) == 2
        assert "viaduct.conf:" in proxy.stderr() and "nosuchaccount" in proxy.stderr()
        proxy.process = None


# --- systemd


@pytest.fixture
def notify():
    """A socket like systemd's NOTIFY_SOCKET, in the abstract space: no folder's rights matter."""
    name = f"viaduct-notify-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(30)
        yield sock


def until(sock, word):
    """Reads notices until one has the line; returns all."""
    seen = []
    while True:
        seen.append(sock.recv(4096).decode())
        if word in seen[-1].split("\n"):
            return seen


def test_notify_ready_reloading_stopping(notify):
    with Proxy(env={"NOTIFY_SOCKET": "@" + notify_name(notify)}) as proxy:
        until(notify, "READY=1")
        proxy.signal(signal.SIGHUP)
        reloading = until(notify, "RELOADING=1")[-1]
        assert "MONOTONIC_USEC=" in reloading
        until(notify, "READY=1")
        proxy.signal(signal.SIGTERM)
        until(notify, "STOPPING=1")
        proxy.process.wait(30)


def notify_name(sock):
    return sock.getsockname()[1:].decode()


def test_watchdog(notify):
    """An idle proxy is fed in time too: no gap between two notices is as long as systemd waits."""
    env = {"NOTIFY_SOCKET": "@" + notify_name(notify), "WATCHDOG_USEC": "4000000"}
    with Proxy(env=env):
        until(notify, "READY=1")
        for _ in range(3):
            began = time.monotonic()
            until(notify, "WATCHDOG=1")
            assert time.monotonic() - began < 3.9


@pytest.mark.parametrize("workers", [1, 2])
def test_socket_activation(workers):
    with socket.create_server(("127.0.0.1", 0)) as listener, HttpTarget() as target:
        port = listener.getsockname()[1]
        # what systemd does: the descriptor is number 3, and LISTEN_PID is the proxy's own id
        launcher = (
            f"import os, sys; os.dup2({listener.fileno()}, 3); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execvp(sys.argv[1], sys.argv[1:])"
        )
        with Proxy(workers=workers, start=False) as proxy:
            proxy.configure()
            proxy.command, proxy.pass_fds = [sys.executable, "-c", launcher], (listener.fileno(),)
            proxy.launch()
            address = ("127.0.0.1", port)
            assert get(address, target.url()).status == 200
            for _ in range(20):
                assert get(address, target.url()).status == 200
            ask(address, "CONNECT", f"127.0.0.1:{port}").expect(502, "loop", "proxy_loop_detected")
            proxy.flows(22)


# --- listeners


def test_a_listener_with_tls(certs):
    listen = [
        "127.0.0.1:0",
        f"127.0.0.1:0 {{ tls-certificate {certs.cert}; tls-key {certs.key}; }}",
    ]
    with Proxy(listen=listen) as proxy, HttpTarget(lambda r: reply(b"x" * 300_000)) as target:
        tls = ("127.0.0.1", proxy.ports[1])
        with Client(tls, tls=certs.client(), server_name="localhost") as client:
            for _ in range(3):
                assert client.get(target.url()).body == b"x" * 300_000
            flow = proxy.flows(3)[0].expect("ok")
            assert flow.phase("proxy-tls")["outcome"] == "ok"
        with Target(echo) as target, Client(
            tls, tls=certs.client(), server_name="localhost"
        ) as client:
            client.connect(target.authority).send("ping")
            assert client.read(4) == b"ping"
            client.sock.unwrap()
        proxy.flow().expect("ok", bytes_up=4, bytes_down=4)


def test_much_through_a_tls_listener(certs):
    """Records, partial writes and half-closes of the outer TLS are not the payload's affair."""
    listen = [f"127.0.0.1:0 {{ tls-certificate {certs.cert}; tls-key {certs.key}; }}"]
    body = os.urandom(5_000_000)
    with Proxy(listen=listen) as proxy, HttpTarget(lambda r: reply(r.body)) as http, Target(
        echo, tls=certs.target()
    ) as inner:
        for _ in range(2):
            done = subprocess.run(
                [
                    "curl",
                    "-sS",
                    "--max-time",
                    "30",
                    "-x",
                    f"https://127.0.0.1:{proxy.port}",
                    "--proxy-cacert",
                    certs.ca,
                    "--data-binary",
                    "@-",
                    http.url(),
                ],
                input=body,
                capture_output=True,
                check=True,
            )
            assert done.stdout == body
        proxy.flows(2)
        with Client(
            proxy, tls=certs.client(), server_name="localhost"
        ) as outer, HttpTarget() as target:
            outer.send(*(f"GET {target.url()} HTTP/1.1\r\nHost: x\r\n\r\n" for _ in range(50)))
            for _ in range(50):
                assert outer.response().body == b"hello"
        with Client(proxy, tls=certs.client(), server_name="localhost") as outer:
            outer.connect(inner.authority)
            talk = TlsInTls(outer, certs.client())
            talk.send(body[:300_000])
            assert talk.read(300_000) == body[:300_000]
            outer.sock.unwrap()
        for flow in proxy.flows(51):
            flow.expect("ok")


class TlsInTls:
    """TLS to the target inside the TLS to the proxy; what is read comes back while it is sent."""

    def __init__(self, client, context):
        self.client, self.into, self.out = client, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.talk = context.wrap_bio(self.into, self.out, server_hostname="target.test")
        self.drive(self.talk.do_handshake)

    def drive(self, call, *arguments):
        while True:
            try:
                result = call(*arguments)
                break
            except ssl.SSLWantReadError:
                self.client.send(self.out.read())
                self.into.write(self.client.sock.recv(65536))
        self.client.send(self.out.read())
        return result

    def send(self, data):
        for i in range(0, len(data), 16384):
            self.drive(self.talk.write, data[i : i + 16384])

    def read(self, n):
        found = b""
        while len(found) < n:
            found += self.drive(self.talk.read, n - len(found))
        return found


def test_curl_through_a_tls_listener(certs):
    listen = [f"127.0.0.1:0 {{ tls-certificate {certs.cert}; tls-key {certs.key}; }}"]
    with Proxy(listen=listen) as proxy, HttpTarget() as plain, HttpTarget(
        tls=certs.target()
    ) as secret:
        for target in (plain, secret):
            done = subprocess.run(
                [
                    "curl",
                    "-sS",
                    "--max-time",
                    "20",
                    "-x",
                    f"https://127.0.0.1:{proxy.port}",
                    "--proxy-cacert",
                    certs.ca,
                    "--cacert",
                    certs.ca,
                    target.url(),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stdout == "hello", done
        for flow in proxy.flows(2):
            flow.expect("ok")


def test_plain_bytes_on_a_tls_listener_harm_nobody(certs):
    listen = [f"127.0.0.1:0 {{ tls-certificate {certs.cert}; tls-key {certs.key}; }}"]
    with Proxy(listen=listen) as proxy, HttpTarget() as target:
        with Client(proxy) as client:
            client.ask("GET", target.url())
            client.end()
        with Client(proxy, tls=certs.client()) as client:
            assert client.get(target.url()).body == b"hello"


def test_a_certificate_that_is_missing_is_told(certs):
    listen = [f"127.0.0.1:0 {{ tls-certificate nothing.pem; tls-key {certs.key}; }}"]
    with Proxy(listen=listen, start=False) as proxy:
        proxy.configure()
        proxy.launch()
        assert proxy.process.wait(30) == 2
        assert "nothing.pem" in proxy.stderr() and "viaduct.conf:" in proxy.stderr()
        proxy.process = None


def test_mss_towards_targets():
    sizes = []

    def script(connection):
        sizes.append(connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
        echo(connection)

    with Proxy(extra="mss 1000;") as proxy, Target(script) as target:
        with Client(proxy).connect(target.authority) as client:
            assert client.send("ping").read(4) == b"ping"
    assert sizes and sizes[0] <= 1000


def test_mss_towards_clients():
    with Proxy(listen=["127.0.0.1:0 { mss 900; }"]) as proxy, HttpTarget() as target, Client(
        proxy
    ) as client:
        assert client.get(target.url()).status == 200
        assert client.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 900


def test_the_workers_share_the_tunnels():
    with Proxy(workers=2) as proxy, Target(echo) as target:
        clients = [Client(proxy).connect(target.authority) for _ in range(60)]
        for client in clients:
            client.close()
        proxy.flows(60)
        threads = pathlib.Path(f"/proc/{proxy.pid}/task").iterdir()
        busy = [
            t
            for t in threads
            if int(re.search(r"voluntary_ctxt_switches:\s+(\d+)", (t / "status").read_text())[1])
            > 10
        ]
        assert len(busy) >= 2

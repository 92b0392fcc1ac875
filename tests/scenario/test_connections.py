"""`viaduct connections`: what it says of real connections on loopback."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import socket
import struct
import subprocess
import sys
import termios

import pytest

from viaduct import ALONE, BINARY, Proxy, wait_until

PAGE = pathlib.Path(__file__).resolve().parents[2] / "doc" / "viaduct-connections.1"


class Upstream:
    """A listener that is taken for the proxy, and the settings that say so."""

    def __init__(self, folder, host="127.0.0.1", name=None, more=""):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family)
        self.address = self.listener.getsockname()[:2]
        self.name = f"[{host}]" if ":" in host else name or host
        self.config = folder / "viaduct.conf"
        self.config.write_text("upstream upstream.conf;\n")
        (folder / "upstream.conf").write_text(
            f"iprep_proxy {{ {more} PROXY_HOST {name or host}; PROXY_PORT {self.address[1]}; }}\n"
        )
        (folder / "upstream.conf").chmod(0o600)
        self.opened = contextlib.ExitStack()
        self.opened.enter_context(self.listener)

    @property
    def said(self):
        return f"{self.name}:{self.address[1]}"

    def connect(self):
        """Both ends: the program's and the proxy's."""
        near = self.opened.enter_context(socket.create_connection(self.address, timeout=10))
        return near, self.opened.enter_context(self.listener.accept()[0])

    def run(self, *arguments, **more):
        return run("-c", str(self.config), *arguments, **more)

    def rows(self, *arguments):
        done = self.run("--json", *arguments)
        assert done.returncode == 0 and not done.stderr, done
        return [json.loads(line) for line in done.stdout.splitlines()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.opened.close()


def run(*arguments, **more):
    return subprocess.run(
        [BINARY, "connections", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        **{"env": ALONE, **more},
    )


def written(sock, own=socket.socket.getsockname):
    host, port = own(sock)[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@pytest.fixture
def upstream(tmp_path):
    with Upstream(tmp_path) as made:
        yield made


def test_none_is_said_and_is_no_failure(upstream):
    done = upstream.run()
    assert (done.returncode, done.stdout) == (0, f"no connections to {upstream.said}\n"), done
    assert upstream.rows() == []


@pytest.mark.parametrize(
    "host,name", [("127.0.0.1", None), ("::1", None), ("127.0.0.1", "localhost")]
)
def test_an_idle_connection(tmp_path, host, name):
    with Upstream(tmp_path, host, name) as upstream:
        near, _ = upstream.connect()
        (row,) = upstream.rows()
        assert row["state"] == "established"
        assert row["local"] == written(near) and row["peer"] == written(
            near, socket.socket.getpeername
        )
        assert row["pid"] == os.getpid() and row["uid"] == os.getuid()
        assert row["process"] == pathlib.Path("/proc/self/comm").read_text().strip()
        assert row["mss"] > 500 and row["pmtu"] >= row["mss"] and row["rtt_us"] >= 0
        assert row["retransmissions"] == row["retransmitting"] == row["unacked"] == 0
        assert row["send_queue"] == row["receive_queue"] == 0
        assert row["sent_ago_ms"] is None and row["received_ago_ms"] is None
        assert 0 <= row["age_ms"] < 60000
        table = upstream.run().stdout.splitlines()
        assert table[0] == f"connections to {upstream.said}"
        assert table[1].split()[:4] == ["state", "local", "peer", "process"]
        assert table[2].split()[:3] == ["established", row["local"], row["peer"]]
        assert f"[{os.getpid()}]" in table[2] and len(table) == 3


def test_a_stuck_queue_shows(upstream):
    """The proxy does not read: its end keeps what it can, the rest waits in the program's."""
    near, far = upstream.connect()
    near.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while near.send(b"x" * 65536):
            pass
    row = wait_until(lambda: [r for r in upstream.rows() if r["send_queue"] > 0], "a queue")[0]
    assert row["unacked"] <= row["send_queue"]
    assert row["sent_ago_ms"] is not None and row["received_ago_ms"] is None
    (other,) = [
        r
        for r in upstream.rows("--all")
        if r["local"] == written(far) and r["peer"] == row["local"]
    ]
    assert other["receive_queue"] > 0 and other["sent_ago_ms"] is None


def test_other_connections_are_shown_by_all_only(upstream):
    near, far = upstream.connect()
    with socket.create_server(("127.0.0.1", 0)) as other:
        with socket.create_connection(other.getsockname()) as elsewhere:
            assert [row["local"] for row in upstream.rows()] == [written(near)]
            found = {(row["local"], row["peer"]) for row in upstream.rows("--all")}
            for end in (near, far, elsewhere):
                assert (written(end), written(end, socket.socket.getpeername)) in found


def test_clients_of_this_machines_own_proxy():
    with Proxy() as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as client:

        def ours():
            rows = [json.loads(line) for line in run("--all", "--json").stdout.splitlines()]
            return [row for row in rows if row["peer"] == written(client)]

        row = wait_until(lambda: [r for r in ours() if r["pid"]], "the proxy's end")[0]
        assert row["pid"] == proxy.pid


def test_what_is_over_is_not_shown(upstream):
    near, far = upstream.connect()
    near.close()
    far.recv(1)
    far.close()
    wait_until(lambda: upstream.rows() == [], "its end")


def test_a_handshake_without_answer(tmp_path):
    """A full accept queue answers no SYN."""
    with Upstream(tmp_path) as upstream:
        upstream.listener.listen(0)
        socks = [upstream.opened.enter_context(socket.socket()) for _ in range(4)]
        for sock in socks:
            sock.setblocking(False)
            sock.connect_ex(upstream.address)
        row = wait_until(
            lambda: [r for r in upstream.rows() if r["state"] == "syn-sent"], "a handshake"
        )[0]
        assert row["rtt_us"] is None and row["age_ms"] is None and row["unacked"] == 0


def test_a_process_may_have_any_name(upstream):
    """Its name is bytes from outside: nothing of it reaches the terminal, or breaks the JSON."""
    near, _ = upstream.connect()
    code = "import sys; open('/proc/self/comm', 'wb').write(b'a\\x1b[2J\\n\\xff'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        pass_fds=[near.fileno()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        holder.stdout.readline()
        near.close()
        (row,) = upstream.rows()
        assert row["pid"] == holder.pid and row["process"] == "a\x1b[2J\n\ufffd"
        assert f"a\\x1b[2J\\x0a\\xff[{holder.pid}]" in upstream.run().stdout
        holder.stdin.close()


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user's process")
def test_an_ordinary_user_is_told_why_a_process_is_missing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as near:
            done = run("--all", user="nobody", group="nogroup", extra_groups=[])
            assert done.returncode == 0 and written(near) in done.stdout, done
            assert done.stdout.endswith("are shown to root only)\n")


def test_without_an_enabled_proxy(tmp_path):
    config = tmp_path / "viaduct.conf"
    config.write_text("workers 1;\nupstream nowhere.conf;\n")
    done = run("-c", str(config))
    assert done.returncode == 2 and "no upstream proxy is set" in done.stderr, done
    assert "nowhere.conf" in done.stderr and "--all" in done.stderr and not done.stdout
    with Upstream(tmp_path, more="ENABLED off;") as upstream:
        done = upstream.run()
        assert done.returncode == 2 and "switched off" in done.stderr and "--all" in done.stderr
        assert upstream.run("--all").returncode == 0


def test_usage_and_configuration_errors(tmp_path):
    for arguments in (["--bogus"], ["extra"], ["-c"]):
        done = run(*arguments)
        assert done.returncode == 2 and "usage: viaduct connections" in done.stderr, done
    (tmp_path / "viaduct.conf").write_text("worker 1;\n")
    done = run("-c", str(tmp_path / "viaduct.conf"))
    assert done.returncode == 2 and "viaduct.conf:1:1" in done.stderr, done


def test_a_name_that_does_not_resolve(tmp_path):
    with Upstream(tmp_path, name="nowhere.invalid") as upstream:
        done = upstream.run()
        assert done.returncode == 3 and '"nowhere.invalid" does not resolve' in done.stderr, done


def test_watch_without_a_terminal(upstream):
    with subprocess.Popen(
        [BINARY, "connections", "-c", upstream.config, "--watch"], stdout=subprocess.PIPE, text=True, env=ALONE
    ) as watching:
        assert watching.stdout.readline() == f"no connections to {upstream.said}\n"
        assert watching.stdout.readline() == "\n"
        upstream.connect()
        wait_until(lambda: "established" in watching.stdout.readline(), "the connection")
        watching.terminate()
        watching.stdout.read()
        assert watching.wait(30) == 0


def on_terminal(upstream, *arguments, key=None, mark=b"established", rows=24, **environment):
    """All that is written to a terminal until the end; `key` is pressed when `mark` was seen."""
    env = {k: v for k, v in ALONE.items() if k != "NO_COLOR"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            BINARY,
            [BINARY, "connections", "-c", str(upstream.config), *arguments],
            {**env, **environment},
        )
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, 80, 0, 0))
    text = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while select.select([terminal], [], [], 20)[0]:
            text += os.read(terminal, 65536)
            if key and mark in text:
                os.write(terminal, key)
                key = None
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode()


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_watch_on_a_terminal_ends_by_a_key(upstream, key):
    upstream.connect()
    status, text = on_terminal(upstream, "--watch", key=key)
    assert status == 0 and "established" in text
    assert "\x1b[?1049h" in text and text.endswith("\x1b[?7h\x1b[?1049l")


def test_a_low_terminal_gets_what_fits(upstream):
    for _ in range(6):
        upstream.connect()
    text = on_terminal(upstream, "--watch", key=b"q", mark="… and 2 more".encode(), rows=10)[1]
    last = text.split("\x1b[2J")[-1]
    assert last.count("established") == 4 and last.count("\n") < 10


def test_colour_is_for_terminals_only(upstream):
    upstream.connect()
    assert "\x1b[" in on_terminal(upstream)[1]
    assert "\x1b[" not in on_terminal(upstream, NO_COLOR="1")[1]
    assert "\x1b[" not in on_terminal(upstream, "--json")[1]
    assert "\x1b[" not in upstream.run().stdout


def test_the_manual_has_every_key(upstream):
    upstream.connect()
    words = set(re.findall(r"\w+", PAGE.read_text()))
    (row,) = upstream.rows()
    assert set(row) <= words

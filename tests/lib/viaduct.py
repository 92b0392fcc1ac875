"""The proxy under test: a configuration in a folder of its own, the real binary, its log as flows."""

import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import scratch

scratch.begin()

BINARY = os.environ.get("VIADUCT", "viaduct")

# What a sanitizer writes when it has found something.
SANITIZER = re.compile(r"(ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:).*")

# Everything is allowed: most targets of the tests are on loopback, and on ports of the kernel's choice.
OPEN = "deny private off; deny ports off; allow all { }"

KEYS = {
    "id",
    "source",
    "start",
    "duration_us",
    "client",
    "proxy",
    "target",
    "target_address",
    "parent",
    "method",
    "url",
    "user",
    "rule",
    "reported",
    "status",
    "bytes_up",
    "bytes_down",
    "phases",
    "tls",
    "tcp",
    "redirects",
    "superseded_by",
    "verdict",
    "ended_in",
    "ended_by",
    "certainty",
    "cause",
    "advice",
    "evidence",
    "warnings",
}


# What a test waits for comes soon; but on a busy machine, with a sanitizer, not always.  Only a failure takes longer.
PATIENCE_S = 30.0


def wait_until(condition, what="condition", seconds=PATIENCE_S):
    """Polls `condition` until it is true and returns its value; fails when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)


def open_folder(prefix="viaduct-test-"):
    """A folder that the account the proxy changes to may enter and write."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o777)
    return folder


# Of the times in a flow.
ROUNDED = datetime.timedelta(microseconds=10)


class Flow(dict):
    """One line of the JSON access log."""

    def expect(self, verdict, ended_in=None, ended_by=None, certainty="seen", **more):
        """Asserts how the flow ended; `more` are keys and their values.  Returns the flow."""
        wanted = {"verdict": verdict, "certainty": certainty, **more}
        if ended_in is not None:
            wanted["ended_in"] = ended_in
        if ended_by is not None:
            wanted["ended_by"] = ended_by
        found = {key: self.warnings() if key == "warnings" else self[key] for key in wanted}
        more = {
            key: self[key]
            for key in ("target", "status", "evidence", "warnings", "bytes_up", "bytes_down")
        }
        assert found == wanted, f"{found} instead of {wanted}: {more}"
        return self

    def says(self, *words):
        """Asserts that the evidence has each of these words.  Returns the flow."""
        text = "\n".join(self["evidence"])
        for word in words:
            assert str(word) in text, f"{word!r} is not in the evidence {self['evidence']}"
        return self

    def warnings(self):
        """But for retransmissions: of them a busy machine makes some by itself."""
        return [warning for warning in self["warnings"] if warning != "retransmissions"]

    def end(self):
        """When it ended."""
        return datetime.datetime.fromisoformat(self["start"].rstrip("Z")) + datetime.timedelta(
            microseconds=self["duration_us"]
        )

    def phase(self, name):
        return next((p for p in self["phases"] if p["phase"] == name), None)


# For commands that are to find no proxy by its control socket: the machine may have one that is not ours.
ALONE = {**os.environ, "RUNTIME_DIRECTORY": "/nonexistent"}


def run_command(*arguments, **more):
    """One viaduct command, done; `input` is what it reads.  Without an `env` it finds no running proxy."""
    more.setdefault("env", ALONE)
    return subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=90, check=False, **more
    )


class Proxy:
    """`viaduct serve` on a port of the kernel's choice.  A context manager: leaving it stops the proxy and
    asserts that it left cleanly.

    access, limits, resolver, log: the inside of these blocks (access None: no such block); extra: more statements; listen: the listeners'
    statements; log_format: of the access log, which is the file `access.log`; command: what stands before the
    binary (a namespace, prlimit); files: name -> text, written beside the configuration."""

    prepare = None  # what the child does before it becomes the proxy

    def __init__(
        self,
        access=OPEN,
        limits="",
        resolver=None,
        extra="",
        console="console off;",
        listen=("127.0.0.1:0",),
        workers=2,
        log_format="json",
        log="",
        files=None,
        hosts=None,
        command=(),
        env=None,
        pass_fds=(),
        arguments=None,
        start=True,
    ):
        self.folder = open_folder()
        self.config = self.folder / "viaduct.conf"
        self.log_path = self.folder / "access.log"
        self.command, self.env, self.pass_fds, self.arguments = (
            list(command),
            env,
            pass_fds,
            arguments,
        )
        self.process, self.ports, self.taken, self.order = None, [], 0, []
        self.stderr_path = self.folder / "stderr"
        self.settings = {
            "access": access,
            "limits": limits,
            "extra": extra,
            "console": console,
            "listen": listen,
            "workers": workers,
            "log_format": log_format,
            "log": log,
            "resolver": resolver or "hosts hosts; servers 127.0.0.1:9; timeout 1s;",
        }
        lines = [f"{address} {name}" for address, name in (hosts or [])]
        self.write("hosts", "\n".join(lines) + "\n")
        for name, text in (files or {}).items():
            self.write(name, text)
        if start:
            try:
                self.start()
            except BaseException:
                self.kill()
                raise

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def configure(self, **changes):
        """Writes the configuration anew with these settings changed."""
        self.settings.update(changes)
        s = self.settings
        limits = (
            s["limits"] if "drain-timeout" in s["limits"] else s["limits"] + " drain-timeout 2s;"
        )
        listeners = "\n".join(
            f"listen {at}" + ("" if at.rstrip().endswith("}") else ";") for at in s["listen"]
        )
        access_log = (
            f"access {self.log_path} {s['log_format']};" if "access " not in s["log"] else ""
        )
        access = "" if s["access"] is None else f"access {{ {s['access']} }}"
        self.write(
            "viaduct.conf",
            f"""
workers {s['workers']};
{listeners}
{access}
limits {{ {limits} }}
resolver {{ {s['resolver']} }}
log {{ {access_log} {s['log']} }}
{s['console']}
{s['extra']}
""",
        )

    def start(self):
        self.configure()
        self.launch()
        wait_until(self.is_listening, "the proxy to listen; it says:\n" + self.stderr())

    def launch(self):
        """Starts the process; does not wait for it."""
        env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        env.update(
            {
                "LC_ALL": "C.UTF-8",
                "STATE_DIRECTORY": str(self.folder),
                "RUNTIME_DIRECTORY": str(self.folder),
                "ASAN_OPTIONS": "detect_leaks=1",
                "TSAN_OPTIONS": "report_signal_unsafe=0",
            }
        )
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        env.update(self.env or {})
        arguments = self.arguments or ["serve", "-c", str(self.config)]
        with open(self.stderr_path, "wb") as errors, open(self.folder / "stdout", "wb") as out:
            self.process = subprocess.Popen(
                [*self.command, BINARY, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                env=env,
                pass_fds=self.pass_fds,
                cwd=self.folder,
                preexec_fn=self.prepare,
            )

    def is_listening(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f"the proxy ended with {self.process.returncode}:\n{self.stderr()}"
            )
        found = re.findall(r"listening on \S+:(\d+)(?:\s|$)", self.stderr())
        if len(found) < len(self.settings["listen"]):
            return False
        self.ports = [int(port) for port in found]
        return True

    @property
    def port(self):
        return self.ports[0]

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    @property
    def console_port(self):
        return int(re.search(r"console on https?://\S+:(\d+)/", self.stderr()).group(1))

    @property
    def setup_token(self):
        """Of the link that makes the first administrator."""
        return re.search(r"#setup=([0-9a-f]{64})", self.stderr()).group(1)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        return self.stderr_path.read_text(errors="replace") if self.stderr_path.exists() else ""

    def stdout(self):
        return (self.folder / "stdout").read_text(errors="replace")

    def log_lines(self, path=None):
        path = path or self.log_path
        text = path.read_text() if path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()

    def flows(self, n=1, seconds=PATIENCE_S):
        """The next `n` flows of the log that were not taken yet, in the order of their ends: those of two workers may
        stand in the log the other way round."""
        wait_until(
            lambda: len(self.log_lines()) >= self.taken + n,
            f"{n} more flows after {self.taken}",
            seconds,
        )
        self.order, flows = self.order[: self.taken], []
        gone = set(self.order)
        for i, line in enumerate(self.log_lines()):
            if i not in gone:
                flow, place = Flow(json.loads(line)), len(flows)
                while place > 0 and flows[place - 1].end() > flow.end() + ROUNDED:
                    place -= 1
                flows.insert(place, flow)
                self.order.insert(self.taken + place, i)
        flows, self.taken = flows[:n], self.taken + n
        for flow in flows:
            assert set(flow) == KEYS, f"keys {set(flow) ^ KEYS}"
            assert (
                flow["source"] == "serve"
                and flow["cause"]
                and re.fullmatch("[0-9a-f]{16}", flow["id"])
            )
        return flows

    def flow(self, seconds=PATIENCE_S):
        return self.flows(1, seconds)[0]

    def ask_itself(self, path):
        """What it answers at its control socket; "" where there is none."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE_S)
            try:
                sock.connect(str(self.folder / "control.sock"))
            except OSError:
                return ""
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            with sock.makefile() as answer:
                return answer.read()

    def count_open(self):
        """How many flows are under way."""
        found = re.search(r'"open":(\d+)', self.ask_itself("/api/v1/state"))
        return int(found[1]) if found else 0

    def settle(self, seconds=2):
        """Forgets the flows that are in the log by now; those of clients that have left are, too."""
        deadline = time.monotonic() + seconds
        while self.count_open() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.ask_itself("/api/v1/flows?limit=0")  # for which it writes what it has
        seen = -1
        while seen != len(self.log_lines()):
            seen = len(self.log_lines())
            time.sleep(0.03)
        self.taken, self.order = seen, list(range(seen))

    def signal(self, number):
        self.process.send_signal(number)

    def rss_kib(self):
        """Resident memory of the process in KiB."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def stop(self, seconds=PATIENCE_S):
        """Stops it in order and returns the exit status; a second signal cuts what is still open."""
        if self.process is None or self.process.returncode is not None:
            return None if self.process is None else self.process.returncode
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(0.3)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGTERM)
            return self.process.wait(seconds)

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def check(self):
        """Asserts that the proxy, which has ended, ended well."""
        found = SANITIZER.search(self.stderr())
        assert not found, f"{found[0]}\n{self.stderr()[-8000:]}"
        assert (
            self.process.returncode == 0
        ), f"exit status {self.process.returncode}:\n{self.stderr()[-4000:]}"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if self.process is not None:
                self.stop()
                if kind is None:
                    self.check()
                else:
                    print(f"--- the proxy's stderr\n{self.stderr()[-4000:]}")
        finally:
            self.kill()

"""The history: what is in it after whatever happens, and what `viaduct flows` shows of it."""

import json
import os
import pathlib
import pwd
import re
import signal
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

from client import Client, ask, get
from console import Console
from login import basic
from target import HttpTarget, Target, echo, reply
from viaduct import BINARY, KEYS, OPEN, Proxy, run_command, wait_until

HISTORY = "history history.db;"


def database(proxy):
    return proxy.folder / "history.db"


def run_flows(proxy, *arguments, **more):
    return run_command("flows", "-c", proxy.config, *arguments, **more)


def flows(proxy, *arguments):
    """The history as objects, the newest first."""
    done = run_flows(proxy, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def recorded(proxy, n, *arguments):
    """The same, once there are `n` of them."""

    def enough():
        done = run_flows(proxy, "--json", "--since", "1h", *arguments)
        return len(done.stdout.splitlines()) >= n

    wait_until(enough, f"{n} flows in the history")
    return flows(proxy, "--since", "1h", *arguments)


def is_whole(path):
    """What SQLite itself says."""
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return db.execute("SELECT count(*) FROM flow").fetchone()[0]
    finally:
        db.close()


def log_says(proxy, words):
    return words in proxy.stderr()


@pytest.fixture(scope="module")
def web():
    with HttpTarget(lambda r: reply(b"", "404 Not Found") if r.path.startswith("/no") else reply(b"x")) as target:
        yield target


# --- what is kept


def test_every_flow_is_in_the_history_as_in_the_access_log(web):
    with Proxy(log=HISTORY) as proxy, Target(echo) as tunnel:
        get(proxy, web.url("/a"))
        get(proxy, web.url("/no"))
        with Client(proxy).connect(tunnel.authority) as client:
            client.send("ping").read(4)
        ask(proxy, "CONNECT", "127.0.0.1:1")
        wait_until(lambda: len(proxy.log_lines()) == 4)
        found = recorded(proxy, 4)
        assert all(set(flow) == KEYS for flow in found)
        logged = [json.loads(line) for line in proxy.log_lines()]
        assert sorted(found, key=lambda f: f["id"]) == sorted(logged, key=lambda f: f["id"])


def test_the_file_is_the_proxys_own():
    with Proxy(log=HISTORY) as proxy:
        wait_until(database(proxy).exists)
        found = database(proxy).stat()
        assert stat.S_IMODE(found.st_mode) & ~0o640 == 0
        if os.geteuid() == 0:
            assert found.st_uid == pwd.getpwnam("nobody").pw_uid


def test_the_default_place_is_the_state_folder(web):
    with Proxy() as proxy:
        get(proxy, web.url())
        state = {**os.environ, "STATE_DIRECTORY": str(proxy.folder)}
        wait_until(lambda: len(run_flows(proxy, env=state).stdout.splitlines()) == 1, "the flow")
        assert database(proxy).exists()


def test_off_keeps_none(web):
    with Proxy(log="history off;") as proxy:
        get(proxy, web.url())
        proxy.flow()
        done = run_flows(proxy)
        assert (done.returncode, done.stdout) == (2, "") and "the history is off" in done.stderr
        assert "history off;" in run_command("config", "show", "-c", proxy.config).stdout
    assert not list(proxy.folder.glob("history*"))


def test_without_an_access_log_too(web):
    with Proxy(log="access off; " + HISTORY) as proxy:
        get(proxy, web.url())
        assert len(recorded(proxy, 1)) == 1


def test_a_stop_writes_everything(web):
    with Proxy(log=HISTORY) as proxy:
        with Client(proxy) as client:
            for i in range(300):
                client.get(web.url(f"/{i}"))
        assert proxy.stop() == 0
        proxy.check()
        assert is_whole(database(proxy)) == 300
        assert not (proxy.folder / "history.db-wal").exists()


def test_a_reload_changes_the_file_and_turns_it_off(web):
    def reload(proxy, log):
        proxy.stderr_path.write_text("")
        proxy.configure(log=log)
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in proxy.stderr())

    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url("/one"))
        recorded(proxy, 1)
        reload(proxy, "history other.db { keep 1d; max-size 10m; }")
        wait_until((proxy.folder / "other.db").exists)
        get(proxy, web.url("/two"))
        assert [flow["url"] for flow in recorded(proxy, 1)] == [web.url("/two")]
        reload(proxy, "history off;")
        get(proxy, web.url("/three"))
        proxy.flows(3)
        proxy.stop()
        for log, path in ((HISTORY, "/one"), ("history other.db;", "/two")):
            proxy.configure(log=log)
            assert [flow["url"] for flow in flows(proxy)] == [web.url(path)]


# --- what survives


class Load:
    """Clients that ask without end; `done` holds each URL with when its answer was whole."""

    def __init__(self, proxy, web, clients=8, name=""):
        self.proxy, self.web, self.stop, self.done, self.name = proxy, web, threading.Event(), {}, name
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, number):
        asked = 0
        while not self.stop.is_set():
            try:
                with Client(self.proxy) as client:
                    for _ in range(20):
                        asked += 1
                        url = self.web.url(f"/{self.name}{number}/{asked}")
                        client.get(url)
                        self.done[url] = time.monotonic()
            except (OSError, AssertionError):
                return  # the proxy is gone

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def kill_under_load(proxy, web, name):
    """What is in the history then, and of how many seconds something is not."""
    load = Load(proxy, web, name=name)
    try:
        wait_until(lambda: len(load.done) > 3000, "some load", 180)
        killed = time.monotonic()
        proxy.process.kill()
        proxy.process.wait()
    finally:
        load.end()
    found = {flow["url"] for flow in flows(proxy, "--since", "1h")}  # by what is left alone
    return found, max((killed - at for url, at in load.done.items() if url not in found), default=0)


def test_kill_9_under_load_loses_a_second_at_most(web):
    """On a machine whose processors are all taken by others it may be more: then once again."""
    with Proxy(log=HISTORY) as proxy:
        lost = []
        for name in "abc":
            found, lost_s = kill_under_load(proxy, web, name)
            lost.append(lost_s)
            proxy.launch()
            wait_until(proxy.is_listening, "the proxy to listen again")
            if lost_s < 1.0:
                break
        assert min(lost) < 1.0 and max(lost) < 5.0, lost
        get(proxy, web.url("/again"))
        again = {flow["url"] for flow in recorded(proxy, len(found) + 1)}
        assert found < again and web.url("/again") in again
        assert "history" not in proxy.stderr(), proxy.stderr()
        proxy.stop()
        assert is_whole(database(proxy)) == len(again)


def test_the_file_stays_below_its_limit_and_failures_stay_longest(web):
    with Proxy(log="history history.db { max-size 1m; }") as proxy:

        def size():
            sizes = [p.stat().st_size for p in proxy.folder.glob("history.db*") if p.exists()]
            return sum(sizes) - (32768 if (proxy.folder / "history.db-shm").exists() else 0)

        with Client(proxy) as client:
            for i in range(9000):
                client.get(web.url(f"/no/{i}" if i % 50 == 0 else f"/{i}"))
                if i % 100 == 0:
                    assert size() <= 1 << 20
        proxy.stop()
        assert size() <= 1 << 20
        kept = flows(proxy, "--since", "1h")
        fine = [int(f["url"].split("/")[-1]) for f in kept if f["verdict"] == "ok"]
        failed = [int(f["url"].split("/")[-1]) for f in kept if f["verdict"] != "ok"]
        assert max(fine) == 8999 and 0 < min(fine) and min(failed) < min(fine)
        db = sqlite3.connect(database(proxy))
        counted = db.execute("SELECT sum(flows) FROM tally WHERE kind = 'verdict'").fetchone()[0]
        db.close()
        assert counted == 9000


# --- what is wrong with the file


def restart(proxy):
    proxy.stop()
    proxy.launch()
    wait_until(proxy.is_listening, "the proxy to listen again")


@pytest.mark.parametrize("what", ["garbage", "newer"])
def test_a_file_of_no_use_is_set_aside(web, what):
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url("/before"))
        recorded(proxy, 1)
        proxy.stop()
        if what == "garbage":
            database(proxy).write_bytes(b"garbage" * 1000)
        else:
            db = sqlite3.connect(database(proxy))
            db.execute("PRAGMA user_version = 77")
            db.close()
        before = database(proxy).read_bytes()
        done = run_flows(proxy)
        assert done.returncode == 3 and len(done.stderr.splitlines()) == 1
        restart(proxy)
        wait_until(lambda: log_says(proxy, "it was set aside as"))
        aside = proxy.folder.glob("history.db.newer-*" if what == "newer" else "history.db.broken-*")
        (aside,) = [path for path in aside if not path.name.endswith(("-wal", "-shm"))]
        assert is_whole(aside) == 1 if what == "newer" else aside.read_bytes() == before
        get(proxy, web.url("/after"))
        assert [flow["url"] for flow in recorded(proxy, 1)] == [web.url("/after")]


def test_another_programs_database_is_left_alone(web):
    with Proxy(log=HISTORY, start=False) as proxy:
        db = sqlite3.connect(database(proxy))
        db.execute("CREATE TABLE theirs (x)")
        db.commit()
        db.close()
        database(proxy).chmod(0o666)
        before = database(proxy).read_bytes()
        proxy.start()
        wait_until(lambda: log_says(proxy, "it is the database of another program; the proxy goes on without it"))
        assert get(proxy, web.url()).status == 200
        proxy.stop()
        assert sqlite3.connect(database(proxy)).execute("SELECT count(*) FROM theirs").fetchone() == (0,)
        assert before[:16] == database(proxy).read_bytes()[:16]


def test_a_locked_file_is_waited_for(web):
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url("/0"))
        recorded(proxy, 1)
        db = sqlite3.connect(database(proxy), isolation_level=None, timeout=10)
        db.execute("BEGIN IMMEDIATE")
        for i in range(1, 50):
            assert get(proxy, web.url(f"/{i}")).status == 200
        wait_until(lambda: log_says(proxy, "database is locked; the proxy goes on without it"))
        db.execute("COMMIT")
        db.close()
        assert len(recorded(proxy, 50)) == 50
        wait_until(lambda: log_says(proxy, "is written again; flows lost: 0"))


def test_a_folder_that_cannot_be_written_is_told(web):
    with Proxy(log="history deep/history.db;", start=False) as proxy:
        folder = proxy.folder / "deep"
        folder.mkdir(mode=0o755)
        proxy.start()
        if os.geteuid() != 0:
            pytest.skip("everything is this user's own")
        wait_until(lambda: log_says(proxy, "deep/history.db-lock: Permission denied; the proxy goes on without it")
                   or log_says(proxy, "deep/history.db: Permission denied; the proxy goes on without it"))
        assert get(proxy, web.url()).status == 200
        done = run_command("config", "check", "-c", proxy.config)
        assert "deep/history.db: the account nobody cannot write it: Permission denied" in done.stdout + done.stderr
        folder.chmod(0o777)
        assert "deep" not in run_command("config", "check", "-c", proxy.config).stderr


def test_a_file_that_is_removed_is_begun_anew(web):
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url())
        recorded(proxy, 1)
        database(proxy).unlink()

        def told():
            get(proxy, web.url("/after"))
            return log_says(proxy, "was moved or removed: a new one is begun")

        wait_until(told, "the loss to be noticed")
        get(proxy, web.url("/last"))
        wait_until(lambda: "/last" in run_flows(proxy).stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a mount of its own")
def test_a_full_disk_stops_the_history_and_never_the_proxy(web):
    """The folder is a small tmpfs in the proxy's own mount namespace, seen through /proc from here."""
    block = "console { listen 127.0.0.1:0; }"
    with Proxy(log="history small/history.db;", console=block, start=False) as proxy:
        small = proxy.folder / "small"
        small.mkdir()
        mount = f'mount -t tmpfs -o size=2m,mode=0777 none {small} && exec "$@"'
        proxy.command = ["unshare", "-m", "--propagation", "private", "sh", "-c", mount, "sh"]
        proxy.start()
        seen = pathlib.Path(f"/proc/{proxy.pid}/root{small}")

        def inside(*arguments):
            there = ["nsenter", "-t", str(proxy.pid), "-m", BINARY, "flows", "-c", proxy.config, "--since", "1h"]
            return subprocess.run([*there, *arguments], capture_output=True, text=True, check=False)

        get(proxy, web.url("/before"))
        wait_until(lambda: "/before" in inside().stdout)
        filler = seen / "filler"
        with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(b"x" * 4096)
        with Client(proxy) as client:

            def full():
                for _ in range(20):
                    assert client.get(web.url("/full")).status == 200
                return log_says(proxy, "the proxy goes on without it")

            wait_until(full, "the disk to be full")
            assert log_says(proxy, "No space left on device") or log_says(proxy, "disk is full"), proxy.stderr()
            filler.unlink()

            def again():
                assert client.get(web.url("/again")).status == 200
                return log_says(proxy, "is written again; flows lost: ")

            wait_until(again, "the history to go on", 60)
            client.get(web.url("/last"))
        wait_until(lambda: "/last" in inside().stdout)
        lost = int(re.search(r"flows lost: (\d+)", proxy.stderr())[1])
        assert lost > 0
        told = re.search(r"^viaduct_history_lost_flows_total (\d+)", Console(proxy).get("/metrics").text, re.M)
        assert told and int(told[1]) >= lost
        done = inside()
        assert "/before" in done.stdout and "/again" in done.stdout
        missing = re.search(r"that are missing: (\d+)", done.stderr)
        assert missing and int(missing[1]) >= lost


def test_a_second_proxy_keeps_no_history(web):
    with Proxy(log=HISTORY) as first, Proxy(log=f"history {database(first)};") as second:
        wait_until(lambda: log_says(second, "another viaduct is writing it; the proxy goes on without it"))
        get(second, web.url("/second"))
        get(first, web.url("/first"))
        assert [flow["url"] for flow in recorded(first, 1)] == [web.url("/first")]


# --- viaduct flows


@pytest.fixture(scope="module")
def filled(web):
    """A history with one flow of each kind, the oldest first: see `NAMES`."""
    hosts = [("127.0.0.1", name) for name in ("one.test", "deep.one.test", "two.test")]
    rules = "deny private off; deny ports off; deny social { to two.test; } allow all { }"
    with Proxy(access=rules, log=HISTORY, hosts=hosts, workers=1) as proxy:
        with Client(proxy) as client:
            client.get(web.url("/ok", host="one.test"))
            client.get(web.url("/ok", host="deep.one.test"))
            client.get(web.url("/no", host="one.test"))
        get(proxy, web.url("/ok", host="two.test"))
        ask(proxy, "CONNECT", "127.0.0.1:1")
        with Client(proxy, source="127.0.0.9") as other:
            other.get(web.url("/other", host="one.test"))
        recorded(proxy, 6)
        yield proxy


NAMES = ["one ok", "deep ok", "one 404", "two denied", "refused", "one by another client"]


def names(proxy, *arguments):
    """Which of NAMES are shown, the oldest first."""
    everything = [flow["id"] for flow in recorded(proxy, 6)][::-1]
    return [NAMES[everything.index(flow["id"])] for flow in flows(proxy, *arguments)][::-1]


@pytest.mark.parametrize(
    "arguments, want",
    [
        ([], NAMES),
        (["--failed"], ["one 404", "two denied", "refused"]),
        (["--since", "1h"], NAMES),
        (["--since", "0s"], []),
        (["--since", "2026-01-01"], NAMES),
        (["--since", "2200-01-01"], []),
        (["--since", "2200-01-01T00:00:00Z"], []),
        (["--client", "127.0.0.9"], ["one by another client"]),
        (["--client", "127.0.0.8"], []),
        (["--target", "one.test"], ["one ok", "one 404", "one by another client"]),
        (["--target", ".one.test"], ["one ok", "deep ok", "one 404", "one by another client"]),
        (["--target", "ONE.test."], ["one ok", "one 404", "one by another client"]),
        (["--target", "127.0.0.1:1"], ["refused"]),
        (["--target", "one.test:1"], []),
        (["--verdict", "acl-denied"], ["two denied"]),
        (["--verdict", "acl-denied,upstream-refused"], ["two denied", "refused"]),
        (["--verdict", "acl-denied", "--verdict", "ok", "--client", "127.0.0.9"], ["one by another client"]),
        (["--failed", "--target", ".test", "--client", "127.0.0.1", "--since", "10m"], ["one 404", "two denied"]),
    ],
)
def test_filters(filled, arguments, want):
    assert names(filled, *arguments) == want


def test_lines_are_for_people(filled):
    done = run_flows(filled)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    for line, flow in zip(lines, recorded(filled, 6)):
        assert line.startswith(flow["id"] + " 20") and f" {flow['verdict']} in {flow['ended_in']}" in line
    assert "\x1b" not in done.stdout


def test_nothing_found_is_no_failure(filled):
    done = run_flows(filled, "--client", "192.0.2.1")
    assert (done.returncode, done.stdout) == (0, "") and "no flow is like that" in done.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--verdict", "upstream-refusd"], "did you mean upstream-refused?"),
        (["--verdict", "ok,"], None),
        (["--verdict", ""], 'no verdict ""'),
        (["--since", "yesterday"], "not a time like 10m"),
        (["--since", "2026-02-30"], "not a time like 10m"),
        (["--client", "one.test"], "not an address"),
        (["--target", ""], "a name is wanted"),
        (["--failedd"], "no such option"),
        (["xyz"], "no id of a flow"),
        (["00000000000000000"], "no id of a flow"),
        (["1", "2"], 'unexpected argument "2"'),
        (["--failed", "1"], "nothing to choose from"),
        (["--follow", "1"], "nothing to choose from"),
    ],
)
def test_usage_errors(filled, arguments, words):
    done = run_flows(filled, *arguments)
    if words is None:
        assert done.returncode == 0
        return
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""


def test_the_ladder_of_one_flow(filled):
    for flow in recorded(filled, 6):
        done = run_flows(filled, flow["id"])
        assert done.returncode == (0 if flow["verdict"] == "ok" else 1)
        assert f"flow {flow['id']}" in done.stdout and flow["cause"] in done.stdout
        assert f"\n{flow['verdict']} in {flow['ended_in']}" in done.stdout
        for word in flow["evidence"]:
            assert word in done.stdout
        whole = run_flows(filled, "--json", flow["id"][:12])
        assert json.loads(whole.stdout) == flow and whole.returncode == done.returncode


def test_the_ladder_speaks_the_readers_language(filled):
    refused = flows(filled, "--verdict", "upstream-refused")[0]
    japanese = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "ja"}
    done = run_flows(filled, refused["id"], env=japanese)
    assert "接続先" in done.stdout, done.stdout


def test_ids_that_are_none(filled):
    done = run_flows(filled, "0123456789abcdef")
    assert done.returncode == 2 and "no flow's id is 0123456789abcdef" in done.stderr


def test_several_ids_with_one_beginning(web):
    with Proxy(log=HISTORY) as proxy, Client(proxy) as client:
        for _ in range(40):
            client.get(web.url())
        ids = [flow["id"] for flow in recorded(proxy, 40)]
        digit = max("0123456789abcdef", key=lambda d: sum(i.startswith(d) for i in ids))
        done = run_flows(proxy, digit)
        assert done.returncode == 2 and f"several ids begin with {digit}:" in done.stderr
        assert set(re.findall("[0-9a-f]{16}", done.stderr)) <= set(ids)


def test_a_superseded_407_is_no_failure(web):
    rules = "deny private off; deny ports off; allow all { authenticated; }"
    with Proxy(access=rules, log=HISTORY, extra="authentication { accounts accounts.conf; }", start=False) as proxy:
        proxy.configure()
        done = run_command("account", "add", "alice", "-c", proxy.config, input="sesame\n")
        assert done.returncode == 0, done.stderr
        os.chown(proxy.folder / "accounts.conf", pwd.getpwnam("nobody").pw_uid, -1)
        proxy.start()
        with Client(proxy) as client:
            client.get(web.url("/asked")).expect(407, "auth-required")
            assert client.get(web.url("/asked"), basic("alice", "sesame")).status == 200
        get(proxy, web.url("/left")).expect(407, "auth-required")
        proxy.stop()
        assert len(flows(proxy)) == 3
        failed = flows(proxy, "--failed")
        assert [flow["url"] for flow in failed] == [web.url("/left")]
        answered = next(flow for flow in flows(proxy) if flow["superseded_by"])
        done = run_flows(proxy, answered["id"])
        assert done.returncode == 0 and f"superseded by flow {answered['superseded_by']}" in done.stdout


def test_hostile_names_are_shown_harmless(web):
    with Proxy(log=HISTORY) as proxy:
        with Client(proxy) as client:
            client.get(web.url("/<script>%0d%0a\x80\x9b31m\xe2\x80\xae" + "a" * 8000))
        flow = recorded(proxy, 1)[0]
        for arguments in ([], [flow["id"]], ["--json"]):
            done = run_flows(proxy, *arguments)
            assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", done.stdout), done.stdout[:300]


def test_no_history_yet():
    with Proxy(log=HISTORY, start=False) as proxy:
        proxy.configure()
        done = run_flows(proxy)
        assert done.returncode == 3 and "there is no history yet" in done.stderr
        done = run_command("flows", "-c", "/nonexistent/viaduct.conf")
        assert done.returncode == 2


def test_who_may_not_read_it_is_told(web):
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url())
        recorded(proxy, 1)
        if os.geteuid() != 0:
            pytest.skip("everything is this user's own")
        done = run_flows(proxy, user=12345, group=12345, extra_groups=[])
        assert done.returncode == 3 and "Permission denied" in done.stderr
        # after a stop, one who may read the file but write nothing
        proxy.stop()
        database(proxy).chmod(0o644)
        proxy.folder.chmod(0o755)
        done = run_flows(proxy, user=12345, group=12345, extra_groups=[])
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 1, done.stderr
        proxy.folder.chmod(0o777)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two accounts")
def test_root_makes_nothing_beside_it(web):
    """A log that root begins is root's for a moment: the proxy would be denied its own history."""
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url())
        recorded(proxy, 1)
        proxy.stop()
        before = set(os.listdir(proxy.folder))
        proxy.folder.chmod(0o755)
        assert len(flows(proxy)) == 1
        assert set(os.listdir(proxy.folder)) == before
        # where the owner may not even enter, root reads it all the same
        proxy.folder.chmod(0o700)
        assert len(flows(proxy)) == 1
        proxy.folder.chmod(0o777)


class Follower:
    """`viaduct flows --follow` under way; `lines` are what it has said."""

    def __init__(self, proxy, *arguments):
        self.process = subprocess.Popen(
            [BINARY, "flows", "-c", proxy.config, "--follow", *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        self.lines = []
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.process.stderr.close()


def test_follow_shows_flows_as_they_end(web):
    with Proxy(log=HISTORY, workers=1) as proxy:
        with Client(proxy) as client:
            for i in range(15):
                client.get(web.url(f"/{i}"))
        recorded(proxy, 15)
        with Follower(proxy) as every, Follower(proxy, "--failed", "--json") as failed:
            wait_until(lambda: len(every.lines) >= 10, "the newest ten")
            for i in range(15, 20):
                get(proxy, web.url(f"/{i}"))
            get(proxy, web.url("/no/1"))
            wait_until(lambda: len(every.lines) >= 16 and failed.lines, "the new ones")
            shown = [re.search(r"/(\d+|no/1) ", line)[1] for line in every.lines]
            assert shown == [str(i) for i in range(5, 20)] + ["no/1"]
            assert [json.loads(line)["url"] for line in failed.lines] == [web.url("/no/1")]


def test_follow_goes_on_with_a_new_file(web):
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url("/first"))
        recorded(proxy, 1)
        with Follower(proxy) as every:
            wait_until(lambda: every.lines, "the first")
            proxy.stop()
            database(proxy).rename(proxy.folder / "old.db")
            proxy.launch()
            wait_until(proxy.is_listening)

            def second():
                get(proxy, web.url("/second"))
                return any("/second" in line for line in every.lines)

            wait_until(second, "one of the new file")


def test_a_reader_does_not_disturb(web):
    """Queries without end beside a load: all answers, and all flows, are there."""
    with Proxy(log=HISTORY) as proxy:
        load = Load(proxy, web, clients=2)
        try:
            recorded(proxy, 1)
            for _ in range(15):
                assert run_flows(proxy, "--failed", "--since", "1h").returncode == 0
        finally:
            load.end()
        assert len(recorded(proxy, len(load.done))) == len(load.done)
        assert "flows lost" not in proxy.stderr()

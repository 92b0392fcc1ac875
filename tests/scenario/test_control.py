"""The commands that ask a running proxy by its control socket: what they have from it, who may, and what they do where
somebody else listens there."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from client import Client, ask, get
from console import Console
from login import basic
from mockery import Mockery, http
from target import HttpTarget, Target, echo, reply
from viaduct import BINARY, KEYS, OPEN, Proxy, run_command, wait_until

HISTORY = "history history.db;"
LOGIN = "authentication { accounts acc.conf; realm viaduct; }"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs other accounts")
STRANGER = {"user": 12345, "group": 12345, "extra_groups": []}
MEMBER = {"user": 12345, "group": 12345, "extra_groups": [65534]}  # of the socket's group


def asking(proxy):
    """The environment of a command that finds the proxy."""
    return {**os.environ, "RUNTIME_DIRECTORY": str(proxy.folder)}


def run(proxy, *arguments, **more):
    return run_command(*arguments, env=asking(proxy), **more)


def rows(done):
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def told(proxy, n, **more):
    """What the proxy says of its history, once that are `n` flows."""

    def ask():
        found = rows(run(proxy, "flows", "-c", proxy.config, "--json", **more))
        return found if len(found) >= n else None

    return wait_until(ask, f"{n} flows in the history")


@pytest.fixture(scope="module")
def web():
    with HttpTarget(lambda r: reply(b"", "404 Not Found") if r.path.startswith("/no") else reply(b"x")) as target:
        yield target


# --- flows


@pytest.fixture(scope="module")
def full(web):
    """A history with something for each filter, more than a page of it."""
    access = "deny ads { to .ads.test; } deny private off; deny ports off; allow staff { to .staff.test; authenticated; } allow all { }"
    hosts = [("127.0.0.1", "a.sites.test"), ("127.0.0.1", "b.sites.test"), ("127.0.0.1", "x.staff.test")]
    with Proxy(access=access, log=HISTORY, extra=LOGIN, hosts=hosts, files={"acc.conf": ""}) as proxy:
        (proxy.folder / "acc.conf").chmod(0o600)
        if os.geteuid() == 0:
            os.chown(proxy.folder / "acc.conf", 65534, 65534)
        done = run(proxy, "account", "add", "alice", "-c", proxy.config, input="open sesame\n")
        assert done.returncode == 0 and "has taken it up" in done.stderr, done.stderr
        port = web.authority.split(":")[1]
        for n in range(230):
            get(proxy, web.url(f"/{'no' if n % 7 == 0 else n}"))
        for name in ("a", "b"):
            get(proxy, f"http://{name}.sites.test:{port}/")
        ask(proxy, "CONNECT", "127.0.0.1:1")
        ask(proxy, "CONNECT", "evil.ads.test:443")
        ask(proxy, "CONNECT", "nowhere.test:443")
        get(proxy, f"http://x.staff.test:{port}/")
        with Client(proxy) as client:
            client.get(f"http://x.staff.test:{port}/")
            client.get(f"http://x.staff.test:{port}/", basic("alice", "open sesame"))
        in_file = ["flows", "-c", proxy.config, "--since", "1h", "--json"]
        wait_until(lambda: len(run_command(*in_file).stdout.splitlines()) == 238, "all of them in the file")
        proxy.port_of_web = port
        yield proxy


FILTERS = [
    [],
    ["--failed"],
    ["--since", "1h"],
    ["--since", "1h", "--failed"],
    ["--since", "2020-01-01"],
    ["--client", "127.0.0.1"],
    ["--client", "192.0.2.1"],
    ["--client", "::1"],
    ["--target", "127.0.0.1"],
    ["--target", ".sites.test"],
    ["--target", "sites.test"],
    ["--target", "A.Sites.Test."],
    ["--target", "a.sites.test:PORT"],
    ["--target", ".sites.test:PORT"],
    ["--target", "a.sites.test:1"],
    ["--target", "no such & name=1 %41?#ü"],
    ["--verdict", "acl-denied"],
    ["--verdict", "acl-denied,upstream-refused,auth-required"],
    ["--verdict", "ok", "--since", "1h"],
    ["--verdict", "target-error", "--client", "127.0.0.1", "--since", "1h", "--target", "127.0.0.1:PORT"],
]


@pytest.mark.parametrize("json_too", [False, True])
@pytest.mark.parametrize("filters", FILTERS, ids=" ".join)
def test_flows_are_the_same_from_the_proxy_and_from_its_file(full, filters, json_too):
    filters = [word.replace("PORT", full.port_of_web) for word in filters] + ["--json"] * json_too
    asked = run(full, "flows", "-c", full.config, *filters)
    read = run_command("flows", "-c", full.config, *filters)
    assert (asked.returncode, asked.stderr) == (read.returncode, read.stderr)
    assert asked.stdout == read.stdout
    if filters[:2] == ["--since", "1h"] and not filters[2:]:
        assert len(asked.stdout.splitlines()) > 230  # more than a page


def test_one_flow_is_the_same_from_both(full):
    ids = [flow["id"] for flow in rows(run(full, "flows", "-c", full.config, "--since", "1h", "--json"))]
    begins = {digit: sum(i.startswith(digit) for i in ids) for digit in "0123456789abcdef"}
    several = max(begins, key=begins.get)
    for what in [ids[0], ids[-1], ids[100][:9], several, "0" * 16, "ffff000011112222"]:
        for more in [], ["--json"]:
            asked = run(full, "flows", "-c", full.config, what, *more)
            read = run_command("flows", "-c", full.config, what, *more)
            assert (asked.returncode, asked.stdout, asked.stderr) == (read.returncode, read.stdout, read.stderr)
    assert "several ids begin with" in run(full, "flows", "-c", full.config, several).stderr


def test_what_has_ended_is_there_at_once(web):
    """Also what is not committed yet; but who asks does not wait for ever, and a machine may be busy just then."""
    with Proxy(log=HISTORY) as proxy:
        late = 0
        for n in range(20):
            get(proxy, web.url(f"/{n}"))
            found = rows(run(proxy, "flows", "-c", proxy.config, "--json"))
            if len(found) < n + 1:
                late, found = late + 1, told(proxy, n + 1)
            assert [flow["url"] for flow in found][:1] == [web.url(f"/{n}")]
            assert set(found[0]) == KEYS and len(found) == n + 1
        assert late < 5


def test_what_was_lost_is_told_as_from_the_file(web):
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url("/x"))
        assert len(told(proxy, 1)) == 1
        with contextlib.closing(sqlite3.connect(proxy.folder / "history.db", timeout=20)) as db, db:
            db.execute("INSERT INTO gap VALUES (?, 7, 'they came too fast')", (time.time_ns() // 1000,))
        for more in [], ["--since", "1h"]:
            asked = run(proxy, "flows", "-c", proxy.config, *more)
            read = run_command("flows", "-c", proxy.config, *more)
            assert "that are missing: 7 (they came too fast)" in read.stderr
            assert asked.stderr == read.stderr and asked.stdout == read.stdout


def test_no_flow_is_a_page_of_its_own(web):
    """A question for nothing but what is of all."""
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url("/x"))
        local = Console(proxy, proxy.folder / "control.sock")
        wait_until(lambda: local.get("/api/v1/flows").json.get("flows"))  # the file is there, with it
        end = local.get("/api/v1/flows?lines=1&limit=0").json
        assert (end["next"], end["last"]) == (None, 1)
        assert local.get("/api/v1/flows?limit=0").json == {"flows": [], "next": None}


def test_a_file_s_proxy_is_asked_only_for_the_history_that_it_writes(web):
    with Proxy(log=HISTORY) as one, Proxy(log=HISTORY) as other:
        get(one, web.url("/one"))
        get(other, web.url("/other"))
        wait_until(lambda: run_command("flows", "-c", one.config).stdout)
        done = run_command("flows", "-c", one.config, "--json", env=asking(other))
        assert [flow["url"] for flow in rows(done)] == [web.url("/one")]
        # without a file, the one that runs here is meant
        done = wait_until(lambda: (d := run_command("flows", "--json", env=asking(other))).stdout and d)
        assert [flow["url"] for flow in rows(done)] == [web.url("/other")]
        done = run_command("flows", "0123456789abcdef", env=asking(other))
        assert done.returncode == 2 and f"{other.folder}/history.db" in done.stderr


@contextlib.contextmanager
def following(proxy, *arguments):
    with subprocess.Popen(
        [BINARY, "flows", "-c", proxy.config, "--follow", "--json", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=asking(proxy),
    ) as follower:
        try:
            yield lambda: json.loads(follower.stdout.readline())["url"]
        finally:
            follower.kill()


def test_follow_outlives_the_proxy_and_a_new_history(web):
    with Proxy(log=HISTORY) as proxy:
        with Client(proxy) as client:  # of one worker: they end in this order
            for n in range(12):
                client.get(web.url(f"/{n}"))
        with following(proxy) as next_url:
            assert [next_url() for _ in range(10)] == [web.url(f"/{n}") for n in range(2, 12)]
            get(proxy, web.url("/a"))
            assert next_url() == web.url("/a")
            for path in proxy.folder.glob("history.db*"):
                path.rename(path.with_name("old-" + path.name))
            wait_until(lambda: get(proxy, web.url("/b")) and (proxy.folder / "history.db").exists())
            get(proxy, web.url("/b"))  # one at least is in the new file
            assert next_url() == web.url("/b")
            proxy.stop()
            proxy.launch()
            wait_until(proxy.is_listening)
            get(proxy, web.url("/c"))
            urls = [next_url()]
            while urls[-1] != web.url("/c"):
                urls.append(next_url())
            assert set(urls[:-1]) <= {web.url("/b")}
        with following(proxy, "--verdict", "target-error", "--since", "1h") as next_url:
            get(proxy, web.url("/d"))
            get(proxy, web.url("/no"))
            assert next_url() == web.url("/no")


@root_only
def test_who_may_read_the_file_reads_it_and_who_may_do_neither_is_told(web):
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url("/x"))
        assert len(told(proxy, 1, **MEMBER)) == 1
        done = run(proxy, "flows", "-c", proxy.config, **STRANGER)
        assert done.returncode == 3 and "history.db" in done.stderr, done
        assert "may not ask the proxy" in done.stderr and "members of the group nogroup" in done.stderr
        for path in proxy.folder.glob("history.db*"):
            path.chmod(0o644)
        done = run(proxy, "flows", "-c", proxy.config, "--json", **STRANGER)
        assert len(rows(done)) == 1 and not done.stderr


# --- connections


def own(done):
    return [row for row in rows(done) if "flow" in row]


def test_connections_has_the_proxys_own_flows():
    with Proxy() as proxy, Target(echo) as target:
        client = Client(proxy).connect(target.authority)
        client.send("ping").read(4)
        (row,) = own(run(proxy, "connections", "--json"))
        assert set(row) == {"time", "idle_us", "phase", "flow"} and set(row["flow"]) == KEYS
        flow = row["flow"]
        assert flow["verdict"] == "open" and flow["ended_in"] is None and flow["target"] == target.authority
        assert flow["bytes_up"] == 4 and flow["rule"] == "all" and row["phase"] in ("tls", "transfer")
        table = run(proxy, "connections").stdout.splitlines()
        assert table[:2] == ["no upstream proxy is in use", "flows under way in the proxy"]
        for word in ("phase", "client", "request", "rule", "age", "idle", "up", "down", "rtt"):
            assert word in table[2].split()
        assert flow["id"] in table[3] and row["phase"] in table[3] and f"CONNECT {target.authority}" in table[3]
        both = rows(run(proxy, "connections", "--all", "--json"))
        assert len([r for r in both if "flow" in r]) == 1
        assert any(r.get("pid") == proxy.pid for r in both)
        client.close()
        wait_until(lambda: not own(run(proxy, "connections", "--json")))
        assert "no flow is under way in the proxy" in run(proxy, "connections").stdout


def test_connections_by_a_file_shows_the_flows_of_its_proxy_only():
    with Proxy() as proxy, Proxy() as other, Target(echo) as target:
        client = Client(proxy).connect(target.authority)
        assert len(own(run(proxy, "connections", "--json", "-c", proxy.config))) == 1
        done = run(proxy, "connections", "-c", other.config)
        assert done.returncode == 2 and "no upstream proxy is set" in done.stderr
        client.close()


def test_all_is_every_flow_and_otherwise_the_youngest_hundred():
    with Proxy() as proxy, Target(echo) as target:
        clients = [Client(proxy).connect(target.authority) for _ in range(230)]
        few = own(run(proxy, "connections", "--json"))
        every = own(run(proxy, "connections", "--all", "--json"))
        assert len(few) == 100 and len({row["flow"]["id"] for row in every}) == len(every) == 230
        starts = [row["flow"]["start"] for row in every]
        assert starts == sorted(starts, reverse=True)
        assert {row["flow"]["id"] for row in few} == {row["flow"]["id"] for row in every[:100]}
        assert run(proxy, "connections").stdout.endswith("… and 130 more\n")
        for client in clients:
            client.close()


def test_watch_follows_the_flows():
    with Proxy() as proxy, Target(echo) as target:
        with subprocess.Popen(
            [BINARY, "connections", "--watch", "--json"], stdout=subprocess.PIPE, text=True, env=asking(proxy)
        ) as watching:
            client = Client(proxy).connect(target.authority)
            assert json.loads(watching.stdout.readline())["flow"]["target"] == target.authority
            client.close()
            watching.terminate()
            watching.stdout.read()
            assert watching.wait(20) == 0


def test_live_filters_have_the_historys_rule():
    with Proxy() as proxy, Target(echo) as target:
        client = Client(proxy).connect(target.authority)
        local = Console(proxy, proxy.folder / "control.sock")
        port = target.authority.split(":")[1]
        for query, want in [
            ("target=127.0.0.1", 1),
            (f"target={target.authority}", 1),
            ("target=127.0.0.1:1", 0),
            ("target=127.0.0", 0),
            (f"target=:{port}", 0),
            ("target=.0.0.1", 0),
            ("client=127.0.0.1", 1),
            ("client=127.0.0", 0),
            ("rule=all", 1),
            ("rule=al", 0),
            ("user=", 1),
            ("user=nobody", 0),
        ]:
            page = local.get(f"/api/v1/connections?{query}").json
            assert page["matching"] == want, query
        client.close()


# --- access test

RULES = "deny social { to .social.test; } deny private off; allow all { }"


def test_access_test_asks_what_is_in_force_and_says_where_the_file_differs():
    with Proxy(access=RULES) as proxy:
        for arguments in [], ["-c", proxy.config]:
            done = run(proxy, "access", "test", *arguments, "www.social.test")
            assert done.returncode == 1 and "decided by deny social" in done.stdout and not done.stderr, done
            done = run(proxy, "access", "test", *arguments, "other.test")
            assert done.returncode == 0 and "decided by allow all" in done.stdout and not done.stderr, done
        proxy.configure(access=RULES.replace("social.test", "other.test"))
        for arguments in [], ["-c", proxy.config]:
            done = run(proxy, "access", "test", *arguments, "www.social.test")
            assert done.returncode == 1 and "decided by deny social" in done.stdout
            assert "differs from what is in force; after a reload:\nallowed: " in done.stderr, done.stderr
        done = run(proxy, "access", "test", "third.test")
        assert done.returncode == 0 and "after a reload the same rule would decide" in done.stderr
        proxy.configure(access="nonsense;")
        done = run(proxy, "access", "test", "www.social.test")
        assert done.returncode == 1 and "could not be put in force" in done.stderr and "nonsense" in done.stderr
        proxy.configure(access=RULES)
        assert not run(proxy, "access", "test", "www.social.test").stderr


def test_access_test_by_another_file_reads_that_file():
    with Proxy(access=RULES) as proxy, Proxy() as other:
        done = run(proxy, "access", "test", "-c", other.config, "www.social.test")
        assert done.returncode == 0 and "decided by allow all" in done.stdout and not done.stderr


def test_access_test_says_what_is_wrong_with_the_question_as_without_a_proxy():
    with Proxy() as proxy:
        for question in (["--client", "nobody", "a.test"], ["a b"]):
            asked, read = run(proxy, "access", "test", *question), run_command("access", "test", *question)
            assert (asked.returncode, asked.stderr) == (2, read.stderr)


# --- account


def audit(proxy):
    return [json.loads(line) for line in (proxy.folder / "audit.log").read_text().splitlines()]


def test_account_changes_are_taken_up_and_noted():
    who = "uid 0 (root)" if os.geteuid() == 0 else f"uid {os.geteuid()}"
    with Proxy(access="deny private off; deny ports off; allow all { authenticated; }", extra=LOGIN) as proxy:
        with HttpTarget() as target:

            def account(*arguments, password=None):
                return run(proxy, "account", *arguments, "-c", proxy.config, input=password)

            def status(password):
                return get(proxy, target.url(), basic("alice", password)).status

            assert account("add", "alice", password="one\n").stderr == "the running proxy has taken it up\n"
            assert status("one") == 200
            assert account("passwd", "alice", password="two\n").returncode == 0
            assert status("one") == 407 and status("two") == 200
            listed = account("list")
            assert listed.stdout.split()[0] == "alice" and not listed.stderr
            (proxy.folder / "more").write_text("bob:here:" + "0" * 32 + "\n")
            assert "has taken it up" in account("import", proxy.folder / "more").stderr
            # the file alone does not say which realm the proxy tells its clients
            proxy.configure(extra=LOGIN.replace("realm viaduct", "realm office"))
            proxy.signal(signal.SIGHUP)
            wait_until(lambda: "is not \"office\"" in proxy.stderr())
            done = run(proxy, "account", "passwd", "alice", "--accounts", proxy.folder / "acc.conf", input="two\n")
            assert 'its realm is "viaduct", the running proxy\'s is "office": only Basic' in done.stderr, done.stderr
            assert account("passwd", "alice", password="two\n").stderr == "the running proxy has taken it up\n"
            assert account("remove", "alice").returncode == 0
            assert status("two") == 407
            assert account("remove", "alice").returncode == 2
        notes = audit(proxy)
        assert [note["what"] for note in notes] == [
            "added the account alice, by the command",
            "gave a new password to the account alice, by the command",
            f"imported accounts of {proxy.folder / 'more'}, by the command",
            "gave a new password to the account alice, by the command",
            "gave a new password to the account alice, by the command",
            "removed the account alice, by the command",
        ]
        assert all(note["who"].startswith(who) for note in notes)


def test_account_of_another_file_is_none_of_the_proxys_business():
    with Proxy(extra=LOGIN) as proxy:
        done = run(
            proxy, "account", "add", "a", "--accounts", proxy.folder / "other.conf", "-c", proxy.config, input="x\n"
        )
        assert done.returncode == 0 and not done.stderr
        assert not (proxy.folder / "audit.log").exists()


def test_account_list_says_when_the_proxy_refused_the_file():
    with Proxy(extra=LOGIN) as proxy:
        path = proxy.folder / "acc.conf"
        path.write_text("user a { realm r; md5 " + "0" * 32 + "; }\n")
        local = Console(proxy, proxy.folder / "control.sock")
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        wait_until(lambda: local.get("/api/v1/accounts").json.get("in_force"))
        path.write_text("user a { realm r; nonsense; }\n")
        wait_until(lambda: "the accounts in force stay" in proxy.stderr())
        path.write_text("user b { realm r; md5 " + "0" * 32 + "; }\n")
        wait_until(lambda: not run(proxy, "account", "list", "-c", proxy.config).stderr)


@root_only
def test_account_list_by_the_proxy_where_the_file_may_not_be_read():
    with Proxy(extra=LOGIN) as proxy:
        run(proxy, "account", "add", "alice", "-c", proxy.config, input="x\n")
        listed = run(proxy, "account", "list", "-c", proxy.config)
        assert run(proxy, "account", "list", "-c", proxy.config, **MEMBER).stdout == listed.stdout != ""
        done = run(proxy, "account", "list", "-c", proxy.config, **STRANGER)
        assert done.returncode == 2 and "may not ask the proxy" in done.stderr


# --- rights


@root_only
def test_who_may_only_read_is_told_who_may_more():
    with Proxy(console="console { listen 127.0.0.1:0; }") as proxy, Target(echo) as target:
        client = Client(proxy).connect(target.authority)
        assert len(own(run(proxy, "connections", "--json", **MEMBER))) == 1
        done = run(proxy, "account", "admin-link", "-c", proxy.config, **MEMBER)
        assert done.returncode == 3 and not done.stdout
        assert "uid 12345 may only read" in done.stderr and "(uid 65534, nobody)" in done.stderr
        done = run(proxy, "account", "admin-link", "-c", proxy.config, **STRANGER)
        assert done.returncode == 3 and "root may (sudo), and members of the group nogroup" in done.stderr
        done = run(proxy, "connections", "--all", **STRANGER)
        assert done.returncode == 0 and "its flows are not shown" in done.stderr
        done = run(proxy, "access", "test", "-c", proxy.config, "a.test", **STRANGER)
        assert done.returncode == 0 and "this is what the file says" in done.stderr
        done = run(proxy, "account", "admin-link", "-c", proxy.config, user=65534, group=65534, extra_groups=[])
        assert done.returncode == 0 and "#setup=" in done.stdout
        assert audit(proxy)[-1]["who"].startswith("uid 65534 (nobody)")
        client.close()


# --- who else may listen there


def say(*parts):
    def answer(connection, _request):
        for part in parts:
            connection.sendall(part)

    return answer


def flood(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def chunks(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"8000\r\n" + b"[" * 32768 + b"\r\n")


def endless_head(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for n in range(100000):
        connection.sendall(f"X-{n}: y\r\n".encode())


NONSENSE = {
    "silence": say(),
    "a cut head": say(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "a cut body": say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    "no HTTP": say(b"SSH-2.0-OpenSSH\r\n"),
    "TLS": say(b"\x16\x03\x01\x00\x05hello"),
    "bytes": say(bytes(range(256)) * 300),
    "an endless head": endless_head,
    "an endless body": flood,
    "endless chunks": chunks,
    "a bad chunk": say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    "both lengths": say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}"),
    "only interim answers": say(b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "another protocol": say(b"HTTP/1.1 101 Switching\r\n\r\n"),
    "no JSON": say(http("<html>")),
    "nothing": say(http("")),
    "a list": say(http("[]")),
    "an empty object": say(http("{}")),
    "deep JSON": say(http("[" * 100000)),
    "wrong kinds": say(http('{"config":1,"history":[],"accounts":{},"url":7,"in_force":"yes"}')),
    "twice the same": say(http('{"config":null,"config":null,"history":null,"accounts":null}')),
    "no UTF-8": say(http(b'{"config":"\xff","history":null,"accounts":null}')),
    "a long path": say(http('{"config":"' + "x" * 9000 + '","history":null,"accounts":null}')),
    "an error": say(http('{"error":"x","message":"\\u001b[2Jno\\nmore"}', "500 Oops")),
    "an error of nothing": say(http("", "500 Oops")),
    "a redirect": say(http("", "302 Found", "Location: http://elsewhere.test/\r\n")),
}


@pytest.fixture
def conf(tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "viaduct.conf"
    path.write_text(
        f"workers 1;\nlog {{ history history.db; }}\nauthentication {{ accounts acc.conf; }}\naccess {{ {OPEN} }}\n"
    )
    return path


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_at_the_socket_is_said_and_does_no_harm(conf, name):
    with Mockery(NONSENSE[name]) as mockery:

        def run(*arguments, **more):
            done = run_command(*arguments, "-c", conf, env=mockery.env, **more)
            assert "\x1b" not in done.stdout + done.stderr
            assert not re.search(r"Sanitizer|assert", done.stderr), done.stderr
            return done

        done = run("account", "admin-link")
        assert done.returncode == 3 and not done.stdout and done.stderr.count("\n") == 1, done
        assert re.search("control socket|the proxy says|the proxy's answer", done.stderr), done.stderr
        done = run("flows")
        assert done.returncode == 3 and "the history file is read instead" in done.stderr
        assert "there is no history yet" in done.stderr
        done = run("access", "test", "a.test")
        assert done.returncode == 0 and "decided by allow all" in done.stdout
        assert "this is what the file says" in done.stderr
        done = run("account", "add", "alice", input="x\n")
        assert done.returncode == 0 and "it is done, but a proxy that runs could not be asked" in done.stderr
        done = run("connections", "--all")
        assert done.returncode == 0 and "its flows are not shown" in done.stderr


def lie(conf, answers):
    """A proxy that says it is the right one, and nonsense to what follows."""
    instance = {
        "config": str(conf),
        "history": str(conf.parent / "history.db"),
        "accounts": str(conf.parent / "acc.conf"),
    }

    def answer(connection, request):
        if b"/api/v1/instance" in request:
            connection.sendall(http(json.dumps(instance)))
        else:
            answers(connection, request)

    return answer


END = '{"next":null,"last":1,"file":"1-2","lost":0,"why":""}\n'
ROW = '{"seq":1,"id":"00000000000000aa","ended_us":1,"failed":false,"own_answer":false,"reason":null,"flow":{}}\n'

LIES = {
    **NONSENSE,
    "rows without an end": say(http(ROW)),
    "rows behind the end": say(http(END + ROW)),
    "an end that never ends": say(http(END.replace("null", "7"))),
    "a row of wrong kinds": say(http(ROW.replace('"seq":1', '"seq":-1') + END)),
    "a row of another id": say(http(ROW.replace("00aa", "zz") + END)),
    "rows of live flows": say(http('{"rows":[{"idle_us":-1,"phase":"x","flow":{}}],"open":1,"whole":true,"next":1}')),
    "an unknown decision": say(http('{"decision":"maybe","rule":null,"text":"\\u001b[2J","in_force":1}')),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_at_the_socket_are_found_out(conf, name):
    with Mockery(lie(conf, LIES[name])) as mockery:

        def run(*arguments, **more):
            done = run_command(*arguments, "-c", conf, env=mockery.env, **more)
            assert "\x1b" not in done.stdout + done.stderr
            assert not re.search(r"Sanitizer|assert", done.stderr), done.stderr
            return done

        for arguments in [], ["--json"], ["--since", "1h"], ["aa"]:
            done = run("flows", *arguments)
            assert done.returncode in (2, 3) and done.stderr and not done.stdout, done
        done = run("access", "test", "a.test")
        assert done.returncode == 0 and "this is what the file says" in done.stderr
        done = run("account", "add", "alice", input="x\n")
        assert done.returncode == 0 and "whether the running proxy takes it up is not known" in done.stderr
        done = run("connections", "--json")
        assert "the proxy's flows are not shown" in done.stderr and not done.stdout


ODD = "\x1b[2J\x9b2J\u202e\ufeff\x7f\r"
ESCAPED = r"\x1b[2J\xc2\x9b2J\xe2\x80\xae\xef\xbb\xbf\x7f\x0d"


def test_what_a_terminal_would_obey_is_shown_harmless(conf):
    yes = {
        "decision": "allowed",
        "rule": None,
        "text": f"first {ODD}\n{'é' * 3000}\n",
        "url": ODD,
    }
    with Mockery(lie(conf, say(http(json.dumps(yes))))) as mockery:
        done = run_command("access", "test", "a.test", "-c", conf, env=mockery.env)
        assert done.returncode == 0 and done.stdout == f"first {ESCAPED}\n{'é' * 3000}\n", done
        assert run_command("account", "admin-link", "-c", conf, env=mockery.env).stdout == ESCAPED + "\n"
    with Mockery(lie(conf, say(http(json.dumps({"error": "x", "message": ODD}), "500 Oops")))) as mockery:
        done = run_command("account", "admin-link", "-c", conf, env=mockery.env)
        assert done.returncode == 3 and f"the proxy says: {ESCAPED}\n" in done.stderr, done


@root_only
def test_accounts_of_somebody_else_are_shown_harmless(conf):
    account = {"name": ODD, "realm": ODD, "algorithms": ["md5"], "disabled": False}
    with Mockery(None) as mockery:
        own = mockery.folder / "viaduct.conf"  # where a stranger may look
        mockery.say = lie(own, say(http(json.dumps({"in_force": True, "accounts": [account]}))))
        for path, mode in (own, 0o644), (mockery.folder / "acc.conf", 0o600):
            path.write_text(conf.read_text() if path == own else "")
            path.chmod(mode)
        mockery.folder.chmod(0o755)
        (mockery.folder / "control.sock").chmod(0o777)
        done = run_command("account", "list", "-c", own, env=mockery.env, **STRANGER)
        assert done.stdout == f"{ESCAPED} realm {ESCAPED}: md5\n", done


def test_follow_ends_where_only_nonsense_comes(conf):
    with Mockery(lie(conf, LIES["an end that never ends"])) as mockery:
        done = run_command("flows", "-c", conf, "--follow", env=mockery.env)
        assert done.returncode == 3 and not done.stdout and "makes no sense" in done.stderr


def drip(connection, _request):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X")
        time.sleep(0.1)


@pytest.mark.parametrize("how", ["says nothing", "says a byte now and then", "takes nobody"])
def test_a_hung_socket_is_not_waited_for(conf, how):
    with Mockery(None) as mockery, contextlib.ExitStack() as opened:
        mockery.say = {"says nothing": lambda *_: mockery.over.wait(30)}.get(how, drip)
        if how == "takes nobody":
            mockery = opened.enter_context(Mockery(None, accepts=False, backlog=0))
            for _ in range(3):
                one = opened.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect_ex(str(mockery.folder / "control.sock"))
        done = run_command("account", "admin-link", "-c", conf, env=mockery.env)
        assert done.returncode == 3 and "does not answer at the control socket within 5 s" in done.stderr, done
        mockery.over.set()


def test_a_stopped_proxy_is_not_waited_for(web):
    with Proxy(log=HISTORY) as proxy:
        get(proxy, web.url("/x"))
        wait_until(lambda: run_command("flows", "-c", proxy.config).stdout)  # it is in the file
        assert len(told(proxy, 1)) == 1
        proxy.signal(signal.SIGSTOP)
        try:
            done = run(proxy, "flows", "-c", proxy.config, "--json")
        finally:
            proxy.signal(signal.SIGCONT)
        assert len(rows(done)) == 1 and "the history file is read instead" in done.stderr


@root_only
def test_a_folder_of_somebody_else_is_a_trap(conf):
    with Mockery(say(http("{}"))) as mockery:
        os.chown(mockery.folder, 12345, 12345)
        done = run_command("account", "admin-link", "-c", conf, env=mockery.env)
        assert done.returncode == 3 and "lies in a folder of somebody else" in done.stderr
        assert not mockery.requests

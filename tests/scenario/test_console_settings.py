"""What is set by the console: upstream settings, accounts, rules, the configuration; and that it is the same
as by the commands."""

import os
import stat

import pytest

from client import Client, get
from console import Console
from target import HttpTarget, Target, echo
from test_console import BLOCK, read_events
from viaduct import OPEN, Proxy, run_command, wait_until

UPSTREAM = "iprep_proxy {\n    ENABLED off; # for now\n    PROXY_HOST 192.0.2.1;\n    PROXY_PORT 80;\n}\n"


def open_console(**settings):
    """A proxy whose console has an administrator."""
    proxy = Proxy(console=BLOCK, **settings)
    return proxy, Console(proxy).enter(proxy)


def give(proxy, *names):
    """Files of a configuration belong to the account that the proxy runs as."""
    uid = os.stat(f"/proc/{proxy.pid}").st_uid
    for name in names:
        os.chown(proxy.folder / name, uid, -1)
        (proxy.folder / name).chmod(0o600)


def form(**more):
    return {
        "enabled": True,
        "host": "127.0.0.1",
        "port": 3128,
        "authentication": False,
        "user": "",
        "tls": False,
        "no_proxy": [],
        "smart_licensing": False,
        **more,
    }


@pytest.fixture(scope="module")
def validated():
    proxy, console = open_console()
    with proxy:
        yield console


LONG = "a" * 60 + ".example"


@pytest.mark.parametrize(
    "changes, field, words",
    [
        ({"host": LONG, "smart_licensing": True}, "host", "64"),
        ({"host": "a_b.test"}, "host", "hyphen"),
        ({"host": ""}, "host", "PROXY_HOST"),
        ({"port": 0}, "port", "65535"),
        ({"port": "x"}, "port", "65535"),
        ({"authentication": True, "user": "a:b"}, "user", "colon"),
        ({"authentication": True, "user": "a", "password": "päss"}, "password", "PASSWORD"),
        ({"no_proxy": ["a b"]}, "no_proxy", "NO_PROXY"),
    ],
)
def test_each_field_is_judged_with_the_command_s_words(validated, changes, field, words):
    problems = validated.ask("POST", "/api/v1/upstream/validate", form(**changes)).json["problems"]
    assert [p["field"] for p in problems] == [field], problems
    assert words in problems[0]["message"] and not problems[0]["message"].startswith("form:")


def test_what_is_fine_has_no_problem(validated):
    for changes in [
        {},
        {"host": LONG},
        {"host": "proxy.example", "smart_licensing": True},
        {"user": "a:b"},  # nobody logs in
        {"authentication": True, "user": "fmc", "password": "secret"},
        {"no_proxy": ["localhost", ".internal.example", "10.0.0.0/8"]},
    ]:
        answer = validated.ask("POST", "/api/v1/upstream/validate", form(**changes))
        assert answer.json["problems"] == [], changes


def save(console, body):
    answer = console.ask("PUT", "/api/v1/upstream", body)
    assert answer.status == 202, answer.text
    return read_events(console, f"/api/v1/jobs/{answer.json['job']}/events")


def test_settings_are_tested_saved_and_in_force_at_once():
    proxy, console = open_console(extra="upstream upstream.conf;", files={"upstream.conf": UPSTREAM})
    with proxy, Target(lambda c: c.head() and c.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")) as closed:
        give(proxy, "upstream.conf")
        settings = console.get("/api/v1/upstream").json
        assert settings["host"] == "192.0.2.1" and settings["enabled"] is False
        assert settings["writable"] is True and settings["has_password"] is False
        host, port = closed.authority.split(":")
        # refused: the old settings stand, and the flow says where it fell
        events = save(console, form(host=host, port=int(port), authentication=True, user="fmc", password="canary-2"))
        flow = [data for name, data in events if name == "flow"][-1]
        assert flow["verdict"] == "acl-denied" and flow["ended_in"] == "answer"
        assert events[-1][1]["status"] == 1 and "the old settings stand" in events[-1][1]["message"]
        assert (proxy.folder / "upstream.conf").read_text() == UPSTREAM
        assert console.get("/api/v1/upstream").json["host"] == "192.0.2.1"
        # all the same
        events = save(
            console,
            form(host=host, port=int(port), authentication=True, user="fmc", password="canary-2", force=True),
        )
        assert ("saved", {"ok": True}) in events and events[-1][1]["status"] == 0
        text = (proxy.folder / "upstream.conf").read_text()
        assert "# for now" in text and "canary-2" in text
        settings = console.get("/api/v1/upstream")
        assert settings.json["has_password"] and settings.json["user"] == "fmc"
        assert "canary-2" not in settings.text and "canary-2" not in proxy.stderr()
        assert "canary-2" not in (proxy.folder / "audit.log").read_text()
        assert get(proxy, "http://a.test/").status == 403  # by that parent
        # without a log-in, and off
        events = save(console, form(enabled=False, host="proxy.example", port=8080))
        assert ("saved", {"ok": True}) in events
        settings = console.get("/api/v1/upstream").json
        assert settings["user"] == "" and not settings["has_password"] and settings["port"] == 8080
        audit = [entry["what"] for entry in console.get("/api/v1/audit").json["entries"]]
        assert sum("upstream settings" in what for what in audit) >= 3


def test_settings_that_are_not_ours_are_read_only():
    proxy, console = open_console(extra="upstream upstream.conf;", files={"upstream.conf": UPSTREAM})
    with proxy:
        settings = console.get("/api/v1/upstream").json  # root's file
        if os.geteuid() == 0:
            assert settings["writable"] is False and "another account" in settings["why_not"]
            answer = console.ask("PUT", "/api/v1/upstream", form())
            assert answer.status == 409 and answer.json["error"] == "read-only"


def test_accounts():
    extra = "authentication { accounts accounts.conf; }"
    proxy, console = open_console(access="deny private off; deny ports off; allow all { authenticated; }", extra=extra)
    with proxy, HttpTarget() as target:

        def login(password):
            from login import basic

            return get(proxy, target.url(), basic("fmc", password)).status

        assert console.get("/api/v1/accounts").json["accounts"] == []
        assert console.ask("POST", "/api/v1/accounts", {"name": "fmc", "password": "one"}).status == 200
        path = proxy.folder / "accounts.conf"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and "one" not in path.read_text()
        account = console.get("/api/v1/accounts").json["accounts"][0]
        assert account["name"] == "fmc" and "sha-256" in account["algorithms"] and not account["disabled"]
        for body, status, error in [
            ({"name": "fmc", "password": "x"}, 409, "exists"),
            ({"name": "a:b", "password": "x"}, 400, "unfit"),
            ({"name": "new"}, 400, "unfit"),
        ]:
            answer = console.ask("POST", "/api/v1/accounts", body)
            assert (answer.status, answer.json["error"]) == (status, error)
        for change, wanted in [
            ({}, [("one", 200)]),
            ({"password": "two"}, [("two", 200), ("one", 407)]),
            ({"disabled": True}, [("two", 407)]),
            ({"disabled": False}, [("two", 200)]),
        ]:
            assert console.ask("PUT", "/api/v1/accounts/fmc", change).status == 200
            for password, status in wanted:
                wait_until(lambda: login(password) == status)
        listed = run_command("account", "list", "--accounts", path)
        assert "fmc" in listed.stdout
        assert console.ask("DELETE", "/api/v1/accounts/fmc").status == 200
        assert console.ask("DELETE", "/api/v1/accounts/fmc").status == 404
        assert console.get("/api/v1/accounts").json["accounts"] == []


def hide(proxy, name):
    """Makes a file one that the proxy's account may not read, as a restored copy may be."""
    os.chown(proxy.folder / name, 0, 0)
    (proxy.folder / name).chmod(0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file of another account")
def test_accounts_that_cannot_be_read_are_not_none():
    proxy, console = open_console(extra="authentication { accounts accounts.conf; }")
    with proxy:
        assert console.ask("POST", "/api/v1/accounts", {"name": "fmc", "password": "one"}).status == 200
        hide(proxy, "accounts.conf")
        answer = console.get("/api/v1/accounts")
        assert (answer.status, answer.json["error"]) == (409, "unreadable")
        assert "accounts.conf: Permission denied" in answer.json["message"]
        (proxy.folder / "accounts.conf").unlink()
        assert console.get("/api/v1/accounts").json["accounts"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file of another account")
def test_a_configuration_that_cannot_be_read_is_not_empty():
    proxy, console = open_console()
    with proxy:
        give(proxy, "viaduct.conf")
        hide(proxy, "viaduct.conf")
        now = console.get("/api/v1/configuration").json
        assert now["text"] is None and now["base"] is None and now["writable"] is False
        assert "viaduct.conf: Permission denied" in now["why_not"] and "workers" in now["effective"]


def test_nobody_is_asked_to_log_in(validated):
    assert validated.get("/api/v1/accounts").json["error"] == "no-authentication"


def test_rules_have_their_hits_and_the_test_box_says_what_the_command_says():
    access = (
        "deny private off; deny ports off; deny report trial { to 127.0.0.1; } "
        "deny social { to social.example; } allow all { from loopback; }"
    )
    proxy, console = open_console(access=access)
    with proxy, HttpTarget() as target:
        get(proxy, target.url())
        get(proxy, "http://social.example/")
        proxy.flows(2)
        rules = {r["name"]: r for r in console.get("/api/v1/access").json["rules"]}
        assert rules["all"]["hits"] == 1 and rules["all"]["denied"] == 0
        assert rules["social"]["hits"] == rules["social"]["denied"] == 1 and rules["social"]["last_us"] > 0
        assert rules["trial"]["reports"] == 1 and rules["trial"]["report"] and rules["trial"]["hits"] == 0
        for question in [
            {"target": "social.example"},
            {"target": "http://other.example/x", "client": "192.0.2.7"},
            {"target": "127.0.0.1:443", "user": "fmc"},
        ]:
            answer = console.ask("POST", "/api/v1/access/test", question).json
            options = [w for k, v in question.items() if k != "target" for w in (f"--{k}", v)]
            command = run_command("access", "test", "-c", proxy.config, *options, question["target"])
            assert answer["text"] == command.stdout
        assert answer["decision"] == "allowed" and answer["rule"]["name"] == "all"
        assert [m["name"] for m in answer["matches"]] == ["trial", "all"]
        assert console.ask("POST", "/api/v1/access/test", {"target": "a b"}).status == 400


def test_the_configuration_is_judged_and_put_in_force():
    proxy, console = open_console()
    with proxy, Target(echo) as target:
        give(proxy, "viaduct.conf")
        os.chown(proxy.folder / "hosts", os.stat(f"/proc/{proxy.pid}").st_uid, -1)
        client = Client(proxy).connect(target.authority)
        now = console.get("/api/v1/configuration").json
        assert now["text"] == proxy.config.read_text() and now["versions"] == []
        assert "# " in now["effective"] and now["writable"]

        def check(text):
            return console.ask("POST", "/api/v1/configuration/check", {"text": text}).json

        assert check(now["text"])["problems"] == [] and check(now["text"])["diff"] == ""
        bad = check(now["text"] + "\nlimitz { }\n")
        assert bad["problems"][0]["line"] == now["text"].count("\n") + 2
        assert "limits" in bad["problems"][0]["message"]  # the nearest known name
        closed = now["text"].replace("allow all { }", "deny all { }")
        judged = check(closed)
        assert judged["denied_count"] == 1 and judged["denied"][0]["target"] == target.authority
        assert "+access" in judged["diff"] and "-access" in judged["diff"]
        other = check(now["text"].replace("allow all { }", "allow all { user alice; }"))
        assert "user alice; }" in other["diff"], "what is changed is not hidden from who changes it"
        for body, status, error in [
            ({"text": now["text"] + "x", "base": now["base"]}, 422, "problems"),
            ({"text": closed, "base": "0" * 64}, 409, "changed"),
            ({"text": closed, "base": now["base"]}, 200, None),
        ]:
            answer = console.ask("PUT", "/api/v1/configuration", body)
            assert answer.status == status, answer.text
            assert error is None or answer.json["error"] == error
        assert proxy.config.read_text() == closed
        wait_until(lambda: get(proxy, "http://a.test/").status == 403)
        assert client.send("ping").read(4) == b"ping"  # what is open stays
        after = console.get("/api/v1/configuration").json
        assert after["versions"][0]["who"] == "root"
        path = f"/api/v1/configuration/versions/{after['versions'][0]['id']}"
        assert console.get(path).json["text"] == now["text"]
        assert console.get("/api/v1/configuration/versions/..%2F..%2Fetc%2Fpasswd").status == 404
        client.close()


def test_what_needs_a_restart_is_said():
    proxy, console = open_console()
    with proxy:
        give(proxy, "viaduct.conf")

        def put(old, new):
            """Changes the file; what the answers before and after it say of a restart."""
            now = console.get("/api/v1/configuration").json
            text = now["text"].replace(old, new)
            judged = console.ask("POST", "/api/v1/configuration/check", {"text": text}).json
            assert console.ask("PUT", "/api/v1/configuration", {"text": text, "base": now["base"]}).status == 200
            return judged["restart"], console.get("/api/v1/configuration").json["restart"]

        assert console.get("/api/v1/configuration").json["restart"] is None
        assert put("via", "via") == (None, None)
        assert put("workers 2;", "workers 3;") == ("workers", "workers")
        assert put("127.0.0.1:0; }", "127.0.0.1:0; session-idle 5m; }") == ("workers, console", "workers, console")
        assert "reload: in force after a restart only: workers, console" in proxy.stderr()
        assert put("workers 3;", "workers 2;") == ("console", "console")
        assert put(" session-idle 5m;", "") == (None, None)


def test_a_configuration_that_cannot_come_into_force_is_taken_back():
    proxy, console = open_console()
    with proxy:
        give(proxy, "viaduct.conf")
        now = console.get("/api/v1/configuration").json
        text = now["text"] + "\nlisten 192.0.2.77:9;\n"  # an address that this machine has not
        answer = console.ask("PUT", "/api/v1/configuration", {"text": text, "base": now["base"]})
        assert answer.status == 422 and answer.json["error"] == "not-in-force", answer.text
        assert "192.0.2.77" in answer.json["message"]
        assert proxy.config.read_text() == now["text"]
        assert console.get("/api/v1/configuration").json["versions"] == [], "nothing was changed"

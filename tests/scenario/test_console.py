"""The console and the control socket: who gets in, and what is told of a proxy that works."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import stat
import time

import pytest

from client import Client, get
from console import Console, make_administrator
from target import HttpTarget, Target, echo
from viaduct import Proxy, run_command, wait_until

BLOCK = "console { listen 127.0.0.1:0; }"


@pytest.fixture
def proxy():
    with Proxy(console=BLOCK) as proxy:
        yield proxy


def test_the_first_administrator_is_made_by_a_link_that_is_good_once(proxy):
    console = Console(proxy)
    before = console.get("/api/v1/session").json
    assert before["name"] is None and before["csrf"] is None and before["has_admins"] is False
    token = proxy.setup_token
    for body, status, error in [
        ({"token": "0" * 64, "name": "root", "password": "correct horse"}, 403, "link"),
        ({"token": token, "name": "root", "password": "short"}, 400, "unfit"),
        ({"token": token, "name": "no such <name>", "password": "correct horse"}, 400, "unfit"),
        ({"token": token, "name": "root", "password": "correct horse"}, 200, None),
        ({"token": token, "name": "other", "password": "correct horse"}, 403, "link"),
    ]:

        def set_up():
            answer = Console(proxy).ask("POST", "/api/v1/setup", body)
            return answer if answer.status != 429 else None  # one at a time

        answer = wait_until(set_up)
        assert answer.status == status, answer.text
        if error:
            assert answer.json["error"] == error
    cookie = answer.fields.get("set-cookie")
    assert cookie is None
    path = proxy.folder / "admins.conf"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "scrypt" in path.read_text() and "correct horse" not in path.read_text()
    assert token not in path.read_text()
    assert Console(proxy).get("/api/v1/session").json["has_admins"] is True


@pytest.fixture(scope="module")
def logged_in():
    """Shared by tests that leave nothing behind."""
    with Proxy(console=BLOCK) as proxy:
        yield Console(proxy).enter(proxy)


def test_logging_in_and_out(proxy):
    first = Console(proxy).enter(proxy)
    assert first.get("/api/v1/state").status == 200

    def log_in(name, password):
        console = Console(proxy)
        answer = wait_until(lambda: (a := console.log_in(name, password)).status != 429 and a)
        return console, answer

    for name, password in [("root", "wrong password"), ("nobody", "correct horse"), ("", "")]:
        console, answer = log_in(name, password)
        assert answer.status == 403 and answer.json["error"] == "wrong"
        assert console.get("/api/v1/state").status == 401
    console, answer = log_in("root", "correct horse")
    assert answer.status == 200 and answer.json["name"] == "root"
    cookie = answer.fields["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    assert console.get("/api/v1/state").status == 200
    assert console.ask("DELETE", "/api/v1/session").status == 200
    console.cookie = cookie.split(";")[0]
    assert console.get("/api/v1/state").status == 401  # the cookie itself is void
    assert first.get("/api/v1/state").status == 200  # the other one is not


def test_who_guesses_is_slowed(proxy):
    make_administrator(proxy)

    def guess(password="guess"):
        answer = Console(proxy).log_in("root", password)
        return answer if answer.fields.get("retry-after") != "1" else None  # one at a time

    for _ in range(10):
        assert wait_until(guess).status == 403
    answer = wait_until(lambda: guess("correct horse"))
    assert answer.status == 429 and int(answer.fields["retry-after"]) > 1


def test_changes_need_their_token_and_our_name(proxy):
    console = Console(proxy).enter(proxy)
    other = Console(proxy)
    wait_until(lambda: other.log_in().status == 200)
    for fields, status, error in [
        ({"X-CSRF-Token": ""}, 403, "csrf"),
        ({"X-CSRF-Token": "0" * 64}, 403, "csrf"),
        ({"X-CSRF-Token": other.csrf}, 403, "csrf"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "cross-site"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "cross-site"),
        ({"Host": "evil.test"}, 421, "wrong-host"),
        ({"Host": f"evil.test:{console.port}"}, 421, "wrong-host"),
        ({"Host": f"localhost:{console.port + 1}"}, 421, "wrong-host"),
        ({"Host": f"192.0.2.1:{console.port}"}, 421, "wrong-host"),
        ({"Host": "[::1"}, 421, "wrong-host"),
        ({"Host": f"localhost:{console.port}", "Sec-Fetch-Site": "same-origin"}, 200, None),
        ({"Host": f"127.0.0.1:{console.port}"}, 200, None),
    ]:
        answer = console.ask("POST", "/api/v1/admin-link", fields=fields)
        assert answer.status == status, (fields, answer.text)
        assert error is None or answer.json["error"] == error
    link = answer.json
    assert re.search(r"#setup=[0-9a-f]{64}$", link["url"]) and link["seconds"] == 900


def test_every_answer_is_strict(proxy):
    console = Console(proxy)
    for path in ["/", "/connections", "/healthz", "/api/v1/session", "/api/v1/state", "/nowhere"]:
        fields = console.get(path).fields
        policy = fields["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert fields["x-content-type-options"] == "nosniff"
        assert fields["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in policy


def test_files_of_this_version_are_asked_for_once(proxy):
    """Another version's folder, of a page that was open during an update, has the files of today."""
    console = Console(proxy)
    folder = re.search(r'src="(/assets/[0-9a-f]{16}/)app.js"', console.get("/").text)[1]
    other = "/assets/0123456789abcdef/"
    lasting, plain = "private, max-age=31536000, immutable", "no-cache"
    for path, caching in (folder, lasting), (other, plain), ("/assets/", plain):
        for name in "app.js", "style.css", "sentences.json":
            answer = console.get(path + name)
            assert answer.status == 200 and answer.fields["cache-control"] == caching
            assert answer.text == console.get(folder + name).text
    assert console.get("/").fields["cache-control"] == "no-cache"
    for path in folder + "nothing.js", folder, other + "/index.html", "/assets//index.html", "/assets/0123/app.js":
        answer = console.get(path)
        assert answer.status == 404 and answer.fields["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("GET", "/nowhere", None, 404),
        ("GET", "/api/v1/connections/", None, 404),
        ("GET", "/assets/../../../etc/passwd", None, 404),
        ("DELETE", "/api/v1/state", None, 405),
        ("PATCH", "/api/v1/state", None, 405),
        ("POST", "/api/v1/session", b"{", 400),
        ("POST", "/api/v1/session", b"[]", 400),
        ("POST", "/api/v1/session", b'{"name":"a","name":"b"}', 400),
        ("POST", "/api/v1/session", b'{"name":"\xff"}', 400),
        ("POST", "/api/v1/session", b"[" * 4000, 400),
        ("POST", "/api/v1/session", b"{}", 400),
        ("POST", "/api/v1/session", b"x" * 100000, 413),
        ("GET", "/api/v1/connections?sort=<script>", None, 400),
        ("GET", "/api/v1/connections?limit=101", None, 400),
        ("GET", "/api/v1/connections?offset=-1", None, 400),
        ("GET", "/api/v1/connections?target=" + "x" * 8000, None, 400),
        ("GET", "/api/v1/connections/xyz", None, 404),
        ("GET", "/api/v1/connections/0123456789abcdef", None, 404),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_is_refused(logged_in, method, path, body, status):
    console = logged_in
    answer = console.ask(method, path, body)
    assert answer.status == status, answer.text
    assert answer.json["error"] and answer.json["message"]
    if status == 405:
        assert "GET" in answer.fields["allow"]
    assert console.get("/healthz").text == "ok\n"


def test_live_flows_are_shown_sorted_and_ended_with_a_reason(proxy):
    console = Console(proxy).enter(proxy)
    with Target(echo) as target:
        clients = [Client(proxy).connect(target.authority) for _ in range(3)]
        for n, client in enumerate(clients):
            client.send("x" * (n + 1)).read(n + 1)

        def rows(query=""):
            return console.get("/api/v1/connections?sort=up&order=desc" + query).json

        page = wait_until(lambda: (p := rows()) and sum(r["flow"]["bytes_up"] for r in p["rows"]) == 6 and p)
        assert [r["flow"]["bytes_up"] for r in page["rows"]] == [3, 2, 1]
        assert page["matching"] == page["open"] == 3 and page["whole"]
        row = page["rows"][0]
        assert row["flow"]["verdict"] == "open" and row["flow"]["target"] == target.authority
        assert row["flow"]["tcp"]["client"]["rtt_us"] > 0 and row["idle_us"] >= 0
        assert len(rows("&limit=1&offset=1")["rows"]) == 1
        assert rows("&target=elsewhere")["matching"] == 0
        state = console.get("/api/v1/state").json
        assert state["open"] == state["tunnels"] == 3 and state["bytes_up"] == 6
        one = row["flow"]["id"]
        assert console.get(f"/api/v1/connections/{one}").json["flow"]["id"] == one
        answer = console.ask("DELETE", f"/api/v1/connections/{one}?reason=too%20much")
        assert answer.status == 200, answer.text
        with pytest.raises(ConnectionResetError):
            clients[2].read(1)
        flow = proxy.flow().expect("reset-by-proxy", ended_by="proxy")
        assert flow["id"] == one
        flow.says("ended by root from 127.0.0.1: too much")
        assert console.ask("DELETE", f"/api/v1/connections/{one}").status == 404
        audit = console.get("/api/v1/audit").json["entries"]
        assert any(e["what"] == f"ended flow {one}: too much" for e in audit)
        assert all(e["who"].endswith("from 127.0.0.1") and e["time"] for e in audit)
        for client in clients:
            client.close()


def test_events_follow_what_happens(proxy):
    console = Console(proxy).enter(proxy)
    with Target(echo) as target:
        connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=20)
        connection.request("GET", "/api/v1/events?connections=1&sort=age", headers={"Cookie": console.cookie})
        response = connection.getresponse()
        assert response.getheader("Content-Type") == "text/event-stream"

        def event():
            name = response.readline().decode().strip()
            data = response.readline().decode()
            assert response.readline() == b"\n"
            return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

        name, state = event()
        assert name == "state" and state["open"] == 0
        assert event()[0] == "connections"
        client = Client(proxy).connect(target.authority)
        seen = wait_until(lambda: (e := event())[0] == "connections" and e[1]["rows"] and e[1])
        assert seen["rows"][0]["flow"]["target"] == target.authority
        client.close()
        proxy.flow()
        wait_until(lambda: (e := event())[0] == "connections" and not e[1]["rows"])
        connection.close()
    assert console.get("/healthz").status == 200


def test_metrics_count_what_ended(proxy):
    console = Console(proxy)
    with HttpTarget() as target:
        for _ in range(3):
            get(proxy, target.url())
        proxy.flows(3)
    text = console.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values['viaduct_flows_total{verdict="ok"}'] == "3"
    assert values['viaduct_phase_duration_seconds_count{phase="answer"}'] == "3"
    assert values['viaduct_phase_duration_seconds_bucket{phase="answer",le="+Inf"}'] == "3"
    assert int(values["viaduct_connections_limit"]) > 0
    names = re.findall(r"^# TYPE (\S+) (\S+)", text, re.M)
    assert len(names) == len(set(names))
    for name, kind in names:
        assert re.match("viaduct_|process_", name) and (kind != "counter" or name.endswith("_total"))
    assert 0 < int(values["process_open_fds"]) <= int(values["process_max_fds"])
    assert int(values["process_resident_memory_bytes"]) > 1 << 20
    assert float(values["process_cpu_seconds_total"]) > 0
    assert values["viaduct_history_lost_flows_total"] == "0"


def test_a_flow_that_was_ended_by_hand_is_counted(proxy):
    console = Console(proxy).enter(proxy)
    with Target(echo) as target:
        client = Client(proxy).connect(target.authority)
        flow = wait_until(lambda: console.get("/api/v1/connections").json["rows"])[0]["flow"]
        assert console.ask("DELETE", f"/api/v1/connections/{flow['id']}?reason=now").status == 200
        proxy.flow().expect("reset-by-proxy", ended_by="proxy")
        client.close()
    assert 'viaduct_flows_total{verdict="reset-by-proxy"} 1\n' in console.get("/metrics").text


def test_a_console_by_tls_answers_to_its_names(certs):
    tls = f"tls-certificate {certs.cert}; tls-key {certs.key};"
    with Proxy(console=f"console {{ listen 127.0.0.1:0; {tls} hosts target.test; }}") as proxy:

        def ask(host):
            raw = socket.create_connection(("127.0.0.1", proxy.console_port), timeout=10)
            connection = http.client.HTTPConnection(host, proxy.console_port)
            connection.sock = certs.client().wrap_socket(raw, server_hostname="target.test")
            connection.request("GET", "/api/v1/session")
            response = connection.getresponse()
            response.read()
            connection.close()
            return response.status

        assert ask("target.test") == 200
        assert ask("localhost") == 421  # `hosts` takes the place of the default
        assert "console on https://127.0.0.1:" in proxy.stderr()


def test_two_consoles_of_one_host_do_not_log_each_other_out(proxy):
    """Cookies know no ports: a browser has one jar for both."""
    one = Console(proxy).enter(proxy)
    with Proxy(console=BLOCK) as other:
        two = Console(other).enter(other)
        assert one.cookie.split("=")[0] != two.cookie.split("=")[0]
        for console in (one, two):
            console.cookie, before = f"{one.cookie}; {two.cookie}", console.cookie
            assert console.get("/api/v1/session").json["name"] == "root"
            console.cookie = before


def test_a_bearer_token(proxy):
    console = Console(proxy).enter(proxy)
    token = console.ask("POST", "/api/v1/metrics-token", {"name": "prometheus"}).json["token"]
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert console.ask("POST", "/api/v1/metrics-token", {"name": "a b"}).status == 400
    assert token not in (proxy.folder / "admins.conf").read_text() and "token" in (proxy.folder / "admins.conf").read_text()


def test_counts_do_not_need_the_log():
    with Proxy(console=BLOCK, log="access off;") as proxy, HttpTarget() as target:
        get(proxy, target.url())
        line = 'viaduct_flows_total{verdict="ok"} 1'
        wait_until(lambda: line in Console(proxy).get("/metrics").text)


def test_readiness(proxy):
    console = Console(proxy)
    assert console.get("/healthz").text == "ok\n"
    # the resolver of the tests is a port where nobody is
    assert console.get("/readyz").status == 503  # it looks only when somebody asks
    answer = wait_until(lambda: "yet" not in (a := console.get("/readyz")).text and a)
    assert answer.status == 503
    assert "resolver: 127.0.0.1:9 does not answer" in answer.text and "parent: none" in answer.text


def test_ready():
    from dns import DnsServer

    with DnsServer({}) as dns, Proxy(console=BLOCK, resolver=f"servers {dns.address};") as proxy:
        answer = wait_until(lambda: (a := Console(proxy).get("/readyz")).status == 200 and a)
        assert answer.text == "accepting\nresolver: ok\nparent: none\n"


def test_readiness_is_of_now():
    """Not of when somebody asked the last time, which may be hours ago."""
    from dns import DnsServer

    with DnsServer({}) as dns, Proxy(console=BLOCK, resolver=f"servers {dns.address};") as proxy:
        assert Console(proxy).get("/readyz").status == 200
        dns.__exit__(None, None, None)
        time.sleep(5.5)  # longer than a look is good
        answer = Console(proxy).get("/readyz")
        assert answer.status == 503 and f"resolver: {dns.address} does not answer" in answer.text


def test_the_parent_is_looked_for_as_the_workers_do():
    """By the resolver of the configuration, whatever the machine's is; and as soon as the settings change."""
    from dns import DnsServer

    def change(proxy, text):
        proxy.stderr_path.write_text("")
        proxy.write("upstream.conf", text)
        proxy.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in proxy.stderr())

    upstream = "iprep_proxy {{ PROXY_HOST Parent.Test; PROXY_PORT {}; }}"
    with DnsServer({"parent.test": ["127.0.0.1"]}) as dns, Target(lambda c: c.hold()) as parent:
        files = {"upstream.conf": upstream.format(parent.authority.split(":")[1])}
        resolver = f"servers {dns.address};"
        with Proxy(console=BLOCK, resolver=resolver, extra="upstream upstream.conf;", files=files) as proxy:
            console = Console(proxy)
            assert console.get("/readyz").text.endswith("\nparent: ok\n")
            change(proxy, upstream.format(1))
            answer = console.get("/readyz")
            assert answer.status == 503 and answer.text.endswith("\nparent: cannot be reached\n")
            change(proxy, "iprep_proxy { ENABLED off; PROXY_HOST a.test; PROXY_PORT 1; }")
            assert console.get("/readyz").text.endswith("\nparent: none\n")


def test_draining_is_not_ready():
    with Proxy(console=BLOCK, limits="drain-timeout 30s;") as proxy, Target(echo) as target:
        client = Client(proxy).connect(target.authority)
        console = Console(proxy)
        os.kill(proxy.pid, signal.SIGTERM)
        answer = wait_until(lambda: (a := console.get("/readyz")).text.startswith("draining") and a)
        assert answer.status == 503
        assert console.get("/healthz").status == 200
        client.close()


def test_the_control_socket_knows_its_peers_by_their_account():
    with Proxy() as proxy, Target(echo) as target:  # the console itself is off
        path = proxy.folder / "control.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        client = Client(proxy).connect(target.authority)
        local = Console(proxy, path)
        row = local.get("/api/v1/connections").json["rows"][0]
        assert local.ask("DELETE", f"/api/v1/connections/{row['flow']['id']}").status == 200
        proxy.flow().says(f"ended by uid {os.geteuid()}", "by the control socket")
        answer = local.ask("POST", "/api/v1/admin-link")
        assert answer.status == 409 and answer.json["error"] == "no-console"
        client.close()
    assert not path.exists()


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        proxy = Proxy(console=f"console {{ listen 127.0.0.1:{port}; }}", start=False)
        proxy.configure()
        proxy.launch()
        assert proxy.process.wait(30) == 3
        assert f"cannot listen on 127.0.0.1:{port}" in proxy.stderr()
        proxy.kill()


def test_slow_and_many_clients_harm_nobody(proxy):
    with HttpTarget() as target:
        many = [socket.create_connection(("127.0.0.1", proxy.console_port)) for _ in range(600)]
        for one in many[::2]:
            one.send(b"GET / HTTP/1.1\r\nHost:")
        assert get(proxy, target.url()).status == 200
        for one in many:
            one.close()
        wait_until(lambda: answers(proxy))


def answers(proxy):
    try:
        return Console(proxy).get("/healthz").status == 200
    except OSError:
        return False


def read_events(console, path):
    """All events of a stream that ends: (name, data)."""
    connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=60)
    connection.request("GET", path, headers={"Cookie": console.cookie})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    assert response.status == 200, text
    events = [e.split("\n") for e in text.split("\n\n") if e.startswith("event")]
    return [(e[0].removeprefix("event: "), json.loads(e[1].removeprefix("data: "))) for e in events]


def test_a_check_is_a_job_whose_phases_come_as_they_begin(proxy):
    console = Console(proxy).enter(proxy)
    with HttpTarget() as target:
        answer = console.ask("POST", "/api/v1/check", {"url": target.url(), "proxy": proxy.url})
        assert answer.status == 202, answer.text
        events = read_events(console, f"/api/v1/jobs/{answer.json['job']}/events")
    assert [name for name, _ in events].count("flow") > 2
    last = [data for name, data in events if name == "flow"][-1]
    assert last["verdict"] == "ok" and last["source"] == "check" and last["proxy"] == f"127.0.0.1:{proxy.port}"
    assert events[0][1]["verdict"] == "open"
    assert events[-1] == ("end", {"status": 0, "message": ""})


def children_of(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):  # a thread that is over
            found += pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()
    return found


def mute(connection):
    connection.sock.recv(65536)
    connection.sock.recv(1)


def test_a_password_of_a_check_is_in_no_argument(proxy):
    console = Console(proxy).enter(proxy)
    with Target(mute) as silent:
        body = {"url": "http://a.test/", "proxy": f"http://{silent.authority}", "user": "u"}
        job = console.ask("POST", "/api/v1/check", {**body, "password": "canary-1"}).json["job"]
        children = wait_until(lambda: children_of(proxy.pid))
        line = b"".join(open(f"/proc/{pid}/cmdline", "rb").read() for pid in children)
        assert b"canary-1" not in line
        assert console.ask("DELETE", f"/api/v1/jobs/{job}").status == 200
        wait_until(lambda: not children_of(proxy.pid))


def test_jobs_are_few_and_end_with_their_reader(proxy):
    console = Console(proxy).enter(proxy)
    with Target(mute) as silent:
        body = {"url": "http://a.test/", "proxy": f"http://{silent.authority}"}
        jobs = [console.ask("POST", "/api/v1/check", body) for _ in range(4)]
        assert [a.status for a in jobs] == [202] * 4
        answer = console.ask("POST", "/api/v1/check", body)
        assert answer.status == 503 and answer.json["error"] == "busy"
        paths, readers = [f"/api/v1/jobs/{job.json['job']}" for job in jobs], []
        for path in paths:  # the others would end without one, too, if later
            connection = http.client.HTTPConnection("127.0.0.1", console.port, timeout=30)
            connection.request("GET", path + "/events", headers={"Cookie": console.cookie})
            readers.append((connection, connection.getresponse()))
        connection, response = readers[0]
        wait_until(lambda: response.readline() == b"event: flow\n")  # a quiet second has a comment
        assert console.get(paths[0] + "/events").status == 404  # it has a reader
        response.close()
        connection.close()
        wait_until(lambda: len(children_of(proxy.pid)) == 3)
        for path in paths[1:]:
            console.ask("DELETE", path)
        wait_until(lambda: not children_of(proxy.pid))
        for connection, response in readers[1:]:
            response.close()
            connection.close()


def test_bad_jobs(proxy):
    console = Console(proxy).enter(proxy)
    for body, field in [
        ({}, "url"),
        ({"url": "http://a.test/\n"}, "url"),
        ({"url": "x" * 3000}, "url"),
        ({"url": "http://a.test/", "user": "a:b", "proxy": "direct"}, "user"),
    ]:
        answer = console.ask("POST", "/api/v1/check", body)
        assert answer.status == 400 and answer.json["field"] == field, answer.text
    answer = console.ask("POST", "/api/v1/check", {"url": "-o/etc/passwd", "proxy": "direct"})
    events = read_events(console, f"/api/v1/jobs/{answer.json['job']}/events")
    assert events[-1][1]["status"] in (1, 2)  # a word in place of a URL, and no option


def test_a_link_by_command():
    with Proxy(console=BLOCK) as proxy:
        env = {**os.environ, "RUNTIME_DIRECTORY": str(proxy.folder), "STATE_DIRECTORY": str(proxy.folder)}
        done = run_command("account", "admin-link", "-c", proxy.config, env=env)
        assert done.returncode == 0, done.stderr
        token = re.fullmatch(rf"http://127.0.0.1:{proxy.console_port}/#setup=([0-9a-f]{{64}})\n", done.stdout).group(1)
        body = {"token": token, "name": "other", "password": "correct horse"}
        assert Console(proxy).ask("POST", "/api/v1/setup", body).status == 200
    done = run_command("account", "admin-link", "-c", "/dev/null", env={**env, "RUNTIME_DIRECTORY": "/nowhere"})
    assert done.returncode == 3 and "no proxy is running here" in done.stderr


def test_the_history_is_listed_filtered_and_summed():
    with Proxy(console=BLOCK, log="history history.db;") as proxy, HttpTarget() as target:
        console = Console(proxy).enter(proxy)
        for _ in range(3):
            get(proxy, target.url())
        get(proxy, "http://nowhere.test/")
        flows = proxy.flows(4)

        def ask(query=""):
            return console.get("/api/v1/flows" + query).json

        page = wait_until(lambda: len((p := ask()).get("flows", [])) == 4 and p)  # it has to be made first
        assert {f["id"] for f in page["flows"]} == {f["id"] for f in flows} and page["next"] is None
        failed = next(f for f in page["flows"] if f["verdict"] == "upstream-unresolved")
        assert len(ask("?failed=1")["flows"]) == 1
        assert len(ask("?verdict=ok,stalled")["flows"]) == 3
        assert len(ask("?target=nowhere.test")["flows"]) == 1
        assert ask("?text=nowhere")["flows"][0]["target"] == "nowhere.test:80"
        assert ask("?client=192.0.2.1")["flows"] == []
        first = ask("?limit=3")
        assert len(first["flows"]) == 3 and first["next"]
        assert len(ask(f"?limit=3&before={first['next']}")["flows"]) == 1
        one = console.get(f"/api/v1/flows/{failed['id']}", fields={"Accept-Language": "ja"}).json
        assert one["flow"] == failed and "upstream-unresolved in answer" in one["ladder"]
        assert any(ord(c) > 0x3000 for c in one["advice"])
        assert console.get("/api/v1/flows/0123456789abcdef").status == 404

        def series():
            chart = console.get("/api/v1/charts?span=hour").json
            assert len(chart["bytes_up"]) == 60 and chart["step_s"] == 60
            return {s["verdict"]: sum(s["counts"]) for s in chart["series"]}

        wait_until(lambda: series() == {"ok": 3, "upstream-unresolved": 1})
        top = console.get("/api/v1/top?by=target&span=day").json["rows"]
        assert [(r["flows"], r["failed"]) for r in top] == [(3, 0), (1, 1)]
        for path in ["flows?since=x", "flows?limit=1000", "charts?span=week", "top", "top?by=moon"]:
            assert console.get("/api/v1/" + path).status == 400, path


def test_without_history_it_says_so():
    with Proxy(console=BLOCK, log="history off;") as proxy:
        answer = Console(proxy).enter(proxy).get("/api/v1/flows")
        assert answer.status == 409 and answer.json["error"] == "no-history"


def test_the_dashboard_asks_for_metrics_that_there_are(proxy):
    dashboard = (pathlib.Path(__file__).parents[2] / "contrib/grafana.json").read_text()
    text = Console(proxy).get("/metrics").text
    known = {name for name, _ in re.findall(r"^# TYPE (\S+) (\S+)", text, re.M)}
    for name in set(re.findall(r"\b(?:viaduct|process)_\w+", dashboard)):
        assert re.sub("_bucket$", "", name) in known, name

"""`viaduct check --compare` and the upstream settings: direct, through the proxy, through its parent."""

import json
import re
import signal
import socket
import subprocess

import pytest

from check import ENVIRONMENT, check, check_all, check_raw
from target import HttpTarget, Target, reply
from viaduct import BINARY, wait_until

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def url_of(port):
    return f"http://127.0.0.1:{port}"


def refuse(status):
    """A proxy that refuses all."""

    def script(connection):
        connection.head()
        connection.send(reply(b"", status, "Via: 1.1 p"))
        connection.shutdown()
        connection.hold()

    return script


def pass_on(body=b"hello"):
    """A proxy that finds every target."""

    def script(connection):
        connection.head()
        connection.send(reply(body, "200 OK", "Via: 1.1 p"))
        connection.shutdown()
        connection.hold()

    return script


@pytest.fixture(name="settings")
def a_configuration(tmp_path):
    """settings(port) writes upstream settings and a configuration that names them; its path."""

    def write(port, more=""):
        upstream, conf = tmp_path / "upstream.conf", tmp_path / "viaduct.conf"
        upstream.write_text(f"iprep_proxy {{ PROXY_HOST 127.0.0.1; PROXY_PORT {port}; {more} }}\n")
        upstream.chmod(0o600)
        conf.write_text("upstream upstream.conf;\nlog { history off; }\n")
        return conf

    return write


@pytest.fixture(name="nobody")
def a_port_that_refuses():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def compare(*arguments):
    """The exit status, and the lines of the table with its conclusion."""
    done = check_raw("--compare", *arguments)
    assert done.stderr == ""
    return done.returncode, "\n\n".join(done.stdout.split("\n\n")[:3]).splitlines()


def test_below_the_table_stands_the_way_that_fails(settings):
    """Its evidence, the lines for its owner, and the curl command of each way."""
    with HttpTarget() as target, Target(refuse("403 No\r\nProxy-Status: edge; error=http_request_denied")) as proxy:
        done = check_raw("--compare", "-x", url_of(proxy.port), target.url())
        below = "\n\n".join(done.stdout.split("\n\n")[3:])
        assert "Proxy-Status: edge" in below and "for the proxy's owner:" in below and "  look for  " in below
        curls = re.findall(r"^(.*)the same with curl: curl -v (\S+)", below, re.M)
        assert sorted(curls) == sorted([("", "-x"), ("direct, ", "--noproxy")])
    with HttpTarget() as target, Target(pass_on()) as proxy:
        done = check_raw("--compare", "-x", url_of(proxy.port), target.url())
        assert "owner" not in done.stdout and done.stdout.count("the same with curl") == 2


def row(lines, name):
    return next(line.split() for line in lines if line.startswith(name))


def test_the_proxy_adds_the_failure(settings):
    with HttpTarget() as target, Target(refuse("403 No\r\nX-Squid-Error: ERR_ACCESS_DENIED 0")) as proxy, Target(pass_on()) as parent:
        conf = settings(parent.port)
        status, lines = compare("-c", conf, "-x", url_of(proxy.port), target.url())
    assert status == 1
    assert lines[2].split() == ["direct", url_of(proxy.port), url_of(parent.port)]
    assert row(lines, "verdict") == ["verdict", "ok", "acl-denied", "ok"]
    assert row(lines, "status") == ["status", "200", "403", "200"]
    assert lines[-1].startswith(f"{url_of(proxy.port)} adds the failure: acl-denied in answer by proxy (seen)")


def test_the_parent_adds_the_failure(settings, certs):
    """Its refusal comes out of the proxy as well."""
    with HttpTarget(tls=certs.target()) as target, Target(refuse("503 Busy")) as proxy, Target(refuse("503 Busy")) as parent:
        conf = settings(parent.port)
        status, lines = compare("-c", conf, "--cacert", certs.ca, "-x", url_of(proxy.port), target.url())
    assert status == 1
    assert lines[-1].startswith(f"{url_of(parent.port)} adds the failure: overloaded in answer")


def test_a_parent_that_the_proxy_does_without(settings, certs, nobody):
    conf = settings(nobody)
    with HttpTarget() as target, Target(pass_on()) as proxy:
        status, lines = compare("-c", conf, "-x", url_of(proxy.port), target.url())
    assert status == 0  # the way that was asked for is good
    assert lines[-1].startswith(f"{url_of(nobody)} fails, and {url_of(proxy.port)} does without it: proxy-refused")


def test_only_the_direct_way_fails(settings, nobody):
    with Target(pass_on()) as proxy, Target(pass_on()) as parent:
        conf = settings(parent.port)
        status, lines = compare("-c", conf, "-x", url_of(proxy.port), f"{url_of(nobody)}/")
    assert status == 0
    assert lines[-1].startswith("only direct fails: upstream-refused in connect")
    assert lines[-1].endswith("where a proxy is the only way out")


def test_ways_that_did_not_end_are_not_compared(settings, nobody):
    """Not ended is no success: nobody is named who would fail alone."""

    def hold(connection):
        connection.head()
        connection.hold()

    with Target(hold) as proxy:
        _, lines = compare("-m", "1", "-c", settings(nobody), "-x", url_of(proxy.port), f"{url_of(nobody)}/")
    assert lines[-1] == "not every way was gone to its end"


def test_the_proxy_fails_where_nothing_goes_direct(settings, nobody):
    with Target(refuse("407 Log in\r\nProxy-Authenticate: NTLM")) as proxy, Target(pass_on()) as parent:
        conf = settings(parent.port)
        status, lines = compare("-c", conf, "-x", url_of(proxy.port), f"{url_of(nobody)}/")
    assert status == 1
    assert lines[-1].startswith(f"{url_of(proxy.port)} adds the failure: auth-unsupported")


def test_all_is_well_and_all_is_lost(settings, nobody, proxy):
    with HttpTarget() as target:
        conf = settings(proxy.port)
        status, lines = compare("-c", conf, target.url())
        assert status == 0 and lines[-1] == "every way leads to the target"
        assert lines[2].split() == ["direct", url_of(proxy.port)]
    status, lines = compare("-c", conf, f"{url_of(nobody)}/")
    assert status == 1 and "every way fails alike" in lines[-1]
    assert row(lines, "verdict") == ["verdict", "upstream-refused", "upstream-refused"]


@pytest.mark.parametrize("then,ending", [("reset", "reset-by-target in exchange"), ("hold", "stalled in exchange")])
def test_a_targets_failure_has_another_name_on_each_way(proxy, then, ending):
    """It is the target's all the same; but not where a proxy says no."""

    def script(connection):
        connection.head()
        getattr(connection, then)()

    with Target(script) as target, Target(refuse("403 No")) as denying:
        status, lines = compare("-m", "6", "-x", url_of(proxy.port), target.url())
        assert status == 1 and row(lines, "verdict")[1] != row(lines, "verdict")[2]
        assert lines[-1].startswith(f"every way fails, and the target does so by itself: {ending} by target (seen)")
        _, lines = compare("-m", "6", "-x", url_of(denying.port), target.url().replace("http:", "https:"))
        assert lines[-1] == "every way fails, each for a reason of its own"


def test_who_is_shut_off_direct_proves_nothing_of_a_silent_proxy(nobody):
    with Target(lambda connection: connection.head()) as proxy:
        _, lines = compare("-x", url_of(proxy.port), f"{url_of(nobody)}/")
    assert row(lines, "verdict")[1:] == ["upstream-refused", "proxy-silent"]
    assert lines[-1] == "every way fails, each for a reason of its own"


def test_another_certificate_on_one_way(settings, certs, tmp_path):
    """Seen direct it is the target's own; the proxy shows one of another maker."""
    from certs import Authority

    other = Authority(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(certs.ca.read_bytes() + other.ca.read_bytes())

    def script(connection):
        connection.head()
        connection.send(OPENED)
        connection.sock = other.target().wrap_socket(connection.sock, server_side=True)
        connection.head()
        connection.send(reply(b"hello"))
        connection.close()

    with HttpTarget(tls=certs.target()) as target, Target(script) as proxy:
        flows = check_all("--compare", "-c", settings(proxy.port), "--cacert", both, target.url())
    assert [flow["proxy"] for flow in flows] == [None, f"127.0.0.1:{proxy.port}"]
    assert [flow["verdict"] for flow in flows] == ["ok", "ok"]


def test_json_has_a_flow_a_way(settings):
    with HttpTarget() as target, Target(pass_on()) as proxy:
        conf = settings(proxy.port)
        done = check_raw("--json", "--compare", "-c", conf, target.url("/1"), target.url("/2"))
    flows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(flow["url"][-1], flow["proxy"]) for flow in flows] == [
        ("1", None), ("1", f"127.0.0.1:{proxy.port}"), ("2", None), ("2", f"127.0.0.1:{proxy.port}"),
    ]


def test_without_a_proxy_there_is_nothing_to_compare(tmp_path):
    conf = tmp_path / "viaduct.conf"
    conf.write_text("log { history off; }\n")
    done = check_raw("--compare", "-c", conf, "http://target.test/")
    assert done.returncode == 2 and "no proxy to compare with" in done.stderr


# --- the upstream settings -------------------------------------------------------------------------------


def test_the_settings_are_the_proxy_when_x_is_left_out(settings):
    with Target(pass_on()) as proxy:
        flow = check("-c", settings(proxy.port), "http://target.test/")
        assert flow["proxy"] == f"127.0.0.1:{proxy.port}"
        flow.expect("ok", "close")


def test_no_proxy_goes_direct(settings):
    with HttpTarget() as target, Target(pass_on()) as proxy:
        conf = settings(proxy.port, "NO_PROXY LOCALHOST .direct.test 127.0.0.0/8;")
        flow = check("-c", conf, target.url(host="LocalHost"))
        flow.expect("ok", proxy=None).says("NO_PROXY")
        assert check("-c", conf, target.url())["proxy"] is None
        assert check("-c", conf, "http://other.test/")["proxy"] == f"127.0.0.1:{proxy.port}"
        assert check("-c", conf, "-x", url_of(proxy.port), target.url())["proxy"] == f"127.0.0.1:{proxy.port}"


def owners_lines(*arguments, **more):
    """Of a report: whose owner is meant, what he should look for, and the curl command."""
    report = check_raw(*arguments, **more).stdout
    return re.search(r"^for the (\w+)'s owner:\n.*?^  look for  (.*?)\n\n.* with curl: (.*)", report, re.M | re.S).groups()


def test_who_is_told_to_look_where_is_who_was_asked(settings):
    """Where no proxy was asked its log has nothing, and curl has to go without it, too."""
    proxy = f"http://127.0.0.1:{closed_port()}"
    refused = f"http://localhost:{closed_port()}/"
    owner, look, curl = owners_lines("-x", "direct", refused)
    assert owner == "target" and "proxy" not in look and "--noproxy '*'" in curl
    conf = settings(closed_port(), "NO_PROXY localhost;")
    owner, look, curl = owners_lines("-c", conf, refused)
    assert owner == "target" and "proxy" not in look and "--noproxy '*'" in curl and "-x" not in curl
    owner, look, curl = owners_lines("-x", proxy, refused)
    assert owner == "proxy" and f"-x '{proxy}'" in curl and "noproxy" not in curl
    _, _, curl = owners_lines("-x", proxy, refused, environment={"NO_PROXY": "localhost"})
    assert "--noproxy ''" in curl  # curl would go direct


def test_the_owner_of_a_target_that_says_no_looks_into_his_own_log():
    with Target(refuse("404 Not Found")) as proxy:
        owner, look, _ = owners_lines("-x", f"http://127.0.0.1:{proxy.port}", "http://target.test/")
    assert owner == "target" and "target's access log" in look


def test_settings_that_are_off_mean_direct(settings):
    with HttpTarget() as target:
        flow = check("-c", settings(1, "ENABLED off;"), target.url())
        flow.expect("ok", "close", proxy=None)


def test_the_settings_credentials(settings):
    with Target(pass_on()) as proxy:
        flow = check("-c", settings(proxy.port, 'PROXY_USER user; PROXY_PASSWORD "pass";'), "http://target.test/")
        flow.expect("ok", user="user")
        assert "pass" not in json.dumps({key: flow[key] for key in ("evidence", "url", "target")})


def test_the_environment_is_mentioned(settings):
    with Target(pass_on()) as proxy:
        conf = settings(proxy.port)
        done = check_raw("-c", conf, "http://target.test/", environment={"https_proxy": "http://u:secret@127.0.0.1:1"})
        assert done.returncode == 0
        assert "https_proxy is set in the environment and not followed" in done.stderr and "secret" not in done.stderr
        quiet = check_raw("--json", "-c", conf, "http://target.test/", environment={"https_proxy": "http://127.0.0.1:1"})
        assert quiet.stderr == ""


def test_an_interrupt_claims_nothing_of_ways_that_were_not_gone(tmp_path):
    with Target(lambda connection: connection.hold()) as target:
        urls = tmp_path / "urls"
        urls.write_text("".join(f"{url_of(target.port)}/{i}\n" for i in range(70)))
        command = [BINARY, "check", "--compare", "-x", url_of(target.port), "-f", urls]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        ) as process:
            wait_until(lambda: target.accepts == 64)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 1 and not err, (process.returncode, err)
    assert "leads to the target" not in out and f"/{69}" not in out
    assert out.count("not every way was gone to its end") == 64

"""`viaduct check`: the walk, through viaduct itself and direct."""

import ssl
import time

import pytest

from check import check, check_all, check_raw
from target import HttpTarget, Target, reply
from viaduct import Proxy

PHASES = "resolve connect proxy-tls request answer tls exchange transfer close".split()


def outcomes(flow):
    return {phase["phase"]: phase["outcome"] for phase in flow["phases"]}


def url_of(proxy, scheme="http", host=None):
    return f"{scheme}://{host or '127.0.0.1'}:{proxy.port}"


@pytest.fixture(scope="module")
def tls_target(certs):
    with HttpTarget(tls=certs.target()) as target:
        yield target


def test_plain_http_through_the_proxy(proxy):
    with HttpTarget(lambda request: reply(b"x" * 1000)) as target:
        flow = check("-x", url_of(proxy), target.url("/a?b"))
    flow.expect("ok", "close", "client", status=200, bytes_down=1000, method="GET")
    assert outcomes(flow) == {
        **dict.fromkeys(PHASES, "ok"), "proxy-tls": "skipped", "tls": "skipped", "exchange": "skipped",
    }
    assert flow["proxy"] == f"127.0.0.1:{proxy.port}" and flow["target_address"] is None
    seen = proxy.flow()
    assert seen["url"].endswith("/a?b") and seen["client"] == flow["client"]


def test_a_tunnel_through_the_proxy(proxy, certs, tls_target):
    flow = check("-x", url_of(proxy), "--cacert", certs.ca, tls_target.url(host="localhost"))
    flow.expect("ok", "close", "client", status=200, method="CONNECT")
    assert outcomes(flow) == {**dict.fromkeys(PHASES, "ok"), "proxy-tls": "skipped"}
    assert flow["tls"]["sni"] == "localhost" and flow["tls"]["version"] == "TLSv1.3"
    seen = proxy.flow()
    assert (seen["bytes_up"], seen["bytes_down"]) == (flow["bytes_up"], flow["bytes_down"])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_direct(certs, tls_target, scheme):
    with HttpTarget() as plain:
        target = plain if scheme == "http" else tls_target
        flow = check("-x", "direct", "--cacert", certs.ca, target.url(host="localhost"))
    flow.expect("ok", "close", "client", status=200, method="GET", proxy=None)
    wanted = {"proxy-tls": "skipped", "request": "skipped", "answer": "skipped"}
    if scheme == "http":
        wanted["tls"] = "skipped"
    assert outcomes(flow) == {**dict.fromkeys(PHASES, "ok"), **wanted}
    assert flow["target_address"].endswith(f":{target.port}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_reached_by_tls(certs, tls_target, scheme):
    block = f"tls-certificate {certs.cert}; tls-key {certs.key};"
    with Proxy(listen=[f"127.0.0.1:0 {{ {block} }}"]) as proxy, HttpTarget() as plain:
        target = plain if scheme == "http" else tls_target
        where = url_of(proxy, "https", "localhost")
        flow = check("-x", where, "--proxy-cacert", certs.ca, "--cacert", certs.ca, target.url(host="localhost"))
        flow.expect("ok", "close")
        assert outcomes(flow)["proxy-tls"] == "ok"
        untrusted = check("-x", where, "--cacert", certs.ca, target.url(host="localhost"))
        untrusted.expect("proxy-tls-failed", "proxy-tls", "proxy")
        insecure = check("-k", "-x", where, target.url(host="localhost"))
        insecure.expect("ok", "close")
        assert "tls-untrusted" in insecure["warnings"]
        plain_words = check("-x", url_of(proxy), target.url(host="localhost"))
        plain_words.expect("not-a-proxy", "answer", "proxy", certainty="inferred")
        assert any("TLS server" in line for line in plain_words["evidence"])


def test_certificates_that_do_not_verify(proxy, certs, tls_target):
    flow = check("-x", url_of(proxy), tls_target.url(host="localhost"))
    flow.expect("tls-untrusted", "tls", "target")
    flow = check("-x", url_of(proxy), "-k", tls_target.url(host="localhost"))
    flow.expect("ok", "close")
    assert "tls-untrusted" in flow["warnings"]


def test_redirects_are_listed_and_followed(proxy):
    with HttpTarget() as last:
        with HttpTarget(lambda request: reply(b"", "302 Found", f"Location: {last.url('/end')}")) as first:
            flow = check("-x", url_of(proxy), first.url())
            flow.expect("ok", status=302)
            assert flow["redirects"] == [{"status": 302, "location": last.url("/end")}]
            assert "redirect" in flow["warnings"]
            hops = check_all("-L", "-x", url_of(proxy), first.url())
    assert [hop["status"] for hop in hops] == [302, 200]
    assert [hop["url"] for hop in hops] == [first.url(), last.url("/end")]


def test_a_redirect_in_a_circle_ends(proxy):
    with HttpTarget(lambda request: reply(b"", "302 Found", "Location: /")) as target:
        hops = check_all("-L", "-x", url_of(proxy), target.url())
    assert len(hops) == 11
    assert "redirect" in hops[-1]["warnings"]
    assert any("not followed: it would be the 11th" in line for line in hops[-1]["evidence"])


def test_the_time_is_for_all_redirects():
    """It is the URL's that was asked for, as curl's -m is."""

    def slowly(request):
        time.sleep(0.7)
        return reply(b"", "302 Found", "Location: /")

    with HttpTarget(slowly) as target:
        begun = time.monotonic()
        hops = check_all("-L", "-m", "2", "-x", "direct", target.url())
        assert time.monotonic() - begun < 4
    assert [hop["verdict"] for hop in hops] == ["ok", "ok", "open"]


def test_sizes_are_looked_for_where_redirects_end():
    with HttpTarget(lambda request: reply(b"x" * 9000)) as last:
        with HttpTarget(lambda request: reply(b"", "302 Found", f"Location: {last.url()}")) as first:
            hops = check_all("-L", "--mtu", "-x", "direct", first.url())
            assert first.accepts == 1
            assert [any(line.startswith("mtu ") for line in hop["evidence"]) for hop in hops] == [False, True]
            check("--mtu", "-x", "direct", first.url()).says("mtu this machine to target")


def test_denials_come_out_as_the_proxy_says_them(proxy, certs):
    with Proxy(access="deny social { to target.test; } allow all { }", hosts=[("127.0.0.1", "target.test")]) as strict:
        for url in ("http://target.test/", "https://target.test/"):
            flow = check("-x", url_of(strict), url)
            flow.expect("acl-denied", "answer", "proxy", status=403)
            assert any("social" in line for line in flow["evidence"])


def test_target_errors_are_the_targets(proxy, certs):
    with HttpTarget(lambda request: reply(b"no", "404 Not Found"), tls=certs.target()) as tls, HttpTarget(
        lambda request: reply(b"no", "503 Service Unavailable")
    ) as plain:
        flow = check("-x", url_of(proxy), "--cacert", certs.ca, tls.url(host="localhost"))
        flow.expect("target-error", ended_by="target", status=404)
        flow = check("-x", url_of(proxy), plain.url())
        assert flow["verdict"] == "target-error" and flow["ended_by"] == "target" and flow["status"] == 503


def test_few_descriptors_are_no_fault_of_the_target(proxy):
    """prlimit lowers the hard limit as well: there is nothing to raise."""
    with HttpTarget() as target:
        urls = [target.url(f"/{i}") for i in range(64)]
        flows = check_all("-x", proxy.url, *urls, wrap=["prlimit", "--nofile=40:40"])
    assert [flow["verdict"] for flow in flows] == ["ok"] * 64


def test_many_urls(proxy):
    with HttpTarget() as target:
        urls = [target.url(f"/{i}") for i in range(100)]
        flows = check_all("-x", url_of(proxy), *urls)
        assert [flow["url"] for flow in flows] == urls
        assert {flow["verdict"] for flow in flows} == {"ok"}
        table = check_raw("-x", url_of(proxy), "-f", "-", input="# a list\n\n" + "\n".join(urls[:3]) + "\n", stdin=None)
    assert table.returncode == 0, table
    assert table.stdout.count("ok ") == 3 + 1 and "3 of 3 ok" in table.stdout


LISTS = {  # name: what is in it, what is said of it behind its name
    "a-bad-url": (b"http://a.test/\n\n# b\nhttp:///c\n", "4: the URL has empty host"),
    "no-text": (bytes(100000), "1: a line that is no text, or longer than"),
    "a-long-line": (b"http://a.test/\nhttp://" + b"b" * 100000, "2: a line that is no text, or longer than"),
    "noise": (b"\xfe\xff\x01\n" * 1000, "1: the URL has"),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_bad_list_is_told_with_its_line(tmp_path, name):
    content, words = LISTS[name]
    path = tmp_path / "list"
    path.write_bytes(content)
    done = check_raw("-x", "direct", "-f", path)
    assert done.returncode == 2 and done.stdout == ""
    assert f"viaduct check: {path}:{words}" in done.stderr


def test_a_list_without_an_end(tmp_path):
    done = check_raw("-x", "direct", "-f", "/dev/zero", seconds=20)
    assert done.returncode == 2 and "/dev/zero:1: " in done.stderr


def test_a_list_as_other_systems_write_it(tmp_path):
    with HttpTarget() as target:
        path = tmp_path / "list"
        path.write_bytes(b"\xef\xbb\xbf" + f"{target.url('/a')}\r\n{target.url('/b')}".encode())
        flows = check_all("-x", "direct", "-f", path)
        assert [flow["url"] for flow in flows] == [target.url("/a"), target.url("/b")]


def test_one_bad_url_is_a_mistake_of_usage(proxy):
    for url in ("ftp://target.test/", "http://user:secret@target.test/", "http://"):
        done = check_raw("-x", url_of(proxy), url)
        assert done.returncode == 2 and "secret" not in done.stderr
        assert done.stderr.startswith("viaduct check: "), done.stderr


def test_a_port_alone_is_no_proxy():
    done = check_raw("-x", "8080", "http://127.0.0.1:1/")
    assert done.returncode == 2 and "-x 8080: a port without its host, as in localhost:8080" in done.stderr


def test_two_files_of_one_name_would_overwrite_each_other(tmp_path):
    path = tmp_path / "one"
    for words in (("--pcap", path, "--keylog", path), ("-o", path, "--pcap", path), ("-o", path, "--keylog", path)):
        done = check_raw("-x", "direct", *words, "http://127.0.0.1:1/")
        assert done.returncode == 2 and "-o, --pcap and --keylog need a file each" in done.stderr
    assert not path.exists()


def test_the_report_ends_with_the_curl_command(proxy):
    with HttpTarget() as target:
        done = check_raw("-x", url_of(proxy), target.url("/it's"))
        assert done.stdout.splitlines()[-1] == (
            f"the same with curl: curl -v -x '{url_of(proxy)}' -o '/dev/null' -m 30 '{target.url('/it')}'\\''s'"
        )
    failed = check_raw("-x", url_of(proxy), "http://127.0.0.1:1/")
    assert failed.returncode == 1
    owner = failed.stdout[failed.stdout.index("for the proxy's owner:"):].splitlines()[1:4]
    assert [line.split()[0] for line in owner] == ["asked", "came", "look"]


def test_the_environment_is_mentioned_and_not_followed():
    with HttpTarget() as target:
        done = check_raw("-x", "direct", target.url(), environment={"http_proxy": "http://127.0.0.1:1"})
        assert done.returncode == 0 and "http_proxy" not in done.stderr

"""`viaduct check`: certificates, who made them, and the capture of its own packets."""

import base64
import subprocess

import pytest

from certs import Authority, openssl
from check import check, check_all, check_raw
from target import HttpTarget, Target, reply
from viaduct import Proxy, open_folder


@pytest.fixture(scope="module")
def trusted(certs):
    """The environment of a machine whose administrator added the private CA."""
    folder = open_folder("viaduct-trust-")
    digest = openssl("x509", "-hash", "-noout", "-in", str(certs.ca)).stdout.decode().strip()
    (folder / f"{digest}.0").write_bytes(certs.ca.read_bytes())
    yield {"SSL_CERT_DIR": str(folder)}
    subprocess.run(["rm", "-r", folder], check=True)


@pytest.fixture(scope="module")
def inspector():
    """A CA that is named like an inspecting product's."""
    folder = open_folder("viaduct-inspector-")
    authority = Authority(folder, name="/O=Zscaler Inc./CN=Zscaler Root CA")
    digest = openssl("x509", "-hash", "-noout", "-in", str(authority.ca)).stdout.decode().strip()
    (folder / f"{digest}.0").write_bytes(authority.ca.read_bytes())
    yield authority
    subprocess.run(["rm", "-r", folder], check=True)


def test_one_own_issuer_for_unrelated_targets_is_an_interceptor(proxy, certs, trusted):
    with HttpTarget(tls=certs.target()) as target:
        urls = [target.url(host="target.test"), target.url(host="other.test")]
        flows = check_all("-x", proxy.url, *urls, environment=trusted)
        for flow in flows:
            flow.expect("tls-intercepted", "tls", "proxy", certainty="inferred")
            assert flow["tls"]["issuer"] == "CN=viaduct test CA"
        flow = check("-x", proxy.url, urls[0], environment=trusted)
        flow.expect("ok")  # one alone shows nothing
        for flow in check_all("-x", proxy.url, "--cacert", certs.ca, *urls):
            flow.expect("ok")  # and who names the CA knows it


def test_a_known_inspector_is_named(proxy, inspector):
    with HttpTarget(tls=inspector.target()) as target:
        url = target.url(host="target.test")
        flow = check("-x", proxy.url, url, environment={"SSL_CERT_DIR": str(inspector.folder)})
        flow.expect("tls-intercepted", "tls", "proxy").says("Zscaler")
        flow = check("-x", proxy.url, url)
        flow.expect("tls-untrusted", "tls", "target").says("Zscaler")
        check("-x", proxy.url, "--cacert", inspector.ca, url).expect("ok")


def test_what_is_wrong_with_a_certificate_is_said(proxy, certs):
    with HttpTarget(tls=certs.target()) as target:
        with Proxy(hosts=[("127.0.0.1", "wrong.example")]) as other:
            flow = check("-x", other.url, "--cacert", certs.ca, target.url(host="wrong.example"))
        flow.expect("tls-untrusted", "tls", "target").says("not for wrong.example", "for localhost, target.test")
        flow = check("-x", proxy.url, target.url(host="target.test"))
        flow.expect("tls-untrusted").says("target.test", "made by CN=viaduct test CA", "good from")


def test_the_capture_has_the_packets_and_the_secrets(proxy, certs, tmp_path):
    capture, secrets = tmp_path / "out.pcapng", tmp_path / "keys.txt"
    secrets.write_text("")  # it was there, and open to all
    secrets.chmod(0o644)
    with HttpTarget(tls=certs.target()) as target:
        flow = check(
            "-x", proxy.url, "--cacert", certs.ca, "--pcap", capture, "--keylog", secrets, target.url(host="target.test")
        )
        flow.expect("ok")
        refused = check("-x", "http://127.0.0.1:1", "--pcap", tmp_path / "refused.pcapng", target.url())
        refused.expect("proxy-refused")
    shown = subprocess.run(["tcpdump", "-nr", capture], capture_output=True, text=True, check=True).stdout
    lines = shown.splitlines()
    client = flow["client"].replace(":", ".")
    assert f"IP {client} > " in lines[0] and "Flags [S]," in lines[0]
    assert "Flags [S.]," in lines[1]
    # the other end's FIN is waited for a little, not for as long as it takes
    assert sum("Flags [F" in line for line in lines) in (1, 2), shown
    assert "Flags [R" not in shown
    assert f"CONNECT target.test:{target.port} HTTP/1.1".encode() in capture.read_bytes()
    assert secrets.read_text().count("TRAFFIC_SECRET") >= 4
    assert secrets.read_text().splitlines()[0].encode() in capture.read_bytes()
    for path in (capture, secrets):
        assert path.stat().st_mode & 0o777 == 0o600
    shown = subprocess.run(
        ["tcpdump", "-nr", tmp_path / "refused.pcapng"], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split("Flags ")[1][:4] for line in shown.splitlines()] == ["[S],", "[R.]"], shown


def test_a_capture_has_no_password(tmp_path):
    capture, seen = tmp_path / "out.pcapng", []
    with Target(lambda c: (seen.append(c.request().get("Proxy-Authorization")), c.send(reply(b"")))) as proxy:
        flow = check(
            *("-x", f"http://127.0.0.1:{proxy.port}", "-U", "user:sesame", "--basic", "--pcap", capture),
            "http://target.test/",
        )
    flow.expect("ok")
    said, shown = (b"Basic " + base64.b64encode(text) for text in (b"user:sesame", b"user:******"))
    assert seen == [said.decode()]
    assert shown in capture.read_bytes() and said not in capture.read_bytes()


def test_a_capture_that_cannot_be_written(proxy, tmp_path):
    done = check_raw("-x", proxy.url, "--pcap", tmp_path / "no" / "out.pcapng", "http://127.0.0.1:1/")
    assert done.returncode == 3 and "cannot write" in done.stderr and "out.pcapng" in done.stderr
    done = check_raw("-x", proxy.url, "--pcap", "/dev/full", "http://127.0.0.1:1/")
    assert done.returncode == 3 and "/dev/full is not complete" in done.stderr

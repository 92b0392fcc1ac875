"""mtu-healing, and the MSS settings: what the SYNs say, and what comes through."""

import pytest

from target import HttpTarget, echo, reply

MIB10 = bytes(10 << 20)
# Of a large download a capture may lose packets, and these are all that is asked for.
SYNS = "tcp[13] & 2 != 0 or (ip6 and ip6[6] == 6 and ip6[53] & 2 != 0)"
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture
def chain(certs):
    """A context with a chain as long as most are: its first flight does not fit into one segment."""
    path = certs.folder / "chain.pem"
    path.write_text(certs.cert.read_text() + 3 * certs.ca.read_text())
    context = certs.target()
    context.load_cert_chain(path, certs.key)
    return context


def serve(lab, chain, family=4):
    return lab.target.serve(lambda request: reply(MIB10), kind=HttpTarget, family=family, tls=chain)


def proxy_for(lab, target, **more):
    return lab.proxy.viaduct(hosts=[(target.host, "target.test")], **more)


def download(lab, proxy, certs, target):
    """One try of a client that has 4.5 seconds' patience with silence, of which the proxy needs three: how many bytes
    came."""
    result = lab.client.curl(
        *("-Y", 1, "-y", 4, "--connect-timeout", 4.5, "-x", proxy.url, "--cacert", certs.ca),
        *("-o", "/dev/null", "-w", "%{size_download}", target.url(host="target.test")),
    )
    return int(result.stdout)


@FAMILIES
def test_a_client_gets_through_after_three_tries(lab, certs, chain, family):
    lab.r2.drop_large(1300)
    with serve(lab, chain, family) as target, proxy_for(lab, target) as proxy:
        with lab.r2.capture("proxy", SYNS) as packets:
            for _ in range(3):
                assert download(lab, proxy, certs, target) == 0
                proxy.flow(15).expect("mtu-blackhole", "tls", "network", "inferred")
            for _ in range(2):
                assert download(lab, proxy, certs, target) == len(MIB10)
                flow = proxy.flow().expect("ok")
                assert "mtu-healed" in flow["warnings"]
                flow.says("MSS 1220")
        normal = 1460 if family == 4 else 1440
        assert packets.mss(f"dst port {target.port}") == [normal, 1400, 1360, 1220, 1220]
        said = [line for line in proxy.stderr().splitlines() if "mtu-healing" in line]
        assert [line.split("MSS of ")[1].split()[0] for line in said] == ["1400", "1360", "1220"]


def test_a_way_to_a_parent_is_healed(lab, certs, chain):
    """The parent's 200 is small and passes; what the target says through it does not."""
    lab.r2.drop_large(1300)
    names = [(lab.target.address(), "target.test")]
    with serve(lab, chain) as target, lab.target.viaduct(hosts=names) as parent:
        host, port = parent.address
        settings = f"iprep_proxy {{ PROXY_HOST {host}; PROXY_PORT {port}; }}"
        files = {"upstream.conf": settings}
        with lab.proxy.viaduct(extra="upstream upstream.conf;", files=files) as proxy:
            with lab.r2.capture("proxy", SYNS) as packets:
                for _ in range(3):
                    assert download(lab, proxy, certs, target) == 0
                    flow = proxy.flow(15).expect("mtu-blackhole", "tls", "network", "inferred")
                    flow.says("from the parent")
                assert download(lab, proxy, certs, target) == len(MIB10)
            assert "mtu-healed" in proxy.flow().expect("ok")["warnings"]
    assert packets.mss(f"dst port {port}") == [1460, 1400, 1360, 1220]


def test_other_addresses_keep_their_size(lab, certs, chain):
    lab.r2.drop_large(1300)
    with serve(lab, chain) as target, proxy_for(lab, target) as proxy:
        download(lab, proxy, certs, target)
        proxy.flow(15).expect("mtu-blackhole", certainty="inferred")
        with lab.target.serve(echo, family=6) as other, lab.r2.capture("proxy", SYNS) as packets:
            with lab.client.connect(proxy) as client:
                client.connect(other.authority).send("x").read(1)
        assert packets.mss(f"dst port {other.port}") == [1440]


def test_with_healing_off_it_hangs_and_the_log_says_why(lab, certs, chain):
    lab.r2.drop_large(1300)
    with serve(lab, chain) as target, proxy_for(lab, target, extra="mtu-healing off;") as proxy:
        with lab.r2.capture("proxy", SYNS) as packets:
            for _ in range(2):
                assert download(lab, proxy, certs, target) == 0
                flow = proxy.flow(15).expect("mtu-blackhole", "tls", "network", "inferred")
                flow.says("came behind a hole")
        assert packets.mss(f"dst port {target.port}") == [1460, 1460]
        assert "mtu-healing" not in proxy.stderr()


def test_what_does_not_help_is_given_up(lab, certs, chain):
    """Not even 1220 passes: from then on the normal size, and no further steps."""
    lab.r2.drop_large(1000)
    with serve(lab, chain) as target, proxy_for(lab, target) as proxy:
        with lab.r2.capture("proxy", SYNS) as packets:
            for _ in range(5):
                assert download(lab, proxy, certs, target) == 0
                proxy.flow(15).expect("mtu-blackhole", certainty="inferred", warnings=[])
        sizes = packets.mss(f"dst port {target.port}")
        assert sizes == [1460, 1400, 1360, 1220, 1460]
        assert proxy.stderr().count("given up for an hour") == 1


def test_a_reset_from_a_sound_address_heals_nothing(lab):
    def script(connection):
        connection.until(b"go")
        connection.reset()

    with lab.target.serve(script) as target:
        with lab.proxy.viaduct() as proxy:
            for _ in range(2):
                with lab.client.connect(proxy) as client:
                    client.connect(target.authority).send("go").end()
                proxy.flow().expect("reset-by-target")
            assert "mtu-healing" not in proxy.stderr()


# ---- the settings


@FAMILIES
def test_mss_clamps_towards_targets(lab, family):
    with lab.target.serve(lambda request: reply(bytes(20000)), kind=HttpTarget, family=family) as target:
        with lab.proxy.viaduct(extra="mss 1300;") as proxy, lab.r2.capture("proxy") as packets:
            with lab.client.connect(proxy) as client:
                assert len(client.get(target.url()).body) == 20000
                flow = proxy.flow().expect("ok", warnings=[])
    assert packets.mss(f"dst port {target.port}") == [1300]
    sizes = [int(line.rsplit("length ", 1)[1].split(":")[0]) for line in packets.lines()]
    assert max(sizes) == 1288  # the timestamps take 12
    assert flow["tcp"]["upstream"]["mss"] == 1288


@FAMILIES
def test_mss_of_a_listener_clamps_towards_clients(lab, family):
    address = lab.proxy.address(family)
    listen = (f"[{address}]:0 {{ mss 1200; }}" if family == 6 else f"{address}:0 {{ mss 1200; }}",)
    with lab.target.serve(lambda request: reply(request.body), kind=HttpTarget) as target:
        with lab.proxy.viaduct(family=family, listen=listen) as proxy, lab.client.capture() as packets:
            with lab.client.connect(proxy) as client:
                client.ask("POST", target.url(), body=bytes(20000))
                assert len(client.response().body) == 20000
                flow = proxy.flow().expect("ok")
    assert packets.mss(f"src port {proxy.port}") == [1200]
    sizes = [int(line.rsplit("length ", 1)[1].split(":")[0]) for line in packets.lines()]
    assert max(sizes) == 1188
    assert flow["tcp"]["client"]["mss"] == 1188 and flow["tcp"]["upstream"]["mss"] == 1448


def test_a_clamped_listener_heals_the_way_to_clients(lab):
    """The black hole on their side is avoided in both directions."""
    lab.r1.drop_large(1300)
    listen = (f"{lab.proxy.address()}:0 {{ mss 1220; }}",)
    with lab.target.serve(lambda request: reply(request.body), kind=HttpTarget) as target:
        with lab.proxy.viaduct(listen=listen) as proxy, lab.client.connect(proxy) as client:
            client.ask("POST", target.url(), body=bytes(200_000))
            assert len(client.response().body) == 200_000
            proxy.flow().expect("ok")

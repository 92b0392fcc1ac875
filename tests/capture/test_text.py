"""tcpdump's text of a real capture, in all its forms: the packets that viaduct reads in it are those of the
capture.  What the capture holds is read by this file's own reader."""

import ipaddress
import json
import os
import re
import struct
import subprocess

import pytest

from target import HttpTarget, reply

TEXTSHOW, BINARY = os.environ["TEXTSHOW"], os.environ["VIADUCT"]
FLAGS = "FSRP.U"
PAGE = "<html>\n<p>one\n\ttwo</p>\n</html>\n" * 60

FORMS = [
    "-n",
    "-nn",
    "-nn -t",
    "-nn -tt",
    "-nn -ttt",
    "-nn -tttt",
    "-nn -ttttt",
    "-nn --nano",
    "-nn -e",
    "-nn -#",
    "-nn -v",
    "-nn -v -e",
    "-nn -vv",
    "-nn -S",
    "-nn -S -v",
    "-nn -A",
    "-nn -AA",
    "-nn -v -A",
    "-nn -x",
    "-nn -xx",
    "-nn -X",
    "-nn -XX",
    "-nn -q -X",
    "-nn -v -e -tttt -XX",
    "-nn -S -A -ttt",
    "",
]


# ---- the capture, read here


def read_tcp(data, source, target):
    """A segment as a dict: its ends, flags, absolute numbers and payload."""
    ports = struct.unpack_from("!HHII", data)
    length, flags = data[12] >> 4, data[13]
    return {
        "from": (source, ports[0]),
        "to": (target, ports[1]),
        "seq": ports[2],
        "ack": ports[3],
        "flags": "".join(letter for bit, letter in enumerate(FLAGS) if flags >> bit & 1),
        "payload": data[4 * length :],
    }


def read_ip(data):
    """(source, target, protocol, payload) without padding."""
    if data[0] >> 4 == 4:
        header, length = 4 * (data[0] & 15), struct.unpack_from("!H", data, 2)[0]
        addresses, protocol = (data[12:16], data[16:20]), data[9]
    else:
        header, length = 40, 40 + struct.unpack_from("!H", data, 4)[0]
        addresses, protocol = (data[8:24], data[24:40]), data[6]
    source, target = (str(ipaddress.ip_address(address)) for address in addresses)
    return source, target, protocol, data[header:length]


def read_packet(frame):
    """The segment or ICMP error in an Ethernet frame, None for others."""
    if frame[12:14] not in (b"\x08\x00", b"\x86\xdd"):
        return None
    source, target, protocol, payload = read_ip(frame[14:])
    if protocol == 6:
        return read_tcp(payload, source, target)
    error = payload[0] in ((3, 11) if protocol == 1 else (1, 2, 3))
    if not error:
        return None
    inner_source, inner_target, _, quoted = read_ip(payload[8:])
    ports = struct.unpack_from("!HHI", quoted)
    mtu = struct.unpack_from("!H", payload, 6)[0] if payload[:2] in (b"\x03\x04", b"\x02\x00") else 0
    return {
        "icmp": f"{payload[0]}/{payload[1]} mtu {mtu}",
        "from": (source, 0),
        "to": (target, 0),
        "about": ((inner_source, ports[0]), (inner_target, ports[1])),
        "seq": ports[2],
    }


def read_capture(path):
    """(seconds in µs, packet) of a pcap file."""
    data = open(path, "rb").read()
    assert struct.unpack_from("<I", data)[0] == 0xA1B2C3D4
    at = 24
    while at < len(data):
        seconds, us, length, _ = struct.unpack_from("<IIII", data, at)
        if packet := read_packet(data[at + 16 : at + 16 + length]):
            yield seconds * 1_000_000 + us, packet
        at += 16 + length


def name_of(end):
    return f"{end[0]}:{end[1]}"


class Numbers:
    """Sequence numbers relative to the first of their direction, as textshow has them."""

    def __init__(self):
        self.first = {}

    def relative(self, source, target, number, anew=False):
        if anew:
            self.first[source, target] = number
        return (number - self.first.setdefault((source, target), number)) & 0xFFFFFFFF

    def of(self, packet):
        """The packet as a line, without its content."""
        ends = f"{name_of(packet['from'])}>{name_of(packet['to'])}"
        if "icmp" in packet:
            about = packet["about"]
            return (
                f"{ends} icmp {packet['icmp']} about {name_of(about[0])}>{name_of(about[1])} "
                f"{self.relative(*about, packet['seq'])}"
            )
        source, target, length = packet["from"], packet["to"], len(packet["payload"])
        line = f"{ends} {packet['flags']} {self.relative(source, target, packet['seq'], 'S' in packet['flags'])}"
        if length:
            line += f"+{length}"
        if "." in packet["flags"]:
            self.first.setdefault((target, source), packet["ack"] - 1)
            line += f" ack {self.relative(target, source, packet['ack'])}"
        return line


# ---- the text, read by viaduct

LINE = re.compile(r'(?P<number>\d+) (?P<time>[\d.]+) (?P<line>.*?)(?P<more>(?: mss \d+| \{\S+\}| win 0)*)(?: "(?P<content>.*)")?')


def unescape(text):
    plain = re.sub(r"\\x(..)", lambda m: chr(int(m[1], 16)), text.replace("\\r", "\r").replace("\\n", "\n"))
    return plain.encode("latin-1")


def show(text):
    """(µs, line, content) of each packet but those that are neither TCP nor an error."""
    run = subprocess.run([TEXTSHOW], input=text, capture_output=True, check=True)
    for line in run.stdout.decode().splitlines():
        found = LINE.fullmatch(line)
        if found["line"] != "other":
            seconds, us = found["time"].split(".")
            yield int(seconds) * 1_000_000 + int(us), found["line"], unescape(found["content"] or "")


ANSWERS = {"/page": reply(PAGE), "/lines": reply(PAGE.replace("\n", "\r\n")), "/long": reply(bytes(range(256)) * 600)}


def answer(request):
    return ANSWERS.get("/" + request.path.split("/")[-1], reply(b"hello"))


def use(lab, family):
    """What a client may see of a proxy: requests and tunnels, a refusal, a large upload that has to shrink, a
    closed port, an ICMP error."""
    host = lab.proxy.address(family)
    at = f"[{host}]:8080" if family == 6 else f"{host}:8080"
    with HttpTargetOf(lab, family) as target, lab.proxy.viaduct(family=family, listen=(at,)) as proxy:
        url = f"http://target{family}.test:{target.port}"

        def curl(*arguments):
            lab.client.curl("-m", "10", "-o", "/dev/null", "-x", proxy.url, *arguments)

        curl(f"{url}/page", "-o", "/dev/null", f"{url}/lines")
        curl("-p", f"{url}/long")
        curl("https://nowhere.test/")
        lab.r1.narrow(1300)
        curl("-d", "x" * 5000, f"{url}/hello")
        lab.r1.narrow(1500)
    curl(url)
    lab.r1.reject_syn()
    curl("-m", "2", url)
    lab.r1.heal()


def HttpTargetOf(lab, family):
    with lab.target.entered():
        return HttpTarget(answer, host=lab.target.address(family))


@pytest.fixture(scope="module")
def capture(lab):
    """The file, and what is in it: (µs, packet)."""
    with lab.client.capture(expression="tcp or icmp or icmp6") as packets:
        for family in 4, 6:
            use(lab, family)
    found = list(read_capture(packets.path))
    assert len([p for _, p in found if "icmp" in p]) >= 4, "no ICMP errors are in the capture"
    assert len(found) > 150
    return packets.path, found


def print_text(lab, path, form):
    """tcpdump's text; without -n it asks for names, so where nobody answers."""
    run = lab.client.run(["tcpdump", *form.split(), "-r", path], text=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def is_text(payload):
    """Whether -A shows it all."""
    return all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in payload)


def is_plain_http(packets):
    """For each packet, whether it belongs to a connection that never carried anything but text."""
    binary = {
        frozenset((p["from"], p["to"])) for _, p in packets if "payload" in p and not is_text(p["payload"])
    }
    return [frozenset((p["from"], p["to"])) not in binary for _, p in packets]


@pytest.mark.parametrize("form", FORMS)
def test_a_text_has_the_packets_of_its_capture(lab, capture, form):
    path, packets = capture
    shown = list(show(print_text(lab, path, form)))
    numbers = Numbers()
    begin = latest = packets[0][0]

    assert len(shown) == len(packets)
    for (at, packet), (us, line, content), plain in zip(packets, shown, is_plain_http(packets)):
        want = numbers.of(packet)
        if "icmp" in packet:
            line = re.sub(r"\+\d+$", "", line)
            if "-v" not in form or ":" in packet["from"][0]:  # nothing says which of its segments it was
                line, want = line.rpartition(" ")[0], want.rpartition(" ")[0]
        assert line == want
        if "-t " not in form + " ":
            latest = max(latest, at)  # the kernel may hand packets over a little out of order
            assert us == latest - begin
        if "icmp" in packet:
            continue
        if re.search(r"-[xX]", form):
            assert content == packet["payload"]
        elif "-A" in form and plain:
            assert content == packet["payload"]
        else:
            assert packet["payload"].startswith(content) or is_text(content)


def test_first_lines_of_heads_are_read_where_tcpdump_prints_them(lab, capture):
    path, _ = capture
    for form in "-nn", "-nn -v":
        contents = [content for _, _, content in show(print_text(lab, path, form))]
        assert any(c.startswith(b"GET http://target4.test:") for c in contents)
        assert any(c.startswith(b"CONNECT target6.test:") for c in contents)
        assert any(c.startswith(b"CONNECT nowhere.test:443 HTTP/1.1\r\n") for c in contents)
        assert any(c.startswith(b"HTTP/1.1 200 ") for c in contents)
        assert any(c.startswith(b"HTTP/1.1 502 ") for c in contents)


def mangle(text, width=72):
    """As a mail program sends it on: quoted, and wrapped at blanks."""
    for line in text.decode("latin-1").splitlines():
        while len(line) > width and (cut := line.rfind(" ", 20, width)) > 0:
            yield "> " + line[:cut]
            line = line[cut + 1 :]
        yield "> " + line


def test_what_mail_programs_do_changes_nothing(lab, capture):
    path, packets = capture
    for form in "-nn", "-nn -v":
        text = print_text(lab, path, form)
        whole = [(us, line) for us, line, _ in show(text)]
        wrapped = [(us, line) for us, line, _ in show("\r\n".join(mangle(text)).encode("latin-1"))]
        assert wrapped == whole
        assert len(whole) == len(packets)


@pytest.mark.parametrize("before", [b"    ", b"\t", b"> "])
def test_a_text_moved_to_the_right_keeps_its_characters(lab, capture, before):
    path, _ = capture
    text = print_text(lab, path, "-nn -A")
    assert explain(b"".join(before + line for line in text.splitlines(True))) == explain(text)


def explain(data):
    """What explain says of each flow, as far as a text can tell it."""
    run = subprocess.run([BINARY, "explain", "--json", "-"], input=data, capture_output=True, timeout=60)
    assert run.returncode in (0, 1), run.stderr
    flows = [json.loads(line) for line in run.stdout.splitlines()]
    keys = "client", "proxy", "method", "target", "status", "verdict", "ended_by", "certainty"
    return sorted(tuple(map(str, (flow[key] for key in keys))) for flow in flows)


@pytest.mark.parametrize("form", ["-nn -v", "-nn -A", "-nn -X", "-nn -e -v -S -tttt", "-nn -xx -q", "-nn -ttt -A"])
def test_a_text_has_the_flows_of_its_capture(lab, capture, form):
    path, _ = capture
    assert explain(print_text(lab, path, form)) == explain(open(path, "rb").read())


def test_a_text_without_flags_shows_no_ends(lab, capture):
    """-q prints neither FIN nor numbers: what closed long ago only looks as if it waited for a reply."""
    path, _ = capture
    quiet = print_text(lab, path, "-nn -q") + b"15:59:59.000000 IP 192.0.2.1.5 > 192.0.2.2.6: tcp 1\n"
    assert {(verdict, certainty) for *_, verdict, _, certainty in explain(quiet)} == {("open", "inferred")}

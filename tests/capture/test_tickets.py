"""What explain says of tcpdump's text as it stands in tickets, whatever way it took there."""

import json
import os
import pathlib
import subprocess

import pytest

BINARY = os.environ["VIADUCT"]
TICKETS = pathlib.Path(__file__).resolve().parent / "tickets"

# file -> verdict, who ended it, certainty, warnings, words of the explanation
WANTED = {
    "normal": ("ok", "client", "seen", [], ["redirects are not seen"]),
    "denied": ("acl-denied", "proxy", "inferred", [], ["403 Forbidden"]),
    "stops": ("stalled", None, "inferred", ["capture-incomplete"], ["1514", "offload", "no fault"]),
    "reset": ("reset-by-proxy", "proxy", "seen", [], ["says nothing about an MTU", "check --mtu"]),
    "blackhole": ("mtu-blackhole", "network", "inferred", ["retransmissions"], ["1460", "362 bytes"]),
    "no-answer": ("proxy-silent", "proxy", "seen", ["retransmissions"], ["no question of size"]),
}


def quote(text):
    return "".join(f"> {line}\n" for line in text.splitlines())


def wrap(text, width=76):
    """As a mail program breaks lines at blanks."""
    lines = []
    for line in text.splitlines():
        while len(line) > width and (cut := line.rfind(" ", 30, width)) > 0:
            lines.append(line[:cut])
            line = line[cut + 1 :]
        lines.append(line)
    return "\n".join(lines) + "\n"


def to_page(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def remark(text):
    """With remarks that would change everything if they were evidence."""
    said = [
        "# 09:00:00.000000 IP a.1 > b.2: Flags [R], length 0",
        "(HTTP/1.1 502 Bad Gateway)",
        "\u5fdc\u7b54\u306a\u3057\u3002403 Forbidden?",
        "[they say:",
        "HTTP/1.1 407 Proxy Authentication Required",
        "]",
    ]
    lines = text.splitlines()
    return "\n".join(said + lines[:1] + said + lines[1:] + said) + "\n"


WAYS = {
    "as it is": str,
    "quoted": quote,
    "wrapped": wrap,
    "quoted and wrapped": lambda text: quote(wrap(text)),
    "in a web page": to_page,
    "from Windows": lambda text: "\ufeff" + text.replace("\n", "\r\n"),
    "indented": lambda text: "".join(f"    {line}\n" for line in text.splitlines()),
    "with remarks": remark,
}


def explain(text):
    run = subprocess.run(
        [BINARY, "explain", "--json", "-"],
        input=text.encode(),
        capture_output=True,
        timeout=30,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    flows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == (0 if all(f["verdict"] in ("ok", "open") for f in flows) else 1), run.stderr
    return flows


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ticket", WANTED)
def test_a_ticket_gets_its_verdict_and_its_explanation(ticket, way):
    text = (TICKETS / f"{ticket}.txt").read_text(encoding="utf-8")
    (flow,) = explain(WAYS[way](text))
    verdict, ended_by, certainty, warnings, words = WANTED[ticket]
    said = "\n".join([*flow["evidence"], *(phase["detail"] for phase in flow["phases"])])

    assert (flow["verdict"], flow["certainty"]) == (verdict, certainty)
    assert ended_by in (None, flow["ended_by"])
    assert flow["warnings"] == warnings
    for word in words:
        assert word in said


def test_names_of_a_ticket_are_told():
    (flow,) = explain((TICKETS / "normal.txt").read_text())
    assert (flow["client"], flow["proxy"]) == ("app7:41812", "gw:3128")
    assert flow["target"] == "updates.example.net:443"
    assert flow["status"] == 200

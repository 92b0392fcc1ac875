"""A small scripted DNS server on loopback, for scenario tests.

    zone = {
        "a.test": ["127.0.0.1", "::1"],                 # A and AAAA
        "gone.test": "NXDOMAIN",                        # also SERVFAIL, REFUSED, SILENT
        "slow.test": Answer(["127.0.0.1"], delay=0.3),  # seconds
        "alias.test": Answer(["127.0.0.1"], cname="a.test", ttl=5),
        "rebind.test": rotating(["192.0.2.1"], ["127.0.0.1"]),
        "asked.test": lambda qtype: ["127.0.0.1"] if qtype == "A" else "SERVFAIL",
        "*.wild.test": ["127.0.0.1"],                   # any name below wild.test
    }
    with DnsServer(zone) as dns:
        dns.address          # "127.0.0.1:40123", UDP and TCP
        dns.count("a.test")  # questions seen so far; dns.count("a.test", "AAAA")

A name that is not in the zone does not exist (NXDOMAIN).  The zone may be changed while the server
runs.  Standard library only.
"""

import ipaddress
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import List, Optional

TYPES = {1: "A", 28: "AAAA", 5: "CNAME", 6: "SOA"}
RCODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "REFUSED": 5}
NEGATIVE_TTL = 60


@dataclass
class Answer:
    """What a name has, said more precisely than by a list of addresses."""

    addresses: List[str] = field(default_factory=list)
    ttl: Optional[int] = None  # seconds; None: the server's
    cname: Optional[str] = None  # the addresses belong to this name
    delay: float = 0.0  # seconds before the answer leaves
    truncate: bool = False  # UDP says "ask by TCP"


def rotating(*answers):
    """One answer after the other, and from the first again; counted for each type by itself."""
    asked = Counter()

    def pick(qtype):
        asked[qtype] += 1
        return answers[(asked[qtype] - 1) % len(answers)]

    return pick


def _labels(name):
    out = b""
    for label in filter(None, name.split(".")):
        raw = label.encode("ascii")
        out += bytes([len(raw)]) + raw
    return out + b"\0"


def _parse_question(message):
    """The name in lower case, the type's number, and where the question ends."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    (qtype,) = struct.unpack_from("!H", message, at + 1)
    return ".".join(labels).lower(), qtype, at + 5


def _record(owner, rtype, ttl, data):
    return owner + struct.pack("!HHIH", rtype, 1, ttl, len(data)) + data


class DnsServer:
    def __init__(self, zone=None, ttl=60, host="127.0.0.1"):
        self.zone = dict(zone or {})
        self.ttl = ttl
        self._seen = Counter()
        self._lock = threading.Lock()
        self._udp, self._tcp = self._bind(host)
        self.host, self.port = self._udp.server_address[:2]
        self._threads = [
            threading.Thread(target=s.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
            for s in (self._udp, self._tcp)
        ]

    @property
    def address(self):
        """host:port, as viaduct's `servers` takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def count(self, name, qtype=None):
        """How many questions came for the name (of that type)."""
        with self._lock:
            return sum(
                n for (seen, t), n in self._seen.items() if seen == name.lower() and qtype in (None, t)
            )

    @property
    def total(self):
        """How many questions came at all."""
        with self._lock:
            return sum(self._seen.values())

    def reset(self):
        with self._lock:
            self._seen.clear()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        for server in (self._udp, self._tcp):
            server.shutdown()
            server.server_close()

    def _bind(self, host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET

        class Udp(socketserver.ThreadingUDPServer):
            address_family, daemon_threads, max_packet_size = family, True, 65535

        class Tcp(socketserver.ThreadingTCPServer):
            address_family, daemon_threads, allow_reuse_address = family, True, True

        owner = self

        class OnDatagram(socketserver.BaseRequestHandler):
            def handle(self):
                message, sock = self.request
                reply = owner._reply(message, udp=True)
                if reply:
                    sock.sendto(reply, self.client_address)

        class OnStream(socketserver.StreamRequestHandler):
            def handle(self):
                while len(head := self.rfile.read(2)) == 2:
                    reply = owner._reply(self.rfile.read(int.from_bytes(head, "big")), udp=False)
                    if reply:
                        self.wfile.write(len(reply).to_bytes(2, "big") + reply)

        for _ in range(20):  # the UDP port that the kernel picks may be taken for TCP
            udp = Udp((host, 0), OnDatagram)
            try:
                return udp, Tcp((host, udp.server_address[1]), OnStream)
            except OSError:
                udp.server_close()
        raise RuntimeError("no port is free for both UDP and TCP")

    def _find(self, name, qtype):
        value = self.zone.get(name)
        parent = name
        while value is None and "." in parent:
            parent = parent.split(".", 1)[1]
            value = self.zone.get("*." + parent)
        if callable(value):
            value = value(qtype)
        if value is None:
            return "NXDOMAIN"
        return value if isinstance(value, (str, Answer)) else Answer(list(value))

    def _reply(self, message, udp):
        try:
            name, number, end = _parse_question(message)
        except (IndexError, struct.error):
            return None
        qtype = TYPES.get(number, str(number))
        with self._lock:
            self._seen[name, qtype] += 1
            value = self._find(name, qtype)
        if value == "SILENT":
            return None
        records, truncated, rcode = [], False, 0
        if isinstance(value, str):
            rcode = RCODES[value]
        else:
            time.sleep(value.delay)
            truncated = udp and value.truncate
            if not truncated:
                records = self._records(value, number)
        negative = not truncated and not self._has_address(records, number) and rcode in (0, 3)
        soa = _labels("ns.test") + _labels("admin.test") + struct.pack("!5I", 1, 2, 3, 4, NEGATIVE_TTL)
        authority = [_record(b"\0", 6, NEGATIVE_TTL, soa)] if negative else []
        flags = 0x8580 | (0x0200 if truncated else 0) | rcode  # answer, authoritative, recursion
        head = message[:2] + struct.pack("!5H", flags, 1, len(records), len(authority), 0)
        return head + message[12:end] + b"".join(data for _, data in records) + b"".join(authority)

    @staticmethod
    def _has_address(records, number):
        return any(rtype == number for rtype, _ in records)

    def _records(self, value, number):
        ttl = self.ttl if value.ttl is None else value.ttl
        owner, out = b"\xc0\x0c", []  # the question's name
        if value.cname:
            out.append((5, _record(owner, 5, ttl, _labels(value.cname))))
            owner = _labels(value.cname)
        for text in value.addresses:
            address = ipaddress.ip_address(text)
            rtype = 1 if address.version == 4 else 28
            if rtype == number:
                out.append((rtype, _record(owner, rtype, ttl, address.packed)))
        return out

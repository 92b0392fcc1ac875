"""Captures that are made up: conversations over TCP, packet by packet, as pcap files."""

import ipaddress
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
BEGIN = 1795410000.0  # 2026-11-23T05:00:00Z


class Talk:
    """One connection.  Each call is a packet (up: from the client), `wait` seconds after the one before; what is in
    the packets adds up.  `packets` are (seconds since 1970, bytes of an Ethernet frame)."""

    def __init__(self, client=("10.40.40.1", 40220), proxy=("10.10.10.1", 3128), at=0.0, mss=1460):
        self.ends = [(ipaddress.ip_address(host), port) for host, port in (client, proxy)]
        self.seq, self.at, self.mss, self.packets = [1000, 5000], BEGIN + at, mss, []

    def packet(self, down, flags, data=b"", wait=0.001, options=b"", seq=None, window=65000):
        self.at += wait
        (source, source_port), (to, to_port) = self.ends[:: -1 if down else 1]
        number = self.seq[down] if seq is None else seq
        ack = self.seq[1 - down] if flags & ACK else 0
        head = struct.pack(
            ">HHIIBBHHH", source_port, to_port, number, ack, (20 + len(options)) << 2, flags, window, 0, 0
        )
        segment = head + options + data
        if source.version == 4:
            ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), len(self.packets) + 1, 0x4000, 64, 6, 0)
        else:
            ip = struct.pack(">IHBB", 6 << 28, len(segment), 6, 64)
        kind = b"\x08\x00" if source.version == 4 else b"\x86\xdd"
        self.packets.append((self.at, b"\2" * 12 + kind + ip + source.packed + to.packed + segment))
        if seq is None:
            self.seq[down] += len(data) + bool(flags & (SYN | FIN))
        return self

    def open(self, rtt=0.0004):
        option = struct.pack(">BBH", 2, 4, self.mss)
        self.packet(0, SYN, options=option)
        self.packet(1, SYN | ACK, wait=rtt, options=option)
        return self.packet(0, ACK, wait=0.00005)

    def up(self, data, wait=0.001, acked=True):
        self.packet(0, PSH | ACK, data, wait)
        return self.packet(1, ACK, wait=0.0005) if acked else self

    def down(self, data, wait=0.001, acked=True):
        for at in range(0, len(data), self.mss):
            self.packet(1, PSH | ACK, data[at : at + self.mss], wait if at == 0 else 0.0001)
        return self.packet(0, ACK, wait=0.0005) if acked else self

    def again(self, down, data, wait):
        """The bytes that were sent last, once more."""
        return self.packet(down, PSH | ACK, data, wait, seq=self.seq[down] - len(data))

    def close(self, wait=0.001):
        self.packet(0, FIN | ACK, wait=wait)
        self.packet(1, FIN | ACK, wait=0.0005)
        return self.packet(0, ACK, wait=0.0005)


def pcap(*talks, snaplen=262144):
    """The packets of all, in the order of time."""
    packets = sorted((packet for talk in talks for packet in talk.packets), key=lambda packet: packet[0])
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snaplen, 1)]
    for at, data in packets:
        kept = data[:snaplen]
        parts += [struct.pack("<IIII", int(at), round(at % 1 * 1e6) % 1000000, len(kept), len(data)), kept]
    return b"".join(parts)


def request(method, target, *lines):
    host = target.split("://", 1)[-1].split("/", 1)[0]
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()


def answer(status, *lines, body=b""):
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def healthy(n=0, target="updates.example.net:443"):
    """A tunnel in which something was said, closed by its client."""
    talk = Talk(client=("10.40.40.1", 41000 + n), at=n * 0.1).open()
    talk.up(request("CONNECT", target)).down(answer("200 Connection established"), wait=0.02)
    return talk.up(b"x" * 300).down(b"y" * 5000, wait=0.03).close()


def denied(n=0, target="www.social.example:443"):
    talk = Talk(client=("10.40.40.2", 42000 + n), at=n * 0.1).open()
    talk.up(request("CONNECT", target))
    talk.down(answer("403 Forbidden", "Server: squid/5.7", "X-Squid-Error: ERR_ACCESS_DENIED 0"), wait=0.01)
    return talk.close()


def black_hole(n=0, target="files.example.org:443"):
    """A large segment that never arrives, behind which a small one does."""
    talk = Talk(client=("10.40.40.3", 43000 + n), at=n * 0.1).open()
    talk.up(request("CONNECT", target)).down(answer("200 Connection established"), wait=0.02)
    large, small = b"\x16\x03\x01\x06\xf9\x01\x00\x06\xf5\x03\x03" + b"L" * 1449, b"s" * 337
    talk.up(large, acked=False).up(small, acked=False)
    edge = talk.seq[0]
    talk.seq[0] -= len(small)
    sack = b"\1\1\5\n" + struct.pack(">II", edge - len(small), edge)
    talk.seq[0] -= len(large)
    talk.packet(1, ACK, wait=0.01, options=sack)
    for wait in (0.2, 0.4, 0.8, 1.6, 3.2):
        talk.packet(0, PSH | ACK, large, wait, seq=talk.seq[0])
    return talk

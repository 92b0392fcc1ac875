#!/usr/bin/python3
"""pkt: a packet script, compiled to a pcap file.

    pkt.py SCRIPT -o OUT.pcap [--mangle NAME]

A script is lines of text.  '#' begins a comment, but for `# verdict:`, `# mangled:` and `# healthy`, which say what
`explain` has to make of it (see test_goldens.py).  All else is a packet, or several, or a setting.

Packets:   TIME  FROM>TO  ITEM…           TIME in seconds; it may be negative

    FROM and TO are C (client), P (proxy), T (target), R (a router).  C>P and P>C are the client's connection to the
    proxy, P>T and T>P the proxy's own, C>T and T>C a direct one.  A number makes another connection: C2>P, P>C2.  A
    connection opens by itself (SYN, SYN-ACK, ACK) before its first packet, unless that is a `syn`; what arrives is
    acknowledged by itself, with SACKs where there is a hole.

    What is sent, put together in the order of the items:
      "text"                      with \\r \\n \\" \\\\ \\xHH
      len N, text N               N bytes of nothing in particular, N letters
      hello NAME [of N] [tls12] [alpn h2]      a ClientHello, padded to N bytes with its record header
      server-hello [tls12] [issuer TEXT] [of N]  a ServerHello; of 1.3 with N more bytes of encrypted records (2000), of
                                  1.2 with a certificate by that issuer, and ServerHelloDone
      finished [tls12]            the client's: cipher change and a Finished; of 1.2 with its key exchange
      finished-back               the target's, of TLS 1.2
      app N                       a record of application data, of N bytes behind its header; several: app 100 app 200
      close-notify [tls12]        an encrypted close_notify
      alert N [warning]           a readable alert
      part N, skip N              only the first N bytes of what stands before it, or only those behind them
    How it is sent:
      fin, rst, psh               flags
    stamped                     an RST with TCP timestamps (the setting `times`), as a program's close makes it
      syn, synack, ack            a packet of its own; `ack` acknowledges what was received, again
      mss N, nosack, scale N      options of a SYN, also of one that opens by itself
      win N                       window of this packet, as it stands in the header (keeps for the connection's end)
      ttl N, id N                 of the IP header
      seq +N                      the sequence number of this packet, moved
      rewind N                    the side begins again, N bytes back
      giant                       not cut into segments (offload)
      frag N                      as IP fragments of at most N bytes
    What becomes of it:
      lost                        nobody gets it, and nothing is acknowledged
      unseen                      it was sent, and gets lost before it is captured
      missing                     it arrives, but the capture lacks it
      noack                       it arrives, and its acknowledgement is missing
      repeat at T…                sent again at these times: all of them lost, too
      then arrives                the last one of them gets through
    icmp KIND [N] about FROM>TO   KIND: frag-needed N, too-big N, net, host, port, admin; quotes the last packet FROM>TO

    bulk N over S [loss N] [swap N] [tls]   N bytes in full segments, spread over S seconds, acknowledged two by two;
                                  every loss-th is lost and sent again, every swap-th comes behind the next; `tls`: in
                                  records of 16 KiB

Settings:  link ethernet|vlan|sll|sll2|raw|null     ipv6      times (TCP timestamps)      mss N (of all connections)
           view C|P|M (where it is captured: C; M: half-way)      rtt S (between C and P: 0.020)        far S (between P and T: 0.030)
           address NAME ADDRESS                     port NAME N     isn N (the client's first sequence number)
           clock N (from here on the capture's clock is N seconds ahead of what it was; may be negative)
           ttl NAME N (of that host's packets, as captured)
           epoch N (seconds since 1970 of 0: 1700000000)

Mangling:  snaplen   96 bytes of each packet are kept            opener, listener   only their packets are there
           twice     every packet twice, as on "any"             giants             neighbours are merged, up to 64 KiB
           shuffled  within 5 ms, in another order               late               the first 20 packets are missing
"""
import argparse
import ipaddress
import pathlib
import random
import re
import struct
import sys

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
MANGLINGS = ('snaplen', 'opener', 'listener', 'twice', 'giants', 'shuffled', 'late')
SHUFFLE_S = 0.005
LATE = 20


class Broken(Exception):
    """The script is wrong; says where."""


# ---- TLS, as bytes


def record(kind, body, version=0x0303):
    return struct.pack('>BHH', kind, version, len(body)) + body


def noise(n, seed=0):
    return random.Random(seed * 7919 + n).randbytes(n)


def app(n, seed=0):
    return record(23, noise(n, seed))


def vector(width, body):
    return len(body).to_bytes(width, 'big') + body


def message(kind, body):
    return bytes([kind]) + vector(3, body)


def extension(kind, body):
    return struct.pack('>H', kind) + vector(2, body)


def client_hello(name, size, tls12, alpn, seed):
    extensions = b''
    if name != '-':
        extensions += extension(0, vector(2, b'\0' + vector(2, name.encode())))
    extensions += extension(10, vector(2, b'\0\x1d\0\x17')) + extension(13, vector(2, b'\4\3\x08\4'))
    if alpn:
        extensions += extension(16, vector(2, vector(1, alpn.encode())))
    if not tls12:
        extensions += extension(43, vector(1, b'\3\4\3\3')) + extension(51, vector(2, b'\0\x1d' + vector(2, noise(32, seed))))
    suites = b'\x13\1\x13\2' if not tls12 else b''
    suites += b'\xc0\x2f\xc0\x30'
    head = b'\3\3' + noise(32, seed) + vector(1, noise(32, seed + 1)) + vector(2, suites) + vector(1, b'\0')
    missing = size - (len(record(22, message(1, head + vector(2, extensions)))) + 4) if size else -1
    if missing >= 0:
        extensions += extension(21, bytes(missing))
    return record(22, message(1, head + vector(2, extensions)), 0x0301)


def der(tag, *parts):
    body = b''.join(parts)
    n = len(body)
    length = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, 'big')
    return bytes([tag]) + length + body


def der_name(text):
    return der(0x30, der(0x31, der(0x30, der(6, b'\x55\4\3'), der(12, text.encode()))))


def certificate(subject, issuer):
    """A certificate that can be read; who made it did not sign it."""
    algorithm = der(0x30, der(6, bytes.fromhex('2a864886f70d01010b')), der(5))
    key = der(0x30, der(0x30, der(6, bytes.fromhex('2a864886f70d010101')), der(5)),
              der(3, b'\0' + der(0x30, der(2, b'\0' + b'\xc1' + noise(255, 5)), der(2, b'\1\0\1'))))
    days = der(0x30, der(23, b'230101000000Z'), der(23, b'330101000000Z'))
    body = der(0x30, der(0xa0, der(2, b'\2')), der(2, b'\x2a'), algorithm, der_name(issuer), days, der_name(subject), key)
    return der(0x30, body, algorithm, der(3, b'\0' + noise(256, 6)))


def server_hello(tls12, issuer, size, name, seed):
    if not tls12:
        extensions = extension(43, b'\3\4') + extension(51, b'\0\x1d' + vector(2, noise(32, seed + 2)))
        head = b'\3\3' + noise(32, seed + 3) + vector(1, noise(32, seed + 1)) + b'\x13\1\0' + vector(2, extensions)
        out = record(22, message(2, head)) + record(20, b'\1')
        left = 2000 if size is None else max(size - 21, 1)
        return out + app(max(left - 58 - 10, 1), seed) + app(53, seed + 1)
    head = b'\3\3' + noise(32, seed + 3) + vector(1, noise(32, seed + 1)) + b'\xc0\x2f\0'
    out = message(2, head + vector(2, extension(23, b'')))
    out += message(11, vector(3, vector(3, certificate(name, issuer or 'Test CA'))))
    out += message(12, noise(300, seed + 4)) + message(14, b'')
    return record(22, out)


# ---- packets


class Packet:
    """One TCP packet or ICMP error, as it goes by."""

    def __init__(self, at, conn, up, flags, seq, ack, payload=b'', **more):
        self.at, self.conn, self.up = at, conn, up
        self.flags, self.seq, self.ack, self.payload = flags, seq, ack, payload
        self.window, self.options = more.get('window', 502), more.get('options', b'')
        self.ttl, self.id = more.get('ttl') or conn.ttls[0 if up else 1], more.get('id')
        self.frag, self.raw, self.stamped = more.get('frag'), more.get('raw'), more.get('stamped', False)
        self.order, self.shift = 0, 0.0

    def tcp(self, net):
        opts = self.options
        if net.times and (self.stamped or not self.flags & RST):
            opts += b'\1\1\x08\x0a' + struct.pack('>II', int((net.base + self.at) * 1000) & 0xffffffff, 0)
        opts += b'\1' * (-len(opts) % 4)
        a, b = self.conn.ports if self.up else self.conn.ports[::-1]
        return struct.pack('>HHIIBBHHH', a, b, self.seq & 0xffffffff, self.ack & 0xffffffff if self.flags & ACK else 0,
                           (5 + len(opts) // 4) << 4, self.flags, self.window, 0, 0) + opts + self.payload

    def ip(self, net):
        """The IP packets: several when it is fragmented."""
        if self.raw is not None:
            return [self.raw]
        a, b = self.conn.addresses if self.up else self.conn.addresses[::-1]
        body = self.tcp(net)
        if self.id is None:
            self.id = net.next_id(self.conn, self.up)
        if not self.frag:
            return [ip_header(a, b, 6, body, self.ttl, self.id, 0x4000)]
        step, out = self.frag // 8 * 8, []
        for at in range(0, len(body), step):
            more = 0x2000 if at + step < len(body) else 0
            out.append(ip_header(a, b, 6, body[at:at + step], self.ttl, self.id, more | at // 8))
        return out


def ip_header(a, b, protocol, body, ttl, ident, bits):
    if a.version == 6:
        return struct.pack('>IHBB', 6 << 28, len(body), protocol, ttl) + a.packed + b.packed + body
    return struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(body), ident & 0xffff, bits, ttl, protocol, 0) + a.packed + b.packed + body


class End:
    """One end of a connection: what it sent, and what reached it."""

    def __init__(self, isn, mss):
        self.isn = isn
        self.next = isn + 1  # of its own sequence numbers
        self.mss, self.window, self.scale, self.sack = mss, 502, 7, True
        self.got = []  # ranges of the other end's that arrived, and when that can be acknowledged
        self.acked = 0  # the highest that it said to have


class Conn:
    def __init__(self, net, a, b, number):
        self.ends = {True: End(net.isn + 7777 * number, net.mss), False: End(500000 + 3333 * number, net.mss)}
        self.addresses = net.address(a), net.address(b)
        self.ttls = net.ttls.get(a, 64), net.ttls.get(b, 64)
        self.ports = net.port_of(a, number, b), net.port_of(b, 0, a)
        self.delay = net.delays(a, b)
        self.opened, self.due = False, []

    def has(self, up, at):
        """Up to where the end that receives (up: it is the listener) can have said by then that it has all bytes."""
        reached = self.ends[up].isn + 1
        for begin, stop, seen in sorted(self.ends[not up].got):
            if seen > at:
                continue
            if begin > reached:
                break
            reached = max(reached, stop)
        return reached


class Net:
    """All connections, and the packets so far."""

    def __init__(self):
        self.packets, self.conns, self.last = [], {}, {}
        self.link, self.times, self.v6, self.mss, self.view = 'ethernet', False, False, 1460, 'C'
        self.rtt, self.far, self.base = 0.020, 0.030, 1700000000
        self.addresses = {'C': '10.40.0.5', 'P': '10.10.0.1', 'T': '192.0.2.80', 'R': '10.0.0.254'}
        self.ports = {'C': 40220, 'P': 3128, 'T': 443}
        self.ids, self.isn, self.ttls, self.shift = {}, 1000, {}, 0.0

    # -- names
    def address(self, name):
        text = self.addresses[name]
        if self.v6 and '.' in text:
            text = '2001:db8::' + text.rsplit('.', 1)[1]
        return ipaddress.ip_address(text)

    def port_of(self, name, number, other):
        return self.ports[name] + number if name == 'C' else 50000 + number if name == 'P' and other == 'T' else self.ports[name]

    def delays(self, a, b):
        """Round trip as seen where it is captured: (of what goes up, of what comes down)."""
        if a == 'P':
            return self.far, 0.0001
        whole = self.rtt if b == 'P' else self.rtt + self.far
        if self.view == 'M':
            return whole / 2, whole / 2
        return (0.0001, whole) if self.view == 'P' and b == 'P' else (whole, 0.0001)

    def next_id(self, conn, up):
        key = (id(conn), up)
        self.ids[key] = self.ids.get(key, 100 if up else 30000) + 1
        return self.ids[key]

    def conn(self, text):
        m = re.fullmatch(r'([CPTR])(\d*)>([CPTR])(\d*)', text)
        if not m:
            raise Broken(f'{text}: no direction')
        a, b, number = m[1], m[3], int(m[2] or m[4] or 1) - 1
        up = 'CPT'.index(a) < 'CPT'.index(b) if a != 'R' and b != 'R' else True
        key = (a, b, number) if up else (b, a, number)
        if key not in self.conns:
            self.conns[key] = Conn(self, key[0], key[1], number)
        return self.conns[key], up, text

    # -- sending
    def put(self, packet):
        packet.order, packet.shift = len(self.packets), self.shift
        self.packets.append(packet)
        return packet

    def syn_options(self, end):
        out = b'\2\4' + struct.pack('>H', end.mss)
        if end.sack:
            out += b'\4\2'
        return out + b'\3\3' + bytes([end.scale]) if end.scale is not None else out

    def open(self, conn, at, how):
        """The handshake, so that it is through at `at`."""
        conn.opened = True
        client, server = conn.ends[True], conn.ends[False]
        client.mss = server.mss = how.get('mss', self.mss)
        client.sack = server.sack = 'nosack' not in how
        trip = sum(conn.delay)
        self.put(Packet(at - trip - 0.001, conn, True, SYN, client.isn, 0, window=64240, options=self.syn_options(client)))
        self.put(Packet(at - trip - 0.001 + conn.delay[0], conn, False, SYN | ACK, server.isn, client.next, window=65160,
                        options=self.syn_options(server)))
        self.put(Packet(at - 0.001, conn, True, ACK, client.next, server.next))

    def segment_size(self, conn, up):
        return min(conn.ends[True].mss, conn.ends[False].mss) - (12 if self.times else 0)

    def send(self, at, conn, up, payload, how):
        """One segment, or what is behind no segment: flags only."""
        end, other = conn.ends[up], conn.ends[not up]
        flags = ACK | (PSH if payload else 0) | (FIN if 'fin' in how else 0) | (RST if 'rst' in how else 0)
        seq, length = end.next + how.get('seq', 0), len(payload) + ('fin' in how)
        if 'rst' not in how:
            end.next += length
        times = [at] + how.get('repeat', [])
        ack = self.now_acked(conn, up, at)
        for i, t in enumerate(times):
            if i == 0 and ('unseen' in how or 'missing' in how):
                continue
            p = self.put(Packet(t, conn, up, flags, seq, ack, payload, window=0 if 'rst' in how else how.get('win', end.window),
                                ttl=how.get('ttl'), id=how.get('id'), frag=how.get('frag'), stamped='stamped' in how))
            self.last[(id(conn), up)] = p
        arrives = 'arrives' in how or not how.keys() & {'lost', 'unseen', 'repeat'}
        if arrives and length and 'rst' not in how:
            seen = times[-1] + conn.delay[0 if up else 1]
            other.got.append((seq, seq + length, seen))
            if 'noack' not in how:
                conn.due.append((seen, up))

    # Acknowledgements are made when time has come to them, so that data that goes the other way in between says it all.
    def sacks(self, conn, up, at):
        has, out = conn.has(up, at), []
        for begin, stop, seen in sorted(conn.ends[not up].got):
            if begin <= has or seen > at:
                continue
            if out and begin <= out[-1][1]:
                out[-1][1] = max(out[-1][1], stop)
            else:
                out.append([begin, stop])
        return out[:3]

    def now_acked(self, conn, up, at):
        """What the end that sends now may acknowledge: what had reached it by then."""
        for due in sorted(d for d in conn.due if d[1] != up and d[0] <= at):
            self.emit_ack(conn, due)
        conn.due = [d for d in conn.due if d[1] == up or d[0] > at + 0.0005]
        end = conn.ends[up]
        end.acked = max(end.acked, conn.has(not up, at + 0.0005))
        return end.acked

    def emit_ack(self, conn, due):
        at, up = due
        conn.due.remove(due)
        end, has, sacks = conn.ends[not up], conn.has(up, at), self.sacks(conn, up, at)
        if has <= end.acked and not sacks:
            return
        end.acked = max(end.acked, has)
        options = b''
        if sacks and end.sack:
            options = b'\1\1\5' + bytes([2 + 8 * len(sacks)]) + b''.join(struct.pack('>II', *(n & 0xffffffff for n in s)) for s in sacks)
        self.put(Packet(at, conn, not up, ACK, end.next, end.acked, window=end.window, options=options))

    def settle(self, until=None):
        for conn in self.conns.values():
            for due in sorted(conn.due):
                if until is None or due[0] <= until:
                    self.emit_ack(conn, due)

    def send_bulk(self, at, conn, up, how):
        size, left, n = self.segment_size(conn, up), how['bulk'], 0
        step = how['over'] / max(1, left // size)
        payload = b''
        if 'tls' in how:
            while left > 0:
                payload += app(min(left, 16384), len(payload))
                left -= 16384
        else:
            payload = noise(left, 9)
        for begin in range(0, len(payload), size):
            n += 1
            piece, t, more = payload[begin:begin + size], at + step * (n - 1), {}
            self.settle(t)
            if how.get('loss') and n % how['loss'] == 0 and begin + size < len(payload):
                more = {'repeat': [t + step * 3 + 0.030], 'arrives': True}
                if (self.view == 'C') != up:  # it got lost before it came here
                    more['unseen'] = True
            if how.get('swap') and n % how['swap'] == 0:
                t += step * 1.5
            if n % 2 and not more and begin + size < len(payload):
                more['noack'] = True
            self.send(t, conn, up, piece, more)

    def icmp(self, at, kind, number, about):
        conn, up, _ = self.conn(about)
        quoted = self.last.get((id(conn), up))
        if quoted is None:
            raise Broken(f'nothing was sent {about}')
        v6 = conn.addresses[0].version == 6
        types = {'frag-needed': (3, 4), 'too-big': (2, 0), 'net': (3, 0), 'host': (3, 1), 'port': (3, 3), 'admin': (3, 13)}
        if v6:
            types = {'too-big': (2, 0), 'net': (1, 0), 'host': (1, 3), 'port': (1, 4), 'admin': (1, 1)}
        code = types[kind]
        rest = struct.pack('>I', number) if v6 or kind == 'frag-needed' else bytes(4)
        body = struct.pack('>BBH', *code, 0) + rest + quoted.ip(self)[0][:1232 if v6 else 28]
        to = conn.addresses[0 if up else 1]
        raw = ip_header(self.address('R'), to, 58 if v6 else 1, body, 64, 77, 0)
        self.put(Packet(at, conn, not up, 0, 0, 0, raw=raw))


# ---- the script

TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


def unquote(text):
    def one(m):
        c = m[1]
        return {'r': '\r', 'n': '\n', '"': '"', '\\': '\\', 't': '\t'}.get(c[0]) or chr(int(c[1:], 16))
    return re.sub(r'\\(x..|.)', one, text).encode('latin-1')


class Words:
    def __init__(self, line):
        self.items = [(m[1] is not None, m[1] if m[1] is not None else m[2]) for m in TOKEN.finditer(line)]

    def take(self):
        return self.items.pop(0) if self.items else (False, '')

    def is_next(self, *names):
        return bool(self.items) and not self.items[0][0] and self.items[0][1] in names

    def word(self):
        return self.take()[1]

    def number(self):
        text = self.word()
        try:
            return int(text)
        except ValueError:
            raise Broken(f'{text}: no number') from None

    def times(self):
        out = []
        while self.items and re.fullmatch(r'-?\d+(\.\d+)?', self.items[0][1]):
            out.append(float(self.word()))
        return out

    def option(self, name):
        if self.is_next(name):
            self.take()
            return True
        return False


def read_items(words, conn, seed):
    """The payload, and how it is sent."""
    payload, how = b'', {}
    name = getattr(conn, 'sni', 'target.example')
    while words.items:
        quoted, word = words.take()
        if quoted:
            payload += unquote(word)
        elif word == 'len':
            n = words.number()
            payload += b'\x80' + noise(n - 1, seed) if n else b''
        elif word == 'text':
            payload += b'a' * words.number()
        elif word == 'hello':
            conn.sni = words.word()
            size, tls12, alpn = 0, False, None
            while words.is_next('of', 'tls12', 'alpn'):
                kind = words.word()
                size, tls12, alpn = (words.number() if kind == 'of' else size, tls12 or kind == 'tls12',
                                     words.word() if kind == 'alpn' else alpn)
            payload += client_hello(conn.sni, size, tls12, alpn, seed_of(conn))
        elif word == 'server-hello':
            tls12, issuer, size = False, None, None
            while words.is_next('of', 'tls12', 'issuer'):
                kind = words.word()
                tls12, issuer, size = (tls12 or kind == 'tls12', words.take()[1] if kind == 'issuer' else issuer,
                                       words.number() if kind == 'of' else size)
            payload += server_hello(tls12, issuer, size, name, seed_of(conn))
        elif word == 'finished':
            key = record(22, message(16, vector(1, noise(65, seed)))) if words.option('tls12') else b''
            payload += key + record(20, b'\1') + (record(22, noise(40, seed)) if key else app(53, seed))
        elif word == 'finished-back':
            payload += record(20, b'\1') + record(22, noise(40, seed))
        elif word == 'app':
            payload += app(words.number(), seed + len(payload))
        elif word == 'close-notify':
            payload += record(21, noise(26, seed)) if words.option('tls12') else app(19, seed)
        elif word == 'alert':
            code = words.number()
            payload += record(21, bytes([1 if words.option('warning') else 2, code]))
        elif word == 'part':
            payload = payload[:words.number()]
        elif word == 'skip':
            payload = payload[words.number():]
        elif word in ('fin', 'rst', 'psh', 'syn', 'synack', 'ack', 'nosack', 'giant', 'lost', 'unseen', 'missing', 'noack', 'stamped',
                      'tls'):
            how[word] = True
        elif word in ('mss', 'scale', 'win', 'ttl', 'id', 'frag', 'loss', 'swap', 'bulk', 'rewind'):
            how[word] = words.number()
        elif word == 'seq':
            how['seq'] = int(words.word())
        elif word == 'over':
            how['over'] = float(words.word())
        elif word == 'repeat':
            words.option('at')
            how['repeat'] = words.times()
        elif word == 'then':
            words.option('arrives')
            how['arrives'] = True
        else:
            raise Broken(f'{word}: no item')
    return payload, how


def seed_of(conn):
    """Both legs of one flow carry the same hello: the seed is its name's."""
    return sum(getattr(conn, 'sni', '').encode()) % 1000


def send_line(net, at, where, words, seed):
    conn, up, _ = net.conn(where)
    payload, how = read_items(words, conn, seed)
    end = conn.ends[up]
    net.settle(at)
    if 'syn' in how or 'synack' in how:
        end.mss, end.sack = how.get('mss', net.mss), 'nosack' not in how
        conn.opened = True
        flags = SYN | (ACK if 'synack' in how else 0)
        for t in [at] + how.get('repeat', []):
            net.last[(id(conn), up)] = net.put(Packet(t, conn, up, flags, end.isn, conn.ends[not up].next, window=64240,
                                                      options=net.syn_options(end), ttl=how.get('ttl')))
        return
    if not conn.opened:
        net.open(conn, at, how)
    if 'win' in how:
        end.window = how['win']
    end.next -= how.get('rewind', 0)
    if 'bulk' in how:
        net.send_bulk(at, conn, up, how)
    elif 'ack' in how and not payload:
        net.put(Packet(at, conn, up, ACK, end.next + how.get('seq', 0), net.now_acked(conn, up, at), window=end.window,
                       ttl=how.get('ttl')))
    elif not payload or 'giant' in how:
        net.send(at, conn, up, payload, how)
    else:
        size = net.segment_size(conn, up)
        pieces = [payload[i:i + size] for i in range(0, len(payload), size)]
        for i, piece in enumerate(pieces):
            one = dict(how)
            if i + 1 < len(pieces):
                one.pop('fin', None)
                one.pop('rst', None)
            net.send(at + i * 0.00001, conn, up, piece, one)


def set_line(net, words):
    word = words.word()
    if word == 'link':
        net.link = words.word()
    elif word in ('ipv6', 'times'):
        setattr(net, 'v6' if word == 'ipv6' else word, True)
    elif word == 'mss':
        net.mss = words.number()
    elif word == 'view':
        net.view = words.word()
    elif word in ('rtt', 'far'):
        setattr(net, word, float(words.word()))
    elif word == 'clock':
        net.shift += float(words.word())
    elif word == 'ttl':
        name = words.word()
        net.ttls[name] = words.number()
    elif word == 'epoch':
        net.base = words.number()
    elif word == 'isn':
        net.isn = words.number()
    elif word == 'address':
        name = words.word()
        net.addresses[name] = words.word()
    elif word == 'port':
        name = words.word()
        net.ports[name] = words.number()
    else:
        raise Broken(f'{word}: no setting')


def without_comment(line):
    quoted = False
    for i, c in enumerate(line):
        if c == '"' and line[i - 1:i] != '\\':
            quoted = not quoted
        elif c == '#' and not quoted:
            return line[:i]
    return line


def compile_text(text):
    net = Net()
    for n, line in enumerate(text.splitlines(), 1):
        words = Words(without_comment(line))
        if not words.items:
            continue
        try:
            if not re.fullmatch(r'-?\d+(\.\d+)?', words.items[0][1]):
                set_line(net, words)
                continue
            at, where = float(words.word()), words.word()
            if words.is_next('icmp'):
                words.take()
                kind = words.word()
                number = words.number() if not words.is_next('about') else 0
                words.option('about')
                net.icmp(at, kind, number, words.word())
            else:
                send_line(net, at, where, words, n)
        except (Broken, IndexError, ValueError, KeyError) as e:
            raise Broken(f'line {n}: {e}: {line.strip()}') from None
    net.settle()
    net.packets.sort(key=lambda p: (round(p.at, 6), p.order))
    return net


# ---- mangling


def merge(packets, limit=65000):
    """Neighbours of one direction whose bytes follow each other become one."""
    out = []
    for p in packets:
        q = out[-1] if out else None
        if (q and p.raw is None and q.raw is None and q.conn is p.conn and q.up == p.up and p.payload and q.payload
                and q.seq + len(q.payload) == p.seq and not q.flags & (SYN | FIN | RST) and not p.flags & (SYN | RST)
                and not p.frag and not q.frag and len(q.payload) + len(p.payload) < limit and p.at - q.at < 0.001):
            q.payload += p.payload
            q.flags |= p.flags
            q.ack, q.window, q.options = p.ack, p.window, p.options
        else:
            out.append(p)
    return out


def mangle(net, name):
    packets = net.packets
    if name in ('opener', 'listener'):
        packets = [p for p in packets if p.up == (name == 'opener') and p.raw is None]
    elif name == 'twice':
        packets = [p for q in packets for p in (q, q)]
    elif name == 'giants':
        packets = merge(packets)
    elif name == 'shuffled':
        rng, times = random.Random(1), [p.at for p in packets]
        packets = sorted(packets, key=lambda p: p.at + rng.random() * SHUFFLE_S)
        for p, t in zip(packets, times):
            p.at = t
    elif name == 'late':
        packets = packets[LATE:]
    return packets


# ---- the file

LINKS = {'ethernet': 1, 'vlan': 1, 'sll': 113, 'sll2': 276, 'raw': 101, 'null': 0}


def frame(net, packet, ip):
    kind = 0x86dd if ip[0] >> 4 == 6 else 0x0800
    a, b = (b'\2\0\0\0\0\1', b'\2\0\0\0\0\2') if packet.up else (b'\2\0\0\0\0\2', b'\2\0\0\0\0\1')
    if net.link == 'ethernet':
        return b + a + struct.pack('>H', kind) + ip
    if net.link == 'vlan':
        return b + a + struct.pack('>HHH', 0x8100, 10, kind) + ip
    if net.link == 'sll':
        return struct.pack('>HHH', 4 if packet.up else 0, 1, 6) + a + b'\0\0' + struct.pack('>H', kind) + ip
    if net.link == 'sll2':
        return struct.pack('>HHIHBB', kind, 0, 2, 1, 4 if packet.up else 0, 6) + a + b'\0\0' + ip
    if net.link == 'null':
        return struct.pack('<I', 10 if kind == 0x86dd else 2) + ip
    return ip


def write(net, packets, path, snaplen, twice):
    out = [struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, snaplen, LINKS[net.link])]
    seen = {}
    for p in packets:
        seen[id(p)] = seen.get(id(p), -1) + 1
        at = net.base + p.at + p.shift + (0.00002 * seen[id(p)] if twice else 0)
        us = round(at * 1000000)
        for ip in p.ip(net):
            data = frame(net, p, ip)
            out.append(struct.pack('<IIII', us // 1000000, us % 1000000, min(len(data), snaplen), len(data)) + data[:snaplen])
    pathlib.Path(path).write_bytes(b''.join(out))


def build(script, path, mangling=None):
    """Compiles the script (a path) into a pcap at `path`."""
    net = compile_text(pathlib.Path(script).read_text())
    packets = mangle(net, mangling)
    write(net, packets, path, 96 if mangling == 'snaplen' else 262144, mangling == 'twice')


def main():
    parser = argparse.ArgumentParser(description='compiles a packet script')
    parser.add_argument('script')
    parser.add_argument('-o', required=True, metavar='OUT')
    parser.add_argument('--mangle', choices=MANGLINGS)
    options = parser.parse_args()
    try:
        build(options.script, options.o, options.mangle)
    except Broken as e:
        sys.exit(f'{options.script}: {e}')


if __name__ == '__main__':
    main()

"""Pictures of a screen as small PNG files: a page has few colours, so that a palette of 256 keeps what is to be seen."""

import struct
import zlib

COLOURS = 256


def chunks(data):
    at = 8
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size


def unfilter(raw, width, height, depth):
    """The lines of pixels, of what PNG's filters made of them (PNG 9)."""
    stride, lines = width * depth, []
    above = bytearray(stride)
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        if kind == 1:
            for i in range(depth, stride):
                line[i] = (line[i] + line[i - depth]) & 255
        elif kind == 2:
            line = bytearray((a + b) & 255 for a, b in zip(line, above))
        elif kind == 3:
            for i in range(stride):
                left = line[i - depth] if i >= depth else 0
                line[i] = (line[i] + (left + above[i]) // 2) & 255
        elif kind == 4:
            for i in range(stride):
                a, b, c = (line[i - depth], above[i], above[i - depth]) if i >= depth else (0, above[i], 0)
                p = a + b - c
                pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
                near = a if pa <= pb and pa <= pc else b if pb <= pc else c
                line[i] = (line[i] + near) & 255
        lines.append(line)
        above = line
    return lines


def distance(one, other):
    return sum((a - b) ** 2 for a, b in zip(one, other))


def palette_of(counts):
    """colour -> its place among at most COLOURS colours: half are the most frequent ones, half those that were most wrong
    without; for others the nearest of them.  So a small green dot stays green among many greys."""
    ranked = sorted(counts, key=counts.get, reverse=True)
    kept, rest = ranked[: COLOURS // 2], ranked[COLOURS // 2 :]
    near = {colour: min((distance(one, colour), i) for i, one in enumerate(kept)) for colour in rest}
    while near and len(kept) < COLOURS:
        worst = max(near, key=lambda colour: near[colour][0] * counts[colour])
        del near[worst]
        kept.append(worst)
        for colour, (far, _) in near.items():
            if distance(worst, colour) < far:
                near[colour] = (distance(worst, colour), len(kept) - 1)
    places = {colour: i for i, colour in enumerate(kept)}
    places.update({colour: i for colour, (_, i) in near.items()})
    return kept, places


def shrink(data):
    """The same picture with a palette."""
    head, body = None, b""
    for kind, content in chunks(data):
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", content)
        elif kind == b"IDAT":
            body += content
    width, height, depth = head[0], head[1], {2: 3, 6: 4}[head[3]]
    lines = unfilter(zlib.decompress(body), width, height, depth)
    counts, pixels = {}, []
    for line in lines:
        row = [bytes(line[i : i + 3]) for i in range(0, width * depth, depth)]
        pixels.append(row)
        for colour in row:
            counts[colour] = counts.get(colour, 0) + 1
    # four bits a channel less for the rare ones, so that the search for the nearest stays short
    common = set(sorted(counts, key=counts.get, reverse=True)[:COLOURS])
    coarse = {c: c if c in common else bytes(v & 0xF0 | v >> 4 for v in c) for c in counts}
    merged = {}
    for colour, n in counts.items():
        merged[coarse[colour]] = merged.get(coarse[colour], 0) + n
    kept, places = palette_of(merged)
    index = {colour: places[coarse[colour]] for colour in counts}
    raw = b"".join(b"\0" + bytes(map(index.__getitem__, row)) for row in pixels)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", header), (b"PLTE", b"".join(kept)), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)

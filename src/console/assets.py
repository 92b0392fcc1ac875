#!/usr/bin/python3
"""assets.py OUT FILE...: the console's files as C: each compressed, with its type and an ETag."""
import gzip
import hashlib
import pathlib
import sys

TYPES = {
    '.html': 'text/html; charset=utf-8',
    '.css': 'text/css; charset=utf-8',
    '.js': 'text/javascript; charset=utf-8',
    '.json': 'application/json',
    '.svg': 'image/svg+xml',
    '.png': 'image/png',
}


def main():
    out, *paths = sys.argv[1:]
    arrays, rows = [], []
    for n, path in enumerate(map(pathlib.Path, paths)):
        plain = path.read_bytes()
        packed = gzip.compress(plain, 9, mtime=0)
        name = '/index.html' if path.name == 'index.html' else f'/assets/{path.name}'
        digest = hashlib.sha256(plain).hexdigest()[:16]
        digits = ','.join(str(b) for b in packed)
        arrays.append(f'static const unsigned char asset_{n}[] = {{{digits}}};\n')
        rows.append(f'    {{"{name}", "{TYPES[path.suffix]}", "\\"{digest}\\"", asset_{n}, {len(packed)}, {len(plain)}}},\n')
    pathlib.Path(out).write_text(''.join(arrays) + 'static const struct asset assets[] = {\n' + ''.join(rows) + '};\n')


main()

#!/usr/bin/python3
"""assets.py OUT [NAME=]FILE...: the console's files as C: each compressed, with its type and an ETag.

A file is served by its own name, or by NAME."""
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
    out, *arguments = sys.argv[1:]
    arrays, rows = [], []
    for n, argument in enumerate(arguments):
        given, _, path = argument.rpartition('=')
        name = given or pathlib.Path(path).name
        plain = pathlib.Path(path).read_bytes()
        packed = gzip.compress(plain, 9, mtime=0)
        served = '/index.html' if name == 'index.html' else f'/assets/{name}'
        digest = hashlib.sha256(plain).hexdigest()[:16]
        digits = ','.join(str(b) for b in packed)
        kind = TYPES[pathlib.Path(name).suffix]
        arrays.append(f'static const unsigned char asset_{n}[] = {{{digits}}};\n')
        rows.append(f'    {{"{served}", "{kind}", "\\"{digest}\\"", asset_{n}, {len(packed)}, {len(plain)}}},\n')
    pathlib.Path(out).write_text(''.join(arrays) + 'static const struct asset assets[] = {\n' + ''.join(rows) + '};\n')


main()

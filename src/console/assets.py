#!/usr/bin/python3
"""assets.py OUT [NAME=]FILE...: the console's files as C: each compressed, with its type and an ETag.

A file is served by its own name, or by NAME.  The document is there once for each theme that can be chosen, so that
the first paint is in its colours and waits for no script.  It names the others by a folder that is a digest of them
all: what is read there is good for as long as it is named, and a browser asks for it once."""
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

VERSION_LEN = 16 # as in static.c
THEMES = [None, 'light', 'dark']


def variants(name, plain):
    """(name, bytes): the document's names are none that a request can name."""
    if name != 'index.html':
        return [(name, plain)]
    assert plain.count(b'<html lang="en">') == 1
    chosen = {t: plain.replace(b'<html lang="en">', f'<html lang="en" data-theme="{t}">'.encode()) for t in THEMES[1:]}
    return [('/index.html', plain)] + [(f'/index.html#{t}', text) for t, text in chosen.items()]


def main():
    out, *arguments = sys.argv[1:]
    arrays, rows = [], []
    files = {}
    for argument in arguments:
        given, _, path = argument.rpartition('=')
        files[given or pathlib.Path(path).name] = pathlib.Path(path).read_bytes()
    version = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:VERSION_LEN]
    files['index.html'] = files['index.html'].replace(b'"/assets/', f'"/assets/{version}/'.encode())
    served_files = [(name, *one) for name, plain in files.items() for one in variants(name, plain)]
    for n, (name, served, plain) in enumerate(served_files):
        packed = gzip.compress(plain, 9, mtime=0)
        digest = hashlib.sha256(plain).hexdigest()[:16]
        digits = ','.join(str(b) for b in packed)
        kind = TYPES[pathlib.Path(name).suffix]
        arrays.append(f'static const unsigned char asset_{n}[] = {{{digits}}};\n')
        rows.append(f'    {{"{served}", "{kind}", "\\"{digest}\\"", asset_{n}, {len(packed)}, {len(plain)}}},\n')
    head = f'#define ASSETS_FOLDER "/assets/{version}/"\n'
    table = 'static const struct asset assets[] = {\n' + ''.join(rows) + '};\n'
    pathlib.Path(out).write_text(head + ''.join(arrays) + table)


main()

#!/usr/bin/env python3
"""table.py MSGFMT OUT FILE.po... - prints the catalogues as C tables for flow/words.c; one catalogue to an OUT
that ends in .json as pairs for the console's pages.

msgfmt checks the files and leaves out fuzzy and missing texts; what remains is sorted by msgid as
strcmp(3) has it, for bsearch(3)."""
import gettext
import io
import json
import os
import subprocess
import sys


def catalogue(msgfmt, path):
    """The (msgid, text) pairs of a .po file, without its header."""
    mo = subprocess.run([msgfmt, "-c", "-o", "-", path], check=True, stdout=subprocess.PIPE).stdout
    texts = gettext.GNUTranslations(io.BytesIO(mo))._catalog
    pairs = [(k, v) for k, v in texts.items() if isinstance(k, str) and k]
    return sorted(pairs, key=lambda pair: pair[0].encode())


def quoted(text):
    """A C string: JSON's escapes are C's for all that a sentence has."""
    return json.dumps(text, ensure_ascii=False)


def main():
    msgfmt, out, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    languages = []
    if out.endswith(".json"):
        with open(out, "w", encoding="utf-8") as pairs:
            json.dump(catalogue(msgfmt, files[0]), pairs, ensure_ascii=False, separators=(",", ":"))
        return
    with open(out, "w", encoding="utf-8") as c:
        for path in files:
            name = os.path.splitext(os.path.basename(path))[0]
            pairs = catalogue(msgfmt, path)
            languages.append(name)
            c.write(f"static const struct pair words_{name}[] = {{\n")
            c.writelines(f"    {{{quoted(k)},\n     {quoted(v)}}},\n" for k, v in pairs)
            c.write("};\n")
        c.write("static const struct language languages[] = {\n")
        c.writelines(f'    {{"{n}", words_{n}, ARRAY_LEN(words_{n})}},\n' for n in languages)
        c.write("};\n")


main()

#!/usr/bin/env python3
"""vocabulary.py OUT DEPFILE FOLDER... - the words that viaduct itself says of a flow, as a sorted C table.

flow/anonymize lets only these through where a text may hold something from outside.  They are taken from the string
literals of the folders: who writes a new sentence need not think of this.  Words with a dot are left out, as they would
be names of hosts.  EXTRA are words of others that are no secret: status phrases, programs, protocols."""
import pathlib
import re
import sys

EXTRA = """
ok continue switching protocols processing early hints created accepted partial content multiple choices moved
permanently found see other not modified temporary redirect permanent bad request unauthorized payment required
forbidden method allowed acceptable proxy authentication timeout conflict gone length precondition failed large too
uri unsupported media type range satisfiable expectation misdirected unprocessable locked dependency upgrade many
requests header fields unavailable for legal reasons internal server error implemented gateway service version
supported variant also negotiates insufficient storage loop detected extended network connection established
squid tinyproxy nginx haproxy envoy apache varnish privoxy viaduct tcpdump wireshark curl
http https ftp ws wss tls ssl tcp udp ip ipv4 ipv6 icmp icmpv6 dns mtu mss rtt syn ack fin rst psh urg sack ttl
basic digest ntlm negotiate kerberos bearer get head post put delete connect options trace patch propfind
text html plain json xml application octet-stream chunked gzip deflate br zstd identity keep-alive close
etag last-modified age date via server user-agent host location cookie set-cookie www-authenticate authorization
proxy-authenticate proxy-authorization proxy-connection proxy-status proxy-agent x-cache x-cache-lookup x-squid-error
content-length content-type transfer-encoding realm nonce opaque qop stale algorithm charset utf-8 md5 sha-256
kib mib gib bytes b s ms us ns min no such file or directory permission denied is a
input output operation permitted device broken pipe
"""

COMMENT = re.compile(r"/\*.*?\*/", re.S)  # no literal of ours has such a thing inside
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
FORMAT = re.compile(r"%[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|z|j|t)?[a-zA-Z%]")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def words_of(text):
    for line in COMMENT.sub(" ", text).splitlines():
        if line.lstrip().startswith("#include"):
            continue
        for literal in LITERAL.findall(line):
            plain = re.sub(r"\\.", " ", FORMAT.sub(" ", literal))
            for word in WORD.findall(plain):
                word = word.rstrip("._-").lower()
                if word and "." not in word:
                    yield word


def main():
    out, depfile, folders = sys.argv[1], sys.argv[2], sys.argv[3:]
    files = sorted(p for f in folders for p in pathlib.Path(f).iterdir() if p.suffix in (".c", ".h", ".def"))
    words = set(EXTRA.split())
    for path in files:
        words.update(words_of(path.read_text(encoding="utf-8")))
    with open(out, "w", encoding="utf-8") as c:
        c.write("static const char *const vocabulary[] = {\n")
        c.writelines(f'    "{w}",\n' for w in sorted(words))
        c.write("};\n")
    with open(depfile, "w", encoding="utf-8") as d:
        d.write(f"{out}: {' '.join(map(str, files))}\n")


main()

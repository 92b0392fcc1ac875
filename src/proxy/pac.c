#include "proxy/pac.h"

#include "base/endpoint.h"
#include "base/num.h"
#include "base/util.h"
#include "render/escape.h"

/* What a client never asks a proxy on another machine for: itself. */
static const char *const own[] = {"localhost", ".localhost", "127.0.0.0/8", "::1"};

/* Addresses are compared as numbers of 16 bits, two or eight of them; a name that is not an address
 * is compared as text.  No helper of PAC's own is used: isInNet and dnsResolve look names up, and
 * know IPv4 only. */
static const char code[] =
    "function v4(text) {\n"
    "    var part = text.split(\".\"), n = [], i;\n"
    "    if (part.length != 4) return null;\n"
    "    for (i = 0; i < 4; i++) {\n"
    "        if (!/^[0-9]{1,3}$/.test(part[i]) || +part[i] > 255) return null;\n"
    "        n[i] = +part[i];\n"
    "    }\n"
    "    return [n[0] * 256 + n[1], n[2] * 256 + n[3]];\n"
    "}\n"
    "function words(text) {\n"
    "    var part = text == \"\" ? [] : text.split(\":\"), n = [], i, last;\n"
    "    for (i = 0; i < part.length; i++) {\n"
    "        last = i == part.length - 1 ? v4(part[i]) : null;\n"
    "        if (last) n.push(last[0], last[1]);\n"
    "        else if (/^[0-9a-f]{1,4}$/.test(part[i])) n.push(parseInt(part[i], 16));\n"
    "        else return null;\n"
    "    }\n"
    "    return n;\n"
    "}\n"
    "function v6(text) {\n"
    "    var half = text.split(\"::\"), head = words(half[0]), tail;\n"
    "    if (half.length > 2 || !head) return null;\n"
    "    if (half.length == 1) return head.length == 8 ? head : null;\n"
    "    tail = words(half[1]);\n"
    "    if (!tail || head.length + tail.length > 7) return null;\n"
    "    while (head.length + tail.length < 8) head.push(0);\n"
    "    return head.concat(tail);\n"
    "}\n"
    "function address(host) {\n"
    "    var a = host.indexOf(\":\") < 0 ? v4(host) : v6(host), i;\n"
    "    if (!a || a.length == 2) return a;\n"
    "    for (i = 0; i < 5; i++) if (a[i] != 0) return a;\n"
    "    return a[5] == 65535 ? [a[6], a[7]] : a;\n"
    "}\n"
    "function within(a, net) {\n"
    "    var bits = net[0], i, drop;\n"
    "    if (a.length != net.length - 1) return false;\n"
    "    for (i = 0; bits > 0; i++, bits -= 16) {\n"
    "        drop = bits < 16 ? 16 - bits : 0;\n"
    "        if (a[i] >> drop != net[i + 1] >> drop) return false;\n"
    "    }\n"
    "    return true;\n"
    "}\n"
    "function FindProxyForURL(url, host) {\n"
    "    var a, i;\n"
    "    host = host.toLowerCase().replace(/^\\[/, \"\").replace(/\\]$/, \"\")\n"
    "        .replace(/%.*$/, \"\").replace(/\\.$/, \"\");\n"
    "    a = address(host);\n"
    "    if (a) {\n"
    "        for (i = 0; i < networks.length; i++)\n"
    "            if (within(a, networks[i])) return \"DIRECT\";\n"
    "        return proxy;\n"
    "    }\n"
    "    for (i = 0; i < names.length; i++)\n"
    "        if (host == names[i]) return \"DIRECT\";\n"
    "    for (i = 0; i < tails.length; i++)\n"
    "        if (host.substring(host.length - tails[i].length) == tails[i]) return \"DIRECT\";\n"
    "    return proxy;\n"
    "}\n";

struct network {
    struct addr addr;
    uint64_t bits;
};

/* "10.0.0.0/8" or an address; IPv4 in IPv6's clothes becomes IPv4, as hosts do. */
static bool read_network(struct span word, struct network *n)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct span rest = word, base = span_cut(&rest, '/');
    bool has_bits = base.len < word.len;

    *n = (struct network){0};
    if (!addr_parse(base, &n->addr))
        return false;
    n->bits = n->addr.family == AF_INET ? 32 : 128;
    if (has_bits && !num_parse_u64(rest, n->bits, &n->bits))
        return false;
    if (n->addr.family == AF_INET6 && n->bits >= 96 && memcmp(n->addr.bytes, mapped, 12) == 0) {
        memcpy(n->addr.bytes, n->addr.bytes + 12, 4);
        n->addr.family = AF_INET;
        n->bits -= 96;
    }
    return true;
}

/* Begins an item of an array. */
static void next_item(struct pen *p, bool *first)
{
    pen_text(p, *first ? "\n    " : ",\n    ");
    *first = false;
}

/* [bits, number, number …] */
static void write_network(struct pen *p, struct span word, bool *first)
{
    struct network n;

    if (!read_network(word, &n))
        return;
    next_item(p, first);
    pen_char(p, '[');
    pen_u64(p, n.bits);
    for (unsigned i = 0; i < (n.addr.family == AF_INET ? 4u : 16u); i += 2) {
        pen_char(p, ',');
        pen_u64(p, (uint64_t)n.addr.bytes[i] << 8 | n.addr.bytes[i + 1]);
    }
    pen_char(p, ']');
}

/* A string in lower case, without the root's dot. */
static void write_string(struct pen *p, struct span text)
{
    if (text.len > 1 && text.ptr[text.len - 1] == '.')
        text.len--;
    pen_char(p, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = span_lower(text.ptr[i]);

        escape_json(p, (struct span){&c, 1});
    }
    pen_char(p, '"');
}

/* "example.com": that name alone; ".example.com": it and its subdomains, which are tails too. */
static void write_name(struct pen *p, struct span word, bool *first)
{
    struct network n;

    if (read_network(word, &n) || word.len == 0 || word.ptr[0] == '*')
        return;
    if (word.ptr[0] == '.')
        word = (struct span){word.ptr + 1, word.len - 1};
    next_item(p, first);
    write_string(p, word);
}

/* "*.example.com", ".example.com": what ends so. */
static void write_tail(struct pen *p, struct span word, bool *first)
{
    if (word.len > 1 && word.ptr[0] == '*')
        word = (struct span){word.ptr + 1, word.len - 1};
    if (word.len < 2 || word.ptr[0] != '.')
        return;
    next_item(p, first);
    write_string(p, word);
}

static void write_array(struct pen *p, const char *name, const struct pac *pac,
                        void (*write)(struct pen *, struct span, bool *))
{
    bool first = true;

    pen_text(p, "var ");
    pen_text(p, name);
    pen_text(p, " = [");
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        write(p, span_of(own[i]), &first);
    for (unsigned i = 0; i < pac->no_proxy_len; i++)
        write(p, span_of(pac->no_proxy[i]), &first);
    pen_text(p, "];\n");
}

void pac_write(struct pen *p, const struct pac *pac)
{
    pen_text(p, "// Made by viaduct: all targets through it, but NO_PROXY's and this machine's.\n"
                "var proxy = \"");
    pen_text(p, pac->tls ? "HTTPS " : "PROXY ");
    escape_json(p, span_of(pac->listener));
    pen_text(p, "\";\n");
    write_array(p, "names", pac, write_name);
    write_array(p, "tails", pac, write_tail);
    write_array(p, "networks", pac, write_network);
    pen_text(p, code);
}

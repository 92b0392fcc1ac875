/* Every block is type, length, body padded to four bytes, length again, in the byte order of this
 * machine: the section's header says which one it is. */
#include "wire/pcapng.h"

#include <assert.h>

#include "base/clock.h"
#include "base/util.h"

enum block {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BLOCK_SECRETS = 10
};
enum option { OPTION_END = 0, OPTION_COMMENT = 1, OPTION_APPLICATION = 4, OPTION_TSRESOL = 9 };

#define ORDER_MAGIC 0x1a2b3c4d
#define LINKTYPE_RAW 101
#define SECRETS_TLS 0x544c534b /* "TLSK" */
#define TSRESOL_NS 9           /* 10 to the -9 s */
#define PARTS_MAX 8
#define TEXT_MAX 1024 /* bytes of an application's name or a comment that are written */

static const char zeros[4];

static size_t padding(size_t len)
{
    return -len & 3;
}

/* --- the way out ----------------------------------------------------------------------------- */

static bool sink(struct pcapng *p, const void *bytes, size_t len)
{
    if (!p->failed && len > 0 && !p->options.sink(p->options.owner, bytes, len))
        p->failed = true;
    return !p->failed;
}

bool pcapng_flush(struct pcapng *p)
{
    size_t n = p->held;

    p->held = 0;
    return sink(p, p->options.hold, n);
}

/* A block under way: its parts in order. */
struct parts {
    struct span items[PARTS_MAX * 2 + 4];
    unsigned n;
    size_t len;
};

static void add(struct parts *ps, const void *bytes, size_t len)
{
    assert(ps->n < ARRAY_LEN(ps->items));
    ps->items[ps->n++] = (struct span){bytes, len};
    ps->len += len;
}

static void add_padded(struct parts *ps, const void *bytes, size_t len)
{
    add(ps, bytes, len);
    add(ps, zeros, padding(len));
}

static bool put(struct pcapng *p, bool ahead, const void *bytes, size_t len)
{
    if (ahead || p->holders == 0)
        return sink(p, bytes, len);
    memcpy(p->options.hold + p->held, bytes, len);
    p->held += len;
    return !p->failed;
}

/* Writes a block, or holds it back; `ahead`: past what is held. */
static bool write_block(struct pcapng *p, bool ahead, enum block type, const struct parts *ps)
{
    uint32_t len = (uint32_t)ps->len + 12;
    uint32_t head[2] = {type, len};

    if (p->failed)
        return false;
    if (!ahead && p->holders > 0 && len > p->options.hold_cap - p->held)
        pcapng_flush(p);
    if (!ahead && len > p->options.hold_cap - p->held)
        ahead = true; /* more than all the memory there is, and nothing before it is held */
    put(p, ahead, head, sizeof head);
    for (unsigned i = 0; i < ps->n; i++)
        put(p, ahead, ps->items[i].ptr, ps->items[i].len);
    return put(p, ahead, &len, sizeof len);
}

/* --- blocks ---------------------------------------------------------------------------------- */

/* An option's head lies with the caller until the block is written. */
static void add_option(struct parts *ps, uint16_t head[2], enum option code, const void *value,
                       size_t len)
{
    head[0] = (uint16_t)code;
    head[1] = (uint16_t)len;
    add(ps, head, 4);
    add_padded(ps, value, len);
}

static size_t text_len(const char *text)
{
    return strnlen(text, TEXT_MAX);
}

static bool write_section(struct pcapng *p)
{
    struct {
        uint32_t magic;
        uint16_t major, minor;
        uint64_t length; /* unknown */
    } body = {ORDER_MAGIC, 1, 0, UINT64_MAX};
    const char *application = p->options.application;
    struct parts ps = {.n = 0};
    uint16_t head[2];

    add(&ps, &body, sizeof body);
    if (application) {
        add_option(&ps, head, OPTION_APPLICATION, application, text_len(application));
        add(&ps, zeros, 4);
    }
    return write_block(p, true, BLOCK_SECTION, &ps);
}

static bool write_interface(struct pcapng *p)
{
    struct {
        uint16_t linktype, reserved;
        uint32_t snaplen;
    } body = {LINKTYPE_RAW, 0, p->options.snaplen};
    const uint8_t resolution = TSRESOL_NS;
    struct parts ps = {.n = 0};
    uint16_t head[2];

    add(&ps, &body, sizeof body);
    add_option(&ps, head, OPTION_TSRESOL, &resolution, 1);
    add(&ps, zeros, 4);
    return write_block(p, true, BLOCK_INTERFACE, &ps);
}

bool pcapng_open(struct pcapng *p, const struct pcapng_options *options)
{
    *p = (struct pcapng){.options = *options};
    if (!p->options.hold)
        p->options.hold_cap = 0;
    return write_section(p) && write_interface(p);
}

/* Adds as much of the packet as is kept; returns its whole length. */
static size_t add_packet(struct parts *ps, const struct span *parts, unsigned n, size_t keep)
{
    size_t all = 0;

    for (unsigned i = 0; i < n; i++) {
        size_t room = keep > all ? keep - all : 0;

        add(ps, parts[i].ptr, parts[i].len < room ? parts[i].len : room);
        all += parts[i].len;
    }
    return all;
}

bool pcapng_packet(struct pcapng *p, uint64_t at_ns, const struct span *parts, unsigned n,
                   const char *comment)
{
    uint64_t wall =
        p->options.wall_ns + (at_ns - p->options.mono_ns); /* may lie before: it wraps */
    size_t keep = p->options.snaplen ? p->options.snaplen : SIZE_MAX;
    uint32_t body[5] = {0, (uint32_t)(wall >> 32), (uint32_t)wall};
    struct parts ps = {.n = 0};
    uint16_t head[2];

    assert(n <= PARTS_MAX);
    add(&ps, body, sizeof body);
    body[4] = (uint32_t)add_packet(&ps, parts, n, keep);
    body[3] = (uint32_t)(ps.len - sizeof body);
    add(&ps, zeros, padding(ps.len));
    if (comment) {
        add_option(&ps, head, OPTION_COMMENT, comment, text_len(comment));
        add(&ps, zeros, 4);
    }
    p->packets++;
    return write_block(p, false, BLOCK_PACKET, &ps);
}

bool pcapng_secrets(struct pcapng *p, struct span lines)
{
    uint32_t body[2] = {SECRETS_TLS, (uint32_t)lines.len};
    struct parts ps = {.n = 0};

    add(&ps, body, sizeof body);
    add_padded(&ps, lines.ptr, lines.len);
    return write_block(p, true, BLOCK_SECRETS, &ps);
}

void pcapng_hold(struct pcapng *p)
{
    p->holders++;
}

bool pcapng_release(struct pcapng *p)
{
    assert(p->holders > 0);
    return --p->holders > 0 || pcapng_flush(p);
}

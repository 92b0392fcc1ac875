/* Every block is type, length, body, length again, in the byte order that the section's header
 * tells; so a block is in the buffer as a whole before it is looked at, but for those that are only
 * stepped over, and secrets, which may be longer. */
#include "capture/ngfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum block {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET_OLD = 2,
    BLOCK_PACKET_SIMPLE = 3,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
    BLOCK_JOURNAL = 9, /* a journal's entry: to Wireshark a frame like others, without content */
    BLOCK_SECRETS = 10,
    BLOCK_CUSTOM = 0xbad, /* a frame, too */
    BLOCK_CUSTOM_PRIVATE = 0x40000bad,
};

enum option {
    OPTION_END = 0,
    OPTION_TSRESOL = 9,
    OPTION_TSOFFSET = 14,
    OPTION_PACKET_DROPS = 4,
    OPTION_INTERFACE_DROPS = 5,
    OPTION_SYSTEM_DROPS = 7,
};

#define ORDER_MAGIC 0x1a2b3c4d
#define SECRETS_TLS 0x544c534b /* "TLSK" */
#define BLOCK_MIN 12
#define INTERFACES_MAX 65535 /* their numbers have 16 bits where packets are kept */
#define PIECE (64u << 10)

__extension__ typedef unsigned __int128 wide;

struct ngfile_interface {
    uint32_t linktype, snaplen;
    uint64_t mul, div; /* ticks to nanoseconds: times mul, by div (0: shift) */
    unsigned shift;    /*   by two to the … */
    int64_t offset_s;  /* added */
    uint64_t dropped;  /* as its last statistics say */
};

static uint16_t get16(const struct ngfile *f, const char *p)
{
    uint16_t n;

    memcpy(&n, p, sizeof n);
    return f->is_swapped ? __builtin_bswap16(n) : n;
}

static uint32_t get32(const struct ngfile *f, const char *p)
{
    uint32_t n;

    memcpy(&n, p, sizeof n);
    return f->is_swapped ? __builtin_bswap32(n) : n;
}

static uint64_t get64(const struct ngfile *f, const char *p)
{
    uint64_t n;

    memcpy(&n, p, sizeof n);
    return f->is_swapped ? __builtin_bswap64(n) : n;
}

bool ngfile_is_magic(const char magic[4])
{
    return memcmp(magic, "\n\r\r\n", 4) == 0; /* the same in both byte orders */
}

void ngfile_init(struct ngfile *f, void (*secrets)(void *owner, struct span lines), void *owner)
{
    *f = (struct ngfile){.secrets = secrets, .owner = owner};
}

void ngfile_fini(struct ngfile *f)
{
    free(f->interfaces);
    *f = (struct ngfile){0};
}

uint64_t ngfile_get_dropped(const struct ngfile *f)
{
    uint64_t sum = f->dropped;

    for (unsigned i = 0; i < f->interfaces_len; i++)
        sum += f->interfaces[i].dropped;
    return sum;
}

/* --- options --------------------------------------------------------------------------------- */

struct option_at {
    uint16_t code;
    struct span value;
};

/* Takes the next option off the front of *rest; false: there is none (any more), or it is not
 * whole. */
static bool next_option(const struct ngfile *f, struct span *rest, struct option_at *out)
{
    size_t len, padded;

    if (rest->len < 4)
        return false;
    out->code = get16(f, rest->ptr);
    len = get16(f, rest->ptr + 2);
    padded = 4 + (len + 3) / 4 * 4;
    if (out->code == OPTION_END || 4 + len > rest->len)
        return false;
    out->value = (struct span){rest->ptr + 4, len};
    if (padded > rest->len)
        padded = rest->len;
    rest->ptr += padded;
    rest->len -= padded;
    return true;
}

/* --- time ------------------------------------------------------------------------------------ */

/* The highest bit tells powers of 2 from those of 10. */
static void set_resolution(struct ngfile_interface *i, uint8_t tsresol)
{
    unsigned n = tsresol & 0x7f;

    i->shift = n;
    i->mul = i->div = 0;
    if (tsresol & 0x80)
        return;
    i->mul = i->div = 1;
    for (; n < 9; n++)
        i->mul *= 10;
    for (; n > 9 && i->div; n--)
        i->div = i->div > UINT64_MAX / 10 ? 0 : i->div * 10;
}

static uint64_t to_ns(const struct ngfile_interface *i, uint64_t ticks)
{
    wide ns = 0;

    if (i->div > 1)
        ns = ticks / i->div;
    else if (i->div == 1)
        ns = (wide)ticks * i->mul;
    else if (i->mul == 0 && i->shift < 64) /* above, all of 64 bits are less than a second */
        ns = ((wide)ticks * NS_PER_S) >> i->shift;
    if (i->offset_s >= 0)
        ns += (wide)i->offset_s * NS_PER_S;
    else if (ns >= (wide) - (wide)i->offset_s * NS_PER_S)
        ns -= (wide) - (wide)i->offset_s * NS_PER_S;
    else
        ns = 0;
    return ns < UINT64_MAX / 2 ? (uint64_t)ns : UINT64_MAX / 2;
}

/* --- blocks without packets ------------------------------------------------------------------ */

static void end_section(struct ngfile *f)
{
    f->dropped = ngfile_get_dropped(f);
    f->interfaces_before += f->interfaces_len;
    f->interfaces_len = 0;
}

static bool read_interface(struct ngfile *f, struct span body, struct err *err)
{
    struct ngfile_interface new = {.linktype = get16(f, body.ptr),
                                   .snaplen = get32(f, body.ptr + 4)};
    struct span options = {body.ptr + 8, body.len - 8};

    set_resolution(&new, 6);
    for (struct option_at o; next_option(f, &options, &o);) {
        if (o.code == OPTION_TSRESOL && o.value.len >= 1)
            set_resolution(&new, (uint8_t)o.value.ptr[0]);
        else if (o.code == OPTION_TSOFFSET && o.value.len >= 8)
            new.offset_s = (int64_t)get64(f, o.value.ptr);
    }
    if (f->interfaces_len == f->interfaces_cap) {
        unsigned cap = f->interfaces_cap ? f->interfaces_cap * 2 : 4;
        struct ngfile_interface *more =
            cap <= INTERFACES_MAX * 2 ? realloc(f->interfaces, cap * sizeof *more) : NULL;

        if (!more) {
            err_set(err, "too many interfaces are described");
            return false;
        }
        f->interfaces = more;
        f->interfaces_cap = cap;
    }
    f->interfaces[f->interfaces_len++] = new;
    return true;
}

/* The counts are totals: the last block of an interface has them. */
static void read_statistics(struct ngfile *f, struct span body)
{
    uint32_t id = get32(f, body.ptr);
    struct span options = {body.ptr + 12, body.len - 12};
    uint64_t sum = 0;

    for (struct option_at o; next_option(f, &options, &o);)
        if ((o.code == OPTION_INTERFACE_DROPS || o.code == OPTION_SYSTEM_DROPS) && o.value.len == 8)
            sum += get64(f, o.value.ptr);
    if (id < f->interfaces_len && sum < UINT64_MAX / 2)
        f->interfaces[id].dropped = sum;
}

/* Takes a block of `len` bytes whose body begins with a kind of secrets and their length.  They are
 * handed on in pieces; a last line without its end gets one. */
static enum record_next read_secrets(struct ngfile *f, struct unpack *u, uint32_t len)
{
    const char *p = len >= 20 ? unpack_peek(u, 16) : NULL;
    uint32_t left = p ? get32(f, p + 12) : 0;
    bool ended = true;

    if (p && (get32(f, p + 8) != SECRETS_TLS || left > len - 20 || !f->secrets))
        left = 0;
    if (left > 0) {
        unpack_take(u, 16);
        len -= 16;
    }
    for (uint32_t n; left > 0; left -= n, len -= n) {
        n = left < PIECE ? left : PIECE;
        if (!(p = unpack_peek(u, n)))
            return RECORD_CUT;
        f->secrets(f->owner, (struct span){p, n});
        ended = p[n - 1] == '\n';
        unpack_take(u, n);
    }
    if (!ended)
        f->secrets(f->owner, SPAN_LIT("\n"));
    return unpack_skip(u, len) ? RECORD_OK : RECORD_CUT;
}

/* --- packets --------------------------------------------------------------------------------- */

static void set_interface(struct ngfile *f, uint32_t id, struct record *out)
{
    uint64_t number = (uint64_t)f->interfaces_before + id;

    out->linktype = id < f->interfaces_len ? f->interfaces[id].linktype : RECORD_NO_LINK;
    out->interface = number < UINT16_MAX ? (uint16_t)number : UINT16_MAX;
}

static void set_time(struct ngfile *f, uint32_t id, const char *p, struct record *out)
{
    uint64_t ticks = (uint64_t)get32(f, p) << 32 | get32(f, p + 4);

    if (id < f->interfaces_len)
        f->last_ns = to_ns(&f->interfaces[id], ticks);
    out->wall_ns = f->last_ns;
}

/* `room` is what there is in the block. */
static bool set_bytes(struct record *out, const char *p, uint32_t len, uint32_t wire, size_t room)
{
    if (len > room || len > RECORD_MAX)
        return false;
    out->bytes = (struct span){p, len};
    out->wire_len = wire < len ? len : wire;
    return true;
}

static void add_drops(struct ngfile *f, struct span options)
{
    for (struct option_at o; next_option(f, &options, &o);)
        if (o.code == OPTION_PACKET_DROPS && o.value.len == 8 && get64(f, o.value.ptr) < UINT32_MAX)
            f->dropped += get64(f, o.value.ptr);
}

/* The body of an enhanced packet, or of the obsolete one, which differs in how it says the
 * interface. */
static bool read_packet(struct ngfile *f, enum block type, struct span body, struct record *out)
{
    const char *p = body.ptr;
    uint32_t len, padded;

    if (body.len < 20)
        return false;
    uint32_t id = type == BLOCK_PACKET ? get32(f, p) : get16(f, p);

    len = get32(f, p + 12);
    if (!set_bytes(out, p + 20, len, get32(f, p + 16), body.len - 20))
        return false;
    set_interface(f, id, out);
    set_time(f, id, p + 4, out);
    padded = (len + 3) / 4 * 4;
    if (type == BLOCK_PACKET && body.len - 20 > padded)
        add_drops(f, (struct span){p + 20 + padded, body.len - 20 - padded});
    return true;
}

/* Its only interface is the first, and the only limit to its bytes that interface's. */
static bool read_simple(struct ngfile *f, struct span body, struct record *out)
{
    if (body.len < 4)
        return false;
    uint32_t wire = get32(f, body.ptr), len = wire;
    uint32_t limit = f->interfaces_len ? f->interfaces[0].snaplen : 0;

    if (limit > 0 && len > limit)
        len = limit;
    if (len > body.len - 4)
        len = (uint32_t)body.len - 4;
    set_interface(f, 0, out);
    out->wall_ns = f->last_ns;
    return set_bytes(out, body.ptr + 4, len, wire, body.len - 4);
}

/* --- block by block -------------------------------------------------------------------------- */

/* The section's header, at `p`, of which 16 bytes are there: its byte order is known from here. */
static bool read_section(struct ngfile *f, const char *p, struct err *err)
{
    uint32_t magic;
    uint16_t major;

    memcpy(&magic, p + 8, sizeof magic);
    if (magic != ORDER_MAGIC && __builtin_bswap32(magic) != ORDER_MAGIC) {
        err_set(err, "a section has no byte order");
        return false;
    }
    end_section(f);
    f->is_swapped = magic != ORDER_MAGIC;
    major = get16(f, p + 12);
    if (major != 1)
        err_set(err, "a section is of version %u, only 1 is known", major);
    return major == 1;
}

/* Body lengths that a block has at least. */
static size_t get_least(uint32_t type)
{
    switch (type) {
    case BLOCK_SECTION:
        return 16;
    case BLOCK_INTERFACE:
        return 8;
    case BLOCK_STATISTICS:
        return 12;
    default:
        return 0;
    }
}

/* What is read at once as a whole. */
static bool is_wanted(uint32_t type)
{
    return type == BLOCK_SECTION || type == BLOCK_INTERFACE || type == BLOCK_STATISTICS ||
           type == BLOCK_PACKET || type == BLOCK_PACKET_OLD || type == BLOCK_PACKET_SIMPLE;
}

static bool is_packet(uint32_t type)
{
    return type == BLOCK_PACKET || type == BLOCK_PACKET_OLD || type == BLOCK_PACKET_SIMPLE;
}

static bool is_frame_without_content(uint32_t type)
{
    return type == BLOCK_JOURNAL || type == BLOCK_CUSTOM || type == BLOCK_CUSTOM_PRIVATE;
}

/* A whole block; RECORD_OK without bytes in *out: it was no packet. */
static enum record_next read_block(struct ngfile *f, uint32_t type, struct span body,
                                   struct record *out, struct err *err)
{
    bool ok = true;

    switch ((enum block)type) {
    case BLOCK_PACKET:
    case BLOCK_PACKET_OLD:
        ok = read_packet(f, type, body, out);
        break;
    case BLOCK_PACKET_SIMPLE:
        ok = read_simple(f, body, out);
        break;
    case BLOCK_INTERFACE:
        return read_interface(f, body, err) ? RECORD_OK : RECORD_BAD;
    case BLOCK_STATISTICS:
        read_statistics(f, body);
        break;
    case BLOCK_SECTION:
    case BLOCK_JOURNAL:
    case BLOCK_SECRETS:
    case BLOCK_CUSTOM:
    case BLOCK_CUSTOM_PRIVATE:
        break;
    }
    if (!ok)
        err_set(err, "it claims more bytes than its block has");
    return ok ? RECORD_OK : RECORD_BAD;
}

/* The next block's type and length, *len 0 where the file is over; `*p` are its first 16 bytes. */
static enum record_next read_head(struct ngfile *f, struct unpack *u, const char **p, uint32_t *len,
                                  struct err *err)
{
    *p = unpack_peek(u, BLOCK_MIN);
    if (!*p)
        return u->end == u->begin ? RECORD_END : RECORD_CUT;
    if (ngfile_is_magic(*p)) {
        if (!(*p = unpack_peek(u, 16)))
            return RECORD_CUT;
        if (!read_section(f, *p, err))
            return RECORD_BAD;
    }
    *len = get32(f, *p + 4);
    if (*len < BLOCK_MIN + get_least(get32(f, *p)) || *len % 4 != 0) {
        err_set(err, "a block claims %u bytes", *len);
        return RECORD_BAD;
    }
    return RECORD_OK;
}

/* Steps over a block that is not wanted, or hands on its secrets. */
static enum record_next pass_block(struct ngfile *f, struct unpack *u, uint32_t type, uint32_t len)
{
    if (type == BLOCK_SECRETS)
        return read_secrets(f, u, len);
    return unpack_skip(u, len) ? RECORD_OK : RECORD_CUT;
}

enum record_next ngfile_next(struct ngfile *f, struct unpack *u, struct record *out,
                             struct err *err)
{
    unpack_take(u, f->behind);
    f->behind = 0;
    for (;;) {
        const char *p;
        uint32_t len, type;
        enum record_next got = read_head(f, u, &p, &len, err);

        if (got != RECORD_OK)
            return got;
        type = get32(f, p);
        if (!is_wanted(type)) {
            got = pass_block(f, u, type, len);
            if (got == RECORD_OK && !is_frame_without_content(type))
                continue;
            *out = (struct record){
                .linktype = RECORD_NO_LINK, .wall_ns = f->last_ns, .bytes = {"", 0}};
            return got;
        }
        if (len > UNPACK_MAX) {
            err_set(err, "a block claims %u bytes", len);
            return RECORD_BAD;
        }
        if (!(p = unpack_peek(u, len)))
            return RECORD_CUT;
        if (get32(f, p + len - 4) != len) {
            err_set(err, "a block has two different lengths");
            return RECORD_BAD;
        }
        got = read_block(f, type, (struct span){p + 8, len - BLOCK_MIN}, out, err);
        if (got != RECORD_OK)
            return got;
        if (is_packet(type)) {
            f->behind = len;
            return RECORD_OK;
        }
        unpack_take(u, len);
    }
}

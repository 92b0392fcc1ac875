/* A packet under way is its bytes, as far as they came, and a sorted list of the parts that they
 * came in.  The parts never overlap: what is new of a fragment are the gaps between those that are
 * there.  A part may have fewer bytes in the capture than on the wire; what follows it is then as
 * good as cut, too. */
#include "capture/fragment.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define WHOLES_MAX 256
#define BYTES_MAX (1u << 20)
#define PARTS_MAX 192 /* of one packet: 65,535 bytes over links of 576, with some overlap */
#define WAIT_NS (30 * NS_PER_S)

struct part {
    uint16_t begin, end; /* on the wire, [begin, end) */
    uint16_t have;       /* up to here it was captured */
};

struct whole {
    struct addr from, to;
    uint32_t id;
    uint8_t protocol;
    bool has_end;
    uint16_t len;  /* with has_end */
    uint32_t head; /* bytes of the IP header of the part that began it */
    uint64_t since_ns;
    uint32_t cap;
    uint16_t parts_len, parts_cap;
    struct part *parts; /* heap */
    char *bytes;        /* heap */
};

struct fragments {
    unsigned len;
    uint32_t ids[WHOLES_MAX]; /* of the wholes, apart from them: looked through for each fragment */
    struct whole wholes[WHOLES_MAX];
    size_t bytes; /* held */
    uint64_t lost;
    char *given; /* heap: what was handed out last */
};

struct fragments *fragment_new(void)
{
    return calloc(1, sizeof(struct fragments));
}

/* The last one takes its place. */
static void drop(struct fragments *f, unsigned i)
{
    f->bytes -= f->wholes[i].cap;
    free(f->wholes[i].parts);
    free(f->wholes[i].bytes);
    f->len--;
    f->ids[i] = f->ids[f->len];
    f->wholes[i] = f->wholes[f->len];
}

static void give_up(struct fragments *f, unsigned i)
{
    f->lost++;
    drop(f, i);
}

void fragment_free(struct fragments *f)
{
    if (!f)
        return;
    while (f->len > 0)
        drop(f, f->len - 1);
    free(f->given);
    free(f);
}

uint64_t fragment_get_lost(const struct fragments *f)
{
    return f->lost + f->len;
}

static unsigned find_oldest(const struct fragments *f)
{
    unsigned oldest = 0;

    for (unsigned i = 1; i < f->len; i++)
        if (f->wholes[i].since_ns < f->wholes[oldest].since_ns)
            oldest = i;
    return oldest;
}

/* IPv4's identification is one for each protocol, IPv6's for all (RFC 791 2.3, RFC 8200 4.5). */
static bool is_of(const struct whole *w, const struct packet *p)
{
    return (w->protocol == p->fragment_protocol || p->from.addr.family == AF_INET6) &&
           addr_is_equal(&w->from, &p->from.addr) && addr_is_equal(&w->to, &p->to.addr);
}

static struct whole *find(struct fragments *f, const struct packet *p)
{
    for (unsigned i = 0; i < f->len; i++) {
        if (f->ids[i] != p->fragment_id || !is_of(&f->wholes[i], p))
            continue;
        if (p->at_ns - f->wholes[i].since_ns <= WAIT_NS)
            return &f->wholes[i];
        give_up(f, i); /* the number came round again */
        break;
    }
    if (f->len == WHOLES_MAX)
        give_up(f, find_oldest(f));
    struct whole *w = &f->wholes[f->len];

    f->ids[f->len++] = p->fragment_id;
    *w = (struct whole){.from = p->from.addr,
                        .to = p->to.addr,
                        .id = p->fragment_id,
                        .protocol = p->fragment_protocol,
                        .head = p->ip_len - p->fragment_len,
                        .since_ns = p->at_ns};
    return w;
}

/* --- one packet's bytes and parts ------------------------------------------------------------ */

/* Room for `n` bytes of *w.  Others that are older may have to go for it, so *w may move. */
static bool make_room(struct fragments *f, struct whole **w, uint32_t n)
{
    uint32_t cap = n < 4096 ? 4096 : n < 16384 ? 16384 : UINT16_MAX;

    if (n <= (*w)->cap)
        return true;
    while (f->bytes + cap - (*w)->cap > BYTES_MAX) {
        unsigned oldest = find_oldest(f);

        if (&f->wholes[oldest] == *w)
            return false;
        if (*w == &f->wholes[f->len - 1])
            *w = &f->wholes[oldest]; /* where drop puts it */
        give_up(f, oldest);
    }
    char *bytes = realloc((*w)->bytes, cap);

    if (!bytes)
        return false;
    f->bytes += cap - (*w)->cap;
    (*w)->bytes = bytes;
    (*w)->cap = cap;
    return true;
}

/* Puts a part in before the i-th. */
static bool insert(struct whole *w, unsigned i, struct part part)
{
    if (w->parts_len == w->parts_cap) {
        unsigned cap = w->parts_cap ? w->parts_cap * 2u : 8;
        struct part *parts =
            w->parts_len < PARTS_MAX ? realloc(w->parts, cap * sizeof *parts) : NULL;

        if (!parts)
            return false;
        w->parts = parts;
        w->parts_cap = (uint16_t)cap;
    }
    memmove(w->parts + i + 1, w->parts + i, (w->parts_len - i) * sizeof *w->parts);
    w->parts[i] = part;
    w->parts_len++;
    return true;
}

/* The bytes of *p from `begin` to `end`, of which nothing is there yet. */
static bool fill(struct whole *w, unsigned i, const struct packet *p, uint16_t begin, uint16_t end)
{
    uint32_t have = p->fragment_offset + (uint32_t)p->fragment.len;

    if (have < begin)
        have = begin;
    if (have > end)
        have = end;
    if (!insert(w, i, (struct part){begin, end, (uint16_t)have}))
        return false;
    if (have > begin)
        memcpy(w->bytes + begin, p->fragment.ptr + (begin - p->fragment_offset), have - begin);
    return true;
}

static bool add_part(struct whole *w, const struct packet *p)
{
    uint16_t begin = (uint16_t)p->fragment_offset;
    uint16_t end = (uint16_t)(begin + p->fragment_len);

    for (unsigned i = 0; begin < end; i++) {
        bool is_behind = i < w->parts_len;
        uint16_t gap_end = is_behind && w->parts[i].begin < end ? w->parts[i].begin : end;

        if (begin < gap_end) {
            if (!fill(w, i, p, begin, gap_end))
                return false;
            i++;
        }
        if (is_behind && w->parts[i].end > begin)
            begin = w->parts[i].end;
        else if (!is_behind)
            break;
    }
    return true;
}

/* Bytes from the beginning on that are on the wire without a gap, and that were captured. */
static uint32_t count_ready(const struct whole *w, uint32_t *captured)
{
    uint32_t at = 0;

    *captured = 0;
    for (unsigned i = 0; i < w->parts_len && w->parts[i].begin == at; at = w->parts[i++].end)
        if (*captured == at)
            *captured = w->parts[i].have;
    return at;
}

/* --- the whole ------------------------------------------------------------------------------- */

static void give_out(struct fragments *f, struct whole *w, uint32_t captured, struct packet *p)
{
    uint32_t len = w->len;
    uint8_t protocol = w->protocol;

    free(f->given);
    f->given = w->bytes;
    w->bytes = NULL;
    p->ip_len = w->head + len;
    p->was_fragmented = true;
    packet_parse_payload((struct span){f->given, captured}, len, protocol, p);
    drop(f, (unsigned)(w - f->wholes));
}

/* TCP, ICMP, and what may stand before them: others are not taken apart anyway. */
static bool is_wanted(uint8_t protocol)
{
    static const uint8_t wanted[] = {6, 1, 58, 0, 43, 51, 60};

    return memchr(wanted, protocol, sizeof wanted) != NULL;
}

bool fragment_add(struct fragments *f, struct packet *p)
{
    if (!is_wanted(p->fragment_protocol))
        return false;
    struct whole *w = find(f, p);
    uint32_t end = p->fragment_offset + p->fragment_len, captured;

    if (p->fragment_offset == 0)
        w->protocol = p->fragment_protocol; /* of IPv6 the first one's counts */
    if (!p->fragment_more && !w->has_end) {
        w->has_end = true;
        w->len = (uint16_t)end;
    }
    if (!make_room(f, &w, end) || !add_part(w, p)) {
        give_up(f, (unsigned)(w - f->wholes));
        return false;
    }
    if (!w->has_end || count_ready(w, &captured) < w->len)
        return false;
    give_out(f, w, captured < w->len ? captured : w->len, p);
    return true;
}

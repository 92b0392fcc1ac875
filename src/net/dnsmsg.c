#include "net/dnsmsg.h"

#include <string.h>

enum { TYPE_CNAME = 5, TYPE_SOA = 6, CLASS_IN = 1 };
enum { SOA_NUMBERS_LEN = 20 };

/* Reads from the front; once it has failed it stays empty. */
struct cursor {
    const uint8_t *at, *end;
    bool bad;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
    const uint8_t *from = c->at;

    if (c->bad || (size_t)(c->end - c->at) < n) {
        c->bad = true;
        return NULL;
    }
    c->at += n;
    return from;
}

static unsigned take_u16(struct cursor *c)
{
    const uint8_t *p = take(c, 2);

    return p ? (unsigned)p[0] << 8 | p[1] : 0;
}

static uint32_t take_u32(struct cursor *c)
{
    uint32_t high = take_u16(c);

    return high << 16 | take_u16(c);
}

/* Steps over a name.  A pointer ends it and is not followed, so there is no loop to fall into. */
static void skip_name(struct cursor *c)
{
    for (;;) {
        const uint8_t *p = take(c, 1);

        if (!p || *p == 0)
            return;
        if ((*p & 0xc0) == 0xc0) {
            take(c, 1);
            return;
        }
        if (*p & 0xc0)
            c->bad = true;
        take(c, *p);
    }
}

struct record {
    unsigned type, class;
    uint32_t ttl_s;
    struct cursor data;
};

static struct record take_record(struct cursor *c)
{
    struct record r = {0};
    unsigned len;

    skip_name(c);
    r.type = take_u16(c);
    r.class = take_u16(c);
    r.ttl_s = take_u32(c);
    if (r.ttl_s > INT32_MAX) /* RFC 2181 8: as if zero */
        r.ttl_s = 0;
    len = take_u16(c);
    r.data.at = take(c, len);
    r.data.end = r.data.at ? r.data.at + len : NULL;
    r.data.bad = c->bad;
    return r;
}

static void add_address(struct dnsmsg *out, const uint8_t *bytes, size_t n)
{
    struct addr a = {.family = n == 4 ? AF_INET : AF_INET6};

    memcpy(a.bytes, bytes, n);
    for (unsigned i = 0; i < out->len; i++)
        if (memcmp(&out->addrs[i], &a, sizeof a) == 0)
            return;
    if (out->len < DNSMSG_ADDRS_MAX)
        out->addrs[out->len++] = a;
}

static void read_answer(struct record *r, enum dnsmsg_type type, struct dnsmsg *out,
                        uint32_t *ttl_s)
{
    size_t want = type == DNSMSG_A ? 4 : 16;

    if (r->class != CLASS_IN || (r->type != type && r->type != TYPE_CNAME))
        return;
    if (r->ttl_s < *ttl_s)
        *ttl_s = r->ttl_s;
    if (r->type == TYPE_CNAME)
        return;
    if ((size_t)(r->data.end - r->data.at) == want)
        add_address(out, r->data.at, want);
    else
        r->data.bad = true;
}

/* RFC 2308 5: an answer that says no holds for the SOA's own TTL or its MINIMUM, the lesser. */
static void read_authority(struct record *r, uint32_t *negative_s)
{
    uint32_t minimum;

    if (r->class != CLASS_IN || r->type != TYPE_SOA)
        return;
    skip_name(&r->data);
    skip_name(&r->data);
    take(&r->data, SOA_NUMBERS_LEN - 4);
    minimum = take_u32(&r->data);
    *negative_s = minimum < r->ttl_s ? minimum : r->ttl_s;
}

bool dnsmsg_parse(const uint8_t *bytes, size_t len, enum dnsmsg_type type, struct dnsmsg *out)
{
    struct cursor c = {bytes, bytes + len, false};
    uint32_t ttl_s = INT32_MAX, negative_s = DNSMSG_NEGATIVE_TTL_S;
    unsigned questions, answers, authorities;

    memset(out, 0, sizeof *out);
    take(&c, 2); /* the identifier: the caller has matched it */
    out->rcode = take_u16(&c) & 0xf;
    questions = take_u16(&c);
    answers = take_u16(&c);
    authorities = take_u16(&c);
    take(&c, 2); /* additional records are not read */
    for (unsigned i = 0; i < questions && !c.bad; i++) {
        skip_name(&c);
        take(&c, 4);
    }
    for (unsigned i = 0; i < answers + authorities && !c.bad; i++) {
        struct record r = take_record(&c);

        if (c.bad)
            break;
        if (i < answers)
            read_answer(&r, type, out, &ttl_s);
        else
            read_authority(&r, &negative_s);
        c.bad = r.data.bad;
    }
    out->ttl_s = out->len > 0 ? ttl_s : negative_s;
    return !c.bad;
}

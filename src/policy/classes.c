#include "policy/classes.h"

#include <endian.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* This machine's own addresses, sorted.  Read on every request, written when an address comes or
 * goes: a sequence lock.  The writer makes `sequence` odd, stores, and makes it even again; a
 * reader that saw an odd or a changed number reads once more.  Each datum is stored with release
 * and loaded with acquire, so that a reader of a new datum sees the odd number too. */
#define OWN_MAX 4096 /* far more than the interfaces of a machine have */

struct own_key {
    uint64_t hi, lo; /* IPv4 as ::ffff:a.b.c.d */
};

static struct {
    _Atomic uint32_t sequence, len;
    _Atomic uint64_t hi[OWN_MAX], lo[OWN_MAX];
} own;

static uint64_t read_be64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

static uint32_t read_be32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static struct own_key own_key_of(const struct addr *a)
{
    if (a->family == AF_INET)
        return (struct own_key){0, (uint64_t)0xffff << 32 | read_be32(a->bytes)};
    return (struct own_key){read_be64(a->bytes), read_be64(a->bytes + 8)};
}

static int own_compare(const void *x, const void *y)
{
    const struct own_key *a = x, *b = y;

    if (a->hi != b->hi)
        return a->hi < b->hi ? -1 : 1;
    return a->lo < b->lo ? -1 : a->lo > b->lo;
}

static bool own_search(struct own_key key)
{
    uint32_t low = 0, high = atomic_load_explicit(&own.len, memory_order_acquire);

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct own_key there = {atomic_load_explicit(&own.hi[middle], memory_order_acquire),
                                atomic_load_explicit(&own.lo[middle], memory_order_acquire)};
        int order = own_compare(&there, &key);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool own_has(const struct addr *a)
{
    struct own_key key = own_key_of(a);

    for (;;) {
        uint32_t before = atomic_load_explicit(&own.sequence, memory_order_acquire);
        bool found = own_search(key);

        if (!(before & 1) && atomic_load_explicit(&own.sequence, memory_order_relaxed) == before)
            return found;
    }
}

/* Makes the sequence odd; one writer at a time. */
static uint32_t own_lock(void)
{
    for (;;) {
        uint32_t even = atomic_load(&own.sequence) & ~1u;

        if (atomic_compare_exchange_strong(&own.sequence, &even, even + 1))
            return even;
        sched_yield();
    }
}

void access_set_own_addresses(const struct addr *list, unsigned n)
{
    struct own_key *keys = calloc(n ? n : 1, sizeof *keys);

    if (!keys || n > OWN_MAX) {
        log_error("own addresses: %u are more than can be known; those known before stay", n);
        free(keys);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        keys[i] = own_key_of(&list[i]);
    qsort(keys, n, sizeof *keys, own_compare);

    uint32_t even = own_lock();
    atomic_store_explicit(&own.len, n, memory_order_release);
    for (unsigned i = 0; i < n; i++) {
        atomic_store_explicit(&own.hi[i], keys[i].hi, memory_order_release);
        atomic_store_explicit(&own.lo[i], keys[i].lo, memory_order_release);
    }
    atomic_store(&own.sequence, even + 2);
    free(keys);
}

static unsigned classify_v4(uint32_t a)
{
    static const struct {
        uint32_t net, mask;
        enum access_class class;
    } table[] = {
        {0x7f000000, 0xff000000, CLASS_LOOPBACK},   /* 127/8 */
        {0x00000000, 0xff000000, CLASS_LOOPBACK},   /* 0/8: Linux takes 0.0.0.0 for this machine */
        {0xa9fe0000, 0xffff0000, CLASS_LINK_LOCAL}, /* 169.254/16 */
        {0x0a000000, 0xff000000, CLASS_PRIVATE},    /* RFC 1918 */
        {0xac100000, 0xfff00000, CLASS_PRIVATE},    {0xc0a80000, 0xffff0000, CLASS_PRIVATE},
        {0x64400000, 0xffc00000, CLASS_PRIVATE},   /* 100.64/10, RFC 6598 */
        {0xe0000000, 0xe0000000, CLASS_MULTICAST}, /* 224/4, 240/4 and broadcast */
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if ((a & table[i].mask) == table[i].net)
            return table[i].class;
    return 0;
}

static unsigned classify_v6(const uint8_t *b)
{
    if (read_be64(b) == 0 && read_be64(b + 8) <= 1)
        return CLASS_LOOPBACK; /* :: and ::1 */
    if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
        return CLASS_LINK_LOCAL;
    if ((b[0] & 0xfe) == 0xfc)
        return CLASS_PRIVATE;
    return b[0] == 0xff ? CLASS_MULTICAST : 0;
}

/* Of one form, nothing embedded. */
static unsigned classify_form(const struct addr *a)
{
    unsigned bits = a->family == AF_INET ? classify_v4(read_be32(a->bytes)) : classify_v6(a->bytes);

    return bits & CLASS_LOOPBACK || own_has(a) ? bits | CLASS_LOOPBACK : bits;
}

static void add_form(struct classes_forms *f, const uint8_t *v4, uint8_t flip)
{
    struct addr *a = &f->form[f->len++];

    *a = (struct addr){.family = AF_INET};
    for (unsigned i = 0; i < 4; i++)
        a->bytes[i] = v4[i] ^ flip;
}

/* The IPv4 addresses inside an IPv6 address. */
static void find_embedded(const uint8_t *b, struct classes_forms *f)
{
    uint64_t hi = read_be64(b);
    uint32_t third = read_be32(b + 8);
    bool is_mapped = hi == 0 && third == 0xffff;
    bool is_nat64 = hi == 0x0064ff9b00000000ull && third == 0;

    if (is_mapped || is_nat64) {
        add_form(f, b + 12, 0);
        f->same = f->len;
    } else if (hi == 0 && third == 0) { /* IPv4-compatible: ::192.0.2.1 */
        add_form(f, b + 12, 0);
    } else if (hi >> 48 == 0x2002) { /* 6to4 */
        add_form(f, b + 2, 0);
    } else if (hi >> 32 ==
               0x20010000) { /* Teredo: server, then the client with all bits turned over */
        add_form(f, b + 4, 0);
        add_form(f, b + 12, 0xff);
    }
}

void classes_forms_of(const struct addr *a, struct classes_forms *out)
{
    out->same = out->len = out->narrow = out->wide = 0;
    if (a->family == 0)
        return;
    out->form[0] = *a;
    out->same = out->len = 1;
    if (a->family == AF_INET6)
        find_embedded(a->bytes, out);
    for (unsigned i = 0; i < out->len; i++) {
        unsigned bits = classify_form(&out->form[i]);

        out->wide |= bits;
        if (i < out->same)
            out->narrow |= bits;
    }
}

unsigned access_classify(const struct addr *a)
{
    struct classes_forms forms;

    classes_forms_of(a, &forms);
    return forms.wide;
}

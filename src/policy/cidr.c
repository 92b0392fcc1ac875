#include "policy/cidr.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "flow/words.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static uint64_t read_be(const uint8_t *p, unsigned n)
{
    uint64_t v = 0;

    while (n-- > 0)
        v = v << 8 | *p++;
    return v;
}

static struct cidr_key key_of(const struct addr *a)
{
    if (a->family == AF_INET)
        return (struct cidr_key){0, read_be(a->bytes, 4)};
    return (struct cidr_key){read_be(a->bytes, 8), read_be(a->bytes + 8, 8)};
}

static int key_compare(struct cidr_key a, struct cidr_key b)
{
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo < b.lo ? -1 : a.lo > b.lo;
}

/* Ones in the lowest `n` of 64 bits; n may be 64 or more, or negative. */
static uint64_t low_ones(int n)
{
    return n <= 0 ? 0 : n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* The bits behind a prefix of `bits`, for an address of `width` bits. */
static struct cidr_key host_mask(unsigned bits, unsigned width)
{
    int free_bits = (int)(width - bits);

    return (struct cidr_key){low_ones(free_bits - 64), low_ones(free_bits)};
}

static unsigned width_of(const struct addr *a)
{
    return a->family == AF_INET ? 32 : 128;
}

/* ::ffff:10.0.0.0/104 is 10.0.0.0/8; a shorter prefix than /96 stays what it is. */
static void unmap(struct cidr *c)
{
    if (c->addr.family != AF_INET6 || c->bits < 96 || memcmp(c->addr.bytes, mapped_prefix, 12) != 0)
        return;
    memmove(c->addr.bytes, c->addr.bytes + 12, 4);
    memset(c->addr.bytes + 4, 0, 12);
    c->addr.family = AF_INET;
    c->bits -= 96;
}

bool cidr_parse(struct span text, struct cidr *out, const char **why)
{
    bool has_bits = span_find(text, '/') >= 0;
    struct span host = span_cut(&text, '/');
    uint64_t bits;

    if (!addr_parse(host, &out->addr)) {
        *why = N_("not an address");
        return false;
    }
    bits = width_of(&out->addr);
    if (has_bits && !num_parse_u64(text, bits, &bits)) {
        *why = N_("the length of the prefix is not a number in range");
        return false;
    }
    struct cidr_key key = key_of(&out->addr),
                    mask = host_mask((unsigned)bits, width_of(&out->addr));
    if ((key.hi & mask.hi) != 0 || (key.lo & mask.lo) != 0) {
        *why = N_("bits are set behind the prefix");
        return false;
    }
    out->bits = (uint8_t)bits;
    unmap(out);
    return true;
}

bool cidr_add(struct cidr_set *set, const struct cidr *network)
{
    struct cidr_ranges *r = network->addr.family == AF_INET ? &set->v4 : &set->v6;
    struct cidr_key key = key_of(&network->addr);
    struct cidr_key mask = host_mask(network->bits, width_of(&network->addr));

    if (r->len == r->cap) {
        uint32_t cap = r->cap < 4 ? 4 : r->cap + r->cap / 2;
        struct cidr_range *items = cap > r->cap ? reallocarray(r->items, cap, sizeof *items) : NULL;

        if (!items)
            return false;
        r->items = items;
        r->cap = cap;
    }
    r->items[r->len++] = (struct cidr_range){key, {key.hi | mask.hi, key.lo | mask.lo}};
    return true;
}

static int compare_first(const void *a, const void *b)
{
    return key_compare(((const struct cidr_range *)a)->first,
                       ((const struct cidr_range *)b)->first);
}

/* Whether a range that begins at `next` joins one that ends at `last`: overlaps it or follows at
 * once. */
static bool is_joined(struct cidr_key last, struct cidr_key next)
{
    if (key_compare(next, last) <= 0)
        return true;
    last.lo++;
    last.hi += last.lo == 0;
    return key_compare(next, last) == 0;
}

static void seal(struct cidr_ranges *r)
{
    uint32_t kept = 0;

    if (r->len == 0)
        return;
    qsort(r->items, r->len, sizeof *r->items, compare_first);
    for (uint32_t i = 1; i < r->len; i++) {
        if (!is_joined(r->items[kept].last, r->items[i].first))
            r->items[++kept] = r->items[i];
        else if (key_compare(r->items[i].last, r->items[kept].last) > 0)
            r->items[kept].last = r->items[i].last;
    }
    r->len = kept + 1;

    struct cidr_range *less = reallocarray(r->items, r->len, sizeof *less);
    if (less) { /* shrinking may fail; then the old block stays */
        r->items = less;
        r->cap = r->len;
    }
}

void cidr_seal(struct cidr_set *set)
{
    seal(&set->v4);
    seal(&set->v6);
}

bool cidr_has(const struct cidr_set *set, const struct addr *a)
{
    const struct cidr_ranges *r = a->family == AF_INET ? &set->v4 : &set->v6;
    struct cidr_key key = key_of(a);
    uint32_t low = 0,
             high =
                 r->len; /* the last range that begins at or before the key is in [low-1, high) */

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (key_compare(r->items[middle].first, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && key_compare(key, r->items[low - 1].last) <= 0;
}

bool cidr_is_empty(const struct cidr_set *set)
{
    return set->v4.len == 0 && set->v6.len == 0;
}

size_t cidr_count_bytes(const struct cidr_set *set)
{
    return ((size_t)set->v4.cap + set->v6.cap) * sizeof(struct cidr_range);
}

void cidr_fini(struct cidr_set *set)
{
    free(set->v4.items);
    free(set->v6.items);
    *set = (struct cidr_set){0};
}

bool cidr_parse_ports(struct span text, struct port_range *out, const char **why)
{
    bool is_range = span_find(text, '-') >= 0;
    struct span first = span_cut(&text, '-');
    uint64_t from, to;

    *why = "a port is a number from 1 to 65535, a range is 8000-8100";
    if (!num_parse_u64(first, 65535, &from) || from == 0)
        return false;
    to = from;
    if (is_range && (!num_parse_u64(text, 65535, &to) || to < from))
        return false;
    *out = (struct port_range){(uint16_t)from, (uint16_t)to};
    return true;
}

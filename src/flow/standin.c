#include "flow/standin.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/util.h"

#define ORIGINAL_MAX 4096 /* bytes of one that are looked at: longer ones differ before that */
#define ENTRIES_MAX (1u << 21)
#define FIRST_CAP 256

/* Names are the same in any case, and with or without the root's dot. */
static uint64_t hash_of(enum standin_kind kind, struct span original)
{
    char key[ORIGINAL_MAX + 1];
    size_t len = original.len < ORIGINAL_MAX ? original.len : ORIGINAL_MAX;
    uint64_t hash;

    if (kind == STANDIN_HOST && len > 1 && original.ptr[len - 1] == '.')
        len--;
    key[0] = (char)kind;
    for (size_t i = 0; i < len; i++)
        key[i + 1] = kind == STANDIN_HOST ? span_lower(original.ptr[i]) : original.ptr[i];
    hash = hash_bytes(key, len + 1);
    return hash ? hash : 1;
}

/* The entry with that hash, or the free one where it would be. */
static struct standin_entry *look_up(const struct standin *s, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (s->cap - 1);

    while (s->entries[at].hash && s->entries[at].hash != hash)
        at = (at + 1) & (s->cap - 1);
    return &s->entries[at];
}

static bool grow(struct standin *s)
{
    struct standin bigger = {.cap = s->cap ? s->cap * 2 : FIRST_CAP};

    bigger.entries = calloc(bigger.cap, sizeof *bigger.entries);
    if (!bigger.entries)
        return false;
    for (uint32_t i = 0; i < s->cap; i++)
        if (s->entries[i].hash)
            *look_up(&bigger, s->entries[i].hash) = s->entries[i];
    free(s->entries);
    s->entries = bigger.entries;
    s->cap = bigger.cap;
    return true;
}

bool standin_find(const struct standin *s, enum standin_kind kind, struct span original,
                  uint32_t *number)
{
    const struct standin_entry *e = s->cap ? look_up(s, hash_of(kind, original)) : NULL;

    if (!e || !e->hash)
        return false;
    *number = e->number;
    return true;
}

uint32_t standin_get(struct standin *s, enum standin_kind kind, struct span original)
{
    uint64_t hash = hash_of(kind, original);
    struct standin_entry *e = s->cap ? look_up(s, hash) : NULL;

    if (e && e->hash)
        return e->number;
    if (s->len >= ENTRIES_MAX || (s->len >= s->cap / 4 * 3 && !grow(s)))
        return 0;
    e = look_up(s, hash);
    *e = (struct standin_entry){hash, ++s->last[kind]};
    s->len++;
    return e->number;
}

/* The n-th address that documentation may use (RFC 5737), then those for benchmarks (RFC 2544),
 * then such as nobody has (RFC 1112 section 4). */
static uint32_t nth_v4(uint32_t n)
{
    static const uint32_t nets[] = {0xc0000200, 0xc6336400, 0xcb007100};
    uint32_t i = n ? (n - 1) / 254 : 0;

    if (n == 0)
        return 0xf0000000;
    if (i < ARRAY_LEN(nets))
        return nets[i] + (n - 1) % 254 + 1;
    n -= ARRAY_LEN(nets) * 254;
    return n < 0x20000 ? 0xc6120000 + n : 0xf0000000 + n;
}

static void make_addr(struct addr *a, enum standin_kind kind, uint32_t n)
{
    static const uint8_t documentation[] = {0x20, 0x01, 0x0d, 0xb8}; /* RFC 3849 */
    uint32_t last = kind == STANDIN_V4 ? nth_v4(n) : n;
    size_t at = kind == STANDIN_V4 ? 0 : 12;

    *a = (struct addr){.family = kind == STANDIN_V4 ? AF_INET : AF_INET6};
    if (kind == STANDIN_V6)
        memcpy(a->bytes, documentation, sizeof documentation);
    for (unsigned i = 0; i < 4; i++)
        a->bytes[at + i] = (uint8_t)(last >> (24 - 8 * i));
}

void standin_replace_addr(struct standin *s, struct addr *a)
{
    struct span bytes = {(const char *)a->bytes, a->family == AF_INET ? 4 : 16};
    enum standin_kind kind = a->family == AF_INET ? STANDIN_V4 : STANDIN_V6;

    if (a->family == AF_INET || a->family == AF_INET6)
        make_addr(a, kind, standin_get(s, kind, bytes));
}

bool standin_write(struct buf *out, enum standin_kind kind, uint32_t number)
{
    char text[ENDPOINT_TEXT_MAX];
    struct addr a;

    switch (kind) {
    case STANDIN_HOST:
        return buf_printf(out, "host-%u.example", number);
    case STANDIN_V4:
    case STANDIN_V6:
        make_addr(&a, kind, number);
        return buf_append(out, text, addr_write(&a, text));
    case STANDIN_USER:
        return buf_printf(out, "user-%u", number);
    case STANDIN_PATH:
        return buf_printf(out, "/path-%u", number);
    case STANDIN_RULE:
        return buf_printf(out, "rule-%u", number);
    case STANDIN_ISSUER:
        return buf_printf(out, "issuer-%u", number);
    case STANDIN_TEXT:
    case STANDIN_COUNT:
        break;
    }
    return buf_printf(out, "text-%u", number);
}

void standin_fini(struct standin *s)
{
    free(s->entries);
    *s = (struct standin){0};
}

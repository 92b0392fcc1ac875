#include "wire/field.h"

#include <assert.h>
#include <stdint.h>

#include "base/util.h"

static const struct {
    struct span name;
    bool hop;
} fields[] = {
#define F(id, name, hop) [FIELD_##id] = {SPAN_INIT(name), hop},
#include "wire/field.def"
#undef F
};
static_assert(ARRAY_LEN(fields) == FIELD_COUNT, "a field has no row");
static_assert(FIELD_COUNT <= 64, "http1_head.seen has one bit a field");

/* The candidates by length of the name, so that a look-up compares two names at most in earnest;
 * the unit test looks every row of field.def up. */
#define NAME_MAX_LEN 25
static const uint8_t by_len[NAME_MAX_LEN + 1][3] = {
    [2] = {FIELD_TE},
    [3] = {FIELD_VIA},
    [4] = {FIELD_HOST, FIELD_DATE},
    [6] = {FIELD_ACCEPT, FIELD_SERVER, FIELD_EXPECT},
    [7] = {FIELD_UPGRADE, FIELD_TRAILER},
    [9] = {FIELD_FORWARDED},
    [10] = {FIELD_CONNECTION, FIELD_KEEP_ALIVE},
    [12] = {FIELD_MAX_FORWARDS, FIELD_PROXY_STATUS},
    [13] = {FIELD_AUTHORIZATION},
    [14] = {FIELD_CONTENT_LENGTH},
    [15] = {FIELD_ACCEPT_LANGUAGE, FIELD_X_FORWARDED_FOR},
    [16] = {FIELD_PROXY_CONNECTION, FIELD_WWW_AUTHENTICATE},
    [17] = {FIELD_TRANSFER_ENCODING},
    [18] = {FIELD_PROXY_AUTHENTICATE},
    [19] = {FIELD_PROXY_AUTHORIZATION},
    [25] = {FIELD_PROXY_AUTHENTICATION_INFO},
};

/* Eight letters to lower case at once: where a byte has 0x40, 0x20 is set.  That makes no other
 * byte a letter or a hyphen. */
static uint64_t fold(const char *eight)
{
    uint64_t bytes;

    memcpy(&bytes, eight, sizeof bytes);
    return bytes | (bytes & 0x4040404040404040) >> 1;
}

/* `lower` is a name of the table, of the same length. */
static bool is_name(struct span text, const char *lower)
{
    size_t i = 0;

    for (; i + 8 <= text.len; i += 8)
        if (fold(text.ptr + i) != fold(lower + i))
            return false;
    for (; i < text.len; i++)
        if (span_lower(text.ptr[i]) != lower[i])
            return false;
    return true;
}

enum field_id field_find(struct span name)
{
    if (name.len > NAME_MAX_LEN)
        return FIELD_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(by_len[0]) && by_len[name.len][i] != FIELD_OTHER; i++) {
        enum field_id id = by_len[name.len][i];

        if ((name.ptr[0] | 0x20) == fields[id].name.ptr[0] && is_name(name, fields[id].name.ptr))
            return id;
    }
    return FIELD_OTHER;
}

struct span field_get_name(enum field_id id)
{
    assert(id < FIELD_COUNT);
    return fields[id].name;
}

bool field_is_hop(enum field_id id)
{
    assert(id < FIELD_COUNT);
    return fields[id].hop;
}

/* One bit a byte value: the token characters. */
#define BIT(c) (1ull << ((c)&63))
static const uint64_t token_bits[4] = {
    BIT('!') | BIT('#') | BIT('$') | BIT('%') | BIT('&') | BIT('\'') | BIT('*') | BIT('+') |
        BIT('-') | BIT('.') | 0x3ffull << ('0' & 63),
    0x3ffffffull << ('A' & 63) | 0x3ffffffull << ('a' & 63) | BIT('^') | BIT('_') | BIT('`') |
        BIT('|') | BIT('~'),
};

size_t field_token_len(struct span text)
{
    size_t n = 0;

    while (n < text.len) {
        unsigned char c = (unsigned char)text.ptr[n];

        if (!(token_bits[c >> 6] >> (c & 63) & 1))
            break;
        n++;
    }
    return n;
}

bool field_list_next(struct span *rest, struct span *item)
{
    while (rest->len > 0) {
        *item = span_trim(span_cut(rest, ','));
        if (item->len > 0)
            return true;
    }
    return false;
}

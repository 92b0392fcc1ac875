#include "base/num.h"

#include "base/clock.h"

bool num_parse_u64(struct span text, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';

        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    if (n > max)
        return false;
    *out = n;
    return true;
}

bool num_parse_hex(struct span text, uint64_t max, uint64_t *out)
{
    uint64_t n = 0;

    if (text.len == 0 || text.len > 16)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = span_lower(text.ptr[i]);

        if (c >= '0' && c <= '9')
            n = n << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            n = n << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    if (n > max)
        return false;
    *out = n;
    return true;
}

/* The number in front of a unit worth `unit`, unless the product passes `max`. */
static bool scale(struct span digits, uint64_t unit, uint64_t max, uint64_t *out)
{
    uint64_t n;

    if (!num_parse_u64(digits, UINT64_MAX, &n) || n > max / unit)
        return false;
    *out = n * unit;
    return true;
}

bool num_parse_size(struct span text, uint64_t max, uint64_t *out)
{
    uint64_t unit = 1;

    if (text.len > 0) {
        switch (span_lower(text.ptr[text.len - 1])) {
        case 'k':
            unit = 1024;
            break;
        case 'm':
            unit = 1024 * 1024;
            break;
        case 'g':
            unit = 1024ull * 1024 * 1024;
            break;
        }
    }
    if (unit > 1)
        text.len--;
    return scale(text, unit, max, out);
}

bool num_parse_duration(struct span text, uint64_t max_ns, uint64_t *out_ns)
{
    static const struct {
        struct span name;
        uint64_t ns;
    } units[] = {
        {SPAN_INIT("ms"), NS_PER_MS},       {SPAN_INIT("s"), NS_PER_S},
        {SPAN_INIT("m"), 60 * NS_PER_S},    {SPAN_INIT("h"), 3600 * NS_PER_S},
        {SPAN_INIT("d"), 86400 * NS_PER_S},
    };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (span_ends_with(text, units[i].name)) {
            text.len -= units[i].name.len;
            return scale(text, units[i].ns, max_ns, out_ns);
        }
    }
    return scale(text, NS_PER_S, max_ns, out_ns);
}

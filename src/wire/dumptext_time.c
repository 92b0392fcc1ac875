/* The times that tcpdump prints in front of a line. */
#include "base/clock.h"
#include "base/num.h"
#include "wire/dumptext_private.h"

/* "hh:mm:ss" and a fraction of any length; to *ns. */
static bool take_clock(struct span *rest, uint64_t *ns)
{
    uint64_t part[3];
    uint64_t unit = NS_PER_S;
    struct span s = *rest;

    for (unsigned i = 0; i < 3; i++) {
        if (dumptext_digits_len(s) != 2 || !dumptext_take_number(&s, i ? 60 : 23, &part[i]))
            return false;
        if (i < 2) {
            if (s.len == 0 || s.ptr[0] != ':')
                return false;
            s = dumptext_after(s, 1);
        }
    }
    *ns = (part[0] * 3600 + part[1] * 60 + part[2]) * NS_PER_S;
    if (s.len > 1 && s.ptr[0] == '.' && dumptext_is_digit(s.ptr[1])) {
        s = dumptext_after(s, 1);
        for (; s.len > 0 && dumptext_is_digit(s.ptr[0]); s = dumptext_after(s, 1))
            *ns += (unsigned)(s.ptr[0] - '0') * (unit /= 10);
    }
    *rest = s;
    return true;
}

/* Days since 1970 of a civil date (Gregorian, years from 1970 on). */
static uint64_t days_of(uint64_t year, uint64_t month, uint64_t day)
{
    uint64_t y = month <= 2 ? year - 1 : year, m = (month + 9) % 12;
    uint64_t era_day = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;

    return era_day - 719468;
}

/* "2024-02-29 " or with a T, in front of a clock. */
static bool take_date(struct span *rest, uint64_t *ns)
{
    uint64_t year, month, day;
    struct span s = *rest;

    if (dumptext_digits_len(s) != 4 || !dumptext_take_number(&s, 2400, &year) || year < 1970)
        return false;
    if (s.len < 7 || s.ptr[0] != '-' || s.ptr[3] != '-' || (s.ptr[6] != ' ' && s.ptr[6] != 'T'))
        return false;
    if (!num_parse_u64((struct span){s.ptr + 1, 2}, 12, &month) || month == 0 ||
        !num_parse_u64((struct span){s.ptr + 4, 2}, 31, &day) || day == 0)
        return false;
    *ns = days_of(year, month, day) * 86400 * NS_PER_S;
    *rest = dumptext_skip_blanks(dumptext_after(s, 7));
    return true;
}

/* "1795667064.184202" */
static bool take_epoch(struct span *rest, uint64_t *ns)
{
    uint64_t seconds, unit = NS_PER_S;
    struct span s = *rest;

    if (dumptext_digits_len(s) < 9 || !dumptext_take_number(&s, UINT32_MAX, &seconds))
        return false;
    if (s.len < 2 || s.ptr[0] != '.' || !dumptext_is_digit(s.ptr[1]))
        return false;
    *ns = seconds * NS_PER_S;
    for (s = dumptext_after(s, 1); s.len > 0 && dumptext_is_digit(s.ptr[0]);
         s = dumptext_after(s, 1))
        *ns += (unsigned)(s.ptr[0] - '0') * (unit /= 10);
    *rest = s;
    return true;
}

void dumptext_take_time(struct span *rest, struct dumptext *out)
{
    struct span s = *rest;
    uint64_t date_ns = 0, n;
    enum dumptext_time form = DUMPTEXT_TIME_CLOCK;

    out->is_negative = s.len > 0 && s.ptr[0] == '-';
    if (out->is_negative)
        s = dumptext_after(s, 1);
    if (take_epoch(&s, &out->time_ns)) {
        form = DUMPTEXT_TIME_EPOCH;
    } else if (dumptext_digits_len(s) == 6 && dumptext_take_number(&s, 999999, &n)) {
        form = DUMPTEXT_TIME_DELTA;
        out->time_ns = n * NS_PER_US;
    } else {
        bool dated = take_date(&s, &date_ns);

        if (!take_clock(&s, &out->time_ns))
            return;
        out->time_ns += date_ns;
        form = dated              ? DUMPTEXT_TIME_EPOCH
               : out->is_negative ? DUMPTEXT_TIME_DELTA
                                  : DUMPTEXT_TIME_CLOCK;
    }
    if (s.len > 0 && s.ptr[0] != ' ' && s.ptr[0] != '\t')
        return;
    out->time_form = form;
    *rest = dumptext_skip_blanks(s);
}

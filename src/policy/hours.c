#include "policy/hours.h"

#include "base/nearest.h"
#include "base/num.h"
#include "base/util.h"

#define DAY (24 * 60)
#define ALL_DAYS 0x7f

static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

static int day_find(struct span word)
{
    for (int i = 0; i < (int)ARRAY_LEN(days); i++)
        if (span_equal_nocase(word, span_of(days[i])))
            return i;
    return -1;
}

static bool day_fail(struct span word, struct err *err)
{
    char hint[NEAREST_HINT_MAX];

    nearest_write_hint(word, days, ARRAY_LEN(days), hint);
    err_set(err, "\"%.*s\" is no day of the week%s", (int)word.len, word.ptr, hint);
    return false;
}

/* "Mon-Fri,Sun" as a bit a day. */
static bool days_parse(struct span word, unsigned *out, struct err *err)
{
    *out = 0;
    do {
        struct span range = span_cut(&word, ',');
        bool is_range = span_find(range, '-') >= 0;
        struct span first = span_cut(&range, '-');
        int from = day_find(first), to = is_range ? day_find(range) : from;

        if (from < 0 || to < 0)
            return day_fail(from < 0 ? first : range, err);
        for (int day = from;; day = (day + 1) % 7) {
            *out |= 1u << day;
            if (day == to)
                break;
        }
    } while (word.len > 0);
    return true;
}

/* "06:00" in minutes of the day; 24:00 is the day's end. */
static bool minute_parse(struct span text, int *out)
{
    struct span hour = span_cut(&text, ':');
    uint64_t h, m;

    if (hour.len < 1 || hour.len > 2 || text.len != 2)
        return false;
    if (!num_parse_u64(hour, 24, &h) || !num_parse_u64(text, 59, &m) || (h == 24 && m > 0))
        return false;
    *out = (int)(h * 60 + m);
    return true;
}

static void fill(struct hours *h, unsigned on_days, int from, int to)
{
    for (int day = 0; day < 7; day++) {
        if (!(on_days & 1u << day))
            continue;
        for (int i = from; i < (to > from ? to : to + DAY); i++) {
            int minute = (day * DAY + i) % HOURS_WEEK;

            h->minutes[minute / 8] |= (uint8_t)(1 << minute % 8);
        }
    }
}

/* "06:00-12:00,13:00-18:00" on these days. */
static bool times_add(struct hours *h, unsigned on_days, struct span word, struct err *err)
{
    do {
        struct span range = span_cut(&word, ','), first = span_cut(&range, '-');
        int from, to;

        if (!minute_parse(first, &from) || !minute_parse(range, &to) || from == to || from == DAY) {
            err_set(err, "a time is written 06:00-22:00, from 00:00 to 24:00, and is not empty");
            return false;
        }
        fill(h, on_days, from, to);
    } while (word.len > 0);
    return true;
}

bool hours_add(struct hours *h, const struct span *words, unsigned n, unsigned *bad,
               struct err *err)
{
    unsigned on_days = ALL_DAYS;
    bool pending = false; /* days that no time followed yet */

    for (unsigned i = 0; i < n; i++) {
        bool is_time = words[i].len > 0 && words[i].ptr[0] >= '0' && words[i].ptr[0] <= '9';

        *bad = i;
        if (is_time) {
            if (!times_add(h, on_days, words[i], err))
                return false;
            pending = false;
            continue;
        }
        if (pending)
            fill(h, on_days, 0, DAY);
        if (!days_parse(words[i], &on_days, err))
            return false;
        pending = true;
    }
    if (pending)
        fill(h, on_days, 0, DAY);
    return true;
}

bool hours_has(const struct hours *h, int week_minute)
{
    return week_minute >= 0 && week_minute < HOURS_WEEK &&
           h->minutes[week_minute / 8] & 1 << week_minute % 8;
}

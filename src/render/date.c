#include "render/date.h"

#include <time.h>

#define NS_IN_US 1000u
#define NS_IN_MS 1000000u
#define NS_IN_S 1000000000u
#define DATED_FROM_NS (366ull * 86400 * NS_IN_S) /* earlier ones are times of day */

/* The text of one second, without its fraction. */
struct second {
    uint64_t number; /* since 1970, plus one: zeroed means none */
    char text[32];
    size_t len;
};

static const char days[] = "SunMonTueWedThuFriSat";
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static void write_iso(struct pen *p, const struct tm *tm, char between)
{
    pen_digits(p, (uint64_t)tm->tm_year + 1900, 4, '0');
    pen_char(p, '-');
    pen_digits(p, (uint64_t)tm->tm_mon + 1, 2, '0');
    pen_char(p, '-');
    pen_digits(p, (uint64_t)tm->tm_mday, 2, '0');
    pen_char(p, between);
}

static void write_time(struct pen *p, const struct tm *tm)
{
    pen_digits(p, (uint64_t)tm->tm_hour, 2, '0');
    pen_char(p, ':');
    pen_digits(p, (uint64_t)tm->tm_min, 2, '0');
    pen_char(p, ':');
    pen_digits(p, (uint64_t)tm->tm_sec, 2, '0');
}

static void write_rfc3339(struct pen *p, const struct tm *tm)
{
    write_iso(p, tm, 'T');
    write_time(p, tm);
}

static void write_local(struct pen *p, const struct tm *tm)
{
    write_iso(p, tm, ' ');
    write_time(p, tm);
}

static void write_http(struct pen *p, const struct tm *tm)
{
    pen_bytes(p, days + tm->tm_wday * 3, 3);
    pen_text(p, ", ");
    pen_digits(p, (uint64_t)tm->tm_mday, 2, '0');
    pen_char(p, ' ');
    pen_bytes(p, months + tm->tm_mon * 3, 3);
    pen_char(p, ' ');
    pen_digits(p, (uint64_t)tm->tm_year + 1900, 4, '0');
    pen_char(p, ' ');
    write_time(p, tm);
    pen_text(p, " GMT");
}

static void write_second(struct pen *p, struct second *cache, uint64_t wall_ns,
                         struct tm *(*convert)(const time_t *, struct tm *),
                         void (*write)(struct pen *, const struct tm *))
{
    uint64_t number = wall_ns / NS_IN_S + 1;

    if (cache->number != number) {
        time_t seconds = (time_t)(number - 1);
        struct tm tm = {0};
        struct pen text;

        convert(&seconds, &tm);
        pen_init_fixed(&text, cache->text, sizeof cache->text);
        write(&text, &tm);
        cache->len = pen_len(&text);
        cache->number = number;
    }
    pen_bytes(p, cache->text, cache->len);
}

void date_write_rfc3339(struct pen *p, uint64_t wall_ns)
{
    static _Thread_local struct second cache;

    write_second(p, &cache, wall_ns, gmtime_r, write_rfc3339);
    pen_char(p, '.');
    pen_digits(p, wall_ns % NS_IN_S / NS_IN_US, 6, '0');
    pen_char(p, 'Z');
}

void date_write_moment(struct pen *p, uint64_t wall_ns)
{
    time_t seconds = (time_t)(wall_ns / NS_IN_S);
    struct tm tm = {0};

    if (wall_ns >= DATED_FROM_NS) {
        date_write_rfc3339(p, wall_ns);
        return;
    }
    gmtime_r(&seconds, &tm);
    write_time(p, &tm);
    pen_char(p, '.');
    pen_digits(p, wall_ns % NS_IN_S / NS_IN_US, 6, '0');
}

void date_write_http(struct pen *p, uint64_t wall_ns)
{
    static _Thread_local struct second cache;

    write_second(p, &cache, wall_ns, gmtime_r, write_http);
}

void date_write_local(struct pen *p, uint64_t wall_ns)
{
    static _Thread_local struct second cache;

    write_second(p, &cache, wall_ns, localtime_r, write_local);
    pen_char(p, '.');
    pen_digits(p, wall_ns % NS_IN_S / NS_IN_MS, 3, '0');
}

/* Takes `n` digits off the front; -1: there are not so many. */
static int take_digits(struct span *s, size_t n)
{
    int value = 0;

    if (s->len < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return -1;
        value = value * 10 + (s->ptr[i] - '0');
    }
    *s = (struct span){s->ptr + n, s->len - n};
    return value;
}

static bool take_one_of(struct span *s, const char *chars)
{
    if (s->len == 0 || !s->ptr[0] || !strchr(chars, s->ptr[0]))
        return false;
    *s = (struct span){s->ptr + 1, s->len - 1};
    return true;
}

/* Digits behind the point, as nanoseconds. */
static bool take_fraction(struct span *s, uint64_t *ns)
{
    uint64_t unit = NS_IN_S;
    int digit;

    *ns = 0;
    if (!take_one_of(s, "."))
        return true;
    while ((digit = take_digits(s, 1)) >= 0) {
        unit /= 10;
        *ns += (uint64_t)digit * unit;
    }
    return unit < NS_IN_S;
}

/* "Z" or "+01:00", in seconds east. */
static bool take_offset(struct span *s, int *seconds)
{
    bool west = s->len > 0 && s->ptr[0] == '-';
    int hours, minutes;

    *seconds = 0;
    if (take_one_of(s, "Zz"))
        return true;
    if (!take_one_of(s, "+-") || (hours = take_digits(s, 2)) < 0 || !take_one_of(s, ":") ||
        (minutes = take_digits(s, 2)) < 0 || hours > 23 || minutes > 59)
        return false;
    *seconds = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
    return true;
}

bool date_parse_rfc3339(struct span text, uint64_t *wall_ns)
{
    struct tm tm = {0}, back;
    uint64_t fraction;
    int offset;
    time_t seconds;
    bool ok = (tm.tm_year = take_digits(&text, 4)) >= 1970 && tm.tm_year <= 2261 &&
              take_one_of(&text, "-") && (tm.tm_mon = take_digits(&text, 2)) > 0 &&
              take_one_of(&text, "-") && (tm.tm_mday = take_digits(&text, 2)) > 0 &&
              take_one_of(&text, "Tt ") && (tm.tm_hour = take_digits(&text, 2)) >= 0 &&
              take_one_of(&text, ":") && (tm.tm_min = take_digits(&text, 2)) >= 0 &&
              take_one_of(&text, ":") && (tm.tm_sec = take_digits(&text, 2)) >= 0 &&
              take_fraction(&text, &fraction) && take_offset(&text, &offset) && text.len == 0;

    if (!ok)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    tm.tm_sec -= tm.tm_sec == 60; /* a leap second is the one before */
    back = tm;
    seconds = timegm(&back) - offset;
    /* what does not come back as it went was no date: 30 February */
    if (back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour ||
        back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec || seconds < 0)
        return false;
    *wall_ns = (uint64_t)seconds * NS_IN_S + fraction;
    return true;
}

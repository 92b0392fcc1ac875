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

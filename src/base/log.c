#include "base/log.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"

static _Atomic int shown = LOG_LEVEL_INFO;

static const struct {
    const char *name;
    int priority; /* of syslog(3) */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};
static_assert(ARRAY_LEN(levels) == LOG_LEVEL_COUNT, "a level has no row");

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&shown, (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&shown, memory_order_relaxed);
}

/* How many bytes at `c` are a character that a terminal obeys or that turns what stands beside it:
 * controls (C0, DEL, and C1 in UTF-8), and what render/escape.c calls unsafe; 0: none. */
static unsigned unsafe_len(const char *c)
{
    unsigned char a = (unsigned char)c[0], b = a ? (unsigned char)c[1] : 0;
    unsigned char d = b ? (unsigned char)c[2] : 0;

    if (a < 0x20 || a == 0x7f)
        return 1;
    if ((a == 0xc2 && b >= 0x80 && b <= 0x9f) || (a == 0xd8 && b == 0x9c))
        return 2;
    if (a == 0xe2 && b == 0x80 && ((d >= 0x8b && d <= 0x8f) || (d >= 0xa8 && d <= 0xae)))
        return 3;
    if (a == 0xe2 && b == 0x81 && d >= 0xa0 && d <= 0xa9)
        return 3;
    return a == 0xef && b == 0xbb && d == 0xbf ? 3 : 0;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    char text[1024], line[4 * sizeof text + 64];
    size_t at;
    va_list ap;

    if (!log_is_on(level))
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (getenv("JOURNAL_STREAM"))
        at = (size_t)snprintf(line, sizeof line, "<%d>viaduct: ", levels[level].priority);
    else
        at = (size_t)snprintf(line, sizeof line, "viaduct: %s: ", levels[level].name);
    for (const char *c = text; *c;) {
        unsigned n = unsafe_len(c);

        if (n == 0)
            line[at++] = *c++;
        for (; n > 0; n--)
            at += (size_t)snprintf(line + at, sizeof line - at, "\\x%02x", (unsigned char)*c++);
    }
    line[at++] = '\n';
    if (write(STDERR_FILENO, line, at) < 0)
        return; /* nobody is left to be told */
}

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
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            at += (size_t)snprintf(line + at, sizeof line - at, "\\x%02x", (unsigned char)*c);
        else
            line[at++] = *c;
    }
    line[at++] = '\n';
    if (write(STDERR_FILENO, line, at) < 0)
        return; /* nobody is left to be told */
}

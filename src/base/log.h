/* base/log.h - the diagnostic log: one line an event, to stderr.  Never credentials or payload.
 *
 * The access log is another thing (proxy/recorder).  Any thread: a line is one write. */
#pragma once

#include <stdbool.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_COUNT
};

/* "error", "warning", "info", "debug". */
const char *log_level_name(enum log_level level);

/* Lines above `level` are dropped.  Set while starting and on reload. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

/* Writes "viaduct: level: text".  Under the systemd journal the level goes in front as <N>, as
 * sd-daemon(3) has it.  Control characters in the text are shown as \xNN. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
/* Costs one branch when off. */
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_is_on(LOG_LEVEL_DEBUG))                                                            \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__);                                               \
    } while (0)

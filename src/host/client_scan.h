/* host/client_scan.h - reads a program's configuration line by line, and tells which lines choose a
 * proxy.
 *
 * Not a parser of eleven languages: it knows sections, comments and continuation lines as far as
 * they decide whether a line is such a setting.  Lines between viaduct's own marks are told apart.
 * Pure; any thread. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "host/client_text.h"

struct client_scan {
    enum client_format format;
    struct span rest;    /* of the text that is read */
    unsigned number;     /* of the line read last, from 1 */
    struct span section; /* "http", with what stands behind it; empty: before the first */
    struct span indent;  /* of the last setting: a deeper one continues it (pip) */
    bool inside;         /* between viaduct's marks */
    bool continues;      /* the last line ended in a backslash */
    bool proxy;          /* what the last setting was */
};

struct client_line {
    struct span text; /* with its end of line, if it has one; of the text that is read */
    unsigned number;
    bool ours;   /* between viaduct's marks, or one of them */
    bool proxy;  /* chooses a proxy, and is not ours */
    bool header; /* begins a section */
    bool blank;  /* nothing, or a comment */
};

/* The first line of what viaduct adds to a file begins with one, the last with the other. */
#define CLIENT_MARK_BEGIN "# >>> viaduct clients "
#define CLIENT_MARK_END "# <<< viaduct clients"

/* Begins at the start of `text`, which must live as long as the scan. */
void client_scan_init(struct client_scan *s, enum client_format format, struct span text);

/* The next line; false at the end. */
bool client_scan_next(struct client_scan *s, struct client_line *line);

/* The number of the first line that chooses a proxy and is not viaduct's; 0: none.  *line (may be
 * NULL) is that line. */
unsigned client_scan_foreign(enum client_format format, struct span text, struct client_line *line);

static inline bool client_starts_with(struct span s, const char *head)
{
    size_t len = strlen(head);

    return s.len >= len && memcmp(s.ptr, head, len) == 0;
}

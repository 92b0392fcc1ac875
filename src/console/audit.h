/* console/audit.h - who changed what, and when: a file of lines of JSON, and the same in the log.
 *
 * Any line may be somebody else's, or torn: it is left out, and the others are told. */
#pragma once

#include <stdarg.h>
#include <stdint.h>

#include "base/buf.h"

struct audit;

/* Appends to `path` (made with mode 0640).  A file that cannot be written is told once; the log has
 * all the same.  NULL: out of memory. */
struct audit *audit_new(const char *path);
void audit_free(struct audit *a);

void audit_add(struct audit *a, const char *who, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

void audit_say(struct audit *a, const char *who, const char *what);

/* The last entries, oldest first, as a JSON array (whole, whatever the file has); at most 256 KiB
 * of the file are looked at. */
bool audit_read(struct audit *a, unsigned most, struct buf *out);

/* flow/verdict.h - how a flow ended, as one closed vocabulary.
 *
 * Every source ends a flow with exactly one verdict; every renderer, log line, counter, HTTP
 * answer and manual page reads the same row of verdict.def.
 * Pure data: no I/O, no clock, no allocation; any thread may call any function. */
#pragma once

#include <stdbool.h>

#include "base/span.h"

/* A party of a flow.  NOBODY and NETWORK own no socket. */
enum side {
    SIDE_NOBODY,
    SIDE_CLIENT,
    SIDE_PROXY,
    SIDE_PARENT,
    SIDE_TARGET,
    SIDE_NETWORK,
    SIDE_COUNT
};

enum certainty { CERTAINTY_SEEN, CERTAINTY_INFERRED };

/* A source of flows, as bits: which of them can make a verdict. */
enum source_bit { SOURCE_BIT_SERVE = 1, SOURCE_BIT_CHECK = 2, SOURCE_BIT_EXPLAIN = 4 };

enum verdict {
#define V(id, name, blame, status, proxy_status, sources, meaning, how, cause, advice) VERDICT_##id,
#include "flow/verdict.def"
#undef V
    VERDICT_COUNT
};

struct verdict_info {
    const char *name; /* kebab-case, stable: appears in JSON, logs and config */
    enum side blame;  /* who would have to change something */
    int status; /* usual HTTP status for the client (a caller may say more precisely), 0 = too late
                 */
    const char *proxy_status; /* RFC 9209 section 2.3 error type, NULL = none fits */
    unsigned sources;         /* enum source_bit of those that can make it */
    const char *meaning;      /* one clause for people, no full stop; for the manual */
    const char *how;          /* for the manual: what each source makes it from, one clause */
    const char *cause;        /* English msgid: one sentence of cause */
    const char *advice; /* English msgid: one sentence of advice; "" for VERDICT_OK and OPEN */
};

const struct verdict_info *verdict_get_info(enum verdict v);

/* The row named `name`, or VERDICT_COUNT. */
enum verdict verdict_find(struct span name);

/* True for ok and open: no failure in exit status, --failed and charts. */
bool verdict_is_success(enum verdict v);

/* Maps a failed system call on the connection facing `side` (CLIENT, PARENT or TARGET) to a
 * verdict. `err` is a positive errno value.  ECONNREFUSED, ENETUNREACH and friends, ETIMEDOUT,
 * ECONNRESET/EPIPE, EMFILE/ENFILE/ENOMEM/ENOBUFS (overloaded); else proxy-error.  Never returns
 * VERDICT_OK. */
enum verdict verdict_from_errno(enum side side, int err);

/* What `err`, a positive errno value, is called: in English whatever the locale, since it goes into
 * status lines, fields and logs.  Never NULL. */
const char *verdict_errno_text(int err);

const char *verdict_side_name(enum side side); /* "client" …; "" for SIDE_NOBODY */
const char *verdict_certainty_name(enum certainty c);

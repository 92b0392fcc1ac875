/* flow/marks.h - what known proxies, filters and web servers write into their answers.
 *
 * Names in fields, error codes in X-Squid-Error, sentences in bodies and addresses of block pages:
 * tables of what those products are known to send.  Pure; any thread. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "flow/verdict.h"

enum mark_kind {
    MARK_NONE,
    MARK_PROXY,   /* a forward proxy or a filter: what it signs, it made itself */
    MARK_GATEWAY, /* stands before web sites as often as it is a proxy */
    MARK_SERVER,  /* a web server */
};

struct mark {
    const char *product; /* static; NULL with MARK_NONE */
    enum mark_kind kind;
};

/* Who signs with this Server or Proxy-Agent field. */
struct mark marks_find_server(struct span server);
/* The proxy that a Via field names in its comment or pseudonym, NULL: none that is known. */
const char *marks_find_via(struct span via);

/* What words mean; verdict VERDICT_COUNT: there are none. */
struct words_mark {
    const char *product; /* static */
    enum verdict verdict;
    enum certainty certainty;
    enum mark_kind kind;
    struct span words; /* as they stand in the answer */
    const char *note;  /* static; more evidence, or NULL */
};

/* "ERR_CONNECT_FAIL 111" (the field, or the same out of a body).  `by_name`: the target was asked
 * for by name; `status` is the answer's. */
struct words_mark marks_read_squid(struct span error, unsigned status, bool by_name);

/* The first known sentence of a body; of squid's pages, whose error names itself there too. */
struct words_mark marks_read_body(struct span body, unsigned status, bool by_name);

/* The address of a known block page. */
struct words_mark marks_read_location(struct span location);

/* "400 The plain HTTP request was sent to HTTPS port" and its like: TLS is spoken there. */
bool marks_wants_tls(struct span body);

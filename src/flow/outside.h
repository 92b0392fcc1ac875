/* flow/outside.h - from an answer, as it is seen from outside, to a verdict and to who spoke.
 *
 * For those who ask a proxy, or look on while somebody does: `check` and captures.  Words come
 * before numbers: viaduct's own, Proxy-Status, X-Squid-Error and known error bodies, then the
 * status.  The answer is told by spans that the caller owns.  Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

#define OUTSIDE_VALUES_MAX 8   /* values of a repeated field that are kept */
#define OUTSIDE_BODY_MAX 16384 /* bytes of a body that are looked at */
#define OUTSIDE_REASON_MAX 160 /* bytes, terminator included */

/* What the answer answers. */
enum outside_asked {
    OUTSIDE_CONNECT,  /* CONNECT, at a proxy */
    OUTSIDE_ABSOLUTE, /* an absolute-form request, at a proxy */
    OUTSIDE_DIRECT,   /* a request at the target: without a proxy, or inside the tunnel */
};

struct outside_values {
    struct span items[OUTSIDE_VALUES_MAX]; /* in the order of the fields */
    unsigned len;
};

/* An answer.  Zeroed: none of its fields came. */
struct outside_answer {
    enum outside_asked asked;
    bool by_name;          /* the target was asked for by name, not by address */
    bool credentials_sent; /* the request had Proxy-Authorization */
    bool is_http;          /* the head was parsed; else only `first` counts */
    struct span first;     /* not HTTP: the first bytes that came; may be empty */
    uint16_t status;
    struct span reason; /* the status line's phrase */
    struct span body;   /* its first bytes, empty: none are known */
    /* filled by outside_add_field */
    struct outside_values proxy_status, via, proxy_authenticate, www_authenticate;
    struct span squid_error, server, proxy_agent, location, content_type, retry_after;
    bool has_cache_mark; /* X-Cache, X-Cache-Lookup */
    bool has_envoy_mark; /* X-Envoy-… */
};

/* Takes a field of the head if it is one that matters; others are left.  Both borrow. */
void outside_add_field(struct outside_answer *a, struct span name, struct span value);

struct outside_verdict {
    enum verdict verdict; /* VERDICT_OK: nothing in this answer is a failure */
    enum side by;
    enum certainty certainty;
    const char *product;             /* static: who made the answer, "squid"; NULL: unknown */
    char reason[OUTSIDE_REASON_MAX]; /* a few words, from outside: "rule social"; may be "" */
};

/* Judges a final answer (no 1xx), and adds evidence to `f`: first what decided, in the answer's own
 * words, then who said it.  Never fails. */
struct outside_verdict outside_judge(const struct outside_answer *a, struct flow *f);

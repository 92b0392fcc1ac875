/* proxy/answer.h - the proxy's own answers: verdict -> status line, Proxy-Status, page.
 *
 * Pure: a flow and a few facts in, bytes out.  Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "flow/flow.h"
#include "proxy/pac.h"
#include "wire/http1.h"

/* The form of a body; picked when the request is parsed, since its fields are gone when an answer
 * is due. */
enum answer_format { ANSWER_TEXT, ANSWER_HTML, ANSWER_JSON };

/* By Accept with its q-values (browsers' gives HTML; empty and any-type: text), and whether
 * Accept-Language prefers Japanese to English. */
enum answer_format answer_pick_format(struct span accept);
bool answer_prefers_japanese(struct span accept_language);

struct answer {
    enum verdict verdict;
    int status;        /* 0: the verdict's usual one */
    const char *error; /* RFC 9209 error type; NULL: the verdict's usual one */
    const char *proxy; /* our pseudonym, first item of Proxy-Status */
    enum answer_format format;
    const char *language; /* "en" or "ja" */
    bool head_only;       /* HEAD: no body, but its Content-Length */
    bool close;           /* Connection: close */
    bool tls;             /* the listener is reached by TLS: for the page about it */
    unsigned retry_after; /* seconds; 0: none */
    const char *extra;    /* whole lines to add (challenges); NULL: none */
    uint64_t wall_ns;     /* for Date */
};

/* Writes status line, fields and body; returns the length, 0 when it does not fit in `cap` (16 KiB
 * always do). The status line carries the verdict and the flow's reason: "403 Forbidden
 * (acl-denied: rule social)"; the reason is made printable ASCII and cut at 200 bytes.
 * Proxy-Status: `viaduct-PSEUDONYM; error=…; details="…"` (plus rcode, status-code, next-hop …
 * where they are known from the flow).  Body in `format`: text/html, application/json or
 * text/plain. */
size_t answer_write(const struct answer *a, const struct flow *f, char *out, size_t cap);

/* The page for origin-form requests: "/" says what this is and how to use it (with `listener` as
 * the address to use); other paths: 404.  Same conventions. */
size_t answer_write_page(struct span path, const char *listener, const struct answer *a, char *out,
                         size_t cap);

/* The answer to /proxy.pac and /wpad.dat: 200 and the script.  Same conventions; 0 also when a long
 * NO_PROXY does not fit. */
size_t answer_write_pac(const struct pac *pac, const struct answer *a, char *out, size_t cap);

/* The standard reason phrase of a status; "" when unknown. */
const char *answer_reason_phrase(int status);

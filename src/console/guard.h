/* console/guard.h - who is let in, and with what: everything that stands between a request and its
 * handler.
 *
 * The Host field must name us (a page elsewhere cannot reach us under its own name), a cookie or
 * the control socket's credentials say who it is, a token goes with every change, and every answer
 * carries the fields that keep browsers strict.  The console's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "console/request.h"

struct MHD_Response;

struct guard {
    struct endpoint at; /* as bound */
    bool secure;        /* TLS */
    bool loopback;
    char **hosts; /* names that it answers to; heap */
    unsigned hosts_len;
    uint64_t locked_ns; /* no password is tried before: one at a time */
    struct attempts *attempts;
    char account[64]; /* the proxy's own, by name; "": it has none */
};

void guard_init(struct guard *g, const struct config_console *c, int fd, bool secure);
void guard_fini(struct guard *g); /* safe on a zeroed one */

/* Learns by what name the proxy's own account goes. */
void guard_learn_account(struct guard *g);

/* "http://127.0.0.1:3180/"; "": the console is off. */
void guard_write_url(const struct guard *g, char *out, size_t cap);

/* The cookie's name: under TLS one that only this host can set (RFC 6265bis 4.1.3). It has the
 * port, as cookies know none: two consoles of one host would log each other out. */
#define GUARD_COOKIE_MAX 32
void guard_write_cookie(const struct guard *g, char out[GUARD_COOKIE_MAX]);

/* Writes who asks, for the audit log: anew once he has logged in. */
void guard_write_who(struct request *r);

/* Whether this request may be looked at at all; says who it is.  False: *reply says why. */
bool guard_admit(struct guard *g, struct request *r, struct reply *reply);
/* Whether it may do what its route does. */
bool guard_allow(struct guard *g, struct request *r, struct reply *reply);

/* Whether the session with that token goes on, whose stream of events is its use. */
bool guard_goes_on(struct console *c, const char *csrf);

/* Takes the next bytes of the body.  False: it has no end, and no answer would reach its sender. */
bool guard_take_body(struct request *r, struct span bytes);

/* Adds the header fields of an answer. */
void guard_add_fields(struct MHD_Response *response, const struct reply *reply);

/* Before a password or a link is tried: false, and *reply says when, for who failed too often. */
bool guard_may_try(struct guard *g, const struct request *r, struct span name, struct reply *reply);
void guard_count_failure(struct guard *g, const struct request *r, struct span name);

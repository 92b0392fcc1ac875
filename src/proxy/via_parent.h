/* proxy/via_parent.h - what is different when the next hop is the parent proxy: our login there,
 * its 407, its refusals, its word before a tunnel.
 *
 * The exchange itself is step_forward.c and response.c, also for CONNECT.  One worker. */
#pragma once

#include "proxy/session.h"

#define VIA_PARENT_AGAIN_MAX (64u * 1024) /* bytes of a body that are kept to be sent twice */

/* Whether another flow is about to show if the password is right: this one waits for it (a wake is
 * set), so that a wrong one is sent once and locks no account. */
bool via_parent_must_wait(struct session *s);

/* Sends the request's head with our credentials, and what must be sent again of its body.  0 or
 * -errno; -EMSGSIZE: head and credentials are too large. */
int via_parent_send_head(struct session *s);

/* Bytes of the request's body went out: keeps them while they may be needed twice. */
void via_parent_keep(struct session *s, const char *bytes, size_t n);

/* Whether the body still waits for the parent's 100 (a wake is set). */
bool via_parent_holds_body(struct session *s);

/* An interim response came.  True: it is not for the client. */
bool via_parent_takes_interim(struct session *s, const struct http1_head *h);

/* A final response came, with `rest` behind its head.  True: it is dealt with, *next says how to go
 * on.  False: it is handed on like a target's; then x->parent says whether it is a refusal of the
 * parent's own. */
bool via_parent_takes_response(struct session *s, const struct http1_head *h, struct span rest,
                               enum step *next);

/* Reads away the body of a 407, then asks again. */
enum step via_parent_drop(struct session *s);

/* Our member of Proxy-Status for a refusal that is handed on: a whole line, terminated; "" when it
 * does not fit. */
void via_parent_write_status(const struct session *s, unsigned status, char *out, size_t cap);

/* TLS to the parent failed. */
enum step via_parent_end_tls(struct session *s);

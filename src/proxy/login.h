/* proxy/login.h - between the step that judges credentials (step_auth.c) and the one in which a
 * login waits (step_login.c). */
#pragma once

#include <stdbool.h>

#include "policy/accounts.h"
#include "proxy/session.h"
#include "wire/authn.h"

#define LOGIN_BODY_MAX (64u * 1024) /* of a request that is read before its login is settled */

/* A reload took `authentication` away while a login waited: the client comes again, unasked. */
enum step login_end_reloaded(struct session *s);

/* Ends the flow with the refusal, whatever is still unread of the request. */
enum step login_refuse(struct session *s, const struct session_refusal *r);

/* True: logged in.  False: refused (*next).  All failures count that depend on who it is or what
 * the password: else who watches what counts learns which names exist.
 * `user`: as it was sent; `h` NULL: the login waits already. */
bool login_take_result(struct session *s, const struct http1_head *h,
                       const struct accounts_result *r, struct span user, enum step *next);

/* The same from Digest credentials.  `body`: of auth-int, else empty. */
bool login_check_digest(struct session *s, const struct http1_head *h,
                        const struct authn_credentials *c, struct span body, enum step *next);

/* console/sessions.h - who is logged in: cookies, their ends, and the tokens against forged
 * requests.
 *
 * In memory only: a restart logs everybody out.  A cookie is kept as a hash.  The console's thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "console/admins.h"

#define SESSIONS_MAX 256 /* beyond, the one that was idle longest is logged out */
#define SESSIONS_TOKEN_HEX 64

struct console_session {
    unsigned char hash[32];            /* of the cookie's value */
    char csrf[SESSIONS_TOKEN_HEX + 1]; /* goes with every request that changes something */
    char name[ADMINS_NAME_MAX + 1];
    uint64_t begin_ns, used_ns; /* monotonic; 0: free */
};

struct sessions {
    uint64_t idle_ns, lifetime_ns;
    struct console_session all[SESSIONS_MAX];
};

/* Logs in; `cookie` gets SESSIONS_TOKEN_HEX characters and a terminator. */
struct console_session *sessions_begin(struct sessions *s, struct span name, uint64_t now_ns,
                                       char cookie[SESSIONS_TOKEN_HEX + 1]);

/* The session of this cookie, which is used thereby, or NULL. */
struct console_session *sessions_find(struct sessions *s, struct span cookie, uint64_t now_ns);

/* The session that was given such a token against forged requests, or NULL; a stream of events is
 * use, too. */
struct console_session *sessions_touch(struct sessions *s, const char *csrf, uint64_t now_ns);

void sessions_end(struct console_session *session);
/* All of one name: its password changed, or it was removed. */
void sessions_end_of(struct sessions *s, struct span name);

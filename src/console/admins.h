/* console/admins.h - who may use the console: admins.conf, and the one-time links that make one.
 *
 *   admin NAME { scrypt LOG2N R P SALT HASH; }      # hex; RFC 7914
 *   token NAME { sha-256 HEX; }                     # may read /metrics, /healthz and /readyz
 *
 * The file is read anew when it changed, written whole or not at all, mode 0600.  A link's token is
 * kept as a hash, in memory only, and good once.  The console's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

#define ADMINS_NAME_MAX 64      /* bytes of a name */
#define ADMINS_PASSWORD_MIN 10  /* characters */
#define ADMINS_PASSWORD_MAX 256 /* bytes */
#define ADMINS_LINK_S 900       /* a link is good that long */
#define ADMINS_TOKEN_HEX 64     /* characters of a link's token, or of a bearer's */

struct admins;

/* `path`: the file, which need not be there.  NULL: out of memory. */
struct admins *admins_new(const char *path);
void admins_free(struct admins *a);

/* How many administrators there are; -1: the file cannot be read, *err says why. */
int admins_count(struct admins *a, struct err *err);

/* True: name and password are an administrator's.  Takes the same time (about 50 ms) for names that
 * are not there.  False, with *err set to "" or to what is wrong with the file. */
bool admins_check(struct admins *a, struct span name, struct span password, struct err *err);

/* Whether the name and the password may be an administrator's; *err says which rule is broken. */
bool admins_is_fit(struct span name, struct span password, struct err *err);

/* Whether there is an administrator of this name, as far as one can tell: true while the file
 * cannot be read. */
bool admins_has(struct admins *a, struct span name);

/* Adds an administrator, or gives one another password.  False with *err. */
bool admins_set(struct admins *a, struct span name, struct span password, struct err *err);

/* The name of administrator `i`, in the file's order, or NULL. */
const char *admins_get_name(const struct admins *a, unsigned i);

/* Makes a bearer token that `name` may hand to a monitoring system, in place of an earlier one of
 * that name; `out` gets ADMINS_TOKEN_HEX characters and a terminator. */
bool admins_make_token(struct admins *a, struct span name, char out[ADMINS_TOKEN_HEX + 1],
                       struct err *err);
bool admins_has_token(struct admins *a, struct span token);

/* A new one-time link's token; earlier ones stay good until their time is over (8 at most). */
void admins_make_link(struct admins *a, uint64_t now_ns, char out[ADMINS_TOKEN_HEX + 1]);
/* Uses it up.  False: it never was one, was used, or is too old. */
bool admins_use_link(struct admins *a, struct span token, uint64_t now_ns);
/* Whether it is good, without using it. */
bool admins_has_link(const struct admins *a, struct span token, uint64_t now_ns);

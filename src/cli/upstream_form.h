/* cli/upstream_form.h - what shall change in the upstream settings: by options, by NAME=VALUE, by a
 * URL, or asked for field by field.
 *
 * A password never comes from argv.  The command line's one thread. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"

enum form_field {
    FORM_ENABLED,
    FORM_HOST,
    FORM_PORT,
    FORM_USER,
    FORM_PASSWORD,
    FORM_TLS,
    FORM_CA,
    FORM_NO_PROXY,
    FORM_SMART_LICENSING,
    FORM_COUNT,
};

/* Each field: NULL: stays as it is; "": is taken out. */
struct form {
    char *of[FORM_COUNT]; /* on the heap */
};

/* Wipes and frees; safe on a zeroed one. */
void form_fini(struct form *f);

bool form_is_empty(const struct form *f);

/* Sets one field to a copy; false when memory is out. */
bool form_set(struct form *f, enum form_field field, struct span text);

/* "http://user@host:port" (https: PROXY_TLS on), or NAME=VALUE with a name of the file.  False,
 * with *err: neither, or with a password in it. */
bool form_take_word(struct form *f, const char *word, struct err *err);

/* The password: the first line of `path`, "-" being standard input (a terminal is asked). */
bool form_take_password(struct form *f, const char *path, struct err *err);

/* What the fields mean together with those that stand (NULL: none do): a new user makes the old
 * password void, and a new one is asked for at a terminal; without one, false with *err. */
bool form_settle(struct form *f, const struct config_upstream *now, struct err *err);

/* Asks for every field at the terminal; Enter keeps what is there, "-" takes it out.  A field that
 * breaks its rule is told why, and asked for again.  False, with *err, when the input ends. */
bool form_ask(struct form *f, const struct config_upstream *now, struct err *err);

/* Writes `text`, an upstream file without errors or an empty one, to `out` with the fields
 * changed. False when memory is out. */
bool form_apply(const struct form *f, struct span text, struct buf *out);

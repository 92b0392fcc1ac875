/* config/directive.h - the table of settings: one row each, from which files are read, the
 * effective configuration is shown and the manual is printed.
 *
 * A row says where a setting may stand, what it takes, its bounds and default, and which function
 * puts its words into the snapshot.  Constant data. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "config/arena.h"
#include "config/lexer.h"

/* The blocks; the first two are whole files. */
enum scope {
    SCOPE_MAIN,          /* viaduct.conf */
    SCOPE_UPSTREAM_FILE, /* upstream.conf */
    SCOPE_LISTEN,
    SCOPE_AUTHENTICATION,
    SCOPE_ACCESS,
    SCOPE_LIMITS,
    SCOPE_RESOLVER,
    SCOPE_LOG,
    SCOPE_HISTORY,
    SCOPE_CONSOLE,
    SCOPE_UPSTREAM, /* iprep_proxy */
    SCOPE_COUNT,
};

/* One statement on its way into the snapshot. */
struct setting {
    const struct directive *what;
    const struct word *words; /* [0] is the name */
    unsigned len;             /* of words; the table's bounds hold already */
    void *object;             /* what `field` is counted from */
    struct config *config;
    const char *file;
    bool block;      /* a block follows */
    bool is_default; /* the words are the table's own */
    struct config_report *report;
};

/* Puts words[1..] into the snapshot; false when they do not fit, which it has reported. */
typedef bool (*directive_fn)(const struct setting *s);

struct directive {
    const char *name;
    enum scope scope;
    directive_fn apply; /* NULL: nothing but the block */
    size_t field;       /* offset in the snapshot; in SCOPE_LISTEN, in the listener */
    uint64_t min, max;  /* of a number, a size in bytes, a duration in ns */
    bool zero;          /* 0 may stand beside these bounds: none */
    bool repeats;
    uint8_t least, most;        /* values it takes; most 0: none */
    uint8_t path;               /* which of its words is a path, 0: none */
    enum scope block;           /* the block it opens; SCOPE_MAIN: none */
    bool block_optional;        /* a plain statement will do */
    const char *const *choices; /* of value_choice, ended by NULL; the index is stored */
    const char *value;          /* default, as it would be written; NULL: none */
    const char *takes;          /* for people: "FILE", "on | off" */
    const char *help;           /* for the manual: whole sentences, in plain text */
};

#define DIRECTIVE_MAX 80
unsigned directive_count(void);
const struct directive *directive_get(unsigned i);
unsigned directive_index(const struct directive *d);

/* The setting of this name in `scope`, or NULL. */
const struct directive *directive_find(enum scope scope, struct span name);

/* "limits", or "viaduct.conf" for a whole file. */
const char *directive_scope_name(enum scope scope);

/* Reports an unknown name: with the nearest known one, or the block where it would belong. */
void directive_report_unknown(const struct lexer *lx, enum scope scope, const struct word *name);

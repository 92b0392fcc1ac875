/* cli/upstream_args.h - what is asked of `viaduct upstream`: a verb, its options and its words.
 *
 * The command line's one thread. */
#pragma once

#include <stdbool.h>

#include "cli/upstream_form.h"

enum upstream_verb {
    UPSTREAM_SHOW,
    UPSTREAM_SET,
    UPSTREAM_ENABLE,
    UPSTREAM_DISABLE,
    UPSTREAM_TEST,
    UPSTREAM_IMPORT,
    UPSTREAM_EXPORT,
    UPSTREAM_COUNT,
};

struct upstream_args {
    enum upstream_verb verb;
    const char *config, *file; /* NULL: the usual one; the configuration's */
    const char *url;           /* of the test */
    const char *password_file; /* "-": standard input; NULL: not given */
    bool force, json, with_password;
    struct form form; /* the fields that options named */
    char **words;     /* behind the verb */
    int words_len;
};

/* Fills a zeroed structure, which borrows from argv.  EXIT_OK, or the exit status of a mistake that
 * was told. */
int upstream_args_parse(struct upstream_args *a, int argc, char **argv);

void upstream_args_fini(struct upstream_args *a);

/* config/values.h - what a snapshot remembers of the text it was made from, for config_show.
 *
 * Private to config/. */
#pragma once

#include "config/arena.h"
#include "config/directive.h"

/* A statement of the access block, as it will be shown. */
struct shown_rule {
    const char *kind, *name; /* "deny" "private" */
    const char *head;        /* "deny report social", "list social file /etc/viaduct/social.txt" */
    const char *path;        /* of a list, from the working folder */
    const char **terms;      /* "to list social" */
    unsigned terms_len;
    int line;
    bool block;
};

struct config_values {
    struct arena arena; /* of the whole snapshot */
    struct config_value {
        const char *text; /* the words behind the name; NULL: never set */
        int line, column; /* in its file; 0: the default */
    } of[DIRECTIVE_MAX];  /* by directive_index; rows of `listen` blocks are not kept */
    struct shown_rule *rules;
    unsigned rules_len;
};

/* The line where the file sets this, 0: it does not. */
int values_get_line(const struct config_values *v, enum scope scope, const char *name);

/* Words as a file would have them: quoted where they must be. */
char *values_write_words(struct arena *a, const struct word *words, unsigned n);

/* From the root on; relative ones start at the working folder. */
const char *values_absolute_path(struct arena *a, const char *path);

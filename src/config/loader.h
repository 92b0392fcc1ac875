/* config/loader.h - one load under way: the walk over the statements of a file.  Private to
 * config/. */
#pragma once

#include "config/config.h"
#include "config/lexer.h"
#include "config/values.h"
#include "policy/access_build.h"

/* `list NAME` inside a rule. */
struct list_use {
    int rule_line;
    struct place at;
    const char *name;
};

struct loader {
    struct config *config;
    struct config_report *report;
    struct lexer lexer;
    struct access_builder *rules;
    const char *file; /* being read; in the arena */
    bool has_access;  /* an access block was there */
    struct list_use *uses;
    unsigned uses_len;
    struct place first_user;       /* the first condition that wants a login; line 0: none */
    struct place first_by_address; /* the first allow whose `to` goes by address */
};

/* Puts each row's default in, through the same readers that files go through. */
void loader_apply_defaults(struct loader *l);

/* Reads a whole file: SCOPE_MAIN or SCOPE_UPSTREAM_FILE.  `file` is in the arena. */
void loader_read(struct loader *l, const char *file, enum scope scope, struct span text);

/* The names of a block's settings, as lexer_next wants them. */
bool loader_is_name(int scope, struct span word);

/* Reports that the block begun at `open` has no end. */
void loader_report_open(struct loader *l, const char *block, struct place open);

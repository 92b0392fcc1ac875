/* config/upstream.h - the iprep_proxy file: which parent proxy this machine reaches the internet
 * by.
 *
 * The readers of its settings; each violated rule has its own message, with the field, the rule and
 * what was found.  A password is never shown. */
#pragma once

#include "config/directive.h"

bool upstream_host(const struct setting *s);
bool upstream_port(const struct setting *s);
bool upstream_user(const struct setting *s);
bool upstream_password(const struct setting *s);
bool upstream_no_proxy(const struct setting *s);

/* What only the whole block can tell: fields that are missing, the length of the host under smart
 * licensing. `at` is where the block stands. */
void upstream_check(struct config *c, struct place at, struct config_report *report);

/* Once all files are read without an error: what the upstream settings mean for each target
 * (config.parent). */
void upstream_finish(struct config *c, struct config_report *report);

/* config/rules.h - the access block: the grammar is read here, what the words mean is known to
 * policy/access_build.  Private to config/. */
#pragma once

#include "config/loader.h"

/* Reads the statements of an access block, past its }. */
void rules_read(struct loader *l, struct place open);

/* Makes the access of what was read; what stays unknown is reported. */
void rules_finish(struct loader *l);

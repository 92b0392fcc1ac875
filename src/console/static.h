/* console/static.h - the pages' files, which are part of the program, compressed. */
#pragma once

#include <stdbool.h>

#include "console/request.h"

/* A page or a file of it: fills the reply (200, or 304 for who has it already).  False: there is
 * none at this path. */
bool static_find(const struct request *r, struct reply *reply);
bool static_has(const struct request *r);

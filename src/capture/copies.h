/* capture/copies.h - what an exchange knows, copied into the flow's record: who, what, how much.
 *
 * For the ending only.  One thread. */
#pragma once

#include "capture/look.h"

/* Begins l->f (zeroed), and fills all that does not depend on the verdict. */
void copies_write(const struct look *l);

/* host/owners.h - which process holds a connection, by /proc/PID/fd.
 *
 * An ordinary user sees the descriptors of its own processes only.  Reads files; no clock. */
#pragma once

#include "host/sockets.h"

/* Sets pid and name of each connection whose process can be seen; of several, as after a fork, the
 * one that /proc lists first.  What cannot be seen, or is gone meanwhile, stays unknown. */
void owners_find(struct sockets *s);

/* proxy/process.h - what the server needs of the system for its process: CPUs, descriptors, an
 * account without rights.
 *
 * Set-up code of the main thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config.h"

/* CPUs that this process may run on; 1 or more. */
unsigned process_count_cpus(void);

/* Raises the soft limit of descriptors to the hard one; returns how many of the connections that
 * the configuration allows fit, and warns when it is not all. */
uint32_t process_fit_connections(const struct config *c);

/* Gives root's rights away for good; what needs them is open by now.  The
 * folder of the nonce key and of the history's default place is made first, where they are wanted.
 * False with *err: there is no such account, or the kernel refuses. */
bool process_drop_privileges(const struct config *c, const char *nonce_key, struct err *err);

/* Where passwords, or what is as good, are in memory: they shall not be found in a core file. */
void process_forbid_core(const struct config *c);

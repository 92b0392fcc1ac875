/* policy/password.h - the password hashes of htpasswd files: bcrypt, SHA-crypt, yescrypt,
 * MD5-crypt, Apache's apr1, {SHA}.
 *
 * Slow by design (that is what most of them are for): never called on a worker.  Any thread. */
#pragma once

#include <stdbool.h>

#include "base/span.h"

/* Whether the hash is of a kind that password_check knows. */
bool password_is_known(const char *hash);

/* Whether `password` makes `hash`.  At most 1024 bytes of password. */
bool password_check(const char *hash, struct span password);

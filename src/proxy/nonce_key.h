/* proxy/nonce_key.h - the key that Digest nonces are made with, kept in a file so that they outlive
 * the process.
 *
 * Set-up code, on the main thread.  The key is never part of a message. */
#pragma once

#include <sys/types.h>

#include "policy/nonce.h"

/* Makes the file's folder where it is missing, for that account: before root's rights are dropped.
 * Says nothing when it cannot: nonce_key_read will. */
void nonce_key_make_folder(const char *path, uid_t uid, gid_t gid);

/* Reads the key, or makes one and writes it (mode 0600, whole or not at all).  A file that is none,
 * or that others could read, is replaced.  Where it cannot be kept there is a key all the same, for
 * this process alone, and a warning. */
void nonce_key_read(const char *path, unsigned char key[NONCE_KEY_LEN]);

/* base/hash.h - a keyed 64-bit hash for tables that outsiders fill (SipHash-1-3; Aumasson and
 * Bernstein, "SipHash: a fast short-input PRF").  The key is drawn once a process. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *bytes, size_t len);

/* Unpredictable bytes from the kernel; exits the process when there are none. */
void hash_random(void *out, size_t len);

/* The next of a sequence that begins anywhere and has each number but 0 once (SplitMix64): ids. */
uint64_t hash_next_id(uint64_t *state);

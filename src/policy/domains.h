/* policy/domains.h - large sets of domain names, asked by host name with all its parents at once.
 *
 * Names lie in one arena (length, kinds, name); a table of 8-byte slots finds them: about 35 bytes
 * a name in all.  Collected with domains_add, made ready by domains_seal, then immutable: any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* A zeroed one is the empty set, and ready. */
struct domains {
    unsigned char *arena;
    uint32_t arena_len, arena_cap;
    uint64_t *slots;    /* 0: free; else tag and arena offset: see domains.c */
    uint32_t slots_len; /* 0: not sealed */
    uint32_t added;     /* names given, duplicates too */
    uint32_t count;     /* names held; known once sealed */
    uint64_t key;       /* of the hash */
};

/* `example.com` (that name), `*.example.com` (its subdomains) or `.example.com` (both);
 * lower-cased, one trailing dot is dropped.  False with a static text in *why: labels of 1-63
 * letters, digits, '-', '_', 253 bytes at most, not ending in a number (that would be an address),
 * not a wildcard elsewhere; or memory is out. */
bool domains_add(struct domains *d, struct span text, const char **why);

/* Builds the table.  False when out of memory. */
bool domains_seal(struct domains *d);

/* Whether the sealed set names `host` (lower case, no trailing dot) or one of its parents. */
bool domains_has(const struct domains *d, struct span host);

size_t domains_count_bytes(const struct domains *d); /* memory held, beside the struct itself */
void domains_fini(struct domains *d);

/* store/pack.h - the records of some flows in one: compressed together, read one by one.
 *
 * A record is the flow's JSON and its terms (terms.h).  64 of them together take a sixth of the
 * time and half of the space that each would by itself.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define PACK_FLOWS 64u
#define PACK_MAX (1024u * 1024) /* bytes of one pack at most, before it is compressed */

/* Compresses and opens packs; opaque, as the library's contexts are. */
struct packer;

/* NULL when memory is out.  `dictionary` is what records look like (kept by the file, as packs are
 * read with what they were written with); it is copied. */
struct packer *packer_new(struct span dictionary);
void packer_free(struct packer *p);

/* What new files take for a dictionary. */
struct span pack_dictionary(void);

/* A pack being filled: zeroed is an empty one. */
struct pack {
    char *bytes;
    uint32_t len, cap;
    unsigned flows;
};

/* False when memory is out, or the record is longer than a pack may be. */
bool pack_add(struct pack *k, struct span json, struct span terms);
/* Whether it should be written before more is added. */
bool pack_is_full(const struct pack *k);
void pack_clear(struct pack *k);
void pack_fini(struct pack *k);

/* The pack as bytes for the database, valid until the next call with this packer; without a
 * pointer when memory is out. */
struct span packer_close(struct packer *p, const struct pack *k);

/* Opens what packer_close gave, into the packer: valid until the next call of packer_open. */
enum pack_state { PACK_OPEN, PACK_DAMAGED, PACK_NO_MEMORY };
enum pack_state packer_open(struct packer *p, struct span bytes);
/* Record `slot` of the pack that is open; false: it has not that many. */
bool packer_get(const struct packer *p, unsigned slot, struct span *json, struct span *terms);

/* capture/objects.h - many objects of one kind, which are looked up at random: in large pages.
 *
 * With pages of 4 KiB, finding out where a page lies takes longer than reading from it.  The kernel
 * may refuse large ones, or have none: then it is ordinary memory.  What was given back is used
 * again, and goes back to the system at the end.  One thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define OBJECTS_PAGE (2u * 1024 * 1024)

struct objects {
    size_t object_len; /* bytes of one */
    uint64_t memory;   /* bytes of all that it holds, for the caller to read */
    struct objects_block *blocks;
    struct objects_spare *spare;
};

/* All is got through it; no memory is taken yet. */
void objects_init(struct objects *p, size_t object_len);

/* Frees all objects, given back or not.  Safe on a zeroed pool. */
void objects_fini(struct objects *p);

/* Zeroed; NULL: out of memory. */
void *objects_get(struct objects *p);
void objects_put(struct objects *p, void *object);

/* Zeroed memory in large pages where `len` is a multiple of OBJECTS_PAGE, else from the heap; NULL:
 * out of memory. */
void *objects_new_pages(size_t len);
void objects_free_pages(void *ptr, size_t len);

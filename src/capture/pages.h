/* capture/pages.h - memory in large pages, for what is looked up at random among many.
 *
 * With pages of 4 KiB, finding out where a page lies takes longer than reading from it.  The kernel
 * may refuse large ones, or have none: then it is ordinary memory.  Any thread. */
#pragma once

#include <stddef.h>

#define PAGES_UNIT (2u * 1024 * 1024)

/* Zeroed; `len` is a multiple of PAGES_UNIT.  NULL: out of memory. */
void *pages_new(size_t len);
void pages_free(void *ptr, size_t len);

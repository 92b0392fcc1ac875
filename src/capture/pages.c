#include "capture/pages.h"

#include <assert.h>
#include <stdint.h>
#include <sys/mman.h>

void *pages_new(size_t len)
{
    char *ptr;
    size_t off;

    assert(len > 0 && len % PAGES_UNIT == 0);
    ptr = mmap(NULL, len + PAGES_UNIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ptr == MAP_FAILED)
        return NULL;
    off = -(uintptr_t)ptr % PAGES_UNIT; /* what is before and behind the aligned part goes back */
    if (off)
        munmap(ptr, off);
    munmap(ptr + off + len, PAGES_UNIT - off);
    madvise(ptr + off, len, MADV_HUGEPAGE);
    return ptr + off;
}

void pages_free(void *ptr, size_t len)
{
    if (ptr)
        munmap(ptr, len);
}

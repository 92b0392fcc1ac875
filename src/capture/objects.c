#include "capture/objects.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A sanitizer sees who uses an object that was given back. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(ptr, len) ((void)(ptr), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(ptr, len) ((void)(ptr), (void)(len))
#endif

#define FIRST_LEN (32u * 1024) /* bytes: most captures need no more */
#define ALIGN 8u               /* all that is kept here is made of words and times */

struct objects_block {
    struct objects_block *next;
    size_t len; /* bytes, this head included */
};

struct objects_spare {
    struct objects_spare *next;
};

void *objects_new_pages(size_t len)
{
    char *ptr;
    size_t off;

    assert(len > 0);
    if (len % OBJECTS_PAGE)
        return calloc(1, len);
    ptr =
        mmap(NULL, len + OBJECTS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ptr == MAP_FAILED)
        return NULL;
    off = -(uintptr_t)ptr % OBJECTS_PAGE; /* what is before and behind the aligned part goes back */
    if (off)
        munmap(ptr, off);
    munmap(ptr + off + len, OBJECTS_PAGE - off);
    madvise(ptr + off, len, MADV_HUGEPAGE);
    return ptr + off;
}

void objects_free_pages(void *ptr, size_t len)
{
    if (!ptr)
        return;
    if (len % OBJECTS_PAGE)
        free(ptr);
    else
        munmap(ptr, len);
}

void objects_init(struct objects *p, size_t object_len)
{
    *p = (struct objects){.object_len = (object_len + ALIGN - 1) / ALIGN * ALIGN};
    assert(object_len >= sizeof(struct objects_spare) && object_len < FIRST_LEN / 2);
}

void objects_fini(struct objects *p)
{
    while (p->blocks) {
        struct objects_block *b = p->blocks;

        p->blocks = b->next;
        ASAN_UNPOISON_MEMORY_REGION(b, b->len);
        objects_free_pages(b, b->len);
    }
    objects_init(p, p->object_len ? p->object_len : sizeof(struct objects_spare));
}

static void add_block(struct objects *p)
{
    size_t len = p->blocks ? OBJECTS_PAGE : FIRST_LEN;
    struct objects_block *b = objects_new_pages(len);

    if (!b)
        return;
    b->next = p->blocks;
    b->len = len;
    p->blocks = b;
    p->memory += len;
    for (size_t i = (len - sizeof *b) / p->object_len; i-- > 0;)
        objects_put(p, (char *)(b + 1) + i * p->object_len);
}

void *objects_get(struct objects *p)
{
    struct objects_spare *object;

    if (!p->spare)
        add_block(p);
    object = p->spare;
    if (!object)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(object, p->object_len);
    p->spare = object->next;
    return memset(object, 0, p->object_len);
}

void objects_put(struct objects *p, void *object)
{
    struct objects_spare *spare = object;

    spare->next = p->spare;
    p->spare = spare;
    ASAN_POISON_MEMORY_REGION(object, p->object_len);
}

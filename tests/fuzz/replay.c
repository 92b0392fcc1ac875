/* Drives a fuzz target without libFuzzer: each file of the corpus once, then a fixed number of
 * changed copies of it, the same ones in every run.  So the corpus is part of every test run, with
 * any compiler. */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX 65536
#define CHANGED_COPIES 500

static uint64_t random_state = 0x9e3779b97f4a7c15;

/* xorshift64 (Marsaglia); below `n`, which is not 0. */
static size_t pick(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % n);
}

/* Changes one place; returns the new size. */
static size_t change(uint8_t *data, size_t size)
{
    static const char telling[] = "\r\n\t \0:;,\"()@%[]/?#0f.-\x16\x7f\x80\xff";
    size_t at = size ? pick(size) : 0, n = size ? pick(size - at) + 1 : 0;

    switch (size ? pick(6) : 0) {
    case 0: /* put a byte in */
        if (size == INPUT_MAX)
            return size;
        memmove(data + at + 1, data + at, size - at);
        data[at] = (uint8_t)telling[pick(sizeof telling)];
        return size + 1;
    case 1: /* take some out */
        memmove(data + at, data + at + n, size - at - n);
        return size - n;
    case 2: /* say some twice */
        if (size + n > INPUT_MAX)
            return size;
        memmove(data + at + n, data + at, size - at);
        return size + n;
    case 3: /* cut it off */
        return at;
    case 4:
        data[at] = (uint8_t)telling[pick(sizeof telling)];
        return size;
    default:
        data[at] ^= (uint8_t)(1u << pick(8));
        return size;
    }
}

/* In memory of just its size, so that a sanitizer sees one byte too far. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static bool replay(const char *folder, const char *name)
{
    static uint8_t original[INPUT_MAX], data[INPUT_MAX];
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t size = fread(original, 1, sizeof original, f);
    fclose(f);
    run(original, size);
    for (int i = 0; i < CHANGED_COPIES; i++) {
        size_t n = size;

        memcpy(data, original, size);
        for (size_t changes = pick(4) + 1; changes > 0; changes--)
            n = change(data, n);
        run(data, n);
    }
    return true;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int n = argc == 2 ? scandir(argv[1], &entries, is_visible, alphasort) : -1;
    bool ok = n > 0; /* an empty corpus tests nothing */

    for (int i = 0; i < n; i++) {
        if (!replay(argv[1], entries[i]->d_name)) {
            fprintf(stderr, "cannot read %s/%s\n", argv[1], entries[i]->d_name);
            ok = false;
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    if (fuzz_has_seen_all)
        ok = fuzz_has_seen_all() && ok;
    return ok ? 0 : 1;
}

/* store/pack: a pack as it stands in a history file that anybody may have changed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/pack.h"

/* Each record lies inside of what was opened; the last slot is found once. */
static void read_all(const struct packer *p)
{
    struct span json, terms;
    unsigned n = 0;
    size_t sum = 0;

    while (packer_get(p, n, &json, &terms)) {
        for (size_t i = 0; i < json.len; i++)
            sum += (unsigned char)json.ptr[i];
        for (size_t i = 0; i < terms.len; i++)
            sum += (unsigned char)terms.ptr[i];
        n++;
        assert(n <= PACK_MAX / 8);
        if (n >= PACK_FLOWS + 2)
            break;
    }
    assert(sum <= 255ull * PACK_MAX * (PACK_FLOWS + 2));
}

/* The input's lines as records, which come back as they were. */
static void round_trip(struct packer *p, struct span text)
{
    struct pack k = {0};
    struct span bytes, json, terms, rest = text;
    unsigned n = 0;

    while (rest.len && n < PACK_FLOWS) {
        struct span line = span_cut(&rest, '\n');

        assert(pack_add(&k, line, line));
        n++;
    }
    if (n) {
        bytes = packer_close(p, &k);
        assert(bytes.ptr && packer_open(p, bytes) == PACK_OPEN);
        rest = text;
        for (unsigned i = 0; i < n; i++) {
            struct span line = span_cut(&rest, '\n');

            assert(packer_get(p, i, &json, &terms));
            assert(span_equal(json, line) && span_equal(terms, line));
        }
        assert(!packer_get(p, n, &json, &terms));
    }
    pack_fini(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct packer *p;
    struct span text = {(const char *)data, size};

    if (!p)
        p = packer_new(pack_dictionary());
    assert(p);
    if (packer_open(p, text) == PACK_OPEN)
        read_all(p);
    round_trip(p, text);
    return 0;
}

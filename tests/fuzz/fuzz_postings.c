/* store/postings and store/terms: a chunk of the index, and a flow's terms, as a changed history
 * file has them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/postings.h"

static void read_chunk(struct span chunk)
{
    struct span term, bytes;
    struct bits all = {0};
    size_t at = 0, before = 0;

    while (postings_next(chunk, &at, &term, &bytes)) {
        struct bits one = {0}, again = {0};
        unsigned char written[BITS_LEN];

        assert(at > before && at <= chunk.len && term.len && term.len <= TERM_MAX);
        assert(term.ptr >= chunk.ptr && bytes.ptr + bytes.len <= chunk.ptr + chunk.len);
        before = at;
        bits_or_bytes(&one, bytes.ptr, bytes.len);
        bits_or_bytes(&again, written, bits_write(&one, written));
        assert(bits_cover(&one, &again) && bits_cover(&again, &one));
        assert(bits_last(&one, BLOCK_FLOWS) < (int)BLOCK_FLOWS);
        bits_or_bytes(&all, bytes.ptr, bytes.len);
        assert(bits_cover(&all, &one));
    }
}

static void read_terms(struct span terms)
{
    struct postings p = {0};
    struct span term;
    size_t at = 0;

    while (terms_next(terms, &at, &term))
        assert(at <= terms.len && term.ptr + term.len <= terms.ptr + terms.len);
    assert(postings_add(&p, terms, 0) && postings_add(&p, terms, BLOCK_FLOWS - 1));
    postings_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};

    read_chunk(bytes);
    read_terms(bytes);
    return 0;
}

/* A chunked body: read in one piece and byte by byte it is the same body. */
#include <assert.h>

#include "fuzz.h"
#include "wire/body.h"

/* Reads in pieces of `step`; *end is the bytes used, *sum a check of the content. */
static enum parse read_all(struct body *b, struct span in, size_t step, size_t *end, uint64_t *sum)
{
    enum parse got = PARSE_MORE;

    *end = 0;
    *sum = 0;
    while (got == PARSE_MORE && *end < in.len) {
        size_t n = in.len - *end < step ? in.len - *end : step, used;
        struct span data;

        got = body_read(b, (struct span){in.ptr + *end, n}, &used, &data);
        assert(used <= n && data.len <= used && (got != PARSE_MORE || used > 0));
        assert(data.ptr >= in.ptr && data.ptr + data.len <= in.ptr + in.len);
        for (size_t i = 0; i < data.len; i++)
            *sum = *sum * 31 + (uint8_t)data.ptr[i];
        *end += used;
    }
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    struct http1_head h;
    struct body whole, bytes;
    size_t end[2];
    uint64_t sum[2];

    http1_head_reset(&h);
    h.chunked = true;
    body_of_request(&whole, &h);
    body_of_request(&bytes, &h);
    enum parse got = read_all(&whole, in, size, &end[0], &sum[0]);
    assert(read_all(&bytes, in, 1, &end[1], &sum[1]) == got);
    assert(sum[0] == sum[1] && whole.payload == bytes.payload && whole.done == bytes.done);
    assert(whole.done == (got == PARSE_OK) && (got == PARSE_BAD) == (whole.bad_what != NULL));
    assert(got == PARSE_BAD || end[0] == end[1]);
    assert(whole.payload <= size);
    return 0;
}

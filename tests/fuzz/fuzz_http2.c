/* HTTP/2 of both directions: pieces of a byte's length and a direction's bit, then as many bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/http2.h"
#include "fuzz.h"

/* Feeds all of it, in steps of `size` bytes at most. */
static bool run(struct span in, size_t size, struct inside_sight *sight)
{
    struct answers answers = {.sight = sight};
    struct http2 *h = http2_new(&answers);
    bool ok = true;

    assert(h);
    while (in.len > 0 && ok) {
        uint8_t head = (uint8_t)in.ptr[0];
        enum dir dir = head & 0x80 ? DOWN : UP;
        size_t len = head & 0x7f;

        in.ptr++;
        in.len--;
        len = len < in.len ? len : in.len;
        for (size_t at = 0; at < len && ok; at += size) {
            size_t n = len - at < size ? len - at : size;

            ok = http2_feed(h, dir, (struct span){in.ptr + at, n}, 1, 1);
        }
        in.ptr += len;
        in.len -= len;
        assert(http2_get_memory(h) < 4 << 20);
    }
    http2_free(h);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = {(const char *)data, size};
    struct inside_sight whole = {.is_open = true}, steps = {.is_open = true};
    bool ok = run(in, SIZE_MAX / 2, &whole);

    assert(run(in, 1, &steps) == ok);
    assert(whole.answers_len == steps.answers_len);
    for (unsigned i = 0; i < whole.answers_len; i++)
        assert(whole.answers[i].status == steps.answers[i].status &&
               whole.answers[i].received == steps.answers[i].received);
    answers_fini(&whole);
    answers_fini(&steps);
    return 0;
}

/* What is said inside a tunnel, HTTP/1 or HTTP/2, both directions: a byte with a direction's bit
 * and a length, then as many bytes.  What is read does not depend on how they are cut. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/answers.h"
#include "capture/talk.h"
#include "fuzz.h"

/* Feeds all of it, in steps of `size` bytes at most. */
static void run(struct span in, size_t size, struct inside_sight *sight)
{
    struct talk *t = talk_new(sight);

    assert(t);
    while (in.len > 0) {
        uint8_t head = (uint8_t)in.ptr[0];
        size_t len = head & 0x7f;

        in.ptr++;
        in.len--;
        len = len < in.len ? len : in.len;
        for (size_t at = 0; at < len; at += size) {
            size_t n = len - at < size ? len - at : size;

            talk_feed(t, head & 0x80 ? DOWN : UP, (struct span){in.ptr + at, n}, 1, 1);
        }
        in.ptr += len;
        in.len -= len;
        assert(talk_get_memory(t) < 4 << 20);
    }
    talk_free(t);
}

static void compare(const struct inside_sight *whole, const struct inside_sight *steps)
{
    assert(whole->answers_len == steps->answers_len);
    for (unsigned i = 0; i < whole->answers_len; i++) {
        const struct inside_answer *a = &whole->answers[i], *b = &steps->answers[i];

        assert(a->status == b->status && a->unfinished == b->unfinished);
        assert(a->promised == b->promised && !a->location == !b->location);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char alpn[2][9] = {"h2", "http/1.1"}; /* so that the first bytes need not tell */
    struct span in = {(const char *)data, size};

    for (int i = 0; i < 2; i++) {
        struct inside_sight whole = {.alpn = alpn[i]}, steps = {.alpn = alpn[i]};

        run(in, SIZE_MAX / 2, &whole);
        run(in, 1, &steps);
        compare(&whole, &steps);
        whole.alpn = steps.alpn = NULL;
        answers_fini(&whole);
        answers_fini(&steps);
    }
    return 0;
}

/* cli/answer: what comes from the control socket, in whatever pieces. */
#include <assert.h>
#include <string.h>

#include "cli/answer.h"
#include "fuzz.h"

#define BODY_MAX 4096

struct outcome {
    enum parse found;
    unsigned status;
    struct buf body;
};

/* The first byte says how large the pieces are. */
static void take(const uint8_t *data, size_t size, size_t piece, struct outcome *o)
{
    static struct answer a;
    struct err err = {""};
    size_t at = 0;

    buf_init(&o->body, BODY_MAX);
    answer_init(&a, &o->body, METHOD_GET);
    o->found = PARSE_MORE;
    while (o->found == PARSE_MORE && at < size) {
        size_t n = size - at < piece ? size - at : piece;

        o->found = answer_take(&a, (struct span){(const char *)data + at, n}, &err);
        at += n;
    }
    if (o->found == PARSE_MORE)
        o->found = answer_finish(&a, &err) ? PARSE_OK : PARSE_BAD;
    assert(o->found == PARSE_OK || *err.text);
    assert(o->found != PARSE_OK || (o->status = a.status) >= 200);
    o->status = a.status;
    answer_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;

    if (size < 1)
        return 0;
    take(data + 1, size - 1, size, &whole);
    take(data + 1, size - 1, data[0] + 1u, &pieces);
    assert(whole.found == pieces.found);
    if (whole.found == PARSE_OK)
        assert(whole.status == pieces.status &&
               span_equal(buf_span(&whole.body), buf_span(&pieces.body)));
    buf_fini(&whole.body);
    buf_fini(&pieces.body);
    return 0;
}

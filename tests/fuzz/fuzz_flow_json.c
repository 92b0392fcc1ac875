/* render/json_read: a flow's JSON, as it stands in a history file that anybody may have changed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "render/json_read.h"
#include "render/render.h"

static void render(struct buf *out, const struct flow *f)
{
    buf_init(out, 16u << 20);
    assert(render_json(out, f));
}

/* What was read once is written, read and written as the same. */
static void round_trip(const struct flow *f)
{
    struct buf first, second, shown;
    struct flow back;
    struct err err;

    render(&first, f);
    assert(json_read_flow(&back, buf_span(&first), NULL, &err));
    render(&second, &back);
    assert(span_equal(buf_span(&first), buf_span(&second)));
    buf_init(&shown, 16u << 20);
    assert(render_ladder(&shown, &back, true) && render_text(&shown, &back));
    buf_fini(&shown);
    buf_fini(&first);
    buf_fini(&second);
    flow_fini(&back);
}

/* The first line is the reason, behind it comes the object. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {(const char *)data, size}, reason = span_cut(&rest, '\n');
    struct json_read_more more = {.reason = reason, .own_answer = size & 1};
    struct flow f;
    struct err err = {""};

    if (memchr(reason.ptr, '\0', reason.len))
        more.reason = (struct span){NULL, 0};
    if (!json_read_flow(&f, rest, &more, &err)) {
        assert(*err.text && !f.notes.bytes && !f.tls);
        return 0;
    }
    flow_set_text(&f.reason, NULL); /* it is in no JSON */
    round_trip(&f);
    flow_fini(&f);
    return 0;
}

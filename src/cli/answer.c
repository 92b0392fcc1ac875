#include "cli/answer.h"

#define INTERIM_MAX 8 /* heads of 1xx that are passed over */

void answer_init(struct answer *a, struct buf *out, enum http1_method asked)
{
    *a = (struct answer){.out = out};
    http1_head_reset(&a->head);
    a->head.method = asked;
    buf_init(&a->raw, ANSWER_HEAD_MAX);
}

void answer_fini(struct answer *a)
{
    buf_wipe(&a->raw); /* there may be a link or a token in it */
    buf_fini(&a->raw);
}

static enum parse refuse(struct err *err, const char *what)
{
    err_set(err, "%s", what);
    return PARSE_BAD;
}

/* Takes a head off the bytes that wait. */
static enum parse take_head(struct answer *a, struct err *err)
{
    enum http1_method asked = a->head.method;
    enum parse found = http1_parse_response(buf_span(&a->raw), &a->head);
    bool interim;

    if (found == PARSE_BAD || (found == PARSE_MORE && a->raw.len == ANSWER_HEAD_MAX))
        return refuse(err, "who listens at the control socket speaks no HTTP");
    if (found == PARSE_MORE)
        return PARSE_MORE;
    interim = a->head.status < 200;
    if (interim && (a->head.status == 101 || ++a->interim > INTERIM_MAX))
        return refuse(err, "the answer at the control socket does not begin");
    if (!interim) {
        a->has_head = true;
        a->status = a->head.status;
        body_of_response(&a->body, &a->head, asked);
    }
    buf_consume(&a->raw, a->head.head_len);
    http1_head_reset(&a->head);
    a->head.method = asked;
    return PARSE_OK;
}

static enum parse take_body(struct answer *a, struct err *err)
{
    enum parse found = a->body.done ? PARSE_OK : PARSE_MORE;
    size_t used = 1;

    while (found == PARSE_MORE && a->raw.len && used) {
        struct span data = {"", 0};

        found = body_read(&a->body, buf_span(&a->raw), &used, &data);
        if (found == PARSE_BAD)
            return refuse(err, "the answer at the control socket is broken");
        if (data.len && !buf_append(a->out, data.ptr, data.len))
            return refuse(err, "the answer at the control socket is longer than is taken");
        buf_consume(&a->raw, used);
    }
    return found;
}

enum parse answer_take(struct answer *a, struct span bytes, struct err *err)
{
    while (bytes.len) {
        size_t room = ANSWER_HEAD_MAX - a->raw.len;
        size_t n = bytes.len < room ? bytes.len : room;
        enum parse found = PARSE_OK;

        if (!buf_append(&a->raw, bytes.ptr, n))
            return refuse(err, "out of memory");
        bytes = (struct span){bytes.ptr + n, bytes.len - n};
        while (!a->has_head && (found = take_head(a, err)) == PARSE_OK)
            continue;
        if (found == PARSE_OK || a->has_head)
            found = take_body(a, err);
        if (found != PARSE_MORE)
            return found;
    }
    return PARSE_MORE;
}

bool answer_finish(struct answer *a, struct err *err)
{
    if (a->has_head && body_finish(&a->body))
        return true;
    err_set(err, "the answer at the control socket ends too soon");
    return false;
}

#include "capture/talk.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/util.h"
#include "capture/answers.h"
#include "capture/http2.h"
#include "wire/body.h"
#include "wire/http1.h"

#define HEAD_MAX 65536 /* bytes of an HTTP/1 head */
#define WAITING_MAX 32 /* requests without answer; more: it is given up */

enum kind { KIND_UNKNOWN, KIND_HTTP1, KIND_HTTP2, KIND_OVER };

/* An HTTP/1 request that waits for its answer. */
struct waiting {
    enum http1_method method;
    struct answers_request request;
};

struct half {
    struct buf bytes;        /* of a head that is not whole */
    struct http1_head *head; /* heap, while it is not whole */
    struct body body;
    bool in_body;
    bool over; /* it cannot be followed any more */
};

struct talk {
    struct answers answers;
    enum kind kind;
    struct http2 *http2;
    struct half halves[2];
    struct waiting *waiting; /* heap: WAITING_MAX, once there is one */
    unsigned waiting_len;
    uint64_t answer; /* whose body is being read (capture/answers) */
};

static void drop_half(struct half *s)
{
    buf_fini(&s->bytes);
    free(s->head);
    s->head = NULL;
}

/* Another protocol, or nothing that can be followed: no byte is looked at any more. */
static void end_talk(struct talk *t)
{
    t->kind = KIND_OVER;
    http2_free(t->http2);
    t->http2 = NULL;
    for (size_t i = 0; i < ARRAY_LEN(t->halves); i++)
        drop_half(&t->halves[i]);
    for (unsigned i = 0; i < t->waiting_len; i++)
        answers_drop_request(&t->waiting[i].request);
    free(t->waiting);
    t->waiting = NULL;
    t->waiting_len = 0;
}

struct talk *talk_new(struct inside_sight *sight)
{
    struct talk *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->answers.sight = sight;
    for (size_t i = 0; i < ARRAY_LEN(t->halves); i++)
        buf_init(&t->halves[i].bytes, HEAD_MAX);
    return t;
}

void talk_free(struct talk *t)
{
    if (!t)
        return;
    end_talk(t);
    free(t);
}

/* ---- HTTP/1 */

static bool add_request(struct talk *t, const struct http1_head *h)
{
    struct waiting *w;

    if (t->waiting_len == WAITING_MAX)
        return false;
    if (!t->waiting && !(t->waiting = calloc(WAITING_MAX, sizeof *t->waiting)))
        return false;
    w = &t->waiting[t->waiting_len++];
    *w = (struct waiting){.method = h->method};
    answers_set_request(&w->request, h->method_text, h->target);
    return true;
}

static struct span find_location(const struct http1_head *h)
{
    for (unsigned i = 0; i < h->fields_len; i++)
        if (span_equal_nocase(h->fields[i].name, SPAN_LIT("location")))
            return h->fields[i].value;
    return SPAN_LIT("");
}

/* A whole answer's head.  Of interim ones the next head follows; behind a switch of protocols
 * nothing that is HTTP.  False: that is all that can be followed. */
static bool take_answer(struct talk *t, const struct http1_head *h, uint64_t at_ns, uint32_t number)
{
    struct waiting first = {.method = METHOD_GET};
    struct half *s = &t->halves[DOWN];
    struct inside_answer *answer;

    if (h->status < 200 && h->status != 101)
        return true;
    if (t->waiting_len > 0) {
        first = t->waiting[0];
        t->waiting_len--;
        for (unsigned i = 0; i < t->waiting_len; i++)
            t->waiting[i] = t->waiting[i + 1];
    }
    t->answer = answers_begin(&t->answers,
                              &(struct answers_head){h->status, find_location(h), at_ns, number},
                              &first.request);
    answers_drop_request(&first.request);
    body_of_response(&s->body, h, first.method);
    s->in_body = !s->body.done;
    answer = answers_find(&t->answers, t->answer);
    if (answer) {
        answer->promised = s->body.kind == BODY_LENGTH ? s->body.total : 0;
        answer->unfinished = s->in_body && s->body.kind != BODY_CLOSE;
    }
    return h->status != 101 && !(first.method == METHOD_CONNECT && h->status < 300);
}

static bool take_head(struct talk *t, enum dir dir, const struct http1_head *h, uint64_t at_ns,
                      uint32_t number)
{
    struct half *s = &t->halves[dir];

    if (dir == DOWN)
        return take_answer(t, h, at_ns, number);
    body_of_request(&s->body, h);
    s->in_body = !s->body.done;
    return add_request(t, h);
}

/* Bytes of a body.  Returns how many were taken, -1: it is broken. */
static ssize_t read_body(struct talk *t, enum dir dir, struct span in)
{
    struct half *s = &t->halves[dir];
    struct inside_answer *answer = dir == DOWN ? answers_find(&t->answers, t->answer) : NULL;
    struct span data;
    size_t used;
    enum parse got = body_read(&s->body, in, &used, &data);

    if (answer)
        answer->received = s->body.payload;
    if (got == PARSE_BAD)
        return -1;
    if (got == PARSE_OK) {
        s->in_body = false;
        if (answer)
            answer->unfinished = false;
    }
    return (ssize_t)used;
}

/* Bytes of a head, all that there are: what of them is behind it stays in s->bytes.  False: it is
 * none, or cannot be kept. */
static bool read_head(struct talk *t, enum dir dir, uint64_t at_ns, uint32_t number)
{
    struct half *s = &t->halves[dir];
    enum parse got;
    bool ok;

    if (!s->head && (s->head = malloc(sizeof *s->head)))
        http1_head_reset(s->head);
    if (!s->head)
        return false;
    got = dir == UP ? http1_parse_request(buf_span(&s->bytes), s->head)
                    : http1_parse_response(buf_span(&s->bytes), s->head);
    if (got == PARSE_MORE)
        return s->bytes.len < HEAD_MAX;
    ok = got == PARSE_OK && take_head(t, dir, s->head, at_ns, number);
    if (ok)
        buf_consume(&s->bytes, s->head->head_len);
    free(s->head);
    s->head = NULL;
    return ok;
}

/* Works off what is held: heads and bodies after each other. */
static bool work_off(struct talk *t, enum dir dir, uint64_t at_ns, uint32_t number)
{
    struct half *s = &t->halves[dir];

    while (s->bytes.len > 0) {
        if (s->in_body) {
            ssize_t n = read_body(t, dir, buf_span(&s->bytes));

            if (n < 0)
                return false;
            buf_consume(&s->bytes, (size_t)n);
        } else {
            if (!read_head(t, dir, at_ns, number))
                return false;
            if (s->head)
                return true; /* more is needed */
        }
    }
    buf_fini(&s->bytes);
    return true;
}

static bool feed_http1(struct talk *t, enum dir dir, struct span bytes, uint64_t at_ns,
                       uint32_t number)
{
    struct half *s = &t->halves[dir];

    while (bytes.len > 0) {
        size_t n = HEAD_MAX - s->bytes.len;

        if (s->in_body && s->bytes.len == 0) { /* most bytes: in place */
            ssize_t used = read_body(t, dir, bytes);

            if (used < 0)
                return false;
            n = (size_t)used;
        } else {
            n = n < bytes.len ? n : bytes.len;
            if (!buf_append(&s->bytes, bytes.ptr, n) || !work_off(t, dir, at_ns, number))
                return false;
        }
        bytes.ptr += n;
        bytes.len -= n;
    }
    return true;
}

/* ---- which one */

/* A server may speak first in HTTP/2: SETTINGS, of the connection. */
static bool is_settings(struct span bytes)
{
    return bytes.len >= 9 && bytes.ptr[0] == 0 && bytes.ptr[3] == 4 && (bytes.ptr[4] & ~1) == 0 &&
           bytes.ptr[5] == 0 && bytes.ptr[6] == 0 && bytes.ptr[7] == 0 && bytes.ptr[8] == 0;
}

static enum kind find_kind(const struct talk *t, enum dir dir, struct span bytes)
{
    const char *alpn = t->answers.sight->alpn;

    if (alpn && span_equal(span_of(alpn), SPAN_LIT("h2")))
        return KIND_HTTP2;
    if (alpn)
        return span_begins_nocase(span_of(alpn), SPAN_LIT("http/1.")) ? KIND_HTTP1 : KIND_OVER;
    if (dir == UP ? span_begins_nocase(bytes, SPAN_LIT("PRI * HTTP/2")) : is_settings(bytes))
        return KIND_HTTP2;
    return KIND_HTTP1;
}

void talk_feed(struct talk *t, enum dir dir, struct span bytes, uint64_t at_ns, uint32_t number)
{
    struct half *s = &t->halves[dir];

    if (bytes.len == 0)
        return;
    if (t->kind == KIND_UNKNOWN) {
        t->kind = find_kind(t, dir, bytes);
        if (t->kind == KIND_HTTP2 && !(t->http2 = http2_new(&t->answers)))
            end_talk(t);
    }
    if (t->kind == KIND_HTTP2 && !http2_feed(t->http2, dir, bytes, at_ns, number))
        end_talk(t);
    if (t->kind == KIND_HTTP1 && !s->over && !feed_http1(t, dir, bytes, at_ns, number)) {
        s->over = true;
        drop_half(s);
        if (dir == DOWN) /* requests alone say nothing */
            end_talk(t);
    }
}

size_t talk_get_memory(const struct talk *t)
{
    size_t sum = sizeof *t + (t->waiting ? WAITING_MAX * sizeof *t->waiting : 0);

    for (size_t i = 0; i < ARRAY_LEN(t->halves); i++)
        sum += t->halves[i].bytes.cap + (t->halves[i].head ? sizeof *t->halves[i].head : 0);
    return sum + (t->http2 ? http2_get_memory(t->http2) : 0);
}

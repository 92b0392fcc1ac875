/* A frame is read in three parts: its header; the fields that stand in front of its content
 * (`front`: padding's length, priority, the promised stream; of SETTINGS one setting after the
 * other); its content, less the padding.  No part has to come in one piece. */
#include "capture/http2.h"

#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "base/num.h"
#include "base/util.h"

#define FRAME_HEADER_LEN 9
#define STREAMS_MAX 256         /* that are open; of more the oldest is forgotten */
#define TABLE_MAX (1u << 20)    /* bytes of header table that a side may ask for */
#define SETTINGS_WAITING_MAX 16 /* that are not acknowledged; more: it is given up */
#define NO_CHANGE UINT32_MAX    /* of the header table's size */
#define INFLATER_LEN 2048       /* bytes of nghttp2's object without its table, about */

enum frame {
    DATA = 0,
    HEADERS = 1,
    RST_STREAM = 3,
    SETTINGS = 4,
    PUSH_PROMISE = 5,
    CONTINUATION = 9
};
enum flag { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8, PRIORITY = 32 };
enum { SETTINGS_HEADER_TABLE_SIZE = 1, SETTING_LEN = 6 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_LEN (sizeof preface - 1)

/* What of a head is wanted, while its block is read. */
struct head {
    uint32_t stream;
    uint16_t status;
    bool end_stream;
    bool promise; /* a request that the other side makes up: PUSH_PROMISE */
    bool has_length;
    uint64_t length;
    char *location; /* heap */
    struct answers_request request;
};

struct half {
    nghttp2_hd_inflater *inflater;
    uint8_t preface; /* bytes of it that came (UP) */
    uint8_t header[FRAME_HEADER_LEN], have;
    uint8_t type, flags;
    uint32_t stream;
    uint32_t left; /* bytes of the frame to come */
    uint8_t front[10], front_have, front_len;
    uint8_t padding;
    bool in_block;  /* CONTINUATION must follow, */
    uint32_t block; /*   on this stream */
    struct head head;
    uint32_t table;                         /* size that the SETTINGS being read ask for */
    uint32_t waiting[SETTINGS_WAITING_MAX]; /* table sizes that this side asked for, oldest first */
    uint8_t waiting_len;
};

struct http2_stream {
    uint32_t id;
    struct answers_request request;
    uint64_t answer; /* its number (capture/answers), 0: none yet */
    bool has_length;
};

struct http2 {
    struct answers *answers;
    struct half halves[2];
    struct http2_stream *streams;
    uint16_t streams_len, streams_cap;
};

/* ---- streams */

static struct http2_stream *find_stream(struct http2 *h, uint32_t id)
{
    for (size_t i = h->streams_len; i > 0; i--)
        if (h->streams[i - 1].id == id)
            return &h->streams[i - 1];
    return NULL;
}

static void drop_stream(struct http2 *h, struct http2_stream *s)
{
    size_t at = (size_t)(s - h->streams);

    answers_drop_request(&s->request);
    memmove(s, s + 1, (h->streams_len - at - 1) * sizeof *s);
    h->streams_len--;
}

/* The stream, made where it is not known; NULL: out of memory. */
static struct http2_stream *get_stream(struct http2 *h, uint32_t id)
{
    struct http2_stream *s = find_stream(h, id);

    if (s)
        return s;
    if (h->streams_len == STREAMS_MAX)
        drop_stream(h, h->streams);
    if (h->streams_len == h->streams_cap) {
        uint16_t cap = h->streams_cap ? (uint16_t)(h->streams_cap * 2) : 4;

        s = realloc(h->streams, cap * sizeof *s);
        if (!s)
            return NULL;
        h->streams = s;
        h->streams_cap = cap;
    }
    s = &h->streams[h->streams_len++];
    *s = (struct http2_stream){.id = id};
    return s;
}

enum stream_end {
    STREAM_ENDED,           /* END_STREAM behind content */
    STREAM_ENDED_WITH_HEAD, /* there is no content, whatever was promised (HEAD, 304) */
    STREAM_GIVEN_UP,        /* by the client: it does not want the rest */
    STREAM_REFUSED,         /* by the other side */
};

/* Nothing more will come on a stream. */
static void end_stream(struct http2 *h, uint32_t id, enum stream_end how)
{
    struct http2_stream *s = find_stream(h, id);
    struct inside_answer *answer = s ? answers_find(h->answers, s->answer) : NULL;

    if (!s)
        return;
    if (answer && how != STREAM_REFUSED)
        answer->unfinished =
            how == STREAM_ENDED && s->has_length && answer->received < answer->promised;
    drop_stream(h, s);
}

/* ---- heads */

static void begin_head(struct half *s, bool promise, uint32_t stream)
{
    s->in_block = true;
    s->block = s->stream;
    s->head = (struct head){
        .stream = stream,
        .promise = promise,
        .end_stream = !promise && s->flags & END_STREAM,
    };
}

static void drop_head(struct head *h)
{
    free(h->location);
    answers_drop_request(&h->request);
    *h = (struct head){.stream = 0};
}

static void take_text(char **place, struct span value)
{
    if (*place || value.len == 0)
        return; /* the first one counts */
    value.len = value.len < ANSWERS_TEXT_MAX ? value.len : ANSWERS_TEXT_MAX;
    *place = span_dup(value);
}

static void take_field(struct head *h, const nghttp2_nv *nv)
{
    struct span name = {(const char *)nv->name, nv->namelen};
    struct span value = {(const char *)nv->value, nv->valuelen};
    uint64_t n;

    if (span_equal(name, SPAN_LIT(":status")) && num_parse_u64(value, 999, &n)) {
        h->status = (uint16_t)n;
    } else if (span_equal(name, SPAN_LIT("content-length"))) {
        h->has_length = num_parse_u64(value, UINT64_MAX, &h->length);
    } else if (span_equal(name, SPAN_LIT("location"))) {
        take_text(&h->location, value);
    } else if (span_equal(name, SPAN_LIT(":method"))) {
        take_text(&h->request.method, value);
    } else if (span_equal(name, SPAN_LIT(":path"))) {
        take_text(&h->request.path, value);
    }
}

/* A request, or a promised one: remembered until its answer comes. */
static bool take_request(struct http2 *h, struct head *head)
{
    struct http2_stream *s;

    if (!head->request.method)
        return true; /* trailers */
    s = get_stream(h, head->stream);
    if (!s)
        return false;
    answers_drop_request(&s->request);
    s->request = head->request;
    head->request = (struct answers_request){.method = NULL};
    return true;
}

static bool take_answer(struct http2 *h, struct head *head, uint64_t at_ns, uint32_t number)
{
    struct inside_answer *answer;
    struct http2_stream *s;
    bool is_final = head->status >= 200; /* else: interim (1xx), or trailers (no status) */

    if (is_final) {
        s = get_stream(h, head->stream);
        if (!s)
            return false;
        s->answer = answers_begin(
            h->answers,
            &(struct answers_head){head->status, span_of(head->location), at_ns, number},
            &s->request);
        s->has_length = head->has_length;
        answer = answers_find(h->answers, s->answer);
        if (answer) {
            answer->promised = head->has_length ? head->length : 0;
            answer->unfinished = true;
        }
    }
    if (head->end_stream)
        end_stream(h, head->stream, is_final ? STREAM_ENDED_WITH_HEAD : STREAM_ENDED);
    return true;
}

/* The next piece of a header block; `last`: the block has ended (with an empty piece). */
static bool read_block(struct half *s, struct span piece, bool last)
{
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(s->inflater, &nv, &flags, (const uint8_t *)piece.ptr,
                                           piece.len, last);

        if (n < 0)
            return false;
        piece.ptr += n;
        piece.len -= (size_t)n;
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            take_field(&s->head, &nv);
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            return true;
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && piece.len == 0)
            return !last;
    }
}

static bool end_head(struct http2 *h, enum dir dir, uint64_t at_ns, uint32_t number)
{
    struct half *s = &h->halves[dir];
    bool ok;

    if (!read_block(s, SPAN_LIT(""), true))
        return false;
    nghttp2_hd_inflate_end_headers(s->inflater);
    s->in_block = false;
    if (dir == UP || s->head.promise)
        ok = take_request(h, &s->head);
    else
        ok = take_answer(h, &s->head, at_ns, number);
    drop_head(&s->head);
    return ok;
}

/* ---- settings */

/* One setting of this side: what the other side's header table may have, once it acknowledges. */
static void take_setting(struct half *s)
{
    uint32_t value = (uint32_t)s->front[2] << 24 | (uint32_t)s->front[3] << 16 |
                     (uint32_t)s->front[4] << 8 | s->front[5];

    if (s->front[0] == 0 && s->front[1] == SETTINGS_HEADER_TABLE_SIZE)
        s->table = value < TABLE_MAX ? value : TABLE_MAX;
}

/* This side acknowledged the other's oldest settings: from here on its heads follow them. */
static bool take_ack(struct http2 *h, enum dir dir)
{
    struct half *other = &h->halves[!dir];
    uint32_t size = other->waiting[0];

    if (other->waiting_len == 0)
        return true;
    memmove(other->waiting, other->waiting + 1, sizeof other->waiting - sizeof other->waiting[0]);
    other->waiting_len--;
    return size == NO_CHANGE ||
           nghttp2_hd_inflate_change_table_size(h->halves[dir].inflater, size) == 0;
}

/* All of this side's settings were read. */
static bool end_settings(struct half *s)
{
    if (s->front_have > 0 || s->waiting_len == SETTINGS_WAITING_MAX) /* half of one; too many */
        return false;
    s->waiting[s->waiting_len++] = s->table;
    return true;
}

/* ---- frames */

/* The frame's header is here: how long what stands in front of its content is. */
static bool begin_frame(struct http2 *h, enum dir dir)
{
    struct half *s = &h->halves[dir];
    const uint8_t *p = s->header;

    s->left = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    s->type = p[3];
    s->flags = p[4];
    s->stream = (uint32_t)(p[5] & 0x7f) << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
    s->front_have = s->front_len = s->padding = 0;
    if (s->in_block != (s->type == CONTINUATION) || (s->in_block && s->stream != s->block))
        return false;
    switch ((enum frame)s->type) {
    case DATA:
        s->front_len = s->flags & PADDED ? 1 : 0;
        break;
    case HEADERS:
        s->front_len = (uint8_t)((s->flags & PADDED ? 1 : 0) + (s->flags & PRIORITY ? 5 : 0));
        break;
    case PUSH_PROMISE:
        s->front_len = s->flags & PADDED ? 5 : 4;
        break;
    case SETTINGS:
        s->front_len = s->flags & ACK ? 0 : SETTING_LEN;
        s->table = NO_CHANGE;
        return s->stream == 0;
    case RST_STREAM:
    case CONTINUATION:
        break;
    }
    return s->front_len <= s->left;
}

/* The front is whole: what it says.  False: it lies. */
static bool end_front(struct half *s)
{
    const uint8_t *p = s->front;

    if (s->type == SETTINGS) {
        take_setting(s);
        s->front_have = 0; /* the next one */
        return true;
    }
    if (s->flags & PADDED && s->front_len > 0)
        s->padding = *p++;
    if (s->type == HEADERS)
        begin_head(s, false, s->stream);
    if (s->type == PUSH_PROMISE)
        begin_head(s, true,
                   (uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
                       p[3]);
    return s->padding <= s->left;
}

static void count_data(struct http2 *h, enum dir dir, size_t n)
{
    struct http2_stream *stream = dir == DOWN ? find_stream(h, h->halves[dir].stream) : NULL;
    struct inside_answer *answer = stream ? answers_find(h->answers, stream->answer) : NULL;

    if (answer)
        answer->received += n;
}

/* A piece of the content, as the frame's kind wants it. */
static bool take_content(struct http2 *h, enum dir dir, struct span piece)
{
    struct half *s = &h->halves[dir];

    if (s->type == DATA)
        count_data(h, dir, piece.len);
    if (s->type == HEADERS || s->type == PUSH_PROMISE || s->type == CONTINUATION)
        return read_block(s, piece, false);
    return true;
}

/* All of the frame is here. */
static bool end_frame(struct http2 *h, enum dir dir, uint64_t at_ns, uint32_t number)
{
    struct half *s = &h->halves[dir];

    s->have = 0;
    switch ((enum frame)s->type) {
    case HEADERS:
    case PUSH_PROMISE:
    case CONTINUATION:
        return !(s->flags & END_HEADERS) || end_head(h, dir, at_ns, number);
    case DATA:
        if (dir == DOWN && s->flags & END_STREAM)
            end_stream(h, s->stream, STREAM_ENDED);
        return true;
    case RST_STREAM:
        end_stream(h, s->stream, dir == UP ? STREAM_GIVEN_UP : STREAM_REFUSED);
        return true;
    case SETTINGS:
        return s->flags & ACK ? take_ack(h, dir) : end_settings(s);
    }
    return true;
}

/* Takes a prefix of `in`: header, front, content or padding of a frame.  Returns its length, -1
 * where it is not HTTP/2. */
static ssize_t take_part(struct http2 *h, enum dir dir, struct span in)
{
    struct half *s = &h->halves[dir];
    size_t n = 1;

    if (s->have < FRAME_HEADER_LEN) {
        s->header[s->have++] = (uint8_t)in.ptr[0];
        if (s->have == FRAME_HEADER_LEN &&
            (!begin_frame(h, dir) || (s->front_len == 0 && s->type != SETTINGS && !end_front(s))))
            return -1;
        return 1;
    }
    if (s->front_have < s->front_len) {
        s->front[s->front_have++] = (uint8_t)in.ptr[0];
        s->left--;
        return s->front_have < s->front_len || end_front(s) ? 1 : -1;
    }
    if (s->left > s->padding) {
        n = s->left - s->padding;
        n = n < in.len ? n : in.len;
        s->left -= (uint32_t)n;
        if (!take_content(h, dir, (struct span){in.ptr, n}))
            return -1;
        return (ssize_t)n;
    }
    n = s->left < in.len ? s->left : in.len;
    s->left -= (uint32_t)n;
    s->padding = (uint8_t)s->left;
    return (ssize_t)n;
}

/* The client's first bytes.  Returns how many were taken, -1: they are others. */
static ssize_t take_preface(struct half *s, struct span in)
{
    size_t n = PREFACE_LEN - s->preface;

    n = n < in.len ? n : in.len;
    if (memcmp(preface + s->preface, in.ptr, n) != 0)
        return -1;
    s->preface = (uint8_t)(s->preface + n);
    return (ssize_t)n;
}

bool http2_feed(struct http2 *h, enum dir dir, struct span bytes, uint64_t at_ns, uint32_t number)
{
    struct half *s = &h->halves[dir];

    while (bytes.len > 0) {
        bool in_preface = dir == UP && s->preface < PREFACE_LEN;
        ssize_t n = in_preface ? take_preface(s, bytes) : take_part(h, dir, bytes);

        if (n < 0)
            return false;
        bytes.ptr += n;
        bytes.len -= (size_t)n;
        if (s->have == FRAME_HEADER_LEN && s->left == 0 && !end_frame(h, dir, at_ns, number))
            return false;
    }
    return true;
}

/* ---- life */

struct http2 *http2_new(struct answers *a)
{
    struct http2 *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->answers = a;
    for (size_t i = 0; i < ARRAY_LEN(h->halves); i++) {
        if (nghttp2_hd_inflate_new(&h->halves[i].inflater) != 0) {
            http2_free(h);
            return NULL;
        }
    }
    return h;
}

void http2_free(struct http2 *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < ARRAY_LEN(h->halves); i++) {
        if (h->halves[i].inflater)
            nghttp2_hd_inflate_del(h->halves[i].inflater);
        drop_head(&h->halves[i].head);
    }
    while (h->streams_len > 0)
        drop_stream(h, &h->streams[h->streams_len - 1]);
    free(h->streams);
    free(h);
}

size_t http2_get_memory(const struct http2 *h)
{
    size_t sum = sizeof *h + h->streams_cap * sizeof *h->streams;

    for (size_t i = 0; i < ARRAY_LEN(h->halves); i++)
        sum += INFLATER_LEN + nghttp2_hd_inflate_get_dynamic_table_size(h->halves[i].inflater);
    return sum;
}

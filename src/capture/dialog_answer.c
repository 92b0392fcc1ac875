/* What comes back: answer heads and bodies, judged where they refuse (dialog_judge.c). */
#include <stdlib.h>

#include "capture/head.h"
#include "capture/round.h"

#define EARLY_MAX 16384 /* bytes that wait for a request which the capture has behind them */

/* ---- a head */

static bool is_html(const struct http1_head *h)
{
    for (unsigned i = 0; i < h->fields_len; i++)
        if (span_equal_nocase(h->fields[i].name, SPAN_LIT("content-type")))
            return span_begins_nocase(h->fields[i].value, SPAN_LIT("text/html"));
    return false;
}

static bool says_established(struct span reason)
{
    for (size_t i = 0; i + 11 <= reason.len; i++)
        if (span_begins_nocase((struct span){reason.ptr + i, reason.len - i},
                               SPAN_LIT("established")))
            return true;
    return false;
}

/* An answer whose request is not in the capture may tell what was asked. */
static bool opens_tunnel(struct round *t, const struct http1_head *h)
{
    if (h->status < 200 || h->status >= 300)
        return h->status == 101;
    if (t->x.asked == ASKED_UNSEEN && says_established(h->reason)) {
        t->x.method = METHOD_CONNECT;
        t->x.proxied = true;
        return true;
    }
    return t->x.method == METHOD_CONNECT;
}

/* Keeps what the judge wants to read: the head, and room for the page behind it. */
static void keep_head(struct said *s, struct round *t, struct span head)
{
    size_t len = head.len;
    char *copy = span_dup(head); /* what is kept may go on behind the head, and comes again */

    round_forget(s->d, s->g, DOWN);
    t->has_head = copy && round_keep(s->d, s->g, DOWN, (struct span){copy, len});
    if (t->has_head)
        s->g->words->head_len = (uint32_t)len;
    free(copy);
}

static void open_tunnel(struct said *s, struct round *t, struct span head)
{
    struct dialog *g = s->g;
    bool is_connect = t->x.method == METHOD_CONNECT;

    t->asked_all = true;
    t->maybe_page = is_connect && is_html(&s->d->head);
    if (t->maybe_page) {
        keep_head(s, t, head);
        t->maybe_page = t->has_head;
    } else {
        round_forget(s->d, g, DOWN);
    }
    g->mode[DOWN] = is_connect ? MODE_TUNNEL : MODE_OPAQUE;
    if (!is_connect)
        g->mode[UP] = MODE_OPAQUE;
    else if (g->mode[UP] <= MODE_BEHIND)
        g->mode[UP] = MODE_TUNNEL;
}

/* A refused CONNECT: what its client sent too early is no request. */
static void refuse_tunnel(struct dialog *g)
{
    if (g->mode[UP] == MODE_BEHIND)
        g->mode[UP] = MODE_HEAD;
    else if (g->mode[UP] > MODE_BEHIND)
        g->mode[UP] = MODE_SEEK;
}

static void begin_body(struct said *s, struct round *t, struct span head, bool whole)
{
    struct body *b = round_make_body(s->d, t, DOWN);
    struct http1_head *h = &s->d->head;
    bool wanted = h->status >= 400 || (h->status >= 300 && t->x.proxied);

    if (wanted)
        keep_head(s, t, head);
    else
        round_forget(s->d, s->g, DOWN);
    t->keeps = t->keeps && h->keep_alive;
    if (!whole || !b) {
        t->x.content_unseen |= h->status < 300; /* where its body ends stood there, maybe */
        s->g->mode[DOWN] = MODE_SEEK;
        return;
    }
    body_of_response(b, h, (enum http1_method)t->x.method);
    if (b->kind == BODY_CLOSE)
        t->keeps = false;
    s->g->mode[DOWN] = MODE_BODY;
}

/* The body is through: another head may follow. */
static void end_body(struct said *s, struct round *t)
{
    s->g->mode[DOWN] = MODE_HEAD;
    t->answered_all = true;
    dialog_judge_kept(s->d, s->g, t);
    round_forget(s->d, s->g, DOWN);
    round_finish(s, t);
}

static bool is_interim(const struct http1_head *h)
{
    return h->status >= 100 && h->status < 200 && h->status != 101;
}

static void take_known(struct said *s, struct round *t, struct span text, bool whole)
{
    struct http1_head *h = &s->d->head;

    dialog_request_read_part(s->d, s->g, t);
    head_read_response(text, h);
    if (is_interim(h)) {
        exchange_unmark(&t->x, MARK_ANSWER);
        round_forget(s->d, s->g, DOWN);
        t->interim_cut = !whole;
        return;
    }
    t->interim_cut = false;
    t->x.status = h->status;
    if (t->x.proxied && t->x.asked != ASKED_ORIGIN && (h->status < 400 || h->status == 407))
        round_learn_proxy(s->d, &s->c->ends[DOWN], true);
    exchange_mark(&t->x, MARK_ANSWER_END, s->p.at_ns, s->p.number);
    if (h->status >= 300 && h->status < 400)
        dialog_judge_redirect(&t->x, h);
    if (opens_tunnel(t, h)) {
        open_tunnel(s, t, text);
        return;
    }
    if (t->x.method == METHOD_CONNECT)
        refuse_tunnel(s->g);
    begin_body(s, t, text, whole);
    if (s->g->mode[DOWN] == MODE_BODY && round_get_body(t, DOWN)->done)
        end_body(s, t);
}

/* ---- what is no answer */

/* Not HTTP: no proxy's answer.  Where nobody saw what was asked, it is whatever it looks like. */
static void take_other(struct said *s, struct round *t, struct span text)
{
    if (t->x.asked == ASKED_UNSEEN) {
        exchange_unmark(&t->x, MARK_ANSWER);
        s->g->mode[DOWN] = MODE_TUNNEL;
        return;
    }
    dialog_judge_bytes(&t->x, text);
    round_forget(s->d, s->g, DOWN);
    s->g->mode[DOWN] = MODE_OPAQUE;
    if (s->g->mode[UP] == MODE_BEHIND)
        s->g->mode[UP] = MODE_OPAQUE;
}

/* The answer, or its beginning, is not in the capture. */
static size_t take_hole(struct said *s, struct round *t)
{
    struct dialog *g = s->g;

    if (g->mode[UP] == MODE_UNSEEN) {
        dialog_unseen_begin(s, t);
        return 0;
    }
    exchange_mark(&t->x, MARK_ANSWER, s->p.at_ns, s->p.number);
    t->x.content_unseen = true;
    t->answer_unseen = true;
    round_forget(s->d, g, DOWN);
    if (t->x.method == METHOD_CONNECT) {
        exchange_mark(&t->x, MARK_ANSWER_END, s->p.at_ns, s->p.number);
        g->mode[DOWN] = MODE_TUNNEL;
    } else {
        g->mode[DOWN] = MODE_SEEK;
    }
    return s->p.len;
}

/* Bytes of whoever speaks first.  Where the client's side is not in the capture, or its beginning
 * is not, they are told by what they are; else they wait for its request. */
static size_t take_early(struct said *s, struct round *t)
{
    struct dialog *g = s->g;
    bool alone = s->c->mid_stream || !s->c->streams[UP].begun;
    bool is_first = !g->had_round || (t && t->x.is_first);

    if (!t && !g->had_round)
        t = round_begin(s);
    if (s->p.bytes.len == 0) {
        if (t && is_first)
            dialog_unseen_begin(s, t);
        return t && is_first ? 0 : s->p.len;
    }
    if (t && alone && is_first) {
        t->x.asked = ASKED_UNSEEN;
        t->x.proxied |= round_is_proxy_port(s->c);
        t->asked_head = t->asked_all = t->keeps = true;
        if (head_guess_response(s->p.bytes) == PARSE_BAD)
            g->mode[UP] = g->mode[DOWN] = MODE_TUNNEL;
        return 0;
    }
    if (g->had_round && stream_get_rare(&s->c->streams[UP])->missing > 0)
        return s->p.len; /* of an answer whose request the capture lacks */
    if (round_kept(g, DOWN).len + s->p.bytes.len <= EARLY_MAX)
        round_keep(s->d, g, DOWN, s->p.bytes);
    return s->p.len;
}

/* Whether there is a request that this may answer, if only its beginning. */
static bool is_awaited(const struct said *s, const struct round *t)
{
    return t && (t->asked_head ||
                 (t->x.packets[MARK_REQUEST] > 0 && head_guess_response(s->p.bytes) == PARSE_OK));
}

static size_t take_head(struct said *s)
{
    struct round *t = round_find_answering(s->g);
    bool cut = s->p.len > s->p.bytes.len;
    struct span text;
    size_t before, len;
    enum parse guess;

    if (!is_awaited(s, t))
        return take_early(s, t);
    if (s->p.bytes.len == 0 || !round_gather(s, &text, &before))
        return take_hole(s, t);
    exchange_mark(&t->x, MARK_ANSWER, s->p.at_ns, s->p.number);
    guess = head_guess_response(text);
    if (guess == PARSE_BAD && t->interim_cut) {
        exchange_unmark(&t->x, MARK_ANSWER);
        round_forget(s->d, s->g, DOWN);
        return s->p.len;
    }
    if (guess == PARSE_BAD && t->x.asked == ASKED_UNSEEN) { /* who knows what was asked */
        s->g->mode[DOWN] = MODE_TUNNEL;
        return 0;
    }
    if (guess == PARSE_BAD) {
        take_other(s, t, text);
        return 0;
    }
    len = guess == PARSE_OK ? head_find_end(text, before) : 0;
    if (len > 0 || (cut && guess == PARSE_OK)) {
        take_known(s, t, (struct span){text.ptr, len > 0 ? len : text.len}, len > 0);
        return len > 0 ? round_fresh(len, before) : s->p.len;
    }
    if (cut)
        return take_hole(s, t);
    if (before == 0 && !round_keep(s->d, s->g, DOWN, text))
        return take_hole(s, t);
    return s->p.bytes.len;
}

/* ---- a body */

static size_t skip_body(struct said *s, struct body *b)
{
    uint64_t n = s->p.len;

    if (b->kind == BODY_CHUNKED) {
        s->g->mode[DOWN] = MODE_SEEK;
        round_find_answering(s->g)->x.content_unseen = true;
        return s->p.len;
    }
    if (b->kind == BODY_LENGTH && n > b->left)
        n = b->left;
    body_skip(b, n);
    return (size_t)n;
}

/* Another answer where a body should be: what nobody saw asked was a HEAD. */
static bool is_bodyless(const struct said *s, const struct round *t, const struct body *b)
{
    return t->x.asked == ASKED_UNSEEN && s->at_start && b->payload == 0 &&
           head_guess_response(s->p.bytes) == PARSE_OK;
}

static size_t begin_next_unseen(struct said *s, struct round *t)
{
    end_body(s, t);
    t = s->g->last && !s->g->last->answered_all ? s->g->last : round_begin(s);
    if (!t)
        return s->p.len;
    t->x.asked = ASKED_UNSEEN;
    t->x.content_unseen = true;
    t->asked_head = t->asked_all = t->keeps = true;
    return 0;
}

/* As much of a refusal's page as the judge looks at. */
static void keep_page(struct said *s, const struct round *t, struct span data)
{
    size_t have = round_kept(s->g, DOWN).len;

    if (!t->has_head || !s->g->words || have < s->g->words->head_len)
        return;
    have -= s->g->words->head_len;
    if (have < OUTSIDE_BODY_MAX)
        round_keep(s->d, s->g, DOWN,
                   (struct span){data.ptr, data.len < OUTSIDE_BODY_MAX - have
                                               ? data.len
                                               : OUTSIDE_BODY_MAX - have});
}

static size_t take_body(struct said *s)
{
    struct round *t = round_find_answering(s->g);
    struct body *b = t ? round_get_body(t, DOWN) : NULL;
    struct span data = {0};
    size_t used = 0;
    uint64_t before;

    if (!b || b->done)
        return s->p.len;
    if (is_bodyless(s, t, b))
        return begin_next_unseen(s, t);
    exchange_mark(&t->x, MARK_BODY, s->p.at_ns, s->p.number);
    before = b->payload;
    if (s->p.bytes.len == 0) {
        used = skip_body(s, b);
    } else if (body_read(b, s->p.bytes, &used, &data) == PARSE_BAD) {
        s->g->mode[DOWN] = MODE_SEEK;
        used = s->p.len;
    }
    keep_page(s, t, data);
    t->x.sides[DOWN].bytes += b->payload - before;
    if (b->done)
        end_body(s, t);
    return used;
}

/* The beginning of an answer at the beginning of a packet: the one before it is over, where another
 * is waited for. */
static size_t seek_head(struct said *s)
{
    struct round *t = round_find_answering(s->g);

    if (t && t->next && s->at_start && head_guess_response(s->p.bytes) == PARSE_OK) {
        s->g->mode[DOWN] = MODE_HEAD;
        t->answered_all = true;
        if (t == s->g->first)
            round_end(s->d, s->g, CONN_END_CLOSED, s->p.at_ns, false);
        return 0;
    }
    if (t && !t->answer_unseen) {
        struct body *b = round_make_body(s->d, t, DOWN);

        if (b)
            b->payload += s->p.len;
        t->x.sides[DOWN].bytes += s->p.len;
        exchange_mark(&t->x, MARK_BODY, s->p.at_ns, s->p.number);
        keep_page(s, t, s->p.bytes);
    }
    return s->p.len;
}

size_t dialog_answer_take(struct said *s)
{
    switch ((enum mode)s->g->mode[DOWN]) {
    case MODE_HEAD:
        return take_head(s);
    case MODE_BODY:
        return take_body(s);
    case MODE_SEEK:
        return seek_head(s);
    case MODE_BEHIND:
    case MODE_TUNNEL:
    case MODE_TLS:
    case MODE_UNSEEN:
    case MODE_OPAQUE:
        break;
    }
    return s->p.len;
}

/* ---- the end */

/* A head without its end is read as far as it came. */
static void end_in_head(struct dialogs *d, struct dialog *g, struct round *t)
{
    struct span text = round_kept(g, DOWN);
    struct http1_head *h = &d->head;

    if (text.len == 0 || t->x.asked == ASKED_NOTHING)
        return;
    if (head_guess_response(text) != PARSE_OK) {
        dialog_judge_bytes(&t->x, text);
        return;
    }
    head_read_response(text, h);
    if (is_interim(h))
        return;
    t->x.status = h->status;
    if (h->status >= 300)
        dialog_judge_head(d, &t->x, text, SPAN_LIT(""));
}

void dialog_answer_end(struct dialogs *d, struct dialog *g, struct round *t)
{
    const struct body *b = round_get_body(t, DOWN);
    const struct outside_verdict *judged;
    bool is_next = round_find_answering(g) == t;

    if (is_next && g->mode[DOWN] == MODE_BODY && b) {
        t->x.body_unfinished = !b->done && (b->kind == BODY_LENGTH || b->kind == BODY_CHUNKED);
        if (t->x.conn->is_text && b->payload == 0) { /* its lines show no bodies */
            t->x.content_unseen |= t->x.body_unfinished;
            t->x.body_unfinished = false;
        }
    } else if (is_next && g->mode[DOWN] == MODE_HEAD) {
        end_in_head(d, g, t);
    } else if (is_next && g->mode[DOWN] == MODE_SEEK) {
        t->x.content_unseen = true;
    }
    if (t->maybe_page) { /* the field says HTML, but no page came */
        t->maybe_page = t->has_head = false;
        round_forget(d, g, DOWN);
    }
    dialog_judge_kept(d, g, t);
    judged = exchange_get_rare(&t->x)->judged;
    if (judged && judged->verdict != VERDICT_TARGET_ERROR)
        t->x.sides[UP].bytes = t->x.sides[DOWN].bytes = 0; /* a proxy's own page moves nothing */
}

/* What packets bring is cut into pieces, each of which the reader of its direction's mode takes:
 *
 *     UP   HEAD ─► BODY ─► HEAD …            DOWN   HEAD ─► BODY ─► HEAD …
 *            └ CONNECT ─► BEHIND ─► TUNNEL            └ 2xx to CONNECT, 101 ─► TUNNEL, OPAQUE
 *     TUNNEL ─► TLS (records, a hello collected beside), OPAQUE, UNSEEN
 *
 * Where a head is cut, SEEK looks for the next one.  An answer that is whole is not over yet: it
 * lingers until it is acknowledged, because who is not reached by it has none. */
#include "capture/dialog.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/round.h"

#define LINGER_NS (2 * NS_PER_S)

struct dialogs *dialogs_new(const struct dialogs_options *o)
{
    struct dialogs *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    assert(o->over && o->proxies_len <= sizeof o->proxies / sizeof o->proxies[0]);
    d->o = *o;
    list_init(&d->lingering);
    d->memory = sizeof *d;
    objects_init(&d->rounds, sizeof(struct round));
    objects_init(&d->dialogs, sizeof(struct dialog));
    return d;
}

void dialogs_free(struct dialogs *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < ISSUERS_MAX; i++)
        free(d->issuers[i].text);
    objects_fini(&d->rounds);
    objects_fini(&d->dialogs);
    free(d);
}

uint64_t dialogs_get_memory(const struct dialogs *d)
{
    return d->memory + d->kept + d->rounds.memory + d->dialogs.memory;
}

static struct dialog *get_dialog(struct dialogs *d, struct conn *c)
{
    if (c->dialog)
        return c->dialog;
    c->dialog = objects_get(&d->dialogs);
    return c->dialog;
}

/* ---- time */

/* An answer that nobody acknowledged stays until its connection tells more. */
void dialogs_tick(struct dialogs *d, uint64_t now_ns)
{
    while (!list_is_empty(&d->lingering)) {
        struct dialog *g = CONTAINER_OF(d->lingering.next, struct dialog, linger);

        if (g->last_ns + LINGER_NS > now_ns)
            return;
        list_remove(&g->linger);
        if (stream_unacked(&g->first->x.conn->streams[DOWN]) == 0)
            round_end(d, g, CONN_END_CLOSED, now_ns, false);
    }
}

/* The quiet time that these bytes end. */
static void note_silence(const struct said *s)
{
    const struct dialog *g = s->g;
    struct round *t = g->first;
    uint64_t length = s->p.at_ns > g->last_ns ? s->p.at_ns - g->last_ns : 0;
    bool through = t && (t->asked_head || t->x.packets[MARK_HELLO] > 0);

    if (!through || t->answered_all || !g->last_ns || length <= t->x.silence.length_ns)
        return;
    t->x.silence = (struct exchange_silence){
        .begin_ns = g->last_ns,
        .length_ns = length,
        .before = g->last_number,
        .after = s->p.number,
    };
    t->x.silence_is_asked = g->last_dir == UP;
}

/* ---- bytes */

static size_t take(struct said *s)
{
    switch ((enum mode)s->g->mode[s->dir]) {
    case MODE_HEAD:
    case MODE_BODY:
    case MODE_SEEK:
    case MODE_BEHIND:
        return s->dir == UP ? dialog_request_take(s) : dialog_answer_take(s);
    case MODE_TUNNEL:
    case MODE_TLS:
    case MODE_OPAQUE:
        return dialog_tls_take(s);
    case MODE_UNSEEN:
        return dialog_unseen_take(s);
    }
    return s->p.len;
}

static void step_over(struct stream_piece *p, size_t n)
{
    size_t there = n < p->bytes.len ? n : p->bytes.len;

    assert(n <= p->len);
    if (there > 0)
        p->bytes = (struct span){p->bytes.ptr + there, p->bytes.len - there};
    p->len -= (uint32_t)n;
}

static void hear(struct said *s)
{
    unsigned turns = 0;

    while (s->p.len > 0) {
        size_t n = take(s);

        turns = n > 0 ? 0 : turns + 1;
        if (turns > 4)
            n = s->p.len; /* readers that send it back and forth: nobody's */
        step_over(&s->p, n);
        if (n > 0)
            s->at_start = false;
    }
}

void dialog_replay(struct said *s, enum dir dir)
{
    struct dialog *g = s->g;
    struct buf early;
    struct said then = *s;

    if (g->replaying || round_kept(g, dir).len == 0)
        return;
    early = g->words->in[dir];
    buf_init(&g->words->in[dir], early.max);
    s->d->kept -= early.cap;
    then.dir = dir;
    then.at_start = true;
    then.p.bytes = buf_span(&early);
    then.p.len = (uint32_t)then.p.bytes.len;
    g->replaying = true;
    hear(&then);
    g->replaying = false;
    buf_fini(&early);
}

/* What was a reply, as it seemed, were tickets: the request still waits. */
static void count_tickets(struct said *s, struct round *t)
{
    const struct stream *up = &s->c->streams[UP];
    struct dialog *g = s->g;

    g->only_tickets = false;
    if (!t || g->last_dir == UP)
        return; /* both in one piece: nothing was counted yet */
    g->last_ns = up->last_data_ns;
    g->last_number = up->last_data_number;
    g->last_dir = UP;
    t->x.sides[UP].since_other = t->ticket_asked;
    t->x.sides[DOWN].since_other = 0;
    exchange_mark(&t->x, MARK_LAST, g->last_ns, g->last_number);
}

/* Whose bytes these were: requests are the newest round's, answers the oldest's. */
static void count_bytes(struct said *s, const struct stream_piece *whole)
{
    struct dialog *g = s->g;
    struct round *t = s->dir == UP ? g->last : g->first;

    bool is_alert = g->only_alert;

    g->only_alert = false;
    if (g->only_tickets) {
        count_tickets(s, t);
        return;
    }
    if (is_alert) /* who says good-bye asks nothing and answers nothing */
        return;
    g->last_ns = whole->at_ns;
    g->last_number = whole->number;
    g->last_dir = (uint8_t)s->dir;
    if (!t)
        return;
    t->x.sides[s->dir].since_other += whole->len;
    t->x.sides[s->dir == UP ? DOWN : UP].since_other = 0;
    exchange_mark(&t->x, MARK_LAST, whole->at_ns, whole->number);
}

/* Asks for all of a round at once, as the table does for a connection (conn_store.c). */
static void fetch(const struct round *t)
{
    for (size_t i = 0; t && i < sizeof *t; i += 64)
        __builtin_prefetch((const char *)t + i, 1);
}

static void on_bytes(void *owner, struct conn *c, enum dir dir, const struct stream_piece *p)
{
    struct dialogs *d = owner;
    struct said s = {.d = d, .g = get_dialog(d, c), .c = c, .dir = dir, .p = *p, .at_start = true};

    if (s.g)
        fetch(s.g->last);
    dialogs_tick(d, p->at_ns);
    if (!s.g || p->len == 0)
        return;
    if (p->bytes.len == 0) /* readers reckon from it */
        s.p.bytes = SPAN_LIT("");
    note_silence(&s);
    hear(&s);
    count_bytes(&s, p);
}

/* ---- beginning and end */

static void on_established(void *owner, struct conn *c)
{
    struct dialog *g = get_dialog(owner, c);
    uint64_t us;

    if (!g)
        return;
    us = c->last_ns > c->begin_ns ? (c->last_ns - c->begin_ns) / NS_PER_US + 1 : 1;
    g->established_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    g->established_number = c->last_number;
}

/* The close belongs to whatever goes on; an idle connection's is nobody's. */
static void mark_close(struct dialog *g, uint64_t at_ns, uint32_t number, bool closed)
{
    list_remove(&g->linger);
    for (struct round *t = g->first; t; t = t->next) {
        exchange_mark(&t->x, MARK_CLOSE, at_ns, number);
        if (closed)
            exchange_mark(&t->x, MARK_CLOSED, at_ns, number);
    }
}

static void on_fin(void *owner, struct conn *c, enum dir dir, uint64_t at_ns, uint32_t number)
{
    struct dialogs *d = owner;
    struct dialog *g = c->dialog;
    struct round *t = g ? round_find_answering(g) : NULL;
    struct body *b = t ? round_get_body(t, DOWN) : NULL;

    dialogs_tick(d, at_ns);
    if (!g)
        return;
    mark_close(g, at_ns, number, c->streams[dir == UP ? DOWN : UP].fin);
    if (dir == DOWN && b && g->mode[DOWN] == MODE_BODY && body_finish(b)) {
        t->answered_all = true;
        t->x.complete = t->asked_all;
    }
}

static void on_reset(void *owner, struct conn *c, enum dir dir, uint64_t at_ns, uint32_t number)
{
    dialogs_tick(owner, at_ns);
    if (c->dialog)
        mark_close(c->dialog, at_ns, number, true);
}

static void on_ended(void *owner, struct conn *c, enum conn_end how, uint64_t now_ns)
{
    struct dialogs *d = owner;
    struct dialog *g = c->dialog;

    if (!g || !g->had_round)
        round_tell_silent(d, c, g, how, now_ns);
    if (!g)
        return;
    while (g->first)
        round_end(d, g, how, now_ns, true);
    round_free_kept(d, g);
    list_remove(&g->linger);
    objects_put(&d->dialogs, g);
    c->dialog = NULL;
}

static bool on_is_proxy(void *owner, const struct endpoint *e)
{
    return dialogs_is_proxy(owner, e);
}

struct conn_events dialogs_get_events(struct dialogs *d)
{
    return (struct conn_events){
        .owner = d,
        .established = on_established,
        .bytes = on_bytes,
        .fin = on_fin,
        .reset = on_reset,
        .ended = on_ended,
        .is_proxy = on_is_proxy,
    };
}

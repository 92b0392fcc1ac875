#include "capture/round.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/util.h"

#define KEPT_MAX (64u << 10)   /* bytes of one direction */
#define KEPT_ALL (32ull << 20) /* of all */

/* Beside it come the target, its bucket in the table, and what is under way (capture/flight.h). */
static_assert(sizeof(struct conn) + sizeof(struct round) + sizeof(struct dialog) <= 864,
              "a live tunnel has to stay under 1 KiB with its texts");

/* ---- kept bytes */

static struct words *get_words(struct dialogs *d, struct dialog *g)
{
    if (g->words)
        return g->words;
    g->words = calloc(1, sizeof *g->words);
    if (!g->words)
        return NULL;
    buf_init(&g->words->in[UP], KEPT_MAX);
    buf_init(&g->words->in[DOWN], KEPT_MAX);
    d->memory += sizeof *g->words;
    return g->words;
}

bool round_keep(struct dialogs *d, struct dialog *g, enum dir dir, struct span bytes)
{
    struct words *w = get_words(d, g);
    uint32_t before;
    bool ok;

    if (!w || d->kept + bytes.len > KEPT_ALL)
        return false;
    before = w->in[dir].cap;
    ok = buf_append(&w->in[dir], bytes.ptr, bytes.len);
    d->kept += w->in[dir].cap - before;
    return ok;
}

struct span round_kept(const struct dialog *g, enum dir dir)
{
    return g->words ? buf_span(&g->words->in[dir]) : SPAN_LIT("");
}

bool round_gather(struct said *s, struct span *text, size_t *before)
{
    *text = s->p.bytes;
    *before = round_kept(s->g, s->dir).len;
    if (*before == 0)
        return true;
    if (!round_keep(s->d, s->g, s->dir, s->p.bytes))
        return false;
    *text = round_kept(s->g, s->dir);
    return true;
}

void round_forget(struct dialogs *d, struct dialog *g, enum dir dir)
{
    if (!g->words)
        return;
    assert(d->kept >= g->words->in[dir].cap);
    d->kept -= g->words->in[dir].cap;
    buf_fini(&g->words->in[dir]);
    if (g->words->in[!dir].cap > 0)
        return;
    free(g->words);
    g->words = NULL;
    d->memory -= sizeof *g->words;
}

void round_free_kept(struct dialogs *d, struct dialog *g)
{
    round_forget(d, g, UP);
    round_forget(d, g, DOWN);
}

/* ---- bodies */

struct body *round_make_body(struct dialogs *d, struct round *t, enum dir dir)
{
    struct body *have = round_get_body(t, dir), *grown;

    if (have)
        return have;
    grown = realloc(t->bodies, (t->bodies_len + 1u) * sizeof *grown);
    if (!grown)
        return NULL;
    if (t->bodies_len == 0)
        t->bodies_dir = dir & 1;
    grown[t->bodies_len] = (struct body){0};
    d->memory += sizeof *grown;
    t->bodies = grown;
    t->bodies_len++;
    return round_get_body(t, dir);
}

struct body *round_get_body(const struct round *t, enum dir dir)
{
    unsigned at = dir == t->bodies_dir ? 0 : 1;

    return at < t->bodies_len ? &t->bodies[at] : NULL;
}

/* What came of them, of what was promised, is a part of the exchange from now on. */
static void settle_bodies(struct round *t)
{
    const struct body *up = round_get_body(t, UP), *down = round_get_body(t, DOWN);
    struct exchange_rare sums = {
        .promised = down && down->kind == BODY_LENGTH ? down->total : 0,
        .received = down ? down->payload : 0,
        .request_promised = up && up->kind == BODY_LENGTH ? up->total : 0,
        .request_received = up ? up->payload : 0,
    };
    bool any = sums.promised || sums.received || sums.request_promised || sums.request_received;

    if (!any || !exchange_make_rare(&t->x))
        return;
    t->x.rare->promised = sums.promised;
    t->x.rare->received = sums.received;
    t->x.rare->request_promised = sums.request_promised;
    t->x.rare->request_received = sums.request_received;
}

static void free_bodies(struct dialogs *d, struct round *t)
{
    d->memory -= t->bodies_len * sizeof *t->bodies;
    free(t->bodies);
}

/* ---- proxies */

static bool is_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && addr_is_equal(&a->addr, &b->addr);
}

/* Its slot, or the empty one where it would stand. */
static size_t find_slot(const struct endpoint table[PROXIES_MAX], const struct endpoint *e)
{
    size_t at = hash_bytes(&e->addr, sizeof e->addr) + e->port;

    for (;; at++) {
        const struct endpoint *slot = &table[at % PROXIES_MAX];

        if (!slot->addr.family || is_equal(slot, e))
            return at % PROXIES_MAX;
    }
}

void round_learn_proxy(struct dialogs *d, const struct endpoint *e, bool answered)
{
    struct endpoint host = {.addr = e->addr};
    size_t at = find_slot(d->seen_proxies, e);

    if (!d->seen_proxies[at].addr.family) {
        if (d->seen_len >= PROXIES_MAX / 2 || !e->addr.family)
            return;
        d->seen_proxies[at] = *e;
        d->seen_hosts[find_slot(d->seen_hosts, &host)] = host;
        d->seen_len++;
    }
    d->answered[at] |= answered;
}

static bool is_told_proxy(const struct dialogs *d, const struct endpoint *e)
{
    for (unsigned i = 0; i < d->o.proxies_len; i++) {
        const struct endpoint *p = &d->o.proxies[i];

        if ((!p->addr.family || addr_is_equal(&p->addr, &e->addr)) &&
            (p->port == 0 || p->port == e->port))
            return true;
    }
    return false;
}

bool dialogs_is_proxy(const struct dialogs *d, const struct endpoint *e)
{
    return is_told_proxy(d, e) || d->seen_proxies[find_slot(d->seen_proxies, e)].addr.family;
}

bool round_is_sure_proxy(const struct dialogs *d, const struct endpoint *e)
{
    return is_told_proxy(d, e) || d->answered[find_slot(d->seen_proxies, e)];
}

bool dialogs_is_proxy_host(const struct dialogs *d, const struct addr *a)
{
    struct endpoint host = {.addr = *a};

    for (unsigned i = 0; i < d->o.proxies_len; i++)
        if (addr_is_equal(&d->o.proxies[i].addr, a))
            return true;
    return d->seen_hosts[find_slot(d->seen_hosts, &host)].addr.family != 0;
}

bool round_is_proxy_port(const struct conn *c)
{
    static const uint16_t ports[] = {3128, 8080, 8888, 8000, 8118, 3129, 8081, 9090};

    for (size_t i = 0; i < ARRAY_LEN(ports); i++)
        if (c->ends[DOWN].port == ports[i])
            return true;
    return false;
}

/* ---- rounds */

struct round *round_find_answering(const struct dialog *g)
{
    struct round *t = g->first;

    while (t && t->answered_all)
        t = t->next;
    return t;
}

/* The handshake is the first exchange's own; a later one begins with its first byte. */
static void mark_beginning(struct exchange *x, const struct conn *c, const struct dialog *g)
{
    x->is_first = true;
    x->begin_ns = c->begin_ns;
    x->early_unseen = c->mid_stream;
    if (c->streams[UP].syn)
        exchange_mark(x, MARK_SYN, c->begin_ns, c->begin_number);
    if (g && g->established_us && !c->mid_stream)
        exchange_mark(x, MARK_ESTABLISHED, c->begin_ns + (g->established_us - 1) * NS_PER_US,
                      g->established_number);
}

struct round *round_begin(struct said *s)
{
    struct dialog *g = s->g;
    struct round *t;

    if (g->first && g->first == g->last && g->first->asked_all && g->first->answered_all)
        round_end(s->d, g, CONN_END_CLOSED, s->p.at_ns, false);
    t = objects_get(&s->d->rounds);
    if (!t)
        return NULL;
    t->x.conn = s->c;
    t->x.begin_ns = s->p.at_ns;
    t->x.proxied = dialogs_is_proxy(s->d, &s->c->ends[DOWN]);
    if (!g->had_round)
        mark_beginning(&t->x, s->c, g);
    g->had_round = true;
    if (g->last)
        g->last->next = t;
    else
        g->first = t;
    g->last = t;
    return t;
}

void round_tell(struct said *s, struct round *t)
{
    t->is_told = true;
    if (s->d->o.learnt)
        s->d->o.learnt(s->d->o.owner, &t->x, s->p.at_ns);
}

static void note_last_silence(const struct dialog *g, struct round *t, uint64_t now_ns)
{
    struct exchange *x = &t->x;
    uint64_t end = exchange_get_ns(x, MARK_CLOSE);
    uint64_t length;

    if (!end || end < g->last_ns)
        end = now_ns;
    length = end > g->last_ns ? end - g->last_ns : 0;
    if (t->answered_all || !g->last_ns || length <= x->silence.length_ns)
        return;
    x->silence = (struct exchange_silence){
        .begin_ns = g->last_ns,
        .length_ns = length,
        .before = g->last_number,
    };
    x->silence_is_asked = g->last_dir == UP;
}

/* What is made of a live round's small facts when it is over. */
static void sum_up(struct dialogs *d, struct dialog *g, struct round *t, uint64_t now_ns)
{
    struct exchange *x = &t->x;

    dialog_request_read_part(d, g, t);
    dialog_answer_end(d, g, t);
    settle_bodies(t);
    x->request_unfinished = x->packets[MARK_REQUEST] > 0 && !t->asked_head;
    if (g->first == t)
        note_last_silence(g, t, now_ns);
}

/* Bytes that came before any request could be theirs, with nothing behind: a greeting is told of,
 * HTTP without a request (408 to a connection that was kept for later) is not. */
static bool is_worth_telling(const struct round *t)
{
    const struct exchange *x = &t->x;

    return x->asked != ASKED_NOTHING || x->packets[MARK_REQUEST] > 0;
}

void round_end(struct dialogs *d, struct dialog *g, enum conn_end how, uint64_t now_ns,
               bool closing)
{
    struct round *t = g->first;

    assert(t);
    list_remove(&g->linger);
    t->x.is_last = closing && t == g->last;
    sum_up(d, g, t, now_ns);
    if (is_worth_telling(t))
        d->o.over(d->o.owner, &t->x, how, now_ns);
    g->first = t->next;
    if (!g->first)
        g->last = NULL;
    exchange_fini(&t->x);
    free_bodies(d, t);
    objects_put(&d->rounds, t);
}

void round_finish(struct said *s, struct round *t)
{
    struct dialog *g = s->g;

    if (!t->asked_all || !t->answered_all)
        return;
    t->x.complete = true;
    if (t == g->first && t->next)
        round_end(s->d, g, CONN_END_CLOSED, s->p.at_ns, false);
    else if (t == g->first && t->keeps && list_is_empty(&g->linger))
        list_push_back(&s->d->lingering, &g->linger);
}

void round_tell_silent(struct dialogs *d, struct conn *c, const struct dialog *g, enum conn_end how,
                       uint64_t now_ns)
{
    const struct stream *up = &c->streams[UP], *down = &c->streams[DOWN];
    bool told = c->established ? down->rst && !up->fin && !up->rst : up->syn || down->syn;
    struct exchange x = {.conn = c, .asked = ASKED_NOTHING, .is_last = true};

    if (!told || up->bytes > 0 || down->bytes > 0)
        return;
    mark_beginning(&x, c, g);
    x.proxied = dialogs_is_proxy(d, &c->ends[DOWN]) || round_is_proxy_port(c);
    for (unsigned dir = UP; dir <= DOWN; dir++) {
        const struct stream *s = &c->streams[dir];

        if (s->rst) {
            exchange_mark(&x, MARK_CLOSE, stream_get_rare(s)->rst_ns,
                          stream_get_rare(s)->rst_number);
            exchange_mark(&x, MARK_CLOSED, stream_get_rare(s)->rst_ns,
                          stream_get_rare(s)->rst_number);
        }
    }
    d->o.over(d->o.owner, &x, how, now_ns);
    exchange_fini(&x);
}

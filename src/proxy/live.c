/* A call is shared by the one who asks and by the workers that were asked: each has a part of its
 * own to write to, and the last one frees it.  So nobody has to wait for a worker that is late. */
#include "proxy/live.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "store/terms.h"

enum call_kind { CALL_LIST, CALL_ROWS, CALL_END };

/* A flow as it is sorted; and where it is. */
struct live_key {
    uint64_t high, low; /* compared in this order */
    uint32_t worker, number, generation;
};

/* What one worker writes. */
struct live_part {
    struct live_key *keys; /* LIST */
    uint32_t len, cap;
    uint64_t open, tunnels, bytes_up, bytes_down;
    bool failed; /* out of memory */
    bool found;  /* END */
};

struct live_call {
    _Atomic unsigned refs, left; /* left: workers that have not answered */
    enum call_kind kind;
    int done_fd; /* the asker's eventfd */
    struct live_query query;
    struct live_key wanted[LIVE_ROWS_MAX]; /* ROWS: each worker fills those that are its own */
    struct live_row rows[LIVE_ROWS_MAX];
    bool filled[LIVE_ROWS_MAX];
    unsigned wanted_len;
    uint64_t id; /* END */
    char who[128], why[256];
    unsigned parts_len;
    struct live_part parts[]; /* one a worker */
};

struct live {
    struct proxy_shared *shared;
    int done_fd; /* written once by the last worker that answers a call; a late one wakes us in vain
                  */
};

/* --- on the worker ---------------------------------------------------------------------------- */

static bool is_text(const char *text, const char *wanted)
{
    return !*wanted || (text && strcmp(text, wanted) == 0);
}

/* An address, with a port or without. */
static bool is_client(const struct endpoint *client, const char *wanted)
{
    struct endpoint e;

    if (!*wanted || addr_parse(span_of(wanted), &e.addr))
        return !*wanted || addr_is_equal(&client->addr, &e.addr);
    return endpoint_parse(span_of(wanted), &e) && e.port == client->port &&
           addr_is_equal(&client->addr, &e.addr);
}

static bool is_wanted(const struct live_query *q, const struct session *s)
{
    const struct flow *f = &s->flow;

    if ((q->id && q->id != f->id) || (q->begun_by_ns && f->begin_ns > q->begun_by_ns))
        return false;
    if (*q->target && (!f->target || !terms_is_target(span_of(f->target), span_of(q->target))))
        return false;
    return is_client(&f->client, q->client) && is_text(f->user, q->user) &&
           is_text(f->rule, q->rule);
}

static void sort_by_bytes(struct live_key *k, const void *bytes, size_t len)
{
    unsigned char text[16] = {0};
    const unsigned char *in = bytes;

    for (size_t i = 0; i < len && i < sizeof text; i++)
        text[i] = (unsigned char)span_lower((char)in[i]);
    for (unsigned i = 0; i < 8; i++) {
        k->high = k->high << 8 | text[i];
        k->low = k->low << 8 | text[8 + i];
    }
}

static void sort_by_text(struct live_key *k, const char *text)
{
    sort_by_bytes(k, text ? text : "", text ? strlen(text) : 0);
}

static void make_key(struct live_key *k, enum live_order order, const struct session *s)
{
    const struct flow *f = &s->flow;
    uint64_t now = session_now(s);

    switch (order) {
    case LIVE_BY_AGE:
    case LIVE_ORDER_COUNT:
        k->high = UINT64_MAX - f->begin_ns; /* no worker's own time: the order is that of all */
        break;
    case LIVE_BY_IDLE:
        k->high = now > s->active_ns ? now - s->active_ns : 0;
        break;
    case LIVE_BY_UP:
        k->high = f->bytes_up;
        break;
    case LIVE_BY_DOWN:
        k->high = f->bytes_down;
        break;
    case LIVE_BY_CLIENT:
        for (unsigned i = 0; i < 8; i++) {
            k->high = k->high << 8 | f->client.addr.bytes[i];
            k->low = k->low << 8 | f->client.addr.bytes[8 + i];
        }
        break;
    case LIVE_BY_USER:
        sort_by_text(k, f->user);
        break;
    case LIVE_BY_TARGET:
        sort_by_text(k, f->target);
        break;
    case LIVE_BY_RULE:
        sort_by_text(k, f->rule);
        break;
    case LIVE_BY_PHASE:
        k->high = f->phase;
        break;
    }
    if (!k->low)
        k->low = f->begin_ns;
}

struct look {
    struct live_call *call;
    struct live_part *part;
    struct worker *worker;
    struct session *found;
};

static bool grow(struct live_part *p)
{
    uint32_t cap = p->cap ? p->cap * 2 : 256;
    struct live_key *grown = realloc(p->keys, cap * sizeof *grown);

    if (!grown)
        return false;
    p->keys = grown;
    p->cap = cap;
    return true;
}

static void list_one(void *object, void *arg)
{
    struct session *s = object;
    struct look *look = arg;
    struct live_part *p = look->part;
    struct slab_slot slot = slab_slot_of(s);

    if (s->retired || !s->has_flow)
        return;
    p->open++;
    p->tunnels += s->state == STATE_HELLO || s->state == STATE_TUNNEL;
    p->bytes_up += s->flow.bytes_up;
    p->bytes_down += s->flow.bytes_down;
    if (!look->call->query.limit || !is_wanted(&look->call->query, s))
        return;
    if (p->len == p->cap && !grow(p)) {
        p->failed = true;
        return;
    }
    p->keys[p->len] = (struct live_key){0, 0, look->worker->number, slot.number, slot.generation};
    make_key(&p->keys[p->len++], look->call->query.order, s);
}

static void fill_rows(struct worker *w, struct live_call *c)
{
    for (unsigned i = 0; i < c->wanted_len; i++) {
        const struct live_key *k = &c->wanted[i];
        struct session *s =
            k->worker == w->number ? slab_find(&w->sessions, k->number, k->generation) : NULL;
        uint64_t now;

        if (!s || s->retired || !s->has_flow)
            continue;
        now = session_now(s);
        if (!flow_copy(&c->rows[i].flow, &s->flow))
            continue;
        c->rows[i].flow.duration_ns = now > s->flow.begin_ns ? now - s->flow.begin_ns : 0;
        session_read_legs(s, &c->rows[i].flow);
        c->rows[i].idle_ns = now > s->active_ns ? now - s->active_ns : 0;
        c->filled[i] = true;
    }
}

static void find_one(void *object, void *arg)
{
    struct session *s = object;
    struct look *look = arg;

    if (!s->retired && s->has_flow && s->flow.id == look->call->id)
        look->found = s;
}

void live_answer(struct worker *w, struct live_call *call)
{
    struct look look = {call, &call->parts[w->number], w, NULL};

    switch (call->kind) {
    case CALL_LIST:
        slab_each(&w->sessions, list_one, &look);
        break;
    case CALL_ROWS:
        fill_rows(w, call);
        break;
    case CALL_END:
        slab_each(&w->sessions, find_one, &look);
        look.part->found = look.found != NULL;
        if (look.found)
            session_end_by_order(look.found, call->who, call->why);
        break;
    }
    if (atomic_fetch_sub_explicit(&call->left, 1, memory_order_acq_rel) == 1)
        eventfd_write(call->done_fd, 1);
    live_call_unref(call);
}

void live_call_unref(struct live_call *call)
{
    if (!call || atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < call->parts_len; i++)
        free(call->parts[i].keys);
    for (unsigned i = 0; i < call->wanted_len; i++)
        flow_fini(&call->rows[i].flow);
    free(call);
}

/* --- on the asking thread --------------------------------------------------------------------- */

struct live *live_new(struct proxy_shared *shared)
{
    struct live *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->shared = shared;
    l->done_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->done_fd < 0) {
        free(l);
        return NULL;
    }
    return l;
}

void live_free(struct live *l)
{
    if (!l)
        return;
    close(l->done_fd);
    free(l);
}

static struct live_call *call_new(struct live *l, enum call_kind kind)
{
    unsigned n = l->shared->workers_len;
    struct live_call *c = calloc(1, sizeof *c + n * sizeof c->parts[0]);

    if (!c)
        return NULL;
    c->kind = kind;
    c->done_fd = l->done_fd;
    c->parts_len = n;
    atomic_init(&c->refs, 1);
    atomic_init(&c->left, n);
    return c;
}

/* True: all workers have answered, and what they wrote may be read. */
static bool call_all(struct live *l, struct live_call *c, int timeout_ms)
{
    uint64_t until_ns = clock_mono_ns() + (uint64_t)timeout_ms * NS_PER_MS;

    atomic_fetch_add_explicit(&c->refs, c->parts_len, memory_order_relaxed);
    for (unsigned i = 0; i < c->parts_len; i++)
        if (!worker_ask(&l->shared->workers[i], c)) /* it has not answered the last questions yet */
            live_call_unref(c);
    for (;;) {
        struct pollfd p = {.fd = l->done_fd, .events = POLLIN};
        uint64_t now_ns = clock_mono_ns();
        eventfd_t n;

        if (atomic_load_explicit(&c->left, memory_order_acquire) == 0)
            return true;
        if (now_ns >= until_ns)
            return false;
        if (poll(&p, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1) > 0)
            eventfd_read(l->done_fd, &n);
    }
}

static int compare(const void *a, const void *b)
{
    const struct live_key *x = a, *y = b;

    if (x->high != y->high)
        return x->high < y->high ? -1 : 1;
    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    return 0;
}

/* All keys in order, in one piece; the caller frees it. */
static struct live_key *sort_keys(const struct live_call *c, uint64_t *len)
{
    struct live_key *all;
    uint64_t n = 0;

    for (unsigned i = 0; i < c->parts_len; i++)
        n += c->parts[i].len;
    all = calloc(n ? n : 1, sizeof *all);
    if (!all)
        return NULL;
    *len = 0;
    for (unsigned i = 0; i < c->parts_len; i++) {
        if (c->parts[i].len)
            memcpy(all + *len, c->parts[i].keys, c->parts[i].len * sizeof *all);
        *len += c->parts[i].len;
    }
    qsort(all, n, sizeof *all, compare);
    return all;
}

static bool take_totals(const struct live_call *c, struct live_page *page)
{
    bool whole = true;

    for (unsigned i = 0; i < c->parts_len; i++) {
        page->open += c->parts[i].open;
        page->tunnels += c->parts[i].tunnels;
        page->bytes_up += c->parts[i].bytes_up;
        page->bytes_down += c->parts[i].bytes_down;
        whole &= !c->parts[i].failed;
    }
    return whole;
}

/* The keys of the page, in its order. */
static void choose(const struct live_query *q, const struct live_key *all, uint64_t len,
                   struct live_call *rows)
{
    uint32_t limit = q->limit < LIVE_ROWS_MAX ? q->limit : LIVE_ROWS_MAX;

    for (uint64_t i = q->offset; i < len && rows->wanted_len < limit; i++)
        rows->wanted[rows->wanted_len++] = all[q->descending ? len - 1 - i : i];
}

static void take_rows(struct live_call *c, struct live_page *page)
{
    for (unsigned i = 0; i < c->wanted_len; i++) {
        if (!c->filled[i])
            continue; /* it ended between the two rounds */
        page->rows[page->len++] = c->rows[i];
        c->rows[i] = (struct live_row){0};
    }
}

bool live_ask(struct live *l, const struct live_query *q, int timeout_ms, struct live_page *page)
{
    struct live_call *list = call_new(l, CALL_LIST), *rows = call_new(l, CALL_ROWS);
    struct live_key *all = NULL;
    bool ok = false;

    *page = (struct live_page){0};
    if (!list || !rows)
        goto out;
    list->query = *q;
    if (!call_all(l, list, timeout_ms)) {
        ok = true; /* a worker still writes to it: nothing of it is read */
        goto out;
    }
    page->whole = take_totals(list, page);
    all = sort_keys(list, &page->matching);
    if (!all)
        goto out;
    choose(q, all, page->matching, rows);
    ok = true;
    if (rows->wanted_len == 0)
        goto out;
    if (q->order == LIVE_BY_AGE)
        page->next_ns = UINT64_MAX - rows->wanted[rows->wanted_len - 1].high;
    if (call_all(l, rows, timeout_ms))
        take_rows(rows, page);
    else
        page->whole = false;
out:
    free(all);
    live_call_unref(rows);
    live_call_unref(list);
    return ok;
}

void live_page_fini(struct live_page *page)
{
    for (unsigned i = 0; i < page->len; i++)
        flow_fini(&page->rows[i].flow);
    *page = (struct live_page){0};
}

enum live_end live_end(struct live *l, uint64_t id, const char *who, const char *why,
                       int timeout_ms)
{
    struct live_call *c = call_new(l, CALL_END);
    enum live_end end = LIVE_NOT_FOUND;

    if (!c)
        return LIVE_UNKNOWN;
    c->id = id;
    snprintf(c->who, sizeof c->who, "%s", who);
    snprintf(c->why, sizeof c->why, "%s", why);
    if (!call_all(l, c, timeout_ms))
        end = LIVE_UNKNOWN;
    else
        for (unsigned i = 0; i < c->parts_len; i++)
            if (c->parts[i].found)
                end = LIVE_ENDED;
    live_call_unref(c);
    return end;
}

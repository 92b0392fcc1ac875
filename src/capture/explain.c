/* Flows wait here for what comes behind them: a 407 for the request that answers it, a cut transfer
 * for another that is cut likewise.  All else goes out as it ends. */
#include "capture/explain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/util.h"
#include "capture/conn.h"
#include "capture/dialog.h"
#include "capture/ending.h"
#include "capture/pair.h"
#include "capture/secrets.h"

#define LOGIN_NS (10 * NS_PER_S) /* within which a 407 is answered */
#define LOGINS_MAX 512           /* requests with credentials that are remembered */
#define CUT_LIVE_NS (60 * NS_PER_S)
#define WAITING_MAX 1024
#define TICK_NS (100 * NS_PER_MS)

/* Who asked whom for what. */
struct asker {
    struct addr client;
    uint64_t target; /* hash */
};

/* A request that came with credentials. */
struct login {
    struct asker asker;
    uint64_t at_ns, number;
};

/* A flow that is over, and not out yet. */
struct waiting {
    struct list node;
    struct flow flow;
    struct series *plot;
    struct asker asker; /* of a 407 */
    uint64_t at_ns, until_ns;
};

struct explain {
    struct explain_options o;
    struct capture_source *source;
    struct conn_table *conns;
    struct dialogs *dialogs;
    struct pairs *pairs;
    struct endings *endings;
    struct secrets *secrets;
    struct explain_counts counts;
    struct login logins[LOGINS_MAX]; /* a ring */
    unsigned login_next;
    struct list denied; /* 407s, oldest first */
    struct list cut;    /* flows that endings_is_pending */
    unsigned waiting_len;
    uint64_t now_ns, tick_ns;
    uint64_t number; /* the last flow's */
    bool finished;
};

/* ---- out */

static void send_out(struct explain *e, struct flow *f, struct series **plot)
{
    e->counts.flows++;
    e->o.flow(e->o.owner, f, plot);
    flow_fini(f);
    series_free(plot, NULL);
}

static struct waiting *first_of(const struct list *list)
{
    return list_is_empty(list) ? NULL : CONTAINER_OF(list->next, struct waiting, node);
}

static void let_go(struct explain *e, struct waiting *w)
{
    list_remove(&w->node);
    e->waiting_len--;
    send_out(e, &w->flow, &w->plot);
    free(w);
}

/* Moves the flow.  NULL: out of memory, it is as it was. */
static struct waiting *hold(struct explain *e, struct list *list, struct flow *f,
                            struct series **plot, uint64_t until_ns)
{
    struct waiting *w;

    if (e->waiting_len >= WAITING_MAX)
        let_go(e, first_of(list_is_empty(&e->cut) ? &e->denied : &e->cut));
    w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->flow = *f;
    w->plot = *plot;
    w->at_ns = e->now_ns;
    w->until_ns = until_ns;
    *f = (struct flow){0};
    *plot = NULL;
    list_push_back(list, &w->node);
    e->waiting_len++;
    return w;
}

static void release(struct explain *e, struct list *list, uint64_t now_ns)
{
    struct waiting *w;

    while ((w = first_of(list)) && w->until_ns <= now_ns)
        let_go(e, w);
}

/* ---- a 407 and its answer */

static struct asker asker_of(const struct exchange *x)
{
    return (struct asker){.client = x->conn->ends[UP].addr,
                          .target = x->target ? hash_bytes(x->target, strlen(x->target)) : 0};
}

static bool is_same_asker(const struct asker *a, const struct asker *b)
{
    return a->target != 0 && a->target == b->target && addr_is_equal(&a->client, &b->client);
}

static bool is_within(uint64_t denied_ns, uint64_t asked_ns)
{
    return asked_ns >= denied_ns && asked_ns <= denied_ns + LOGIN_NS;
}

/* A request with credentials: the first 407 that it may answer is superseded. */
static void note_login(struct explain *e, const struct exchange *x, uint64_t now_ns)
{
    struct login *l = &e->logins[e->login_next++ % LOGINS_MAX];

    *l = (struct login){.asker = asker_of(x), .at_ns = now_ns, .number = x->number};
    for (struct list *at = e->denied.next; at != &e->denied; at = at->next) {
        struct waiting *w = CONTAINER_OF(at, struct waiting, node);

        if (!is_same_asker(&w->asker, &l->asker) || !is_within(w->at_ns, now_ns))
            continue;
        w->flow.superseded_by = x->number;
        let_go(e, w);
        return;
    }
}

/* The request that answered it may have been there before it was over. */
static uint64_t find_login(const struct explain *e, const struct exchange *x)
{
    struct asker a = asker_of(x);
    uint64_t denied_ns = exchange_get_ns(x, MARK_ANSWER), found = 0, found_ns = UINT64_MAX;

    for (unsigned i = 0; i < LOGINS_MAX; i++) {
        const struct login *l = &e->logins[i];

        if (l->number == 0 || l->number == x->number || !is_same_asker(&l->asker, &a) ||
            !is_within(denied_ns, l->at_ns) || l->at_ns >= found_ns)
            continue;
        found = l->number;
        found_ns = l->at_ns;
    }
    return found;
}

/* ---- flows */

/* Two that were cut alike explain each other. */
static void settle_cuts(struct explain *e, struct flow *f)
{
    struct list *next;

    for (struct list *at = e->cut.next; at != &e->cut; at = next) {
        struct waiting *w = CONTAINER_OF(at, struct waiting, node);

        next = at->next;
        if (endings_settle(e->endings, &w->flow, f))
            let_go(e, w);
    }
}

static void hand_on(struct explain *e, const struct exchange *x, struct flow *f,
                    struct series **plot)
{
    struct waiting *w = NULL;

    if (endings_is_pending(e->endings, f))
        settle_cuts(e, f);
    if (f->status == 407 && x->proxied)
        f->superseded_by = find_login(e, x);
    if (f->status == 407 && x->proxied && f->superseded_by == 0) {
        w = hold(e, &e->denied, f, plot, exchange_get_ns(x, MARK_ANSWER) + LOGIN_NS);
        if (w)
            w->asker = asker_of(x);
    } else if (endings_is_pending(e->endings, f)) {
        w = hold(e, &e->cut, f, plot,
                 e->o.capture.interface ? e->now_ns + CUT_LIVE_NS : UINT64_MAX);
    }
    if (!w)
        send_out(e, f, plot);
}

static void on_over(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    struct explain *e = owner;
    struct flow f = {0};
    struct series *plot = NULL;

    if (!x->number)
        x->number = ++e->number;
    endings_make(e->endings, x, how, now_ns, &f);
    if (e->o.plots && x->is_last) {
        plot = x->conn->plot;
        x->conn->plot = NULL;
    }
    hand_on(e, x, &f, &plot);
}

static void on_pair_over(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    struct explain *e = owner;

    pairs_end(e->pairs, x, how, now_ns);
}

static struct conn_attempts get_attempts(void *owner, const struct addr *opener)
{
    const struct explain *e = owner;

    return conn_table_get_attempts(e->conns, opener);
}

static void on_learnt(void *owner, struct exchange *x, uint64_t now_ns)
{
    struct explain *e = owner;

    pairs_learn(e->pairs, x, now_ns);
    if (x->number || pairs_is_upstream(x))
        return;
    x->number = ++e->number;
    if (x->credentials_sent)
        note_login(e, x, now_ns);
}

static void on_secrets(void *owner, struct span lines)
{
    struct explain *e = owner;

    secrets_add(e->secrets, lines);
}

/* ---- set-up */

static bool open_parts(struct explain *e, struct err *err)
{
    struct dialogs_options dialogs = {
        .secrets = e->secrets, .learnt = on_learnt, .over = on_pair_over, .owner = e};
    struct conn_options conns = {.series = e->o.plots};
    struct endings_options endings = {.source = e->source};
    struct pairs_options pairs = {.over = on_over, .attempts = get_attempts, .owner = e};
    struct conn_events events;

    memcpy(dialogs.proxies, e->o.proxies, sizeof dialogs.proxies);
    dialogs.proxies_len = e->o.proxies_len;
    e->dialogs = dialogs_new(&dialogs);
    e->endings = endings_new(&endings);
    if (!e->dialogs || !e->endings)
        goto memory;
    pairs.dialogs = e->dialogs;
    e->pairs = pairs_new(&pairs);
    events = dialogs_get_events(e->dialogs);
    e->conns = conn_table_new(&conns, &events);
    if (e->pairs && e->conns)
        return true;
memory:
    err_set(err, "out of memory");
    return false;
}

static bool open_source(struct explain *e, struct err *err)
{
    e->o.capture.secrets = on_secrets;
    e->o.capture.owner = e;
    e->secrets = secrets_new();
    if (!e->secrets) {
        err_set(err, "out of memory");
        return false;
    }
    if (e->o.keylog && !secrets_load(e->secrets, e->o.keylog, err))
        return false;
    e->source = capture_source_open(&e->o.capture, err);
    return e->source != NULL;
}

struct explain *explain_new(const struct explain_options *o, struct err *err)
{
    struct explain *e = calloc(1, sizeof *e);

    assert(o->flow);
    if (!e) {
        err_set(err, "out of memory");
        return NULL;
    }
    e->o = *o;
    list_init(&e->denied);
    list_init(&e->cut);
    if (open_source(e, err) && open_parts(e, err))
        return e;
    explain_free(e);
    return NULL;
}

void explain_free(struct explain *e)
{
    struct list *lists[2];

    if (!e)
        return;
    lists[0] = &e->denied;
    lists[1] = &e->cut;
    if (e->conns) /* what is open still owns rounds, which go to nobody any more */
        explain_stop(e);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (struct waiting *w; (w = first_of(lists[i]));) {
            list_remove(&w->node);
            flow_fini(&w->flow);
            series_free(&w->plot, NULL);
            free(w);
        }
    conn_table_free(e->conns);
    pairs_free(e->pairs);
    dialogs_free(e->dialogs);
    endings_free(e->endings);
    secrets_free(e->secrets);
    capture_source_free(e->source);
    free(e);
}

/* ---- running */

static void measure(struct explain *e)
{
    const struct conn_counts *c = conn_table_get_counts(e->conns);
    uint64_t now = c->memory + dialogs_get_memory(e->dialogs) + pairs_get_memory(e->pairs);

    if (now > e->counts.memory_peak)
        e->counts.memory_peak = now;
    e->counts.half_open_lost = c->half_open_lost;
    e->counts.evicted = c->evicted;
}

static void tick(struct explain *e, uint64_t now_ns)
{
    if (now_ns > e->now_ns)
        e->now_ns = now_ns;
    if (e->now_ns < e->tick_ns)
        return;
    e->tick_ns = e->now_ns + TICK_NS;
    dialogs_tick(e->dialogs, e->now_ns);
    pairs_tick(e->pairs, e->now_ns);
    release(e, &e->denied, e->now_ns);
    release(e, &e->cut, e->now_ns);
    measure(e);
}

void explain_stop(struct explain *e)
{
    if (e->finished)
        return;
    e->finished = true;
    measure(e);
    conn_table_finish(e->conns, e->now_ns);
    pairs_finish(e->pairs);
    release(e, &e->denied, UINT64_MAX);
    release(e, &e->cut, UINT64_MAX);
    measure(e);
}

int explain_run(struct explain *e, unsigned packets)
{
    struct packet p;

    if (e->finished)
        return 0;
    for (unsigned i = 0; i < packets; i++) {
        int got = capture_source_next(e->source, &p);

        if (got == -EAGAIN) { /* live: nothing came for a while */
            conn_table_tick(e->conns, e->now_ns + TICK_NS);
            tick(e, e->now_ns + TICK_NS);
            return 1;
        }
        if (got <= 0) {
            explain_stop(e);
            return got;
        }
        conn_table_add(e->conns, &p);
        tick(e, p.at_ns);
    }
    return 1;
}

const struct capture_seen *explain_get_seen(const struct explain *e)
{
    return capture_source_get_seen(e->source);
}

const struct explain_counts *explain_get_counts(const struct explain *e)
{
    return &e->counts;
}

const struct capture_source *explain_get_source(const struct explain *e)
{
    return e->source;
}

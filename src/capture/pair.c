/* Two that fit (capture/mates.h) make a pair, which lives until both are over; the one that is over
 * first is taken out of its dialog.  Those that have nothing to go by wait in two lists, of
 * CONNECTs and of connections that a proxy opened, until it is sure how many fit. */
#include "capture/pair.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/util.h"
#include "capture/mates.h"

#define HELD_MAX 1024
#define LATE_NS (100 * NS_PER_MS)     /* a near leg's packets may be put in order so much later */
#define HOLD_NS (10 * NS_PER_S)       /* who waits for another leg */
#define HOLD_LONG_NS (150 * NS_PER_S) /*   which nobody may answer: until it is given up */

/* An exchange that is over, as the dialog told it. */
struct ended {
    struct exchange *x;
    enum conn_end how;
    uint64_t now_ns;
};

/* One of the two that is over, the other is not. */
struct held {
    struct list node;
    struct ended e; /* with an exchange of its own */
    uint64_t until_ns;
    bool contested; /* a connection that more than one CONNECT could have opened */
};

struct pair {
    struct exchange *client, *upstream; /* upstream NULL: gone; client NULL: told already */
    struct held *held;                  /* the client's, which waits; NULL */
    bool upstream_over;                 /* `upstream` is the pair's own */
};

struct pairs {
    struct pairs_options o;
    struct mates mates;
    bool sees_upstream;   /* a proxy opened a connection: this capture has its far side */
    struct list waiting;  /* of struct held: near legs of pairs */
    struct list connects; /* CONNECTs behind which nothing was said */
    struct list lonely;   /* connections that a proxy opened, with nothing to know them by */
    struct list late;     /* far legs that were over before anybody knew of a near one */
    unsigned held_len;
    uint64_t memory;
};

struct pairs *pairs_new(const struct pairs_options *o)
{
    struct pairs *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->o = *o;
    list_init(&p->waiting);
    list_init(&p->connects);
    list_init(&p->lonely);
    list_init(&p->late);
    p->memory = sizeof *p;
    return p;
}

uint64_t pairs_get_memory(const struct pairs *p)
{
    return p->memory;
}

/* ---- waiting */

/* Behind those that are due no later. */
static void insert(struct list *where, struct held *h)
{
    struct list *at = where->prev;

    while (at != where && CONTAINER_OF(at, struct held, node)->until_ns > h->until_ns)
        at = at->prev;
    list_push_back(at->next, &h->node);
}

/* Moves the exchange to the end of a list.  NULL: out of memory, it is as it was. */
static struct held *hold(struct pairs *p, struct list *where, const struct ended *e,
                         uint64_t for_ns)
{
    struct held *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->e = *e;
    h->e.x = exchange_take(e->x);
    if (!h->e.x) {
        free(h);
        return NULL;
    }
    h->until_ns = e->now_ns + for_ns;
    insert(where, h);
    p->held_len++;
    p->memory += sizeof *h + sizeof *h->e.x + sizeof *h->e.x->conn;
    return h;
}

/* Takes it out of its list; the exchange is the caller's. */
static struct exchange *let_go(struct pairs *p, struct held *h)
{
    struct exchange *x = h->e.x;

    p->memory -= sizeof *h + sizeof *x + sizeof *x->conn;
    p->held_len--;
    list_remove(&h->node);
    free(h);
    return x;
}

static void drop(struct exchange *x)
{
    exchange_fini(x);
    free(x);
}

static void tell(struct pairs *p, const struct ended *e)
{
    p->o.over(p->o.owner, e->x, e->how, e->now_ns);
}

/* It waits no longer. */
static void tell_held(struct pairs *p, struct held *h)
{
    struct ended e = h->e;

    let_go(p, h);
    tell(p, &e);
    drop(e.x);
}

/* ---- joining */

/* A far leg that is over already. */
static struct held *find_late(struct pairs *p, const struct exchange *x)
{
    for (struct list *at = p->late.next; at != &p->late; at = at->next) {
        struct held *h = CONTAINER_OF(at, struct held, node);

        if (h->e.x == x)
            return h;
    }
    return NULL;
}

static void join(struct pairs *p, struct exchange *near, struct exchange *far)
{
    struct pair *pair = calloc(1, sizeof *pair);
    struct held *late = find_late(p, far);

    mates_forget(&p->mates, near);
    mates_forget(&p->mates, far);
    if (!pair)
        return;
    p->memory += sizeof *pair;
    pair->client = near;
    pair->upstream = far;
    near->pair = far->pair = pair;
    pair->upstream_over = late != NULL;
    if (late)
        let_go(p, late);
    far->to_parent = far->asked == ASKED_CONNECT || far->asked == ASKED_ABSOLUTE;
    mates_learn_alias(&p->mates, near, far);
    if (!near->number) { /* which it had while nobody knew */
        near->number = far->number;
        far->number = 0;
    }
}

static bool is_from_proxy(const struct pairs *p, const struct exchange *x)
{
    return dialogs_is_proxy_host(p->o.dialogs, &x->conn->ends[UP].addr);
}

void pairs_learn(struct pairs *p, struct exchange *x, uint64_t now_ns)
{
    struct exchange *mate;
    bool x_is_far = false;

    p->sees_upstream |= is_from_proxy(p, x);
    if (x->pair || !x->hello_hash)
        return;
    mates_forget(&p->mates, x); /* by what it was known before */
    mate = mates_find(&p->mates, x, now_ns, &x_is_far);
    if (mate)
        join(p, x_is_far ? mate : x, x_is_far ? x : mate);
    else
        mates_add(&p->mates, x, now_ns);
}

bool pairs_is_upstream(const struct exchange *x)
{
    return x->pair && x->pair->upstream == x;
}

/* ---- pairs end */

static void free_pair(struct pairs *p, struct pair *pair)
{
    p->memory -= sizeof *pair;
    free(pair);
}

static void attach(struct exchange *near, struct exchange *far)
{
    far->pair = NULL;
    near->pair = NULL;
    near->upstream = far;
}

static void end_upstream(struct pairs *p, struct exchange *x)
{
    struct pair *pair = x->pair;
    struct exchange *own;

    x->pair = NULL;
    pair->upstream = NULL;
    if (!pair->client) { /* it was told without */
        free_pair(p, pair);
        return;
    }
    own = exchange_take(x);
    if (pair->held) {
        if (own)
            attach(pair->held->e.x, own);
        pair->held->e.x->pair = NULL;
        tell_held(p, pair->held);
        free_pair(p, pair);
        return;
    }
    pair->upstream = own;
    pair->upstream_over = own != NULL;
    if (!own) {
        pair->client->pair = NULL;
        free_pair(p, pair);
    }
}

static void end_client(struct pairs *p, const struct ended *e)
{
    struct pair *pair = e->x->pair;

    if (pair->upstream_over) {
        attach(e->x, pair->upstream);
        free_pair(p, pair);
        tell(p, e);
        return;
    }
    pair->held = hold(p, &p->waiting, e, HOLD_NS);
    pair->client = pair->held ? pair->held->e.x : NULL;
    if (!pair->held) {
        e->x->pair = NULL;
        tell(p, e);
    }
}

/* It waited long enough: the other leg goes on, and stays untold. */
static void give_up(struct pairs *p, struct held *h)
{
    h->e.x->pair->client = NULL;
    h->e.x->pair->held = NULL;
    h->e.x->pair = NULL;
    tell_held(p, h);
}

/* ---- CONNECTs that nothing was said behind, and requests that nothing became of */

static bool is_bare(const struct exchange *x)
{
    bool failed = x->asked == ASKED_ABSOLUTE && x->status >= 500;

    return ((x->asked == ASKED_CONNECT && !x->is_tls) || failed) && x->target && !x->upstream;
}

static bool is_lonely(const struct pairs *p, const struct exchange *x)
{
    return !x->proxied && x->is_first && !x->hello_hash && is_from_proxy(p, x);
}

/* Its answer is one that a proxy gives when it has dialled, or tried to. */
static bool has_dialled(const struct exchange *x)
{
    return x->status < 300 || x->status >= 500;
}

static unsigned count_fitting(struct list *list, const struct held *one, bool one_is_far,
                              struct held **last)
{
    unsigned n = 0;

    for (struct list *at = list->next; at != list; at = at->next) {
        struct held *h = CONTAINER_OF(at, struct held, node);
        const struct held *near = one_is_far ? h : one, *far = one_is_far ? one : h;

        if (!mates_is_opened_for(near->e.x, near->e.now_ns, far->e.x))
            continue;
        *last = h;
        n++;
    }
    return n;
}

/* Its time is over: joined to the only one that fits, if that fits no other. */
static void settle_connect(struct pairs *p, struct held *h)
{
    struct held *far = NULL, *other = NULL;

    if (count_fitting(&p->lonely, h, false, &far) == 1) {
        far->contested |= count_fitting(&p->connects, far, true, &other) > 1;
        if (!far->contested)
            attach(h->e.x, let_go(p, far));
    }
    tell_held(p, h);
}

/* As long as a CONNECT waits for it, it waits, too. */
static void settle_lonely(struct pairs *p, struct held *h, bool force)
{
    struct held *near = NULL;

    if (!force && count_fitting(&p->connects, h, true, &near) > 0) {
        h->until_ns += HOLD_NS;
        list_remove(&h->node);
        insert(&p->lonely, h);
    } else {
        tell_held(p, h);
    }
}

static uint64_t hold_time(const struct pairs *p, const struct exchange *x)
{
    struct conn_attempts far = {true, true};

    if (x->status > 0 && x->status < 500)
        return HOLD_NS;
    if (p->o.attempts)
        far = p->o.attempts(p->o.owner, &x->conn->ends[DOWN].addr);
    return far.asking ? HOLD_LONG_NS : far.refused ? HOLD_NS : LATE_NS;
}

/* ---- ends */

static struct held *first_of(const struct list *list)
{
    return list_is_empty(list) ? NULL : CONTAINER_OF(list->next, struct held, node);
}

/* It can still be found. */
static bool hold_late(struct pairs *p, const struct ended *e)
{
    enum mark known = mates_is_request(e->x) ? MARK_REQUEST_END : MARK_HELLO_END;
    struct held *h = hold(p, &p->late, e, LATE_NS);

    if (h)
        mates_add(&p->mates, h->e.x, exchange_get_ns(h->e.x, known));
    return h != NULL;
}

/* Nobody asked for it. */
static void tell_late(struct pairs *p, struct held *h)
{
    mates_forget(&p->mates, h->e.x);
    tell_held(p, h);
}

/* Too many wait: the oldest goes. */
static void make_room(struct pairs *p)
{
    if (p->held_len < HELD_MAX)
        return;
    if (first_of(&p->late))
        tell_late(p, first_of(&p->late));
    else if (first_of(&p->connects))
        settle_connect(p, first_of(&p->connects));
    else if (first_of(&p->lonely))
        settle_lonely(p, first_of(&p->lonely), true);
    else if (first_of(&p->waiting))
        give_up(p, first_of(&p->waiting));
}

void pairs_end(struct pairs *p, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    struct ended e = {x, how, now_ns};
    bool held = false;

    mates_forget(&p->mates, x);
    make_room(p);
    p->sees_upstream |= is_from_proxy(p, x);
    if (pairs_is_upstream(x)) {
        end_upstream(p, x);
        return;
    }
    if (x->pair) {
        end_client(p, &e);
        return;
    }
    if (x->hello_hash && !x->proxied && is_from_proxy(p, x))
        held = hold_late(p, &e);
    else if (is_lonely(p, x))
        held = hold(p, &p->lonely, &e, HOLD_NS) != NULL;
    else if (p->sees_upstream && is_bare(x) && has_dialled(x))
        held = hold(p, &p->connects, &e, hold_time(p, x)) != NULL;
    if (!held)
        tell(p, &e);
}

void pairs_tick(struct pairs *p, uint64_t now_ns)
{
    struct held *h;

    while ((h = first_of(&p->waiting)) && h->until_ns <= now_ns)
        give_up(p, h);
    while ((h = first_of(&p->late)) && h->until_ns <= now_ns)
        tell_late(p, h);
    while ((h = first_of(&p->connects)) && h->until_ns <= now_ns)
        settle_connect(p, h);
    for (unsigned n = 0; n < 8 && (h = first_of(&p->lonely)) && h->until_ns <= now_ns; n++)
        settle_lonely(p, h, false);
}

void pairs_finish(struct pairs *p)
{
    struct held *h;

    while ((h = first_of(&p->waiting)))
        give_up(p, h);
    while ((h = first_of(&p->late)))
        tell_late(p, h);
    while ((h = first_of(&p->connects)))
        settle_connect(p, h);
    while ((h = first_of(&p->lonely)))
        settle_lonely(p, h, true);
}

/* Exchanges that a dialog still has are the dialog's. */
void pairs_free(struct pairs *p)
{
    struct list *lists[4];
    struct held *h;

    if (!p)
        return;
    lists[0] = &p->waiting;
    lists[1] = &p->connects;
    lists[2] = &p->lonely;
    lists[3] = &p->late;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        while ((h = first_of(lists[i])))
            drop(let_go(p, h));
    free(p);
}

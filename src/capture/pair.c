/* Exchanges that were learnt of lately are found (capture/recent.h) by what the other leg would
 * know them by.  A ClientHello is known by itself.  A request may be said by many at once; its near
 * leg is known by the proxy that it goes to, its far leg by the host that it comes from, so that
 * neither looks through others of its own kind.
 *
 * Two that fit make a pair, which lives until both are over; the one that is over first is taken
 * out of its dialog.  Those that have nothing to go by wait in two lists, of CONNECTs and of
 * connections that a proxy opened, until it is sure how many fit. */
#include "capture/pair.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/num.h"
#include "base/util.h"
#include "capture/recent.h"

#define ALIASES_MAX 16
#define LOOKS_MAX 256 /* at exchanges that began alike */
#define HELD_MAX 1024
#define HELLO_NS (10 * NS_PER_S)      /* a ClientHello is passed on within */
#define REQUEST_NS NS_PER_S           /* and a request */
#define EARLY_NS (10 * NS_PER_MS)     /* a far leg's packet may be captured before the near one's */
#define LATE_NS (100 * NS_PER_MS)     /* a near leg's packets may be put in order so much later */
#define HOLD_NS (10 * NS_PER_S)       /* who waits for another leg */
#define HOLD_LONG_NS (150 * NS_PER_S) /*   which nobody may answer: until it is given up */

enum role { NEAR, FAR, EITHER };

/* One of the two that is over, the other is not. */
struct held {
    struct list node;
    struct exchange *x; /* its own */
    uint64_t now_ns, until_ns;
    enum conn_end how;
    bool contested; /* a connection that more than one CONNECT could have opened */
};

struct pair {
    struct exchange *client, *upstream; /* upstream NULL: gone; client NULL: told already */
    struct held *held;                  /* the client's, which waits; NULL */
    bool upstream_over;                 /* `upstream` is the pair's own */
};

/* A proxy that asks from another address than it is asked at: a ClientHello told. */
struct alias {
    struct addr outside, inside;
};

struct pairs {
    struct pairs_options o;
    struct recents recents;
    struct alias aliases[ALIASES_MAX]; /* a ring */
    unsigned alias_next;
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

/* ---- what legs are known by */

static bool is_request(const struct exchange *x)
{
    return !x->is_tls &&
           (x->asked == ASKED_CONNECT || x->asked == ASKED_ABSOLUTE || x->asked == ASKED_ORIGIN);
}

/* The address at which a proxy is asked that asks from this one. */
static const struct addr *find_inside(const struct pairs *p, const struct addr *outside)
{
    for (unsigned i = 0; i < ALIASES_MAX; i++)
        if (addr_is_equal(&p->aliases[i].outside, outside))
            return &p->aliases[i].inside;
    return outside;
}

static void learn_alias(struct pairs *p, const struct exchange *near, const struct exchange *far)
{
    const struct addr *inside = &near->conn->ends[DOWN].addr;
    const struct addr *outside = &far->conn->ends[UP].addr;

    if (is_request(far) || addr_is_equal(find_inside(p, outside), inside))
        return;
    p->aliases[p->alias_next++ % ALIASES_MAX] = (struct alias){*outside, *inside};
}

/* Under what a leg of `x`'s proxy stands in that role. */
static uint64_t make_key(const struct exchange *x, enum role role, const struct addr *proxy)
{
    uint64_t key[4] = {x->hello_hash, role, 0, 0};

    memcpy(&key[2], proxy->bytes, sizeof proxy->bytes);
    return role == EITHER ? x->hello_hash : hash_bytes(key, sizeof key);
}

/* The proxy of `x`, if x has that role. */
static const struct addr *find_proxy(const struct pairs *p, const struct exchange *x,
                                     enum role role)
{
    return role == FAR ? find_inside(p, &x->conn->ends[UP].addr) : &x->conn->ends[DOWN].addr;
}

static uint64_t key_of(const struct pairs *p, const struct exchange *x, enum role role)
{
    return make_key(x, role, find_proxy(p, x, role));
}

/* What its other leg stands under. */
static uint64_t key_of_mate(const struct pairs *p, const struct exchange *x, enum role role)
{
    static const enum role other[] = {[NEAR] = FAR, [FAR] = NEAR, [EITHER] = EITHER};

    return make_key(x, other[role], find_proxy(p, x, role));
}

/* ---- who fits */

static bool is_same_end(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && addr_is_equal(&a->addr, &b->addr);
}

/* `near` was asked by a client, at a proxy; `far` by another than that client. */
static bool can_follow(const struct exchange *near, const struct exchange *far)
{
    const struct conn *n = near->conn, *f = far->conn;

    if (!near->proxied || n == f || is_same_end(&n->ends[DOWN], &f->ends[DOWN]))
        return false;
    return addr_is_equal(&f->ends[UP].addr, &n->ends[DOWN].addr) ||
           !addr_is_equal(&f->ends[UP].addr, &n->ends[UP].addr);
}

static bool fits(const struct exchange *near, uint64_t near_ns, const struct exchange *far,
                 uint64_t far_ns)
{
    uint64_t most = is_request(far) ? REQUEST_NS : HELLO_NS;
    uint64_t answer_ns = exchange_get_ns(near, MARK_ANSWER);

    if (near->pair || far->pair || !can_follow(near, far))
        return false;
    if (is_request(near) != is_request(far))
        return false;
    if (is_request(near) && near->method != far->method)
        return false;
    if (is_request(near) && answer_ns &&
        answer_ns < far_ns) /* which may be told in another order */
        return false;
    return far_ns + EARLY_NS >= near_ns && far_ns <= near_ns + most;
}

/* The oldest that fits: requests are passed on in their order. */
static struct exchange *find_mate(struct pairs *p, const struct exchange *x, enum role role,
                                  uint64_t now_ns, bool *x_is_far)
{
    uint64_t key = key_of_mate(p, x, role);
    struct exchange *found = NULL;
    unsigned looks = 0;

    for (const struct recent *r = recents_first(&p->recents, key); r;
         r = recents_next(&p->recents, r)) {
        if (r->at_ns + HELLO_NS < now_ns)
            break; /* and all behind it are older */
        if (r->x == x)
            continue;
        if (++looks > LOOKS_MAX)
            break;
        if (role != NEAR && fits(r->x, r->at_ns, x, now_ns)) {
            *x_is_far = true;
            found = r->x;
        } else if (role != FAR && fits(x, now_ns, r->x, r->at_ns)) {
            *x_is_far = false;
            found = r->x;
        }
    }
    return found;
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

static struct held *hold(struct pairs *p, struct list *where, struct exchange *x, enum conn_end how,
                         uint64_t now_ns, uint64_t for_ns)
{
    struct held *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->x = exchange_take(x);
    if (!h->x) {
        free(h);
        return NULL;
    }
    h->now_ns = now_ns;
    h->until_ns = now_ns + for_ns;
    h->how = how;
    insert(where, h);
    p->held_len++;
    p->memory += sizeof *h + sizeof *h->x + sizeof *h->x->conn;
    return h;
}

/* Takes it out of its list; the exchange is the caller's. */
static struct exchange *let_go(struct pairs *p, struct held *h)
{
    struct exchange *x = h->x;

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

static void tell(struct pairs *p, struct held *h)
{
    enum conn_end how = h->how;
    uint64_t now_ns = h->now_ns;
    struct exchange *x = let_go(p, h);

    p->o.over(p->o.owner, x, how, now_ns);
    drop(x);
}

/* ---- joining */

/* A far leg that is over already. */
static struct held *find_late(struct pairs *p, const struct exchange *x)
{
    for (struct list *at = p->late.next; at != &p->late; at = at->next) {
        struct held *h = CONTAINER_OF(at, struct held, node);

        if (h->x == x)
            return h;
    }
    return NULL;
}

static void join(struct pairs *p, struct exchange *near, struct exchange *far)
{
    struct pair *pair = calloc(1, sizeof *pair);
    struct held *late = find_late(p, far);

    recents_forget(&p->recents, near);
    recents_forget(&p->recents, far);
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
    learn_alias(p, near, far);
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
    enum role first = is_request(x) ? NEAR : EITHER, last = is_request(x) ? FAR : EITHER;
    bool x_is_far = false;

    p->sees_upstream |= is_from_proxy(p, x);
    if (x->pair || !x->hello_hash)
        return;
    recents_forget(&p->recents, x); /* by what it was known before */
    for (enum role role = first; role <= last; role++) {
        struct exchange *mate = find_mate(p, x, role, now_ns, &x_is_far);

        if (!mate)
            continue;
        join(p, x_is_far ? mate : x, x_is_far ? x : mate);
        return;
    }
    for (enum role role = first; role <= last; role++)
        if (role != NEAR || x->proxied)
            recents_add(&p->recents, x, key_of(p, x, role), now_ns);
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
            attach(pair->held->x, own);
        pair->held->x->pair = NULL;
        tell(p, pair->held);
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

static void end_client(struct pairs *p, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    struct pair *pair = x->pair;

    if (pair->upstream_over) {
        attach(x, pair->upstream);
        free_pair(p, pair);
        p->o.over(p->o.owner, x, how, now_ns);
        return;
    }
    pair->held = hold(p, &p->waiting, x, how, now_ns, HOLD_NS);
    pair->client = pair->held ? pair->held->x : NULL;
    if (!pair->held) {
        x->pair = NULL;
        p->o.over(p->o.owner, x, how, now_ns);
    }
}

/* It waited long enough: the other leg goes on, and stays untold. */
static void give_up(struct pairs *p, struct held *h)
{
    h->x->pair->client = NULL;
    h->x->pair->held = NULL;
    h->x->pair = NULL;
    tell(p, h);
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

/* The port that a CONNECT asked for, and the address if it named one. */
static bool asked_for(const struct exchange *connect, const struct endpoint *e)
{
    const char *colon = strrchr(connect->target, ':');
    struct endpoint want;
    uint64_t port;

    if (endpoint_parse(span_of(connect->target), &want))
        return is_same_end(&want, e);
    return colon && num_parse_u64(span_of(colon + 1), UINT16_MAX, &port) && port == e->port;
}

static bool is_opened_for(const struct exchange *connect, uint64_t over_ns,
                          const struct exchange *far)
{
    uint64_t begin = exchange_get_ns(connect, MARK_REQUEST_END);
    uint64_t end = exchange_get_ns(connect, MARK_ANSWER);
    const struct conn *f = far->conn;

    if (!end)
        end = over_ns;
    return addr_is_equal(&f->ends[UP].addr, &connect->conn->ends[DOWN].addr) &&
           f->begin_ns + EARLY_NS >= begin && f->begin_ns <= end &&
           asked_for(connect, &f->ends[DOWN]);
}

static unsigned count_fitting(struct list *list, const struct held *one, bool one_is_far,
                              struct held **last)
{
    unsigned n = 0;

    for (struct list *at = list->next; at != list; at = at->next) {
        struct held *h = CONTAINER_OF(at, struct held, node);
        const struct held *near = one_is_far ? h : one, *far = one_is_far ? one : h;

        if (!is_opened_for(near->x, near->now_ns, far->x))
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
            attach(h->x, let_go(p, far));
    }
    tell(p, h);
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
        tell(p, h);
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
static bool hold_late(struct pairs *p, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    enum mark known = is_request(x) ? MARK_REQUEST_END : MARK_HELLO_END;
    struct held *h = hold(p, &p->late, x, how, now_ns, LATE_NS);

    if (h)
        recents_add(&p->recents, h->x, key_of(p, h->x, is_request(h->x) ? FAR : EITHER),
                    exchange_get_ns(h->x, known));
    return h != NULL;
}

/* Nobody asked for it. */
static void tell_late(struct pairs *p, struct held *h)
{
    recents_forget(&p->recents, h->x);
    tell(p, h);
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
    bool held = false;

    recents_forget(&p->recents, x);
    make_room(p);
    p->sees_upstream |= is_from_proxy(p, x);
    if (pairs_is_upstream(x)) {
        end_upstream(p, x);
        return;
    }
    if (x->pair) {
        end_client(p, x, how, now_ns);
        return;
    }
    if (x->hello_hash && !x->proxied && is_from_proxy(p, x))
        held = hold_late(p, x, how, now_ns);
    else if (is_lonely(p, x))
        held = hold(p, &p->lonely, x, how, now_ns, HOLD_NS) != NULL;
    else if (p->sees_upstream && is_bare(x) && has_dialled(x))
        held = hold(p, &p->connects, x, how, now_ns, hold_time(p, x)) != NULL;
    if (!held)
        p->o.over(p->o.owner, x, how, now_ns);
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

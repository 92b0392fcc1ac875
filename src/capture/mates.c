/* Exchanges that were learnt of lately are found (capture/recent.h) by what the other leg would
 * know them by.  A ClientHello is known by itself.  A request may be said by many at once; its near
 * leg is known by the proxy that it goes to, its far leg by the host that it comes from, so that
 * neither looks through others of its own kind. */
#include "capture/mates.h"

#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/util.h"

#define LOOKS_MAX 256             /* at exchanges that began alike */
#define HELLO_NS (10 * NS_PER_S)  /* a ClientHello is passed on within */
#define REQUEST_NS NS_PER_S       /* and a request */
#define EARLY_NS (10 * NS_PER_MS) /* a far leg's packet may be captured before the near one's */

enum role { NEAR, FAR, EITHER };

/* ---- what legs are known by */

bool mates_is_request(const struct exchange *x)
{
    return !x->is_tls &&
           (x->asked == ASKED_CONNECT || x->asked == ASKED_ABSOLUTE || x->asked == ASKED_ORIGIN);
}

/* The address at which a proxy is asked that asks from this one. */
static const struct addr *find_inside(const struct mates *m, const struct addr *outside)
{
    for (unsigned i = 0; i < MATES_ALIASES; i++)
        if (addr_is_equal(&m->aliases[i].outside, outside))
            return &m->aliases[i].inside;
    return outside;
}

void mates_learn_alias(struct mates *m, const struct exchange *near, const struct exchange *far)
{
    const struct addr *inside = &near->conn->ends[DOWN].addr;
    const struct addr *outside = &far->conn->ends[UP].addr;

    if (mates_is_request(far) || addr_is_equal(find_inside(m, outside), inside))
        return;
    m->aliases[m->alias_next++ % MATES_ALIASES] = (struct mates_alias){*outside, *inside};
}

/* Under what a leg of `x`'s proxy stands in that role. */
static uint64_t make_key(const struct exchange *x, enum role role, const struct addr *proxy)
{
    uint64_t key[4] = {x->hello_hash, role, 0, 0};

    memcpy(&key[2], proxy->bytes, sizeof proxy->bytes);
    return role == EITHER ? x->hello_hash : hash_bytes(key, sizeof key);
}

/* The proxy of `x`, if x has that role. */
static const struct addr *find_proxy(const struct mates *m, const struct exchange *x,
                                     enum role role)
{
    return role == FAR ? find_inside(m, &x->conn->ends[UP].addr) : &x->conn->ends[DOWN].addr;
}

static uint64_t key_of(const struct mates *m, const struct exchange *x, enum role role)
{
    return make_key(x, role, find_proxy(m, x, role));
}

/* What its other leg stands under. */
static uint64_t key_of_mate(const struct mates *m, const struct exchange *x, enum role role)
{
    static const enum role other[] = {[NEAR] = FAR, [FAR] = NEAR, [EITHER] = EITHER};

    return make_key(x, other[role], find_proxy(m, x, role));
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
    uint64_t most = mates_is_request(far) ? REQUEST_NS : HELLO_NS;
    uint64_t answer_ns = exchange_get_ns(near, MARK_ANSWER);

    if (near->pair || far->pair || !can_follow(near, far))
        return false;
    if (mates_is_request(near) != mates_is_request(far))
        return false;
    if (mates_is_request(near) && near->method != far->method)
        return false;
    if (mates_is_request(near) && answer_ns &&
        answer_ns < far_ns) /* which may be told in another order */
        return false;
    return far_ns + EARLY_NS >= near_ns && far_ns <= near_ns + most;
}

/* The oldest that fits: requests are passed on in their order. */
static struct exchange *find(struct mates *m, const struct exchange *x, enum role role,
                             uint64_t now_ns, bool *x_is_far)
{
    uint64_t key = key_of_mate(m, x, role);
    struct exchange *found = NULL;
    unsigned looks = 0;

    for (const struct recent *r = recents_first(&m->recents, key); r;
         r = recents_next(&m->recents, r)) {
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

/* A request is said in one of two roles, which nobody knows yet; a ClientHello is the same in both.
 */
static enum role first_role(const struct exchange *x)
{
    return mates_is_request(x) ? NEAR : EITHER;
}

static enum role last_role(const struct exchange *x)
{
    return mates_is_request(x) ? FAR : EITHER;
}

struct exchange *mates_find(struct mates *m, const struct exchange *x, uint64_t now_ns,
                            bool *x_is_far)
{
    struct exchange *mate = NULL;

    for (enum role role = first_role(x); !mate && role <= last_role(x); role++)
        mate = find(m, x, role, now_ns, x_is_far);
    return mate;
}

void mates_add(struct mates *m, struct exchange *x, uint64_t at_ns)
{
    for (enum role role = first_role(x); role <= last_role(x); role++)
        if (role != NEAR || x->proxied)
            recents_add(&m->recents, x, key_of(m, x, role), at_ns);
}

void mates_forget(struct mates *m, struct exchange *x)
{
    recents_forget(&m->recents, x);
}

/* ---- what a CONNECT opened */

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

bool mates_is_opened_for(const struct exchange *connect, uint64_t over_ns,
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

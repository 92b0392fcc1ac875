/* How a name becomes addresses.
 *
 * resolver_find looks into the hosts file, then into the cache.  What is not known or no longer
 * holds is asked, each family by itself, and the caller waits at the cache's entry.  An entry is
 * finished
 *   - when both halves are known,
 *   - 50 ms after the first address came (the other half stays asked and goes into the cache), or
 *   - at the deadline of the whole query: the open halves are known to have timed out.
 * A finished entry goes to the list `done`, and only resolver_event and resolver_tick deliver from
 * there: a callback never runs inside resolver_find, and may itself find and cancel. */
#include "net/resolve.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/util.h"
#include "net/cache.h"
#include "net/dnsclient.h"
#include "net/hosts.h"

enum { NAME_MAX_LEN = 253, DETAIL_MAX = DNSCLIENT_DETAIL_MAX };

#define EARLY_NS (50 * NS_PER_MS)     /* RFC 8305 3: Resolution Delay */
#define FAILURE_NS NS_PER_S           /* how long it holds that no answer came */
#define TTL_MAX_S (24u * 60 * 60)     /* of addresses */
#define NEGATIVE_MAX_S (60u * 60)     /* RFC 2308 5 */
#define ROUTE_LOOK_NS (10 * NS_PER_S) /* how often the IPv6 route is looked for */

/* A caller who waits: a node of its entry's `waiters`, or of the resolver's `delivering`. */
struct resolve_query {
    struct list node;
    resolve_fn fn;
    void *arg;
};

struct resolver {
    uint64_t total_ns;
    struct endpoint *servers; /* copies of the settings */
    char *hosts_file, *resolv_conf;
    struct hosts hosts;
    struct cache cache;
    struct dnsclient client;
    struct list busy;       /* entries with a question, by deadline */
    struct list early;      /* entries with a first address, by the time when it is enough */
    struct list done;       /* entries to be delivered */
    struct list delivering; /* waiters of the one that is being delivered */
    uint64_t now_ns;        /* of the owner's last call */
    uint64_t route_look_ns;
    bool has_ipv6_route;
    char detail[DETAIL_MAX]; /* lent by resolver_find */
};

/* --- entries --------------------------------------------------------------------------------- */

static struct cache_entry *first_busy(const struct resolver *r)
{
    return list_is_empty(&r->busy) ? NULL : CONTAINER_OF(r->busy.next, struct cache_entry, busy);
}

static struct cache_entry *first_early(const struct resolver *r)
{
    return list_is_empty(&r->early) ? NULL : CONTAINER_OF(r->early.next, struct cache_entry, early);
}

static bool has_address(const struct cache_entry *e)
{
    return e->halves[CACHE_IPV4].len > 0 || e->halves[CACHE_IPV6].len > 0;
}

static bool is_asked(const struct cache_entry *e)
{
    return e->halves[CACHE_IPV4].asked || e->halves[CACHE_IPV6].asked;
}

/* Keeps the order of deadlines; a new one nearly always belongs at the end. */
static void insert_busy(struct resolver *r, struct cache_entry *e)
{
    struct list *l = r->busy.prev;

    while (l != &r->busy && CONTAINER_OF(l, struct cache_entry, busy)->deadline_ns > e->deadline_ns)
        l = l->prev;
    list_push_front(l, &e->busy);
}

/* Its waiters get what is known now. */
static void finish(struct resolver *r, struct cache_entry *e)
{
    list_remove(&e->early);
    if (list_is_empty(&e->done) && !list_is_empty(&e->waiters))
        list_push_back(&r->done, &e->done);
}

static void set_failure(struct resolver *r, struct cache_half *h, enum resolve_status s,
                        const char *detail)
{
    cache_set(h, NULL, 0, detail);
    h->status = (uint8_t)s;
    h->until_ns = r->now_ns + FAILURE_NS;
}

/* Where no resolver can be reached for one half, none can for the other: c-ares would find that out
 * by its time-outs only, for the kernel reports a refused datagram once and not to each question.
 */
static void share_failure(struct resolver *r, struct cache_entry *e)
{
    for (int f = 0; f < CACHE_FAMILIES; f++) {
        struct cache_half *failed = &e->halves[f], *open = &e->halves[CACHE_FAMILIES - 1 - f];

        if (failed->asked || failed->status != RESOLVE_FAILED || !open->asked)
            continue;
        dnsclient_let_go(open->asked);
        set_failure(r, open, RESOLVE_FAILED, failed->detail);
    }
}

/* Called when a half has become known. */
static void settle(struct resolver *r, struct cache_entry *e)
{
    share_failure(r, e);
    if (!is_asked(e)) {
        list_remove(&e->busy);
        e->early_ns = 0;
        finish(r, e);
    } else if (has_address(e) && e->early_ns == 0) {
        e->early_ns = r->now_ns + EARLY_NS;
        list_push_back(&r->early, &e->early);
    }
}

static void on_result(void *arg, enum dnsmsg_type type, const struct dnsclient_result *result)
{
    struct cache_entry *e = arg;
    struct resolver *r = e->owner;
    struct cache_half *h = &e->halves[type == DNSMSG_A ? CACHE_IPV4 : CACHE_IPV6];
    const struct dnsmsg *m = result->message;

    if (m) {
        uint32_t max_s = m->len > 0 ? TTL_MAX_S : NEGATIVE_MAX_S;

        cache_set(h, m->addrs, m->len, m->len > 0 ? NULL : result->detail);
        h->status = (uint8_t)result->status;
        h->until_ns = r->now_ns + (m->ttl_s < max_s ? m->ttl_s : max_s) * NS_PER_S;
    } else {
        set_failure(r, h, result->status, result->detail);
    }
    if (!e->asking)
        settle(r, e);
}

/* Asks for the halves that are neither known nor asked.  Answers that come at once, inside, are
 * settled when both questions are out: one half that fails does not speak for the other. */
static void ask(struct resolver *r, struct cache_entry *e)
{
    static const enum dnsmsg_type types[CACHE_FAMILIES] = {
        [CACHE_IPV4] = DNSMSG_A, [CACHE_IPV6] = DNSMSG_AAAA};
    struct span name = {e->name, e->name_len};

    e->owner = r;
    e->asking = true;
    if (!is_asked(e)) {
        e->deadline_ns = r->now_ns + r->total_ns;
        insert_busy(r, e);
    }
    for (int f = 0; f < CACHE_FAMILIES; f++) {
        struct cache_half *h = &e->halves[f];

        if (h->asked || cache_is_fresh(h, r->now_ns))
            continue;
        cache_set(h, NULL, 0, NULL);
        h->status = RESOLVE_WAIT;
        h->until_ns = 0;
        if (!dnsclient_send(&r->client, name, types[f], r->now_ns, on_result, e, &h->asked))
            set_failure(r, h, RESOLVE_FAILED, "out of memory, or no resolver is set up");
    }
    e->asking = false;
    settle(r, e);
}

static void time_out(struct resolver *r, struct cache_half *h)
{
    char detail[DETAIL_MAX];

    if (!h->asked)
        return;
    snprintf(detail, sizeof detail, "no answer from %s within %g s",
             dnsclient_get_servers(h->asked), (double)r->total_ns / NS_PER_S);
    dnsclient_let_go(h->asked);
    set_failure(r, h, RESOLVE_TIMEOUT, detail);
}

static void expire(struct resolver *r)
{
    struct cache_entry *e;

    while ((e = first_early(r)) && e->early_ns <= r->now_ns)
        finish(r, e);
    while ((e = first_busy(r)) && e->deadline_ns <= r->now_ns) {
        time_out(r, &e->halves[CACHE_IPV4]);
        time_out(r, &e->halves[CACHE_IPV6]);
        settle(r, e);
    }
}

/* --- answers --------------------------------------------------------------------------------- */

/* Whether a public IPv6 address (2000::1) has a route.  connect() on UDP only looks; no packet
 * leaves. */
static bool has_ipv6_route(struct resolver *r)
{
    struct sockaddr_in6 to = {
        .sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr.s6_addr = {0x20, [15] = 1}};
    int fd;

    if (r->now_ns < r->route_look_ns)
        return r->has_ipv6_route;
    r->route_look_ns = r->now_ns + ROUTE_LOOK_NS;
    fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    r->has_ipv6_route = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (fd >= 0)
        close(fd);
    return r->has_ipv6_route;
}

/* Adds `max` addresses at most of one family, in their order. */
static void add_family(struct resolve_answer *out, const struct addr *list, unsigned len,
                       int family, unsigned max)
{
    for (unsigned i = 0; i < len && max > 0; i++) {
        if (list[i].family != family)
            continue;
        out->addrs[out->len++] = list[i];
        max--;
    }
}

/* IPv6 goes first where it has a route (RFC 6724 6, as far as it can be told without looking each
 * address up); the family that goes second keeps half of the room if it needs it. */
static void add_ordered(struct resolver *r, const struct addr *list, unsigned len,
                        struct resolve_answer *out)
{
    unsigned six = 0, second;
    bool six_first;

    for (unsigned i = 0; i < len; i++)
        six += list[i].family == AF_INET6;
    six_first = six > 0 && six < len && has_ipv6_route(r);
    second = six_first ? len - six : six;
    if (second > RESOLVE_ADDRS_MAX / 2)
        second = RESOLVE_ADDRS_MAX / 2;
    add_family(out, list, len, six_first ? AF_INET6 : AF_INET, RESOLVE_ADDRS_MAX - second);
    add_family(out, list, len, six_first ? AF_INET : AF_INET6, RESOLVE_ADDRS_MAX - out->len);
}

/* Of two halves without an address the one that says more: that the name does not exist holds for
 * both. */
static const struct cache_half *telling_half(const struct cache_entry *e)
{
    static const enum resolve_status order[] = {RESOLVE_NXDOMAIN, RESOLVE_SERVFAIL, RESOLVE_FAILED,
                                                RESOLVE_TIMEOUT, RESOLVE_NODATA};

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        for (int f = 0; f < CACHE_FAMILIES; f++)
            if (e->halves[f].status == order[i])
                return &e->halves[f];
    return NULL;
}

/* What an entry says now; `detail` has room for DETAIL_MAX and is lent to the answer. */
static void fill_answer(struct resolver *r, const struct cache_entry *e, char *detail,
                        struct resolve_answer *out)
{
    const struct cache_half *v4 = &e->halves[CACHE_IPV4], *v6 = &e->halves[CACHE_IPV6], *no;
    struct addr all[CACHE_FAMILIES * DNSMSG_ADDRS_MAX];

    detail[0] = '\0';
    out->detail = detail;
    if (has_address(e)) {
        if (v4->len > 0)
            memcpy(all, v4->addrs, v4->len * sizeof *all);
        if (v6->len > 0)
            memcpy(all + v4->len, v6->addrs, v6->len * sizeof *all);
        add_ordered(r, all, (unsigned)v4->len + v6->len, out);
        out->status = RESOLVE_OK;
        return;
    }
    no = telling_half(e);
    out->status = no ? (enum resolve_status)no->status : RESOLVE_FAILED;
    snprintf(detail, DETAIL_MAX, "%s", no && no->detail ? no->detail : "out of memory");
}

/* Waiters move aside first: those that a callback adds to the entry wait for the next answer. */
static void deliver_entry(struct resolver *r, struct cache_entry *e)
{
    char detail[DETAIL_MAX];
    struct resolve_answer answer = {.source = "dns"};

    assert(list_is_empty(&r->delivering));
    list_remove(&e->done);
    fill_answer(r, e, detail, &answer);
    while (!list_is_empty(&e->waiters)) {
        struct list *first = e->waiters.next;

        list_remove(first);
        list_push_back(&r->delivering, first);
    }
    while (!list_is_empty(&r->delivering)) {
        struct resolve_query *first = CONTAINER_OF(r->delivering.next, struct resolve_query, node);
        struct resolve_query q = *first;

        resolver_cancel(first);
        q.fn(q.arg, &answer);
    }
}

/* The end of each call that may call back. */
static void deliver(struct resolver *r)
{
    expire(r);
    while (!list_is_empty(&r->done))
        deliver_entry(r, CONTAINER_OF(r->done.next, struct cache_entry, done));
    dnsclient_sweep(&r->client);
    cache_trim(&r->cache);
}

/* --- the interface ------------------------------------------------------------------------------
 */

static bool copy_text(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return *out || !text;
}

static bool copy_servers(struct endpoint **out, const struct resolve_config *c)
{
    *out = c->servers_len ? reallocarray(NULL, c->servers_len, sizeof **out) : NULL;
    if (*out)
        memcpy(*out, c->servers, c->servers_len * sizeof **out);
    return *out || !c->servers_len;
}

/* Copies the settings: all of them, or none when memory is out. */
static bool copy_config(struct resolver *r, const struct resolve_config *c)
{
    struct endpoint *servers = NULL;
    char *hosts_file = NULL, *resolv_conf = NULL;
    bool ok = copy_servers(&servers, c) && copy_text(&hosts_file, c->hosts_file) &&
              copy_text(&resolv_conf, c->resolv_conf);

    if (!ok) {
        free(servers);
        free(hosts_file);
        free(resolv_conf);
        return false;
    }
    free(r->servers);
    free(r->hosts_file);
    free(r->resolv_conf);
    r->servers = servers;
    r->hosts_file = hosts_file;
    r->resolv_conf = resolv_conf;
    r->total_ns = c->total_ns;
    r->cache.max = c->cache;
    hosts_fini(&r->hosts);
    hosts_init(&r->hosts, hosts_file);
    r->client.servers = servers;
    r->client.servers_len = c->servers_len;
    r->client.resolv_conf = resolv_conf;
    r->client.timeout_ns = c->timeout_ns;
    return true;
}

struct resolver *resolver_new(const struct resolve_config *c, resolve_watch_fn watch, void *owner)
{
    struct resolver *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    list_init(&r->busy);
    list_init(&r->early);
    list_init(&r->done);
    list_init(&r->delivering);
    dnsclient_init(&r->client, watch, owner);
    if (cache_init(&r->cache, c->cache) && copy_config(r, c))
        return r;
    resolver_free(r);
    return NULL;
}

static void drop_waiters(struct list *waiters)
{
    while (!list_is_empty(waiters))
        resolver_cancel(CONTAINER_OF(waiters->next, struct resolve_query, node));
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    dnsclient_fini(&r->client);
    for (struct list *l = r->cache.recent.next; l != &r->cache.recent; l = l->next)
        drop_waiters(&CONTAINER_OF(l, struct cache_entry, recent)->waiters);
    drop_waiters(&r->delivering);
    cache_fini(&r->cache);
    hosts_fini(&r->hosts);
    free(r->servers);
    free(r->hosts_file);
    free(r->resolv_conf);
    free(r);
}

void resolver_set(struct resolver *r, const struct resolve_config *c)
{
    if (!copy_config(r, c))
        return;
    dnsclient_renew(&r->client);
    r->client.look_ns = 0;
    cache_forget(&r->cache);
}

void resolver_event(struct resolver *r, int fd, unsigned ready, uint64_t now_ns)
{
    r->now_ns = now_ns;
    dnsclient_event(&r->client, fd, ready);
    deliver(r);
}

void resolver_tick(struct resolver *r, uint64_t now_ns)
{
    r->now_ns = now_ns;
    dnsclient_tick(&r->client, now_ns);
    deliver(r);
}

uint64_t resolver_deadline_ns(const struct resolver *r)
{
    const struct cache_entry *busy = first_busy(r), *early = first_early(r);
    uint64_t next_ns = r->client.ares_ns;

    if (!list_is_empty(&r->done))
        return 0;
    if (busy && busy->deadline_ns < next_ns)
        next_ns = busy->deadline_ns;
    if (early && early->early_ns < next_ns)
        next_ns = early->early_ns;
    return next_ns;
}

/* RFC 6761 6.3: these are this host, whatever a resolver would say. */
static unsigned find_localhost(struct span name, struct addr *out)
{
    if (!span_equal(name, SPAN_LIT("localhost")) && !span_ends_with(name, SPAN_LIT(".localhost")))
        return 0;
    out[0] = (struct addr){.family = AF_INET, .bytes = {127, 0, 0, 1}};
    out[1] = (struct addr){.family = AF_INET6, .bytes = {[15] = 1}};
    return 2;
}

static bool find_local(struct resolver *r, struct span name, struct resolve_answer *answer)
{
    struct addr list[CACHE_FAMILIES * RESOLVE_ADDRS_MAX];
    unsigned len = hosts_find(&r->hosts, name, r->now_ns, list, ARRAY_LEN(list));

    if (len == 0)
        len = find_localhost(name, list);
    if (len == 0)
        return false;
    add_ordered(r, list, len, answer);
    answer->source = "hosts";
    return true;
}

/* What an entry can say without waiting. */
static bool find_known(struct resolver *r, const struct cache_entry *e,
                       struct resolve_answer *answer)
{
    bool early = e->early_ns > 0 && e->early_ns <= r->now_ns;

    for (int f = 0; f < CACHE_FAMILIES && !early; f++)
        if (e->halves[f].asked || !cache_is_fresh(&e->halves[f], r->now_ns))
            return false;
    fill_answer(r, e, r->detail, answer);
    answer->source = "cache";
    return true;
}

static enum resolve_status answer_no(struct resolve_answer *answer, enum resolve_status s,
                                     const char *detail)
{
    answer->status = s;
    answer->detail = detail;
    return s;
}

/* What c-ares would cut (NUL) or read as an escape (\) is no name. */
static bool is_name(struct span name)
{
    return name.len > 0 && name.len <= NAME_MAX_LEN && !memchr(name.ptr, '\0', name.len) &&
           !memchr(name.ptr, '\\', name.len);
}

enum resolve_status resolver_find(struct resolver *r, struct span name, uint64_t now_ns,
                                  resolve_fn fn, void *arg, struct resolve_query **query,
                                  struct resolve_answer *answer)
{
    struct cache_entry *e;
    struct resolve_query *q;

    *query = NULL;
    *answer = (struct resolve_answer){.source = "dns", .detail = ""};
    r->now_ns = now_ns;
    if (!is_name(name))
        return answer_no(answer, RESOLVE_NXDOMAIN, "no name that DNS can hold");
    if (find_local(r, name, answer))
        return RESOLVE_OK;
    if (dnsclient_follow(&r->client, now_ns))
        cache_forget(&r->cache);
    e = cache_get(&r->cache, name);
    if (e && find_known(r, e, answer))
        return answer->status;
    q = e ? calloc(1, sizeof *q) : NULL;
    if (!q)
        return answer_no(answer, RESOLVE_FAILED, "out of memory");
    *q = (struct resolve_query){.fn = fn, .arg = arg};
    list_push_back(&e->waiters, &q->node);
    if (list_is_empty(&e->done)) /* else what is about to be delivered will do */
        ask(r, e);
    *query = q;
    return answer->status = RESOLVE_WAIT;
}

void resolver_cancel(struct resolve_query *q)
{
    list_remove(&q->node);
    free(q);
}

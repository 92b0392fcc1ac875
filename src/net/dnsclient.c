/* A channel is c-ares with one list of servers.  By itself c-ares either goes on to the next server
 * when one answers SERVFAIL, and then forgets that answer and reports a refused connection (1.18),
 * or takes the first answer as it is.  It does the latter here, and there is a channel for each
 * server to begin with. */
#include "net/dnsclient.h"

#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/util.h"

enum { DNS_PORT = 53, CLASS_IN = 1, TRIES = 3, SERVERS_MAX = 3, NAME_MAX_LEN = 253 };

struct dnsclient_channel {
    struct list node;
    struct dnsclient *client;
    ares_channel ares;
    unsigned first;       /* it begins with this one of the servers */
    unsigned servers_len; /* how many there are */
    unsigned asked;       /* questions open */
    bool retired;         /* takes no more questions */
    char servers[DNSCLIENT_DETAIL_MAX - 64];
};

struct dnsclient_ask {
    struct dnsclient_channel *channel;
    struct dnsclient_ask **slot; /* NULL: nobody wants the answer any more */
    enum dnsmsg_type type;
    dnsclient_fn fn;
    void *arg;
    char name[NAME_MAX_LEN + 1];
};

void dnsclient_init(struct dnsclient *c, resolve_watch_fn watch, void *owner)
{
    c->watch = watch;
    c->owner = owner;
    c->ares_ns = UINT64_MAX;
    list_init(&c->channels);
}

static struct dnsclient_channel *channel_at(struct list *l)
{
    return CONTAINER_OF(l, struct dnsclient_channel, node);
}

static void close_channel(struct dnsclient_channel *ch)
{
    ares_destroy(ch->ares);
    list_remove(&ch->node);
    free(ch);
}

void dnsclient_fini(struct dnsclient *c)
{
    while (!list_is_empty(&c->channels))
        close_channel(channel_at(c->channels.next));
}

void dnsclient_renew(struct dnsclient *c)
{
    for (struct list *l = c->channels.next; l != &c->channels; l = l->next)
        channel_at(l)->retired = true;
}

void dnsclient_sweep(struct dnsclient *c)
{
    for (struct list *l = c->channels.next, *next; l != &c->channels; l = next) {
        next = l->next;
        if (channel_at(l)->retired && channel_at(l)->asked == 0)
            close_channel(channel_at(l));
    }
}

bool dnsclient_follow(struct dnsclient *c, uint64_t now_ns)
{
    struct stat st;
    uint64_t changed_ns = 0, before_ns = c->changed_ns;

    if (now_ns < c->look_ns || c->servers_len > 0)
        return false;
    c->look_ns = now_ns + NS_PER_S;
    if (stat(c->resolv_conf ? c->resolv_conf : "/etc/resolv.conf", &st) == 0)
        changed_ns = (uint64_t)st.st_ctim.tv_sec * NS_PER_S + (uint64_t)st.st_ctim.tv_nsec;
    if (changed_ns == before_ns)
        return false;
    c->changed_ns = changed_ns;
    dnsclient_renew(c);
    return true;
}

/* --- channels --- */

static void on_socket(void *data, ares_socket_t fd, int readable, int writable)
{
    const struct dnsclient *c = ((struct dnsclient_channel *)data)->client;

    c->watch(c->owner, fd, (readable ? 1u : 0) | (writable ? 2u : 0));
}

static size_t write_server(const struct ares_addr_port_node *s, char text[ENDPOINT_TEXT_MAX])
{
    struct endpoint e = {.addr.family = (uint8_t)s->family, .port = (uint16_t)s->udp_port};

    memcpy(e.addr.bytes, &s->addr, s->family == AF_INET ? 4 : 16);
    return e.port == 0 || e.port == DNS_PORT ? addr_write(&e.addr, text) : endpoint_write(&e, text);
}

/* Takes note of the servers, and puts the one to begin with in front. */
static void arrange_servers(struct dnsclient_channel *ch)
{
    struct ares_addr_port_node *list = NULL, *last, *first;
    size_t at = 0, size = sizeof ch->servers;
    char text[ENDPOINT_TEXT_MAX];

    if (ares_get_servers_ports(ch->ares, &list) != ARES_SUCCESS || !list)
        return;
    for (last = list;; last = last->next) {
        write_server(last, text);
        if (at < size)
            at += (size_t)snprintf(ch->servers + at, size - at, "%s%s", at ? " or " : "", text);
        ch->servers_len++;
        if (!last->next)
            break;
    }
    first = list;
    for (unsigned i = 0; i < ch->first % ch->servers_len;
         i++) { /* the list becomes a ring for a moment */
        last->next = first;
        last = first;
        first = first->next;
        last->next = NULL;
    }
    if (first != list)
        ares_set_servers_ports(ch->ares, first);
    ares_free_data(first);
}

/* Gives c-ares the servers of the configuration, in its own form of text. */
static bool set_servers(const struct dnsclient *c, ares_channel ares)
{
    size_t at = 0;
    char *text;
    bool ok;

    if (c->servers_len == 0)
        return true;
    text = calloc(c->servers_len, ENDPOINT_TEXT_MAX + 1);
    if (!text)
        return false;
    for (unsigned i = 0; i < c->servers_len; i++) {
        if (i > 0)
            text[at++] = ',';
        at += endpoint_write(&c->servers[i], text + at);
    }
    ok = ares_set_servers_ports_csv(ares, text) == ARES_SUCCESS;
    free(text);
    return ok;
}

static bool start_ares(struct dnsclient_channel *ch)
{
    struct dnsclient *c = ch->client;
    char lookups[] = "b"; /* DNS only: the hosts file is read elsewhere */
    char *resolv_conf = c->resolv_conf ? strdup(c->resolv_conf) : NULL;
    struct ares_options o = {
        .flags = ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP,
        .timeout = (int)(c->timeout_ns / NS_PER_MS),
        .tries = TRIES,
        .lookups = lookups,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = ch,
        .resolvconf_path = resolv_conf,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
               ARES_OPT_SOCK_STATE_CB | (resolv_conf ? ARES_OPT_RESOLVCONF : 0);
    bool ok = ares_init_options(&ch->ares, &o, mask) == ARES_SUCCESS;

    free(resolv_conf);
    if (ok && set_servers(c, ch->ares))
        return true;
    if (ok)
        ares_destroy(ch->ares);
    return false;
}

/* The channel that begins with server number `first`; NULL when it cannot be made. */
static struct dnsclient_channel *get_channel(struct dnsclient *c, unsigned first)
{
    struct dnsclient_channel *ch;

    for (struct list *l = c->channels.next; l != &c->channels; l = l->next)
        if (!channel_at(l)->retired && channel_at(l)->first == first)
            return channel_at(l);
    ch = calloc(1, sizeof *ch);
    if (!ch)
        return NULL;
    ch->client = c;
    ch->first = first;
    if (!start_ares(ch)) {
        free(ch);
        return NULL;
    }
    arrange_servers(ch);
    list_push_front(&c->channels, &ch->node);
    return ch;
}

/* --- questions --- */

static const struct failure {
    int ares;
    enum resolve_status status;
    const char *text; /* %s: the servers */
} failures[] = {
    {ARES_ENOTFOUND, RESOLVE_NXDOMAIN, "NXDOMAIN from"},
    {ARES_ENODATA, RESOLVE_NODATA, "no address in the answer from"},
    {ARES_ESERVFAIL, RESOLVE_SERVFAIL, "SERVFAIL from"},
    {ARES_EREFUSED, RESOLVE_SERVFAIL, "REFUSED from"},
    {ARES_ENOTIMP, RESOLVE_SERVFAIL, "NOTIMP from"},
    {ARES_EFORMERR, RESOLVE_SERVFAIL, "FORMERR from"},
    {ARES_EBADRESP, RESOLVE_SERVFAIL, "malformed answer from"},
    {ARES_ECONNREFUSED, RESOLVE_FAILED, "no resolver can be reached at"},
    {ARES_ETIMEOUT, RESOLVE_TIMEOUT, "no answer from"},
};

static void report(const struct dnsclient_ask *a, int status, int timeouts, const struct dnsmsg *m)
{
    char detail[DNSCLIENT_DETAIL_MAX] = "";
    struct dnsclient_result result = {.status = RESOLVE_OK, .detail = detail, .message = m};

    if (status == ARES_EBADNAME) {
        result.status = RESOLVE_NXDOMAIN;
        result.detail = "no name that DNS can hold";
    } else if (status != ARES_SUCCESS) {
        result.status = RESOLVE_FAILED;
        result.detail = ares_strerror(status);
    }
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        if (failures[i].ares != status)
            continue;
        result.status = failures[i].status;
        result.detail = detail;
        if (status == ARES_ETIMEOUT)
            snprintf(detail, sizeof detail, "no answer from %s, tried %d times",
                     a->channel->servers, timeouts);
        else
            snprintf(detail, sizeof detail, "%s %s", failures[i].text, a->channel->servers);
    }
    a->fn(a->arg, a->type, &result);
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len);

/* Hands a question to c-ares, which may answer at once, inside. */
static void start(struct dnsclient_ask *a)
{
    ares_channel ares = a->channel->ares;

    a->channel->asked++;
    if (strchr(a->name, '.'))
        ares_query(ares, a->name, CLASS_IN, (int)a->type, on_answer, a);
    else /* in the domains of resolv.conf, as libc does */
        ares_search(ares, a->name, CLASS_IN, (int)a->type, on_answer, a);
}

/* A server could not answer: tries the next one.  False when all were tried. */
static bool hand_on(struct dnsclient_ask *a, int status)
{
    const struct dnsclient_channel *ch = a->channel;
    struct dnsclient_channel *next;

    if (status != ARES_ESERVFAIL && status != ARES_EREFUSED && status != ARES_ENOTIMP)
        return false;
    if (ch->first + 1 >= ch->servers_len || ch->first + 1 >= SERVERS_MAX)
        return false;
    next = get_channel(ch->client, ch->first + 1);
    if (!next)
        return false;
    a->channel = next;
    start(a);
    return true;
}

static void on_answer(void *arg, int status, int timeouts, unsigned char *bytes, int len)
{
    struct dnsclient_ask *a = arg;
    struct dnsmsg m = {.len = 0};
    bool holds;

    a->channel->asked--;
    if (status == ARES_EDESTRUCTION || !a->slot)
        goto out;
    if (hand_on(a, status))
        return;
    *a->slot = NULL;
    if (bytes && !dnsmsg_parse(bytes, (size_t)len, a->type, &m))
        status = ARES_EBADRESP;
    if (status == ARES_SUCCESS && m.len == 0)
        status = ARES_ENODATA; /* an alias that leads to no address */
    holds = bytes && (status == ARES_SUCCESS || status == ARES_ENODATA || status == ARES_ENOTFOUND);
    report(a, status, timeouts, holds ? &m : NULL);
out:
    free(a);
}

bool dnsclient_send(struct dnsclient *c, struct span name, enum dnsmsg_type type, uint64_t now_ns,
                    dnsclient_fn fn, void *arg, struct dnsclient_ask **slot)
{
    struct dnsclient_channel *ch = get_channel(c, 0);
    struct dnsclient_ask *a = ch && name.len <= NAME_MAX_LEN ? calloc(1, sizeof *a) : NULL;

    if (!a)
        return false;
    *a = (struct dnsclient_ask){.channel = ch, .slot = slot, .type = type, .fn = fn, .arg = arg};
    memcpy(a->name, name.ptr, name.len);
    *slot = a;
    if (c->ares_ns > now_ns + c->timeout_ns)
        c->ares_ns = now_ns + c->timeout_ns;
    start(a);
    return true;
}

void dnsclient_let_go(struct dnsclient_ask *a)
{
    *a->slot = NULL;
    a->slot = NULL;
}

const char *dnsclient_get_servers(const struct dnsclient_ask *a)
{
    return a->channel->servers;
}

/* --- the owner's loop --- */

void dnsclient_event(struct dnsclient *c, int fd, unsigned ready)
{
    ares_socket_t in = ready & 1 ? fd : ARES_SOCKET_BAD, out = ready & 2 ? fd : ARES_SOCKET_BAD;

    for (struct list *l = c->channels.next; l != &c->channels; l = l->next)
        ares_process_fd(channel_at(l)->ares, in, out);
}

/* When c-ares has something to do next: it walks over all its questions for that, so ask it seldom.
 */
static uint64_t next_ares_ns(const struct dnsclient *c, uint64_t now_ns)
{
    uint64_t next_ns = UINT64_MAX;

    for (struct list *l = c->channels.next; l != &c->channels; l = l->next) {
        struct timeval tv;
        uint64_t at_ns;

        if (!ares_timeout(channel_at(l)->ares, NULL, &tv))
            continue;
        at_ns = now_ns + (uint64_t)tv.tv_sec * NS_PER_S + ((uint64_t)tv.tv_usec + 1000) * NS_PER_US;
        next_ns = at_ns < next_ns ? at_ns : next_ns;
    }
    return next_ns;
}

void dnsclient_tick(struct dnsclient *c, uint64_t now_ns)
{
    if (now_ns < c->ares_ns)
        return;
    dnsclient_event(c, ARES_SOCKET_BAD, 0);
    c->ares_ns = next_ares_ns(c, now_ns);
}

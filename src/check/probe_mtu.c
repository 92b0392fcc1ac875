#include "check/probe_mtu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "check/internal.h"

#define LEAST 536            /* the smallest that is looked for (RFC 9293 3.7.1) */
#define ETHERNET 1500        /* path MTU that is hoped for where nobody says more */
#define SMALL_MSS 1000       /* of a leg that is not what is looked at */
#define JUDGE_NS NS_PER_S    /* a segment is lost after that, sent again twice, */
#define JUDGE_BACKOFFS 2     /* and that often, or */
#define JUDGE_BACKOFFS_MAX 3 /* that often at any time */
#define FAR_NS                                                                                     \
    (NS_PER_S + NS_PER_S / 2)   /* the same beyond the proxy, where nobody tells how often */
#define FIRST_NS (3 * NS_PER_S) /* for an answer, before one came */
#define DIAL_LIMIT_NS (5 * NS_PER_S)
#define SLOWER 3        /* times what an answer took */
#define MANY 8          /* segments that came, and none of them larger */
#define HALF_TOTAL 8000 /* bytes of a head that everybody takes */
#define MANY_BYTES                                                                                 \
    3000 /* of a handshake or an answer: a full segment must have been among them                  \
          */

/* ---- results */

static uint32_t less(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void say(struct check_mtu_way *o, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct check_mtu_way *o, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(o->why, sizeof o->why, fmt, ap);
    va_end(ap);
}

static bool is_far(const struct mtu_way *w)
{
    return w->kind >= MTU_FAR_ANY;
}

static void find(struct mtu_way *w, uint32_t mss)
{
    w->done = true;
    w->out->mss = mss;
    w->out->known = is_far(w) ? CHECK_MTU_INFERRED : CHECK_MTU_SEEN;
}

/* The search is over, or its means are. */
static void conclude(struct mtu_way *w)
{
    uint32_t found = mtu_search_found(&w->search);

    w->done = true;
    if (!w->out)
        return;
    if (!found) {
        if (!*w->out->why)
            say(w->out, "not even segments of %u bytes come through", w->search.fails);
        return;
    }
    find(w, found);
    if (w->search.fails > w->search.most) {
        w->out->more = w->kind == MTU_FAR_OUT && w->limited;
        if (w->out->more)
            say(w->out, "no larger piece gets as far as the proxy");
        return;
    }
    if (w->search.fails - w->search.passes > 1) {
        w->out->more = true;
        say(w->out, "MSS %u does not pass, what is between was not tried", w->search.fails);
    }
}

static void give_up(struct mtu_way *w, const struct probe *p)
{
    w->done = true;
    if (w->out && !*w->out->why)
        say(w->out, "the probe ended otherwise: %s%s%s", verdict_get_info(p->flow.verdict)->name,
            p->flow.reason ? ", " : "", p->flow.reason ? p->flow.reason : "");
}

/* Another connection did not come about. */
static void refuse(struct mtu_way *w)
{
    w->done = true;
    if (w->out)
        say(w->out, "a connection was not answered");
}

/* ---- the plan */

/* Nobody tells the segments between proxy and target. */
static uint32_t far_most(const struct probe_mtu *m)
{
    return ETHERNET - CHECK_MTU_HEADERS(m->out.is_far_v6);
}

static void add_way(struct probe_mtu *m, unsigned leg, enum mtu_kind kind, uint32_t most)
{
    static const char *const names[][2] = {
        [MTU_OUT] = {"this machine", "proxy"}, [MTU_IN] = {"proxy", "this machine"},
        [MTU_FAR_ANY] = {NULL, NULL},          [MTU_FAR_IN] = {"target", "proxy"},
        [MTU_FAR_OUT] = {"proxy", "target"},
    };
    struct mtu_leg *l = &m->legs[leg];
    struct mtu_way *w = &l->ways[l->len++];

    w->kind = (uint8_t)kind;
    mtu_search_init(&w->search, LEAST, most);
    if (!names[kind][0])
        return;
    w->out = &m->out.ways[m->out.len++];
    w->out->from = kind == MTU_IN && !m->through_proxy ? "target" : names[kind][0];
    w->out->to = kind == MTU_OUT && !m->through_proxy ? "target" : names[kind][1];
}

void probe_mtu_init(struct probe_mtu *m, const struct probe *p)
{
    const struct endpoint *at = p->through_proxy ? &p->flow.proxy : &p->flow.address;
    uint32_t link = p->info.pmtu > CHECK_MTU_HEADERS(0) ? p->info.pmtu : 0;

    *m = (struct probe_mtu){.is_tls = p->url->tls, .through_proxy = p->through_proxy};
    m->out.is_v6 = at->addr.family == AF_INET6;
    m->out.is_far_v6 = p->url->at.addr.family == AF_INET6;
    m->out.options = p->info.options;
    m->out.pmtu = p->info.pmtu;
    for (unsigned i = 0; i < MTU_LEGS; i++)
        m->legs[i].left_ns = MTU_LEG_NS;
    link = (link ? link : ETHERNET) - CHECK_MTU_HEADERS(m->out.is_v6);
    add_way(m, 0, MTU_OUT, link);
    add_way(m, 0, MTU_IN, link);
    if (!p->through_proxy)
        return;
    add_way(m, 1, MTU_FAR_ANY, far_most(m));
    add_way(m, 1, MTU_FAR_OUT, far_most(m));
    add_way(m, 1, MTU_FAR_IN, far_most(m));
    if (!m->is_tls) /* both search, and neither to the byte */
        m->legs[1].ways[1].allowed = m->legs[1].ways[2].allowed = (MTU_PROBES_MAX - 1) / 2;
    else if (p->tls_hello && !p->wish.small_hello)
        m->legs[1].hello_extra = (int32_t)p->tls_hello - CHECK_HELLO_LEN;
}

static bool is_open(const struct mtu_search *s, uint32_t size)
{
    return size > s->passes && size < s->fails;
}

/* What passes the other way is tried first, and the next larger one. */
static uint32_t next_size(const struct mtu_leg *l, const struct mtu_way *w)
{
    if (w->kind == MTU_FAR_ANY)
        return SMALL_MSS;
    if (w->allowed && w->out->probes == w->allowed)
        return 0;
    if (l->doubt && w->search.probes > 1)
        return SMALL_MSS;
    if (w->hint && w->search.probes > 0 && is_open(&w->search, w->hint))
        return w->hint;
    if (w->hint && w->search.passes == w->hint && is_open(&w->search, w->hint + 1))
        return w->hint + 1;
    return mtu_search_next(&w->search);
}

/* A write beyond the proxy is one segment only where it is one on this leg. */
static void limit_far(struct probe_mtu *m, struct mtu_way *w)
{
    uint32_t most = far_most(m);

    if (w->search.probes > 0)
        return;
    for (unsigned i = 0; i < m->legs[0].len; i++)
        if (m->legs[0].ways[i].out->mss && !m->legs[0].ways[i].out->more)
            most = less(most, m->legs[0].ways[i].out->mss);
    w->limited = most < far_most(m);
    if (most >= LEAST)
        mtu_search_init(&w->search, LEAST, most);
}

static struct probe_wish wish_of(const struct probe_mtu *m, const struct mtu_leg *l,
                                 const struct mtu_way *w)
{
    struct probe_wish wish = {.beside = true, .small_hello = true, .mss = SMALL_MSS};
    uint32_t payload = l->size - m->out.options;

    switch ((enum mtu_kind)w->kind) {
    case MTU_OUT:
        wish.mss = 0;
        wish.half = w->search.probes > 0 ? (uint16_t)payload : 1;
        break;
    case MTU_IN:
        wish.mss = w->search.probes > 0 ? l->size : 0;
        break;
    case MTU_FAR_ANY:
        wish.range = m->is_tls ? 0 : 1;
        break;
    case MTU_FAR_IN:
        wish.range = payload;
        break;
    case MTU_FAR_OUT:
        wish.mss = l->size;
        wish.range = m->is_tls ? 0 : 1;
        wish.pad = m->is_tls ? 0 : (uint16_t)payload;
        wish.small_hello = false;
        wish.handshake = m->is_tls;
        wish.hello = m->is_tls ? (uint16_t)((int32_t)payload - l->hello_extra) : 0;
        break;
    }
    return wish;
}

uint32_t probe_mtu_more(struct probe_mtu *m, unsigned leg, const struct probe *p, uint64_t now_ns)
{
    struct mtu_leg *l = &m->legs[leg];
    struct mtu_way *w = &l->ways[l->at];
    uint32_t size;

    if (w->kind != MTU_OUT || w->done || p->state != PROBE_ANSWER || l->size != w->search.passes ||
        l->left_ns == 0)
        return 0;
    size = next_size(l, w);
    if (size <= m->out.options || p->half_sent + size > HALF_TOTAL)
        return 0;
    l->size = size;
    l->running = true;
    l->start_ns = now_ns;
    return size - m->out.options;
}

enum mtu_next probe_mtu_next(struct probe_mtu *m, unsigned leg, uint64_t now_ns,
                             struct probe_wish *wish)
{
    struct mtu_leg *l = &m->legs[leg];

    for (; l->at < l->len; l->at++) {
        struct mtu_way *w = &l->ways[l->at];

        if (w->done)
            continue;
        if (w->kind == MTU_FAR_OUT && m->legs[0].at < m->legs[0].len)
            return MTU_NEXT_WAIT;
        if (w->kind == MTU_FAR_OUT)
            limit_far(m, w);
        l->size = next_size(l, w);
        if (l->size && l->probes < MTU_PROBES_MAX && l->left_ns > 0) {
            *wish = wish_of(m, l, w);
            l->probes++;
            l->running = true;
            l->start_ns = now_ns;
            if (w->out)
                w->out->probes++;
            return MTU_NEXT_PROBE;
        }
        if (w->search.probes == 0 && w->out && !*w->out->why)
            say(w->out, "no probe or no time was left");
        conclude(w);
        if (w->kind == MTU_OUT && w->out->mss && w->search.fails <= w->search.most)
            l->ways[l->at + 1].hint = w->out->mss;
    }
    return MTU_NEXT_DONE;
}

/* ---- what became of a probe */

enum outcome_of { GOES_ON, PASSED, FAILED, SETTLED };

static enum outcome_of look_out(struct mtu_leg *l, struct mtu_way *w, const struct probe *p,
                                const struct sock_info *i, uint64_t now_ns)
{
    uint32_t sent = p->half_last;

    if (sent == 0)
        return GOES_ON;
    l->size = sent + i->options;
    if (i->acked > p->half_sent) {
        if (i->mss == sent || (p->wish.half > 1 && i->mss > sent))
            return PASSED;
        find(w, less(i->mss, sent) + i->options);
        w->out->more = i->mss > sent;
        say(w->out, "%s",
            w->out->more ? "no larger probe was sent"
                         : "ICMP told this machine while the probe was under way");
        return SETTLED;
    }
    if (i->backoffs >= JUDGE_BACKOFFS_MAX ||
        (i->backoffs >= JUDGE_BACKOFFS &&
         now_ns - l->start_ns >= JUDGE_NS + 2 * NS_PER_US * i->rtt_us))
        return FAILED;
    return GOES_ON;
}

static uint64_t patience_ns(const struct mtu_leg *l, uint64_t least_ns)
{
    uint64_t wanted = l->answer_ns ? SLOWER * l->answer_ns : FIRST_NS;

    return wanted > least_ns ? wanted : least_ns;
}

/* Whether nothing came for longer than an answer takes. */
static bool gives_out(const struct mtu_leg *l, const struct probe *p)
{
    return p->state > PROBE_DIAL && probe_quiet_ns(p) >= patience_ns(l, JUDGE_NS);
}

/* Small segments bring no more than large ones did. */
static void settle_doubt(struct mtu_leg *l, struct mtu_way *w, const struct sock_info *i)
{
    l->doubt = false;
    w->done = true;
    say(w->out, "no long answer comes in small segments either: it does not get as far as the %s",
        w->out->from);
    if (i->rcv_mss > LEAST) {
        find(w, i->rcv_mss + i->options);
        w->out->more = true;
    }
}

static enum outcome_of look_in(struct mtu_leg *l, struct mtu_way *w, const struct probe *p,
                               const struct sock_info *i)
{
    uint32_t clamp = p->wish.mss ? p->wish.mss : i->advmss + i->options;
    bool is_full = i->rcv_mss + i->options >= clamp;

    if (i->advmss == 0)
        return GOES_ON;
    l->size = clamp;
    if (is_full && (!l->doubt || i->received >= l->came + clamp)) {
        l->doubt = false;
        return PASSED;
    }
    if (l->doubt && clamp <= SMALL_MSS && gives_out(l, p)) {
        settle_doubt(l, w, i);
        return SETTLED;
    }
    if (i->received >= (uint64_t)MANY * clamp) {
        find(w, i->rcv_mss + i->options);
        w->out->more = true;
        say(w->out, "nothing larger was sent to us");
        return SETTLED;
    }
    if (p->state == PROBE_ENDED) {
        if (p->signs.hole_down || p->signs.hole_up)
            return FAILED;
        if (!verdict_is_success(p->flow.verdict) && p->flow.verdict != VERDICT_TARGET_ERROR)
            return GOES_ON;
        say(w->out, "the answer has %llu bytes: too few for a full segment",
            (unsigned long long)i->received);
        if (i->rcv_mss > LEAST) {
            find(w, i->rcv_mss + i->options);
            w->out->more = true;
        }
        w->done = true;
        return SETTLED;
    }
    if (i->out_of_order > 0 && probe_quiet_ns(p) >= JUDGE_NS)
        return FAILED;
    if (!gives_out(l, p))
        return GOES_ON;
    if (w->search.passes < LEAST) { /* none has passed yet: it may not be the size */
        l->doubt = true;
        l->came = i->received;
    }
    return FAILED;
}

static bool has_head(const struct probe *p)
{
    return p->status != 0;
}

/* Beyond the proxy of a tunnel, towards it: no number, but whether a long answer comes. */
static void judge_tunnel_in(struct mtu_leg *l, const struct probe *p, bool stands_still)
{
    struct mtu_way *in = &l->ways[l->at + 2];
    unsigned long long came = p->flow.bytes_down;

    in->done = true;
    in->out->probes = l->probes; /* the same one has told */
    if (came >= MANY_BYTES) {
        in->out->known = CHECK_MTU_INFERRED;
        say(in->out, "inside TLS there is no number, but full segments pass: %llu bytes came",
            came);
    } else if (stands_still) {
        in->out->known = CHECK_MTU_INFERRED;
        say(in->out,
            "the answer stands still after %llu bytes, as where large segments vanish; the size "
            "can "
            "be told on the proxy's host only",
            came);
    } else {
        say(in->out, "inside TLS only a long answer tells, and %llu bytes came", came);
    }
}

static enum outcome_of look_far_any(struct probe_mtu *m, struct mtu_leg *l, struct mtu_way *w,
                                    const struct probe *p, const struct sock_info *i,
                                    uint64_t now_ns)
{
    bool quiet = p->state > PROBE_DIAL && p->state < PROBE_ENDED &&
                 probe_quiet_ns(p) >= patience_ns(l, FAR_NS);
    bool ended = p->state == PROBE_ENDED;
    struct mtu_way *in = w + 2;

    if (!l->answer_ns && (m->is_tls ? p->flow.bytes_down > 0 : has_head(p)))
        l->answer_ns = now_ns - l->start_ns;
    if (m->is_tls && p->flow.bytes_down >= MANY_BYTES)
        quiet = true;
    if (!ended && !quiet)
        return GOES_ON;
    w->done = true;
    if (!l->answer_ns) {
        for (w++; w < l->ways + l->len; w++) {
            w->done = true;
            say(w->out, "nothing comes from beyond the proxy, small as it may be");
        }
        return SETTLED;
    }
    if (m->is_tls) {
        judge_tunnel_in(l, p, !ended);
        return SETTLED;
    }
    l->head_len = (uint32_t)(i->received - p->down.payload);
    if (p->status != 206) {
        in->done = true;
        say(in->out, "the target answers Range with %u, not with 206", p->status);
    }
    return SETTLED;
}

static enum outcome_of look_far_in(struct mtu_leg *l, struct mtu_way *w, const struct probe *p)
{
    if (has_head(p) && p->down.done) {
        if (p->down.payload >= p->wish.range)
            return PASSED;
        say(w->out, "the target's content has only %llu bytes",
            (unsigned long long)p->down.payload);
        conclude(w);
        w->out->more = w->out->known != CHECK_MTU_UNKNOWN;
        return SETTLED;
    }
    if (p->state > PROBE_DIAL && p->state < PROBE_ENDED &&
        probe_quiet_ns(p) >= patience_ns(l, FAR_NS))
        return FAILED;
    return GOES_ON;
}

static enum outcome_of look_far_out(struct probe_mtu *m, struct mtu_leg *l, const struct probe *p)
{
    if (m->is_tls && p->tls_hello) {
        l->hello_extra = (int32_t)p->tls_hello - p->wish.hello;
        l->size = p->tls_hello + m->out.options;
    }
    if (m->is_tls ? p->flow.bytes_down > 0 : has_head(p))
        return PASSED;
    if (p->state > PROBE_DIAL && p->state < PROBE_ENDED &&
        probe_quiet_ns(p) >= patience_ns(l, FAR_NS))
        return FAILED;
    return GOES_ON;
}

static enum outcome_of look(struct probe_mtu *m, struct mtu_leg *l, struct mtu_way *w,
                            const struct probe *p, uint64_t now_ns)
{
    struct sock_info i = p->info;

    if (p->conn.fd >= 0)
        sock_read_info(p->conn.fd, &i);
    switch ((enum mtu_kind)w->kind) {
    case MTU_OUT:
        return look_out(l, w, p, &i, now_ns);
    case MTU_IN:
        return look_in(l, w, p, &i);
    case MTU_FAR_ANY:
        return look_far_any(m, l, w, p, &i, now_ns);
    case MTU_FAR_IN:
        return look_far_in(l, w, p);
    case MTU_FAR_OUT:
        return look_far_out(m, l, p);
    }
    return GOES_ON;
}

bool probe_mtu_look(struct probe_mtu *m, unsigned leg, const struct probe *p, uint64_t now_ns)
{
    struct mtu_leg *l = &m->legs[leg];
    struct mtu_way *w = &l->ways[l->at];
    uint64_t took = now_ns - l->start_ns;
    enum outcome_of o = look(m, l, w, p, now_ns);

    if (o == GOES_ON && p->state == PROBE_ENDED)
        give_up(w, p);
    else if (o == GOES_ON && p->state <= PROBE_DIAL && took >= DIAL_LIMIT_NS)
        refuse(w);
    else if (o == GOES_ON && took < l->left_ns)
        return false;
    if (w->search.probes == 0 && w->kind <= MTU_IN &&
        l->size > LEAST) /* as large as the sockets make them */
        mtu_search_init(&w->search, LEAST, l->size);
    if (o == PASSED || o == FAILED)
        mtu_search_take(&w->search, l->size, o == PASSED);
    if (o == PASSED && (!l->answer_ns || took < l->answer_ns))
        l->answer_ns = took;
    l->left_ns = took < l->left_ns ? l->left_ns - took : 0;
    l->running = false;
    return true;
}

/* ---- in words */

static void write_numbers(const struct check_mtu *m, const struct check_mtu_way *w, char *out,
                          size_t cap)
{
    bool far = w >= m->ways + 2;

    if (w->known == CHECK_MTU_UNKNOWN)
        snprintf(out, cap, "unknown");
    else if (!w->mss)
        snprintf(out, cap, "inferred");
    else
        snprintf(out, cap, "%spath MTU %u, MSS %u, payload %u, %s", w->more ? "at least " : "",
                 w->mss + CHECK_MTU_HEADERS(far ? m->is_far_v6 : m->is_v6), w->mss,
                 w->mss - m->options, w->known == CHECK_MTU_SEEN ? "seen" : "inferred");
}

void check_mtu_note(const struct check_mtu *m, struct flow *f)
{
    char numbers[128];

    for (unsigned i = 0; i < m->len; i++) {
        const struct check_mtu_way *w = &m->ways[i];

        write_numbers(m, w, numbers, sizeof numbers);
        flow_evidence(f, "mtu %s to %s: %s, %u probe%s%s%s", w->from, w->to, numbers, w->probes,
                      w->probes == 1 ? "" : "s", *w->why ? "; " : "", w->why);
    }
}

#include "capture/copies.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "capture/inside.h"

static void set_name(char **text, const char *name)
{
    flow_set_text(text, name && *name ? name : NULL);
}

/* Which protocol is spoken in TLS 1.3 is said under keys only. */
static void copy_tls(const struct look *l)
{
    const struct exchange *x = l->x;
    const struct inside_sight *s = l->sight;
    struct flow_tls *to;

    if (!x->is_tls || (!x->hello_whole[UP] && !x->tls_version))
        return;
    to = calloc(1, sizeof *to);
    if (!to)
        return;
    if (exchange_get_sni(x).len > 0)
        flow_set_span(&to->sni, exchange_get_sni(x));
    set_name(&to->version, tlsrec_version_name(x->tls_version));
    set_name(&to->cipher, tlsrec_cipher_name(x->tls_cipher));
    set_name(&to->issuer, s && s->issuer && !(x->issuer && *x->issuer) ? s->issuer : x->issuer);
    if (s && s->is_open)
        flow_set_text(&to->alpn, s->alpn);
    else if (exchange_get_alpn(x).len > 0)
        flow_set_span(&to->alpn, exchange_get_alpn(x));
    l->f->tls = to;
}

static void name_end(const struct look *l, enum side side, const struct endpoint *e)
{
    const char *name = l->source && e->addr.family == ADDR_NAMED
                           ? capture_source_find_name(l->source, &e->addr)
                           : NULL;

    if (name)
        flow_note(l->f, NOTE_NAME, side, "%s:%u", name, e->port);
}

static void copy_ends(const struct look *l)
{
    struct flow *f = l->f;

    f->client = l->c->ends[UP];
    name_end(l, SIDE_CLIENT, &f->client);
    *(l->x->proxied ? &f->proxy : &f->address) = l->c->ends[DOWN];
    name_end(l, l->far, &l->c->ends[DOWN]);
    if (l->up && l->beyond == SIDE_PARENT) {
        char host[LOOK_TEXT_MAX], parent[LOOK_TEXT_MAX + 8];

        snprintf(parent, sizeof parent, "%s:%u", look_name_host(l, &l->up->ends[DOWN], host),
                 l->up->ends[DOWN].port);
        flow_set_text(&f->parent, parent);
    } else if (l->up) {
        f->address = l->up->ends[DOWN];
        name_end(l, SIDE_TARGET, &f->address);
    }
}

static struct flow_leg leg_of(const struct conn *c, bool is_last)
{
    uint32_t up = c->streams[UP].mss, down = c->streams[DOWN].mss;
    uint64_t rtt_us = c->rtt_ns / NS_PER_US;

    return (struct flow_leg){
        .known = true,
        .rtt_us = rtt_us < UINT32_MAX ? (uint32_t)rtt_us : UINT32_MAX,
        .retransmissions = stream_get_rare(&c->streams[UP])->retransmissions +
                           stream_get_rare(&c->streams[DOWN])->retransmissions,
        .mss = up && (!down || up < down) ? up : down,
        .pmtu = c->icmp && c->icmp->mtu ? c->icmp->mtu : 0,
        .unacked =
            is_last ? (uint64_t)stream_unacked(&c->streams[UP]) + stream_unacked(&c->streams[DOWN])
                    : 0, /* of what followed */
    };
}

/* The proxy's dial, where its own leg is here and belongs to this answer. */
static void copy_dial(const struct look *l)
{
    const struct exchange *u = l->x->upstream;
    uint64_t from = u ? exchange_get_ns(u, MARK_SYN) : 0;
    uint64_t to = u ? exchange_get_ns(u, MARK_ESTABLISHED) : 0;
    char where[LOOK_TEXT_MAX];

    if (!from || to < from || from + NS_PER_MS < look_get(l, MARK_REQUEST))
        return;
    flow_step(l->f, STEP_KIND_DIAL, to - from);
    flow_note(l->f, NOTE_STEP, STEP_KIND_DIAL, "%s",
              look_name_packets(l, u->packets[MARK_SYN], u->packets[MARK_ESTABLISHED], where));
}

void copies_write(const struct look *l)
{
    const struct exchange *x = l->x;
    const struct conn *c = l->c;
    struct flow *f = l->f;
    uint64_t wall_ns = c->wall_ns + (x->begin_ns > c->begin_ns ? x->begin_ns - c->begin_ns : 0);

    flow_begin(f, SOURCE_EXPLAIN, x->number, x->begin_ns, wall_ns);
    copy_ends(l);
    flow_set_text(&f->target, x->target);
    flow_set_text(&f->method, exchange_get_method(x));
    exchange_copy_url(x, &f->url);
    flow_set_text(&f->user, l->rare->user);
    f->status = x->status;
    f->bytes_up = x->sides[UP].bytes;
    f->bytes_down = x->sides[DOWN].bytes;
    copy_tls(l);
    *(x->proxied ? &f->client_leg : &f->upstream_leg) = leg_of(c, x->is_last);
    if (l->up)
        f->upstream_leg = leg_of(l->up, true);
    copy_dial(l);
    flow_add_notes(f, &l->rare->notes);
}

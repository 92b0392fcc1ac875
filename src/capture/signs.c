/* What a capture does not hold must not look like something that did not happen: of a direction
 * that is not there nothing is owed, and records that were cut off have no end. */
#include "capture/signs.h"

#include "base/clock.h"
#include "capture/inside.h"

#define ALERT_13_LEN 19 /* of an encrypted alert in TLS 1.3 */
#define SENDS 4         /* of one segment: that many show that nobody takes it */

/* Below this a record of TLS may be two window updates of HTTP/2, or a ping with one: no request
 * that waits.  A first request is longer, and few later ones are shorter. */
#define REQUEST_LEAST 100
#define FIRST_LEAST 60 /* before any answer there is nothing to acknowledge */

/* A GOAWAY and a close_notify may still come when the other side left: nobody waits for them. */
#define LATE_BYTES 64

enum { ALERT_CLOSE_NOTIFY = 0, RECORD_ALERT = 21, RECORD_DATA = 23 };

/* ---- paths */

static bool is_too_big(const struct conn_icmp *i)
{
    return i && i->number && (i->is_v6 ? i->type == 2 : i->type == 3 && i->code == 4);
}

static uint32_t span_of_sequence(uint32_t from, uint32_t to)
{
    return stream_is_before(from, to) ? to - from : 0;
}

/* A segment waits for its acknowledgement.  Where those are not in the capture, new bytes behind
 * its being sent again show that it had one. */
static bool is_stuck(const struct stream *s)
{
    return s->stuck.len &&
           (s->has_acks || s->stuck.sends < 2 || s->last_data_ns <= s->stuck.last_ns);
}

bool signs_is_lost(const struct stream *s)
{
    return is_stuck(s) && s->stuck.sends >= SENDS && s->stuck.backs_off;
}

/* Of the segments that ends[from] sends. */
static void read_out(const struct conn *c, enum dir from, struct path_signs *p)
{
    const struct stream *out = &c->streams[from], *in = &c->streams[!from];
    const struct stream_rare *rare = stream_get_rare(out), *theirs = stream_get_rare(in);
    const struct stream_stuck *stuck = &out->stuck;

    p->largest_acked = out->largest_acked;
    p->acked = out->has_acks ? span_of_sequence(out->first, out->acked) + c->established : 0;
    if (!is_stuck(out))
        return;
    if (!out->has_acks) { /* a sender begins with the first that it misses: the others arrived */
        p->acked = span_of_sequence(out->first, stuck->seq) + c->established;
        p->largest_acked = p->acked < JUDGE_FULL_BYTES ? (uint32_t)p->acked : out->largest;
    }
    p->mss = stuck->len;
    p->unacked = span_of_sequence(stuck->seq, out->top);
    p->repeats = stuck->sends > 1 && stuck->same_size ? stuck->sends - 1u : 0;
    if (p->repeats >= SENDS - 1 && !stuck->backs_off)
        p->repeats = 0;
    p->sacked = rare->hole_ns && rare->hole_behind > 0;
    p->answers =
        !theirs->rst_ns && (in->last_ns > stuck->last_ns || /* or has more than once said */
                            (theirs->duplicate_acks > 0 && in->last_ns > stuck->first_ns));
    p->quiet_ns = stuck->last_ns - stuck->first_ns;
}

/* Of what ends[from] sent and the other end lacks. */
static void read_in(const struct conn *c, enum dir from, uint64_t until_ns, struct path_signs *p)
{
    const struct stream *in = &c->streams[from];
    const struct stream_rare *rare = stream_get_rare(in);
    uint32_t reached = in->has_acks ? in->acked : in->next;

    p->largest_received = in->has_acks ? in->largest_acked : in->largest;
    p->received = span_of_sequence(in->first, reached);
    if (!rare->hole_ns ||
        signs_is_lost(in)) /* its being sent again tells more, and is told above */
        return;
    p->out_of_order = 1;
    p->behind = rare->hole_behind;
    p->hole = span_of_sequence(reached, in->top);
    p->hole -= p->hole > p->behind ? p->behind : p->hole;
    if (until_ns > rare->hole_ns && until_ns - rare->hole_ns > p->quiet_ns)
        p->quiet_ns = until_ns - rare->hole_ns;
}

/* What the socket of ends[here] would know. */
static struct path_signs read_path(const struct conn *c, enum dir here, uint64_t until_ns)
{
    struct path_signs p = {.sized = true};

    if (c->flags_unseen) /* nor has it any numbers */
        return p;
    read_out(c, here, &p);
    read_in(c, here == UP ? DOWN : UP, until_ns, &p);
    if (is_too_big(c->icmp) && c->icmp->about_down == (here == DOWN)) {
        p.told = true;
        p.told_mtu = c->icmp->mtu;
    }
    return p;
}

void signs_read_paths(const struct conn *c, uint64_t until_ns, struct symptoms *s)
{
    s->path_target = read_path(c, UP, until_ns);
    s->path_client = read_path(c, DOWN, until_ns);
}

/* ---- TLS */

/* As proxy/watch reads it. */
static enum stream_frame frame_of(const struct exchange *x, enum dir dir)
{
    const struct tlsrec *t = &x->sides[dir].records;

    if (t->lost)
        return STREAM_FRAME_UNKNOWN;
    if (!tlsrec_is_boundary(t))
        return STREAM_FRAME_INSIDE;
    if (t->records == 0) /* what came may be no TLS at all: then it was not followed */
        return x->sides[dir].bytes > 0 ? STREAM_FRAME_UNKNOWN : STREAM_FRAME_BOUNDARY;
    if (t->last_type == RECORD_ALERT)
        return t->alert_have == 2 && t->alert[1] != ALERT_CLOSE_NOTIFY ? STREAM_FRAME_ALERT
                                                                       : STREAM_FRAME_CLOSED;
    if (x->is_tls13 && t->last_type == RECORD_DATA && t->last_len == ALERT_13_LEN)
        return dir == UP && t->data_records == 1 && !stream_get_rare(&x->conn->streams[UP])->missing
                   ? STREAM_FRAME_ALERT
                   : STREAM_FRAME_CLOSED;
    return STREAM_FRAME_BOUNDARY;
}

static void take_alert(struct symptoms *s, uint8_t code)
{
    s->alert_is_plain = true;
    s->alert = code;
    s->alert_name = tlsrec_alert_name(code);
}

/* Keys show what an alert says. */
static void read_inside(const struct look *l, struct symptoms *s)
{
    const struct inside_sight *sight = l->sight;
    enum stream_frame *const frames[] = {&s->frame_up, &s->frame_down};

    for (unsigned d = UP; sight && d <= DOWN; d++) {
        if (sight->alert[d]) {
            *frames[d] = STREAM_FRAME_ALERT;
            take_alert(s, sight->alert_code[d]);
        } else if (sight->close_notify[d]) {
            *frames[d] = STREAM_FRAME_CLOSED;
        } else if (sight->is_open && *frames[d] == STREAM_FRAME_ALERT) {
            *frames[d] = STREAM_FRAME_CLOSED; /* its size only looked like one */
        }
    }
}

static void read_tls(const struct look *l, struct symptoms *s)
{
    const struct exchange *x = l->x;

    s->is_tls = x->is_tls;
    if (!x->is_tls)
        return;
    s->hello_client = x->hello_whole[UP] ||
                      (x->content_unseen && exchange_get_ns(x, MARK_HELLO) && !l->unseen[UP]);
    /* bytes whose content is not here may well have been a ServerHello */
    s->hello_target = x->hello_whole[DOWN] || l->unseen[DOWN] ||
                      (x->content_unseen && x->sides[DOWN].bytes > 0) || x->early_unseen;
    s->frame_up = frame_of(x, UP);
    s->frame_down = frame_of(x, DOWN);
    for (unsigned d = UP; d <= DOWN; d++) {
        const struct tlsrec *t = &x->sides[d].records;

        if ((d == UP ? s->frame_up : s->frame_down) == STREAM_FRAME_ALERT &&
            t->last_type == RECORD_ALERT)
            take_alert(s, t->alert[1]);
    }
    read_inside(l, s);
}

/* ---- what is owed */

/* The client's few last bytes came behind the other side's FIN: all since it spoke last, or those
 * that it did not take any more. */
static bool is_good_bye(const struct look *l)
{
    const struct stream *up = &l->c->streams[UP], *down = &l->c->streams[DOWN];
    uint64_t refused = stream_unacked(up);

    return l->x->is_last && down->fin_ns && up->last_data_ns >= down->fin_ns &&
           (l->x->sides[UP].since_other <= LATE_BYTES || (refused > 0 && refused <= LATE_BYTES));
}

bool signs_is_asking(const struct look *l)
{
    const struct exchange *x = l->x;
    uint64_t asked = x->sides[UP].since_other;

    if (asked == 0 || l->unseen[DOWN] || is_good_bye(l))
        return false;
    if (!x->is_tls || !x->hello_whole[DOWN])
        return true;
    return exchange_get_ns(x, MARK_INNER) != 0 &&
           asked >= (exchange_get_ns(x, MARK_INNER_ANSWER) ? REQUEST_LEAST : FIRST_LEAST);
}

/* Of an answer whose request is not here nothing but the head came: it may be one to HEAD. */
static bool may_have_no_body(const struct look *l)
{
    return !exchange_get_method(l->x) && l->rare->received == 0;
}

static void read_body(const struct look *l, struct symptoms *s)
{
    const struct exchange_rare *r = l->rare;
    bool is_upload = look_is_upload(l);

    s->body_unfinished = (l->x->body_unfinished && !may_have_no_body(l)) || is_upload;
    s->promised = is_upload ? r->request_promised : r->promised;
    s->received = is_upload ? r->request_received : r->received;
}

static void read_unacked(const struct look *l, struct symptoms *s)
{
    const struct conn *c = l->c;

    if (c->one_sided || c->is_text) /* which leaves out most acknowledgements */
        return;
    s->unacked_client = stream_unacked(&c->streams[DOWN]);
    s->unacked_target = is_good_bye(l) ? 0 : stream_unacked(&c->streams[UP]);
    if (s->unacked_client <= LATE_BYTES && l->x->is_tls && s->frame_down == STREAM_FRAME_UNKNOWN)
        s->unacked_client = 0;
}

/* A window that was closed when the side closed, or the capture ended, and long before. */
static uint64_t closed_for(const struct look *l, enum dir dir)
{
    const struct stream_rare *rare = stream_get_rare(&l->c->streams[dir]);
    uint64_t until = l->closed ? l->close_ns : l->until_ns;

    if (!rare->closed_ns || l->c->clock_jumped || until < rare->closed_ns + l->patience_ns)
        return 0;
    return until - rare->closed_ns;
}

/* ---- the end */

/* The target's own word is on the proxy's own leg, when it came before what the client was told. */
static bool is_reset_by_target(const struct look *l)
{
    uint64_t at_ns = l->up ? stream_get_rare(&l->up->streams[DOWN])->rst_ns : 0;
    bool client_first = l->closed && l->closer == UP && l->close_ns < at_ns;

    return at_ns && !client_first && !l->up->streams[DOWN].fin_ns && !l->up->streams[UP].fin_ns;
}

static bool is_closed_by_target(const struct look *l)
{
    const struct stream *down = l->up ? &l->up->streams[DOWN] : NULL;

    return down && down->fin_ns && down->fin_ns <= l->close_ns;
}

/* Whether the other side, or this one, may well have said good-bye before, or be through. */
bool signs_is_fin_unseen(const struct look *l)
{
    const struct exchange *x = l->x;
    bool has_no_end = x->content_unseen && !x->is_tls && !l->rare->promised;

    return l->unseen[UP] || l->unseen[DOWN] || has_no_end;
}

static void read_end(const struct look *l, struct symptoms *s)
{
    bool lost_up = signs_is_lost(&l->c->streams[UP]) && !(l->by_rst && l->closer == DOWN);
    bool lost_down = signs_is_lost(&l->c->streams[DOWN]) && !(l->by_rst && l->closer == UP);

    s->fin_client = l->x->is_last && l->c->streams[UP].fin;
    s->fin_target = l->x->is_last && l->c->streams[DOWN].fin;
    if (l->by_rst && signs_is_fin_unseen(l)) /* nothing is to be concluded from its being away */
        s->fin_client = s->fin_target = true;
    if (is_reset_by_target(l)) {
        s->end = STREAM_END_RST;
        s->first = l->beyond;
    } else if (l->x->is_last && (lost_up || lost_down)) {
        s->end = STREAM_END_LOST;
        s->first = lost_up ? l->far : SIDE_CLIENT;
    } else if (l->closed) {
        s->end = l->by_rst ? STREAM_END_RST : STREAM_END_FIN;
        s->first = l->closer == UP ? SIDE_CLIENT : is_closed_by_target(l) ? SIDE_TARGET : l->far;
    } else {
        s->end = STREAM_END_CAPTURE;
    }
}

/* What the client's leg says behind the target's reset comes of it: the proxy may make a FIN of it,
 * and the client a close_notify.  Neither is a farewell that came before. */
static void drop_late_farewells(const struct look *l, struct symptoms *s)
{
    const struct stream *up = &l->c->streams[UP], *down = &l->c->streams[DOWN];
    uint64_t reset_ns;

    if (!is_reset_by_target(l))
        return;
    reset_ns = stream_get_rare(&l->up->streams[DOWN])->rst_ns;
    s->fin_client &= up->fin_ns < reset_ns;
    s->fin_target &= down->fin_ns < reset_ns;
    if (s->frame_up == STREAM_FRAME_CLOSED && up->last_data_ns > reset_ns)
        s->frame_up = STREAM_FRAME_BOUNDARY;
}

void signs_gather(const struct look *l, struct symptoms *s)
{
    const struct exchange *x = l->x;

    s->far = l->far;
    read_end(l, s);
    read_tls(l, s);
    drop_late_farewells(l, s);
    read_body(l, s);
    read_unacked(l, s);
    s->bytes_up = x->sides[UP].bytes;
    s->bytes_down = x->sides[DOWN].bytes;
    s->last_was_up = signs_is_asking(l);
    s->asked = x->sides[UP].since_other;
    s->idle_ns = l->quiet_ns;
    s->closed_client_ns = closed_for(l, UP);
    s->closed_target_ns = closed_for(l, DOWN);
    if (x->is_last)
        signs_read_paths(l->c, l->until_ns > l->close_ns ? l->until_ns : l->close_ns, s);
}

/* What is said in a tunnel, or behind a ClientHello: records, read without keys.
 *
 * Records are followed as they come; beside that a hello is collected (dialog_hello.c).  The
 * client's last record of the handshake is its Finished: the first one behind its
 * change_cipher_spec. */
#include "capture/dialog_tls.h"

#include "base/clock.h"
#include "capture/inside.h"

#define RECORD_MAX (16384 + 2048)
#define TICKETS_NS (100 * NS_PER_MS) /* from the first to the second */
#define TICKET_MAX 2048
#define ALERT_13_LEN 19 /* of an encrypted one */

bool dialog_tls_is_record(struct span b)
{
    if (b.len == 0 || dialog_tls_byte(b, 0) < TYPE_CHANGE || dialog_tls_byte(b, 0) > TYPE_DATA)
        return false;
    if (b.len > 1 && dialog_tls_byte(b, 1) != 3)
        return false;
    return b.len < RECORD_HEADER || dialog_tls_len(b) <= RECORD_MAX;
}

static struct round *find_round(const struct said *s)
{
    return s->dir == UP ? s->g->last : round_find_answering(s->g);
}

/* ---- records */

/* In TLS 1.3 tickets look like answers.  Two of one size at once, before anything else, are what
 * most libraries send behind the handshake; an answer is hardly ever cut that way.  The request may
 * stand before them, between them or behind them. */
static bool is_second_ticket(const struct said *s, const struct round *t)
{
    const struct exchange *x = &t->x;
    uint64_t first_ns = exchange_get_ns(x, MARK_INNER_ANSWER);

    if (t->ticket_len == 0 || t->ticket_len != x->sides[DOWN].records.last_len)
        return false;
    return !first_ns || x->packets[MARK_INNER_ANSWER] == s->p.number ||
           (x->sides[UP].since_other == 0 && s->p.at_ns <= first_ns + TICKETS_NS);
}

/* Whether this record may be the first of two. */
static bool is_first_ticket(const struct round *t)
{
    const struct exchange *x = &t->x;

    return x->is_tls13 && !t->had_tickets && x->packets[MARK_TLS_END] > 0 &&
           x->packets[MARK_INNER_ANSWER] == 0 && x->sides[DOWN].records.last_len <= TICKET_MAX;
}

static void take_inner_answer(const struct said *s, struct round *t)
{
    struct exchange *x = &t->x;
    bool second = is_second_ticket(s, t), first = !second && is_first_ticket(t);
    uint32_t asked = x->sides[UP].since_other;

    t->ticket_len = first ? x->sides[DOWN].records.last_len : 0;
    t->had_tickets |= second;
    s->g->only_tickets = second && x->packets[MARK_INNER] > 0;
    if (x->packets[MARK_INNER] == 0)
        return;
    if (second) {
        exchange_unmark(x, MARK_INNER_ANSWER);
        exchange_unmark(x, MARK_BODY);
    } else {
        exchange_mark(x, MARK_INNER_ANSWER, s->p.at_ns, s->p.number);
        exchange_mark(x, MARK_BODY, s->p.at_ns, s->p.number);
    }
    if (first)
        t->ticket_asked = (uint16_t)(asked < UINT16_MAX ? asked : UINT16_MAX);
}

/* The last record that began is as long as an alert of TLS 1.3. */
static bool is_hidden_alert(const struct round *t, enum dir dir)
{
    const struct tlsrec *r = &t->x.sides[dir].records;

    return t->x.is_tls13 && r->last_type == TYPE_DATA && r->last_len == ALERT_13_LEN;
}

static void begin_record(const struct said *s, struct round *t)
{
    struct exchange *x = &t->x;
    unsigned type = x->sides[s->dir].records.last_type;

    if (s->dir == DOWN) {
        if (type == TYPE_HANDSHAKE)
            exchange_mark(x, MARK_SERVER_HELLO, s->p.at_ns, s->p.number);
        if (type == TYPE_DATA)
            take_inner_answer(s, t);
        return;
    }
    if (type == TYPE_DATA && x->packets[MARK_TLS_END] > 0 && !is_hidden_alert(t, UP))
        exchange_mark(x, MARK_INNER, s->p.at_ns, s->p.number);
}

/* The client's Finished; behind a HelloRetryRequest its second hello comes after the change. */
static bool is_finished(const struct round *t, unsigned type)
{
    if (t->x.is_tls13)
        return type == TYPE_DATA && t->x.packets[MARK_SERVER_HELLO] > 0;
    return t->changed_up && (type == TYPE_DATA || (type == TYPE_HANDSHAKE && !t->retried));
}

static void end_record(const struct said *s, struct round *t)
{
    struct exchange *x = &t->x;
    unsigned type = x->sides[s->dir].records.last_type;

    if (s->dir == DOWN)
        return;
    if (type == TYPE_HANDSHAKE && x->sides[UP].records.records == 1)
        exchange_mark(x, MARK_HELLO_END, s->p.at_ns, s->p.number);
    if (is_finished(t, type))
        exchange_mark(x, MARK_TLS_END, s->p.at_ns, s->p.number);
    t->changed_up |= type == TYPE_CHANGE;
}

/* A record's header, or what is there of it, or of its payload. */
static void step(const struct said *s, struct round *t, struct span *rest)
{
    struct tlsrec *r = &t->x.sides[s->dir].records;
    uint32_t records = r->records;
    bool in_header = r->left == 0;
    size_t n = in_header ? (size_t)(RECORD_HEADER - r->have) : r->left;

    if (n > rest->len)
        n = rest->len;
    tlsrec_follow(r, (struct span){rest->ptr, n});
    *rest = (struct span){rest->ptr + n, rest->len - n};
    if (in_header && r->have == 0 && !r->lost)
        begin_record(s, t);
    if (r->records > records)
        end_record(s, t);
}

/* True: a record ended among these bytes. */
static bool follow(const struct said *s, struct round *t)
{
    struct tlsrec *r = &t->x.sides[s->dir].records;
    uint32_t records = r->records;
    struct span rest = s->p.bytes;

    if (r->lost && s->at_start && rest.len >= RECORD_HEADER && dialog_tls_is_record(rest)) {
        r->lost = r->have = 0; /* packets often begin with a record: there it goes on */
        r->left = 0;
    }
    while (rest.len > 0 && !r->lost)
        step(s, t, &rest);
    if (s->p.len > s->p.bytes.len) {
        uint32_t before = r->records;

        tlsrec_skip(r, s->p.len - s->p.bytes.len);
        if (r->records > before)
            end_record(s, t);
    }
    return r->records > records;
}

/* A packet that is one alert, as far as can be seen: in TLS 1.3 by its size. */
static bool is_alert(const struct round *t, const struct said *s)
{
    const struct tlsrec *r = &t->x.sides[s->dir].records;

    return s->p.len == RECORD_HEADER + (uint32_t)r->last_len && tlsrec_is_boundary(r) &&
           (r->last_type == TYPE_ALERT || is_hidden_alert(t, s->dir));
}

static size_t take_records(struct said *s, struct round *t)
{
    struct inside *inside = exchange_get_rare(&t->x)->inside;
    bool ended;

    t->x.sides[s->dir].bytes += s->p.len;
    ended = follow(s, t);
    if (s->g->collects & 1u << s->dir)
        dialog_hello_collect(s, t, ended);
    if (inside) /* one that was opened just now was fed with what was collected */
        inside_feed(inside, s->dir, &s->p);
    s->g->only_alert = s->at_start && is_alert(t, s);
    return s->p.len;
}

/* ---- the first bytes */

static void begin_tls(struct said *s, struct round *t)
{
    bool is_hello = dialog_tls_byte(s->p.bytes, 0) == TYPE_HANDSHAKE;
    bool to_proxy = t->x.asked == ASKED_TLS && t->x.proxied;

    t->x.is_tls = true;
    if (s->dir == UP && is_hello)
        exchange_mark(&t->x, to_proxy ? MARK_PROXY_HELLO : MARK_HELLO, s->p.at_ns, s->p.number);
    round_forget(s->d, s->g, s->dir);
    s->g->mode[s->dir] = MODE_TLS;
    if (is_hello)
        s->g->collects |= (uint8_t)(1u << s->dir);
    else
        s->g->collects &= (uint8_t) ~(1u << s->dir);
}

void dialog_tls_resume(struct said *s, struct round *t)
{
    bool is_hello = dialog_tls_byte(s->p.bytes, 0) == TYPE_HANDSHAKE && s->p.bytes.len > 5 &&
                    dialog_tls_byte(s->p.bytes, 5) ==
                        (s->dir == UP ? MESSAGE_CLIENT_HELLO : MESSAGE_SERVER_HELLO);

    if (is_hello) {
        s->g->mode[s->dir] = MODE_TUNNEL;
        return;
    }
    t->x.is_tls = true;
    s->g->mode[s->dir] = MODE_TLS;
    s->g->collects &= (uint8_t) ~(1u << s->dir);
}

static size_t take_first(struct said *s, struct round *t)
{
    if (s->p.bytes.len == 0) {
        dialog_unseen_begin(s, t);
    } else if (s->dir == DOWN && dialog_judge_page(s, t)) {
        s->g->mode[UP] = s->g->mode[DOWN] = MODE_OPAQUE;
    } else if (dialog_tls_is_record(s->p.bytes)) {
        begin_tls(s, t);
    } else {
        s->g->mode[s->dir] = MODE_OPAQUE;
    }
    return 0;
}

void dialog_tls_begin_direct(struct said *s, struct round *t)
{
    bool is_hello = dialog_tls_byte(s->p.bytes, 0) == TYPE_HANDSHAKE;

    t->x.asked = is_hello ? ASKED_TLS : ASKED_UNSEEN;
    t->x.proxied &= round_is_sure_proxy(s->d, &s->c->ends[DOWN]);
    if (s->c->mid_stream && round_is_proxy_port(s->c))
        t->x.proxied = true;
    if (s->c->mid_stream && t->x.proxied) /* a tunnel that was asked for before */
        t->x.asked = ASKED_UNSEEN;
    t->asked_all = true;
    t->asked_head = !is_hello;
    s->g->mode[UP] = s->g->mode[DOWN] = MODE_TUNNEL;
    if (!is_hello)
        round_tell(s, t);
}

size_t dialog_tls_take(struct said *s)
{
    struct round *t = find_round(s);

    if (!t)
        return s->p.len;
    if (s->g->mode[s->dir] == MODE_TUNNEL)
        return take_first(s, t);
    if (s->g->mode[s->dir] == MODE_TLS)
        return take_records(s, t);
    exchange_mark(&t->x, MARK_BODY, s->p.at_ns, s->p.number);
    t->x.sides[s->dir].bytes += s->p.len;
    return s->p.len;
}

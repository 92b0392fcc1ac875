/* Bytes without content: of a text's lines, or of a capture that keeps headers only.  Sizes and
 * order tell a little: through a proxy there is a small request, a small answer, then a
 * ClientHello. */
#include "capture/round.h"

#define ANSWER_MAX 600 /* bytes of what may be "200 Connection established" */
#define ASKED_MIN 40   /* of a CONNECT */
#define ASKED_MAX 1200
#define HELLO_MIN 150 /* of a ClientHello */

/* A port where nothing but TLS is spoken. */
static bool is_tls_port(unsigned port)
{
    return port == 443 || port == 8443 || port == 993 || port == 995 || port == 465 || port == 853;
}

static bool goes_to_tls_port(const struct exchange *x)
{
    size_t len = x->target ? strlen(x->target) : 0;

    return len >= 4 && strcmp(x->target + len - 4, ":443") == 0;
}

void dialog_unseen_begin(struct said *s, struct round *t)
{
    struct exchange *x = &t->x;

    x->content_unseen = true;
    if (!t->asked_head) {
        x->asked = ASKED_UNSEEN;
        x->proxied |= round_is_proxy_port(s->c);
        t->asked_head = t->asked_all = true;
    }
    round_forget(s->d, s->g, s->dir);
    s->g->mode[s->dir] = MODE_UNSEEN;
    if (!t->is_told)
        round_tell(s, t);
}

/* Whether what went by looks like CONNECT, its answer, and now a ClientHello. */
static bool looks_like_tunnel(const struct said *s, const struct exchange *x)
{
    return x->sides[UP].bytes >= ASKED_MIN && x->sides[UP].bytes <= ASKED_MAX &&
           x->sides[DOWN].bytes <= ANSWER_MAX && s->p.len >= HELLO_MIN;
}

static void mark(struct said *s, struct exchange *x, enum mark m)
{
    exchange_mark(x, m, s->p.at_ns, s->p.number);
}

/* The client speaks, of its n-th turn. */
static void hear_client(struct said *s, struct exchange *x)
{
    bool tunnel = x->asked == ASKED_CONNECT && x->packets[MARK_ANSWER] > 0;

    if (x->packets[MARK_SERVER_HELLO] > 0) {
        mark(s, x, MARK_TLS_END);
        mark(s, x, MARK_INNER);
    } else if (x->packets[MARK_HELLO] > 0 || x->packets[MARK_BODY] > 0) {
        return;
    } else if (tunnel) {
        mark(s, x, goes_to_tls_port(x) ? MARK_HELLO : MARK_BODY);
    } else if (x->packets[MARK_REQUEST] == 0 && !x->proxied && is_tls_port(s->c->ends[DOWN].port)) {
        mark(s, x, MARK_HELLO);
    } else if (x->packets[MARK_REQUEST] == 0) {
        mark(s, x, MARK_REQUEST);
        mark(s, x, MARK_REQUEST_END);
    } else if (x->packets[MARK_ANSWER] > 0 && looks_like_tunnel(s, x)) {
        x->proxied |= s->c->is_text && s->c->ends[DOWN].port == 80;
        mark(s, x, x->proxied ? MARK_HELLO : MARK_BODY);
    } else if (x->packets[MARK_ANSWER] > 0) {
        mark(s, x, MARK_BODY);
    }
}

static void hear_target(struct said *s, struct exchange *x)
{
    bool tunnel = x->asked == ASKED_CONNECT;

    if (x->packets[MARK_INNER] > 0) {
        mark(s, x, MARK_INNER_ANSWER);
        mark(s, x, MARK_BODY);
    } else if (x->packets[MARK_HELLO] > 0) {
        exchange_mark(x, MARK_HELLO_END, s->g->last_ns, s->g->last_number);
        mark(s, x, MARK_SERVER_HELLO);
    } else if (x->packets[MARK_ANSWER] == 0 && !tunnel) {
        mark(s, x, MARK_ANSWER);
        mark(s, x, MARK_ANSWER_END);
    } else {
        mark(s, x, MARK_BODY);
    }
}

size_t dialog_unseen_take(struct said *s)
{
    struct round *t = s->dir == UP ? s->g->last : round_find_answering(s->g);

    if (!t)
        return s->p.len;
    if (s->dir == UP && t->answered_all) { /* that was another request */
        s->g->mode[UP] = MODE_HEAD;
        return 0;
    }
    if (s->at_start && s->p.bytes.len > 5 && dialog_tls_is_record(s->p.bytes)) {
        dialog_tls_resume(s, t);
        return 0;
    }
    if (s->dir == UP)
        hear_client(s, &t->x);
    else
        hear_target(s, &t->x);
    t->x.sides[s->dir].bytes += s->p.len;
    return s->p.len;
}

#include <sys/socket.h>

#include "capture/text_private.h"

enum {
    BODY_MAX = 16 << 20, /* of bodies that no line shows */
    PIECE = 1000,        /* in which they go out: no size that says anything of an MTU */
};

struct text_item *text_push(struct text_capture *t, enum packet_kind kind, uint32_t number)
{
    struct text_item *item;

    if (t->queue_len == TEXT_QUEUE_MAX)
        return NULL;
    item = &t->queue[t->queue_len++];
    *item = (struct text_item){.packet = {.kind = kind,
                                          .number = number,
                                          .is_text = true,
                                          .at_ns = t->clock.at_ns,
                                          .wall_ns = t->clock.wall_ns}};
    return item;
}

void text_fill(struct text_capture *t, struct text_item *item, const struct textseq_conn *c,
               int dir, struct span content)
{
    struct packet *p = &item->packet;

    p->from = c->ends[dir];
    p->to = c->ends[1 - dir];
    p->ip_len = p->payload_len + (p->from.addr.family == AF_INET6 ? 60 : 40);
    item->off = t->contents.len;
    if (content.len <= p->payload_len && buf_append(&t->contents, content.ptr, content.len))
        item->len = content.len;
}

void text_pop(struct text_capture *t, struct packet *out)
{
    struct text_item *item = &t->queue[t->queue_at];

    *out = item->packet;
    out->payload = (struct span){buf_span(&t->contents).ptr + item->off, item->len};
    if (item->left == 0) {
        t->queue_at++;
        return;
    }
    out->payload_len = item->left < PIECE ? item->left : PIECE;
    item->left -= out->payload_len;
    item->packet.seq += out->payload_len;
    if (item->left == 0)
        t->queue_at++;
}

/* --- what heads say --- */

static bool has_end(struct span bytes)
{
    return memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) != NULL ||
           (bytes.len >= 2 && memcmp(bytes.ptr, "\r\n", 2) == 0);
}

bool text_has_body(const struct textseq_conn *c, const struct texthead *h)
{
    if (h->kind == TEXTHEAD_REQUEST)
        return h->length > 0;
    return h->length > 0 && h->status >= 200 && h->status != 204 && h->status != 304 &&
           !c->asked_head && !(c->asked_connect && h->status < 300);
}

struct texthead text_note_content(struct textseq_conn *c, int dir, struct span content)
{
    struct textseq_side *s = &c->sides[dir];
    struct texthead h = texthead_read(content);

    if (h.kind == TEXTHEAD_NONE) {
        if (s->in_head && content.len > 0)
            s->in_head = !has_end(content);
        return h;
    }
    s->http = true;
    s->in_head = !has_end(content);
    if (h.kind == TEXTHEAD_REQUEST) {
        if (c->opener < 0)
            c->opener = dir;
        c->asked_connect = h.is_connect;
        c->asked_head = h.is_head;
        c->asked_secure = h.is_secure;
    } else if (c->asked_connect && h.status >= 200 && h.status < 300) {
        c->is_tunnel = true;
        c->sides[0].http = c->sides[1].http = false;
    }
    return h;
}

/* A body was promised, no line shows it, and what follows tells that it was there. */
static void push_body(struct text_capture *t, struct textseq_conn *c, int dir, uint32_t number)
{
    struct textseq_side *s = &c->sides[dir];
    uint32_t len = (uint32_t)s->promised;
    struct text_item *item = len > 0 ? text_push(t, PACKET_TCP, number) : NULL;

    s->promised = 0;
    if (!item)
        return;
    textseq_follow(c, dir, len, &item->packet);
    text_fill(t, item, c, dir, (struct span){"", 0});
    item->left = len;
}

void text_push_head(struct text_capture *t, struct textseq_conn *c, struct span head,
                    uint32_t number)
{
    struct texthead h = texthead_read(head);
    int opener = textseq_get_opener(c), dir = h.kind == TEXTHEAD_REQUEST ? opener : 1 - opener;
    struct text_item *item;

    if (c->sides[dir].fin || (c->is_tunnel && c->asked_secure))
        return; /* what TLS hides was not captured: somebody knows it from elsewhere */
    push_body(t, c, 1 - dir, number);
    item = text_push(t, PACKET_TCP, number);
    if (!item)
        return;
    textseq_follow(c, dir, (uint32_t)head.len, &item->packet);
    text_fill(t, item, c, dir, head);
    h = text_note_content(c, dir, head);
    c->sides[dir].promised = text_has_body(c, &h) && h.length <= BODY_MAX ? h.length : 0;
}

static void drop_first_held(struct text_capture *t)
{
    buf_consume(&t->held, t->held_lens[0]);
    t->held_len--;
    memmove(t->held_lens, t->held_lens + 1, t->held_len * sizeof t->held_lens[0]);
    memmove(t->held_numbers, t->held_numbers + 1, t->held_len * sizeof t->held_numbers[0]);
}

static struct span first_held(const struct text_capture *t)
{
    return (struct span){buf_span(&t->held).ptr, t->held_lens[0]};
}

void text_push_held(struct text_capture *t, struct textseq_conn *c)
{
    for (; t->held_len > 0; drop_first_held(t))
        text_push_head(t, c, first_held(t), t->held_numbers[0]);
}

bool text_attach_held(struct text_capture *t, struct textseq_conn *c, int dir,
                      const struct dumptext *d)
{
    for (; t->held_len > 0; drop_first_held(t)) {
        struct span head = first_held(t), rest = head;
        struct texthead h = texthead_read(head);
        bool is_its = (h.kind == TEXTHEAD_REQUEST) == (textseq_get_opener(c) == dir);

        if (c->is_tunnel && c->asked_secure)
            continue;
        if (is_its && span_cut(&rest, '\n').len < d->length) {
            text_empty(&t->head);
            buf_append(&t->head, head.ptr, head.len - 2);
            text_fit_head(&t->head, d->length, true, text_has_body(c, &h));
            drop_first_held(t);
            return true;
        }
        if (is_its)
            break; /* it is not the content of lines: none of them is */
        text_push_head(t, c, head, t->held_numbers[0]);
    }
    text_push_held(t, c);
    return false;
}

void text_push_unseen(struct text_capture *t, struct textseq_conn *c, int dir,
                      const struct dumptext *d, uint32_t number)
{
    struct textseq_side *s = &c->sides[dir];

    if (d->flags & (PACKET_FIN | PACKET_RST))
        text_push_held(t, c);
    if (d->length > 0) {
        s->promised = 0; /* its lines are here */
        push_body(t, c, 1 - dir, number);
    }
    /* a number that is too small for the body says that it was not sent whole */
    if (d->flags & PACKET_FIN && !(d->has_seq && d->seq < s->promised))
        push_body(t, c, dir, number);
}

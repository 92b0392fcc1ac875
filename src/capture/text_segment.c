#include "capture/text_private.h"

/* What the bytes themselves say is better than their line. */
static void read_packet_numbers(struct dumptext *d, const struct packet *p)
{
    d->flags = p->flags;
    d->has_flags = d->has_seq = d->has_win = d->has_length = true;
    d->has_end = false;
    d->has_ack = p->flags & PACKET_ACK;
    d->seq = p->seq;
    d->ack = p->ack;
    d->win = p->window;
    d->length = p->payload_len;
    d->ttl = p->ttl;
    d->has_ip_id = p->has_ip_id;
    d->ip_id = p->ip_id;
    d->options_cut = p->options_cut;
    d->mss = p->mss;
    d->has_scale = p->has_scale;
    d->scale = p->scale;
    d->sack_permitted = p->sack_permitted;
    d->has_times = p->has_times;
    d->time_value = p->time_value;
    d->time_echo = p->time_echo;
    d->sacks_len = p->sacks_len;
    memcpy(d->sacks, p->sacks, sizeof d->sacks);
}

static enum textbytes_state state_of(const struct textseq_conn *c, int dir)
{
    const struct textseq_side *s = &c->sides[dir];

    return s->in_head                 ? TEXTBYTES_HEAD
           : s->http && !c->is_tunnel ? TEXTBYTES_BODY
                                      : TEXTBYTES_UNKNOWN;
}

/* The segment's bytes, as far as the text has them: hex, characters, a head below the line, its
 * first line behind it. */
static struct span take_content(struct text_capture *t, struct textseq_conn *c, int dir,
                                struct dumptext *d)
{
    struct span content = {"", 0};
    struct packet p;

    if (d->is_http && textbytes_take_lines(&t->lines, d->length, &t->work, &t->lined))
        content = buf_span(&t->lined);
    else if (d->length > 0 && text_attach_head(t, c, dir, d))
        content = buf_span(&t->head);
    else if (text_read_http_line(t, d))
        content = buf_span(&t->head);
    if (textbytes_take_hex(&t->lines, &t->hex) > 0) {
        if (!textbytes_parse_hex(buf_span(&t->hex), d, &p))
            return content;
        read_packet_numbers(d, &p);
        return p.payload;
    }
    if (textbytes_has_ascii(&t->lines, d, &t->work)) {
        struct buf *out = &t->hex; /* emptied, and not needed any more */

        if (textbytes_take_ascii(&t->lines, d, &t->work, state_of(c, dir), out))
            content = buf_span(out);
    }
    if (content.len == 0 && d->length > 0 && text_attach_held(t, c, dir, d))
        content = buf_span(&t->head);
    return content;
}

static void copy_facts(const struct dumptext *d, struct packet *p)
{
    p->flags_unseen = !d->has_flags;
    p->ttl = d->ttl;
    p->has_ip_id = d->has_ip_id;
    p->ip_id = d->ip_id;
    p->options_cut = d->options_cut;
    p->mss = d->flags & PACKET_SYN ? d->mss : 0;
    p->has_scale = d->flags & PACKET_SYN && d->has_scale;
    p->scale = p->has_scale ? d->scale : 0;
    p->sack_permitted = d->flags & PACKET_SYN && d->sack_permitted;
    p->has_times = d->has_times;
    p->time_value = d->time_value;
    p->time_echo = d->time_echo;
    if (d->ip_len > 0)
        p->ip_len = d->ip_len;
}

void text_read_segment(struct text_capture *t, struct dumptext *d, uint32_t number)
{
    struct endpoint from = textnames_get_end(&t->names, &d->from);
    struct endpoint to = textnames_get_end(&t->names, &d->to);
    uint16_t interface = textnames_get_interface(&t->names, d->interface);
    struct textseq_conn *c;
    struct text_item *item;
    struct span content;
    int dir;

    if (!d->has_flags)
        d->flags = PACKET_ACK; /* -q */
    d->length = text_get_length(d);
    d->has_length = true;
    c = textseq_open(t->seq, &from, &to, d, &dir);
    if (!c)
        return;
    content = take_content(t, c, dir, d);
    text_push_unseen(t, c, dir, d, number);
    item = text_push(t, PACKET_TCP, number);
    if (!item)
        return;
    textseq_place(c, dir, d, d->length, &item->packet);
    text_fill(t, item, c, dir, content);
    copy_facts(d, &item->packet);
    item->packet.interface = interface;
    text_note_content(c, dir, content);
    t->last[0] = from;
    t->last[1] = to;
    t->has_last = true;
}

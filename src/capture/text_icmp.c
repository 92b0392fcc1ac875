#include "capture/text_private.h"

/* The packet that the error quotes, which -v prints below it.  False: it is not there. */
static bool take_quoted(struct text_capture *t, struct dumptext *d)
{
    struct span line;
    unsigned n;

    if (!textlines_peek(&t->lines, 0, &line) || line.len == 0 ||
        (line.ptr[0] != '\t' && line.ptr[0] != ' ' && line.ptr[0] != '>'))
        return false;
    if (!dumptext_parse(line, d) || d->time_form != DUMPTEXT_TIME_NONE || !d->is_verbose)
        return false;
    n = text_read_line(t, d);
    textlines_skip(&t->lines, n);
    t->used += n;
    if (d->is_http) /* what it quotes was sent before */
        textbytes_take_lines(&t->lines, text_get_length(d), &t->work, &t->lined);
    return d->kind == DUMPTEXT_TCP;
}

/* Fills in the packet that the error is about.  False: nobody knows which. */
static bool find_about(struct text_capture *t, const struct endpoint *to, struct dumptext *d,
                       struct packet *p)
{
    struct endpoint about = textnames_get_end(&t->names, &d->about);
    struct textseq_conn *c;
    struct dumptext quoted;
    int dir;

    if (take_quoted(t, &quoted)) {
        p->about_from = textnames_get_end(&t->names, &quoted.from);
        p->about_to = textnames_get_end(&t->names, &quoted.to);
        p->about_seq = quoted.seq;
        p->about_len = quoted.ip_len;
        c = textseq_find(t->seq, &p->about_from, &p->about_to, &dir);
        if (c && quoted.has_seq)
            p->about_seq = textseq_map(&c->sides[dir], quoted.seq);
        return true;
    }
    c = textseq_find_sender(t->seq, &to->addr, &about.addr, &dir);
    if (!c)
        c = textseq_find_sender(t->seq, &to->addr, &(struct addr){0}, &dir);
    if (!c)
        return false;
    p->about_from = c->ends[dir];
    p->about_to = c->ends[1 - dir];
    p->about_seq = c->sides[dir].last_len ? c->sides[dir].last_seq : c->sides[dir].base;
    p->about_len = c->sides[dir].last_len + (d->is_v6 ? 60 : 40);
    return true;
}

void text_read_icmp(struct text_capture *t, struct dumptext *d, uint32_t number)
{
    struct endpoint from = textnames_get_end(&t->names, &d->from);
    struct endpoint to = textnames_get_end(&t->names, &d->to);
    struct text_item *item = text_push(t, PACKET_ICMP, number);
    struct packet *p;

    if (!item)
        return;
    p = &item->packet;
    p->from = from;
    p->to = to;
    p->ttl = d->ttl;
    p->is_v6 = d->is_v6;
    p->icmp_type = d->icmp_type;
    p->icmp_code = d->icmp_code;
    p->icmp_mtu = d->icmp_mtu;
    if (!find_about(t, &to, d, p))
        p->kind = PACKET_OTHER;
    if (textbytes_take_hex(&t->lines, &t->hex) == 0)
        textbytes_skip_ascii(&t->lines, d, &t->work);
}

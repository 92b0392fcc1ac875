/* tests/unit/capture/textshow.h - packets of a text as lines, for tests: numbers relative to the
 * first of their direction. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "capture/text.h"

#define TEXTSHOW_CONNECTIONS 64

/* Lines out of memory. */
struct textshow_lines {
    struct span rest;
};

static inline bool textshow_line(void *owner, struct span *line)
{
    struct textshow_lines *l = owner;

    if (l->rest.len == 0)
        return false;
    *line = span_cut(&l->rest, '\n');
    return true;
}

/* The first numbers of the directions that were seen. */
struct textshow {
    struct {
        struct endpoint from, to;
        uint32_t first;
    } sides[TEXTSHOW_CONNECTIONS];
    unsigned len;
};

static inline uint32_t textshow_first(struct textshow *t, const struct endpoint *from,
                                      const struct endpoint *to, uint32_t seq, bool anew)
{
    for (unsigned i = 0; i < t->len; i++) {
        if (addr_is_equal(&t->sides[i].from.addr, &from->addr) &&
            addr_is_equal(&t->sides[i].to.addr, &to->addr) && t->sides[i].from.port == from->port &&
            t->sides[i].to.port == to->port) {
            if (anew)
                t->sides[i].first = seq;
            return t->sides[i].first;
        }
    }
    if (t->len < TEXTSHOW_CONNECTIONS) {
        t->sides[t->len].from = *from;
        t->sides[t->len].to = *to;
        t->sides[t->len++].first = seq;
    }
    return seq;
}

static inline void textshow_end(FILE *out, const struct text_capture *t, const struct endpoint *e)
{
    char text[ENDPOINT_TEXT_MAX];
    const char *name = text_find_name(t, &e->addr);

    if (!name)
        addr_write(&e->addr, text);
    fprintf(out, "%s:%u", name ? name : text, e->port);
}

/* What may stand on a line of a test. */
static inline void textshow_bytes(FILE *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];

        if (c == '\r')
            fputs("\\r", out);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c >= ' ' && c < 0x7f)
            fputc(c, out);
        else
            fprintf(out, "\\x%02x", c);
    }
}

static inline void textshow_tcp(struct textshow *s, FILE *out, const struct packet *p)
{
    static const char letters[] = "FSRP.U";
    uint32_t first = textshow_first(s, &p->from, &p->to, p->seq, p->flags & PACKET_SYN);

    fputc(' ', out);
    for (unsigned i = 0; i < 6; i++)
        if (p->flags & 1u << i)
            fputc(letters[i], out);
    fprintf(out, " %d", (int)(p->seq - first));
    if (p->payload_len)
        fprintf(out, "+%u", p->payload_len);
    if (p->flags & PACKET_ACK)
        first = textshow_first(s, &p->to, &p->from, p->ack - 1, false),
        fprintf(out, " ack %d", (int)(p->ack - first));
    if (p->mss)
        fprintf(out, " mss %u", p->mss);
    for (unsigned i = 0; i < p->sacks_len; i++)
        fprintf(out, " {%d:%d}", (int)(p->sacks[i].begin - first), (int)(p->sacks[i].end - first));
    if (p->window == 0)
        fprintf(out, " win 0");
    if (p->payload.len) {
        fputs(" \"", out);
        textshow_bytes(out, p->payload);
        fputc('"', out);
    }
}

/* "3 0.000450 a:1>b:2 P. 1+517 ack 1 "…"": line, seconds since the first packet, … */
static inline void textshow_packet(struct textshow *s, FILE *out, const struct text_capture *t,
                                   const struct packet *p, uint64_t begin_ns)
{
    uint64_t us = (p->at_ns - begin_ns) / 1000;

    fprintf(out, "%u %llu.%06llu ", p->number, (unsigned long long)us / 1000000,
            (unsigned long long)us % 1000000);
    if (p->kind == PACKET_OTHER) {
        fprintf(out, "other\n");
        return;
    }
    textshow_end(out, t, &p->from);
    fputc('>', out);
    textshow_end(out, t, &p->to);
    if (p->kind == PACKET_TCP) {
        textshow_tcp(s, out, p);
    } else {
        uint32_t first = textshow_first(s, &p->about_from, &p->about_to, p->about_seq, false);

        fprintf(out, " icmp %u/%u mtu %u about ", p->icmp_type, p->icmp_code, p->icmp_mtu);
        textshow_end(out, t, &p->about_from);
        fputc('>', out);
        textshow_end(out, t, &p->about_to);
        fprintf(out, " %d+%u", (int)(p->about_seq - first), p->about_len);
    }
    fputc('\n', out);
}

/* All packets of a text. */
static inline void textshow_all(struct span bytes, FILE *out)
{
    struct textshow_lines lines = {bytes};
    struct textshow show = {0};
    struct text_capture *t = text_new(textshow_line, &lines);
    struct packet p;
    uint64_t begin_ns = 0;

    while (t && text_next(t, &p) == 1) {
        if (begin_ns == 0)
            begin_ns = p.at_ns;
        textshow_packet(&show, out, t, &p, begin_ns);
    }
    text_free(t);
}

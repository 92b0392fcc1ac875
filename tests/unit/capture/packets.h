/* tests/unit/capture/packets.h - packets from a script, and a listener that writes down what it
 * hears.
 *
 * A line of a script is a packet of the connection 10.0.0.1:40000 (U) with 10.0.0.2:3128 (D):
 *
 *   MS DIR FLAGS SEQ ACK ['bytes'] [len=N] [key=value …]      # remark
 *
 * MS: milliseconds, may have a fraction.  FLAGS: of S A F R P, or "-".  SEQ and ACK count from the
 * side's own first number, so that 0 is the SYN and 1 its first byte; ACK is left out of the packet
 * without the flag A.  len=N: so many bytes, each a letter that tells its place.  Keys: cut (bytes
 * that the capture kept), win, id, ttl, ts, mss, ws, sack=A-B (up to four), port (of U), udp, icmp=
 * TYPE.CODE with mtu= (an error about a packet of DIR).  An IP ID is given to each packet unless
 * id=0. */
#pragma once

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/conn.h"

struct packets {
    uint32_t isn[2];
    uint32_t number;
    uint16_t ip_id;
    bool is_text;
    uint64_t begin_ns; /* of the script */
    char bytes[65536]; /* of the packet that was made last */
};

#define PACKETS_INIT                                                                               \
    {                                                                                              \
        .isn = {1000, 5000000}, .begin_ns = 1000 * NS_PER_S                                        \
    }

static inline struct endpoint packets_end(enum dir dir, unsigned port)
{
    struct endpoint e = {
        .addr = {.bytes = {10, 0, 0, dir == UP ? 1 : 2}, .family = AF_INET},
        .port = (uint16_t)(port        ? port
                           : dir == UP ? 40000
                                       : 3128),
    };

    return e;
}

static inline unsigned packets_read_flags(const char *text)
{
    unsigned flags = 0;

    for (; *text; text++)
        flags |= *text == 'S'   ? PACKET_SYN
                 : *text == 'A' ? PACKET_ACK
                 : *text == 'F' ? PACKET_FIN
                 : *text == 'R' ? PACKET_RST
                 : *text == 'P' ? PACKET_PSH
                                : 0u;
    return flags;
}

static inline void packets_fill(struct packets *b, struct packet *p, uint32_t seq, uint32_t len)
{
    assert(len <= sizeof b->bytes);
    for (uint32_t i = 0; i < len; i++)
        b->bytes[i] = (char)('a' + (seq + i - 1) % 26);
    p->payload = (struct span){b->bytes, len};
    p->payload_len = len;
}

/* One "key=value" of a line. */
static inline void packets_take_key(struct packets *b, struct packet *p, enum dir dir,
                                    const char *key, const char *value, uint32_t seq)
{
    unsigned long n = strtoul(value, NULL, 0);
    unsigned long to = strchr(value, '-') ? strtoul(strchr(value, '-') + 1, NULL, 0) : 0;
    unsigned long code = strchr(value, '.') ? strtoul(strchr(value, '.') + 1, NULL, 0) : 0;

    if (strcmp(key, "len") == 0) {
        packets_fill(b, p, seq, (uint32_t)n);
    } else if (strcmp(key, "cut") == 0) {
        p->payload.len = n;
    } else if (strcmp(key, "win") == 0) {
        p->window = (uint16_t)n;
    } else if (strcmp(key, "id") == 0) {
        p->has_ip_id = n != 0;
        p->ip_id = (uint16_t)n;
    } else if (strcmp(key, "ttl") == 0) {
        p->ttl = (uint8_t)n;
    } else if (strcmp(key, "ts") == 0) {
        p->has_times = true;
        p->time_value = (uint32_t)n;
    } else if (strcmp(key, "mss") == 0) {
        p->mss = (uint16_t)n;
    } else if (strcmp(key, "ws") == 0) {
        p->has_scale = true;
        p->scale = (uint8_t)n;
    } else if (strcmp(key, "sack") == 0) {
        assert(p->sacks_len < PACKET_SACKS_MAX);
        p->sacks[p->sacks_len++] =
            (struct packet_sack){b->isn[!dir] + (uint32_t)n, b->isn[!dir] + (uint32_t)to};
    } else if (strcmp(key, "port") == 0) {
        *(dir == UP ? &p->from : &p->to) = packets_end(UP, (unsigned)n);
    } else if (strcmp(key, "number") == 0) {
        p->number = b->number = (uint32_t)n;
    } else if (strcmp(key, "icmp") == 0) {
        p->kind = PACKET_ICMP;
        p->icmp_type = (uint8_t)n;
        p->icmp_code = (uint8_t)code;
        p->about_from = p->from;
        p->about_to = p->to;
        p->from = (struct endpoint){.addr = {.bytes = {10, 9, 9, 9}, .family = AF_INET}};
    } else if (strcmp(key, "mtu") == 0) {
        p->icmp_mtu = (uint32_t)n;
    } else {
        fprintf(stderr, "no such key: %s\n", key);
        abort();
    }
}

/* Makes the packet of one line; false for a line without one. */
static inline bool packets_make(struct packets *b, const char *line, struct packet *p)
{
    char dir_text[8], flags[8], word[256];
    unsigned long seq, ack;
    double ms;
    int n = 0;

    if (sscanf(line, " %lf %7s %7s %lu %lu%n", &ms, dir_text, flags, &seq, &ack, &n) < 5)
        return false;
    enum dir dir = dir_text[0] == 'U' ? UP : DOWN;

    *p = (struct packet){
        .kind = PACKET_TCP,
        .at_ns = b->begin_ns + (uint64_t)(ms * 1000 + 0.5) * NS_PER_US,
        .number = ++b->number,
        .is_text = b->is_text,
        .from = packets_end(dir, 0),
        .to = packets_end(!dir, 0),
        .ttl = 64,
        .has_ip_id = true,
        .ip_id = ++b->ip_id,
        .flags = (uint8_t)packets_read_flags(flags),
        .seq = b->isn[dir] + (uint32_t)seq,
        .ack = b->isn[!dir] + (uint32_t)ack,
        .window = 500,
    };
    p->wall_ns = p->at_ns;
    if (!(p->flags & PACKET_ACK))
        p->ack = 0;
    for (line += n; sscanf(line, " %255s%n", word, &n) == 1 && word[0] != '#'; line += n) {
        const char *quote = strchr(line, '\''), *end = quote ? strchr(quote + 1, '\'') : NULL;
        char *value = strchr(word, '=');

        if (word[0] == '\'') {
            assert(end);
            p->payload_len = (uint32_t)(end - quote - 1);
            memcpy(b->bytes, quote + 1, p->payload_len);
            p->payload = (struct span){b->bytes, p->payload_len};
            n = (int)(end + 1 - line);
            continue;
        }
        assert(value);
        *value = '\0';
        packets_take_key(b, p, dir, word, value + 1, (uint32_t)seq);
    }
    return true;
}

/* Hands each packet of a script to the table. */
static inline void packets_play(struct packets *b, const char *script, struct conn_table *t)
{
    char line[512];

    while (*script) {
        size_t len = strcspn(script, "\n");
        struct packet p;

        assert(len < sizeof line);
        memcpy(line, script, len);
        line[len] = '\0';
        if (packets_make(b, line, &p))
            conn_table_add(t, &p);
        script += len + (script[len] == '\n');
    }
}

/* What a listener heard: a word for each call, and the connection as it was at its end. */
struct heard {
    char text[4096]; /* "est U:bytes D:<3> U.fin D.rst end:closed"; <n>: n bytes that are missing */
    size_t len;
    unsigned ended;
    uint64_t bytes[2]; /* handed on */
    struct conn conn;  /* the last that ended */
    struct stream_rare rares[2];
    struct conn_icmp icmp;
};

static inline void heard_say(struct heard *h, const char *text)
{
    h->len += (size_t)snprintf(h->text + h->len, sizeof h->text - h->len, "%s%s", h->len ? " " : "",
                               text);
    assert(h->len < sizeof h->text);
}

static inline void heard_established(void *owner, struct conn *c)
{
    heard_say(owner, c->mid_stream ? "mid" : "est");
}

static inline void heard_bytes(void *owner, struct conn *c, enum dir dir,
                               const struct stream_piece *p)
{
    struct heard *h = owner;
    uint32_t lost = p->len - (uint32_t)p->bytes.len;
    char word[64], hole[24] = "";

    assert(p->len > 0 && p->bytes.len <= p->len);
    if (lost)
        snprintf(hole, sizeof hole, "<%u>", lost);
    if (p->bytes.len <= 26)
        snprintf(word, sizeof word, "%c:%.*s%s", dir == UP ? 'U' : 'D', (int)p->bytes.len,
                 p->bytes.len ? p->bytes.ptr : "", hole);
    else
        snprintf(word, sizeof word, "%c:[%zu]%s", dir == UP ? 'U' : 'D', p->bytes.len, hole);
    h->bytes[dir] += p->len;
    heard_say(h, word);
}

static inline void heard_fin(void *owner, struct conn *c, enum dir dir, uint64_t at_ns,
                             uint32_t number)
{
    assert(at_ns == c->streams[dir].fin_ns && number == c->streams[dir].fin_number);
    heard_say(owner, dir == UP ? "U.fin" : "D.fin");
}

static inline void heard_reset(void *owner, struct conn *c, enum dir dir, uint64_t at_ns,
                               uint32_t number)
{
    heard_say(owner, dir == UP ? "U.rst" : "D.rst");
}

static inline void heard_ended(void *owner, struct conn *c, enum conn_end how, uint64_t now_ns)
{
    static const char *const words[] = {"end:closed", "end:reused", "end:capture", "end:evicted"};
    struct heard *h = owner;

    heard_say(h, words[how]);
    h->ended++;
    h->conn = *c;
    for (unsigned i = 0; i < 2; i++) {
        h->rares[i] = *stream_get_rare(&c->streams[i]);
        h->conn.streams[i].rare = &h->rares[i];
    }
    if (c->icmp)
        h->icmp = *c->icmp;
    h->conn.icmp = c->icmp ? &h->icmp : NULL;
    h->conn.plot = NULL;
}

static inline struct conn_events heard_events(struct heard *h)
{
    return (struct conn_events){
        .owner = h,
        .established = heard_established,
        .bytes = heard_bytes,
        .fin = heard_fin,
        .reset = heard_reset,
        .ended = heard_ended,
    };
}

#define PACKETS_HANDSHAKE "0 U S 0 0 mss=1460 ws=7\n1 D SA 0 1 mss=1460 ws=7\n2 U A 1 1\n"

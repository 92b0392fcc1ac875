/* Packets of any kind on a few addresses: bytes come in order, each once and as they were sent;
 * calls come in their order; memory has its bounds and is given back. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/conn.h"
#include "fuzz.h"

#define STEP 16 /* bytes of input a packet */
#define WAITING_MAX 20000u
#define CONNS_MAX 6u
#define HALF_OPEN_MAX 4u

/* What the listener knows of a connection. */
struct dialog {
    uint32_t next[2]; /* sequence numbers, once bytes came */
    bool begun[2], finished[2], reset[2];
    uint64_t bytes[2];
};

static unsigned alive;

/* The byte that stands at a place: so wherever it is handed on from, it can be told. */
static char byte_at(uint32_t seq)
{
    return (char)(seq * 167 + (seq >> 8));
}

static void on_established(void *owner, struct conn *c)
{
    assert(c->established && !c->dialog);
    c->dialog = calloc(1, sizeof *c->dialog);
    assert(c->dialog);
    alive++;
}

static void on_bytes(void *owner, struct conn *c, enum dir dir, const struct stream_piece *p)
{
    struct dialog *d = c->dialog;
    const struct stream *s = &c->streams[dir];
    uint32_t begin = s->next - p->len;

    assert(d && p->len > 0 && p->bytes.len <= p->len && !d->finished[dir]);
    assert(!d->begun[dir] || d->next[dir] == begin);
    assert(!stream_is_before(s->top, s->next));
    for (size_t i = 0; i < p->bytes.len; i++)
        assert(p->bytes.ptr[i] == byte_at(begin + (uint32_t)i));
    d->begun[dir] = true;
    d->next[dir] = s->next;
    d->bytes[dir] += p->len;
    assert(d->bytes[dir] <= s->bytes);
}

static void on_fin(void *owner, struct conn *c, enum dir dir, uint64_t at_ns, uint32_t number)
{
    assert(c->dialog && !c->dialog->finished[dir] && c->streams[dir].fin && number);
    c->dialog->finished[dir] = true;
}

static void on_reset(void *owner, struct conn *c, enum dir dir, uint64_t at_ns, uint32_t number)
{
    assert(c->dialog && !c->dialog->reset[dir] && c->streams[dir].rst && number);
    c->dialog->reset[dir] = true;
}

static void on_ended(void *owner, struct conn *c, enum conn_end how, uint64_t now_ns)
{
    assert(c->established == (c->dialog != NULL));
    for (unsigned i = 0; i < 2; i++) {
        const struct stream *s = &c->streams[i];

        assert(!s->stuck.len || s->stuck.sends);
        assert(s->largest_acked <= s->largest);
        assert(s->bytes >= s->top - s->first);
    }
    alive -= c->dialog != NULL;
    free(c->dialog);
    c->dialog = NULL;
}

static bool is_proxy(void *owner, const struct endpoint *e)
{
    return e->port == 2;
}

static uint32_t get_16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* Sequence numbers near where a side stands, sometimes anywhere. */
static uint32_t get_seq(const uint8_t *at, uint32_t base)
{
    uint32_t n = get_16(at);

    return n >= 0xff00 ? base + (n << 20) : base + n - 64;
}

static void make(const uint8_t *at, struct packet *p, char *bytes, const uint32_t base[2])
{
    bool down = at[0] & 1;
    struct endpoint ends[2] = {{.addr = {.family = AF_INET}, .port = 1 + (at[0] >> 1 & 7)},
                               {.addr = {.bytes = {9}, .family = AF_INET}, .port = 2}};

    p->kind = at[1] >= 0xf0 ? PACKET_ICMP : PACKET_TCP;
    p->from = ends[down];
    p->to = ends[!down];
    p->flags = at[1] & 31;
    p->seq = get_seq(at + 2, base[down]);
    p->ack = get_seq(at + 4, base[!down]);
    p->payload_len = at[6] & 0x80 ? get_16(at + 6) & 0xfff : at[7] & 15;
    p->payload.len = at[8] & 3 ? p->payload_len : p->payload_len / 2;
    for (size_t i = 0; i < p->payload.len; i++)
        bytes[i] = byte_at(p->seq + (p->flags & PACKET_SYN ? 1 : 0) + (uint32_t)i);
    p->payload.ptr = bytes;
    p->window = at[8] & 0x70 ? at[8] : 0;
    p->has_ip_id = at[8] & 8;
    p->ip_id = at[9];
    p->ttl = at[10];
    p->has_times = at[8] & 4;
    p->time_value = at[11];
    p->mss = at[12] & 1 ? get_16(at + 12) : 0;
    p->sacks_len = at[13] & 3;
    for (unsigned i = 0; i < p->sacks_len; i++)
        p->sacks[i] = (struct packet_sack){p->ack + at[14] * (i + 1), p->ack + at[15] * (i + 1)};
    p->icmp_type = 3;
    p->icmp_code = at[12];
    p->about_from = ends[!down];
    p->about_to = ends[down];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[0x1000];
    const uint32_t base[2] = {UINT32_MAX - 300, 70000};
    struct conn_events events = {NULL,     on_established, on_bytes, on_fin,
                                 on_reset, on_ended,       is_proxy};
    struct conn_options options = {.max = CONNS_MAX,
                                   .half_open = HALF_OPEN_MAX,
                                   .waiting_max = WAITING_MAX,
                                   .series = true,
                                   .series_max = 10000};
    struct conn_table *t = conn_table_new(&options, &events);
    struct packet p = {.at_ns = 1};
    uint64_t empty;

    assert(t);
    empty = conn_table_get_counts(t)->memory;
    for (; size >= STEP; data += STEP, size -= STEP) {
        static const uint64_t steps[] = {0,        100 * NS_PER_US, 5 * NS_PER_MS, 30 * NS_PER_MS,
                                         NS_PER_S, 200 * NS_PER_S,  NS_PER_US,     NS_PER_MS};

        p = (struct packet){.at_ns = p.at_ns + steps[data[9] >> 5], .number = p.number + 1};
        p.is_text = data[0] & 0x80;
        make(data, &p, bytes, base);
        conn_table_add(t, &p);
        assert(alive <= CONNS_MAX);
        /* a block of half-open ones, the first of each of three pools, what hangs on the live
         * ones, and what waits */
        assert(conn_table_get_counts(t)->memory - empty <=
               1024 * 128 + 3 * 32 * 1024 + WAITING_MAX + CONNS_MAX * 1500);
        if (data[0] & 0x40)
            conn_table_tick(t, p.at_ns);
    }
    conn_table_finish(t, p.at_ns);
    assert(alive == 0);
    conn_table_free(t);
    return 0;
}

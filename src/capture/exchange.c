#include "capture/exchange.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "capture/inside.h"
#include "capture/series.h"

static_assert(sizeof(struct conn) + sizeof(struct exchange) < 960,
              "a live flow has to stay under 1 KiB with its texts");

void exchange_mark(struct exchange *x, enum mark m, uint64_t at_ns, uint32_t number)
{
    uint64_t us = at_ns > x->begin_ns ? (at_ns - x->begin_ns) / NS_PER_US : 0;

    assert(m < MARK_COUNT);
    if (m == MARK_CLOSE && x->late_ns[m - MARK_LAST])
        return;
    if (m >= MARK_LAST) {
        x->late_ns[m - MARK_LAST] = at_ns;
    } else {
        if (x->marks_us[m])
            return;
        x->marks_us[m] = us < UINT32_MAX ? (uint32_t)us + 1 : UINT32_MAX;
    }
    x->packets[m] = number;
}

void exchange_unmark(struct exchange *x, enum mark m)
{
    assert(m < MARK_LAST);
    x->marks_us[m] = 0;
    x->packets[m] = 0;
}

uint64_t exchange_get_ns(const struct exchange *x, enum mark m)
{
    assert(m < MARK_COUNT);
    if (m >= MARK_LAST)
        return x->late_ns[m - MARK_LAST];
    return x->marks_us[m] ? x->begin_ns + (x->marks_us[m] - 1) * NS_PER_US : 0;
}

/* A connection as it is now, with all that an ending looks at. */
struct kept_conn {
    struct conn conn;
    struct stream_rare rare[2];
    struct conn_icmp icmp;
};

static void copy_conn(struct kept_conn *to, const struct conn *from)
{
    to->conn = *from;
    for (unsigned d = UP; d <= DOWN; d++) {
        struct stream *s = &to->conn.streams[d];

        if (s->rare) {
            to->rare[d] = *s->rare;
            s->rare = &to->rare[d];
        }
        to->conn.waiting[d] = NULL;
    }
    if (from->icmp) {
        to->icmp = *from->icmp;
        to->conn.icmp = &to->icmp;
    }
    to->conn.plot = NULL;
    to->conn.dialog = NULL;
    to->conn.chain = to->conn.older = to->conn.younger = NULL;
}

/* A plot goes along with the last exchange of its connection. */
struct exchange *exchange_take(struct exchange *x)
{
    struct exchange *out = malloc(sizeof *out);
    struct kept_conn *kept = malloc(sizeof *kept);

    assert(x->conn && !x->conn_owned);
    if (!out || !kept) {
        free(out);
        free(kept);
        return NULL;
    }
    copy_conn(kept, x->conn);
    if (x->is_last) {
        kept->conn.plot = x->conn->plot;
        x->conn->plot = NULL;
    }
    *out = *x;
    out->conn = &kept->conn;
    out->conn_owned = true;
    *x = (struct exchange){0};
    return out;
}

static void free_tls(struct flow_tls *t)
{
    if (!t)
        return;
    free(t->sni);
    free(t->version);
    free(t->cipher);
    free(t->issuer);
    free(t->alpn);
    free(t);
}

void exchange_fini(struct exchange *x)
{
    if (x->upstream) {
        exchange_fini(x->upstream);
        free(x->upstream);
    }
    if (x->conn_owned) {
        series_free(&x->conn->plot, NULL);
        free(x->conn); /* the first member of what exchange_take made */
    }
    free(x->judged);
    free(x->notes.bytes);
    free(x->target);
    free(x->method_text);
    free(x->url);
    free(x->user);
    free_tls(x->tls);
    if (x->inside)
        inside_free(x->inside);
    *x = (struct exchange){0};
}

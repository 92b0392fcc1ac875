#include "capture/look.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/inside.h"

/* ---- how it went away */

struct farewell {
    uint64_t fin_ns[2], rst_ns[2];
    uint32_t fin_number[2], rst_number[2];
};

static struct farewell read_farewell(const struct conn *c)
{
    struct farewell w;

    for (unsigned d = UP; d <= DOWN; d++) {
        const struct stream_rare *rare = stream_get_rare(&c->streams[d]);

        w.fin_ns[d] = c->streams[d].fin_ns;
        w.fin_number[d] = c->streams[d].fin_number;
        w.rst_ns[d] = rare->rst_ns;
        w.rst_number[d] = rare->rst_number;
    }
    return w;
}

/* The earlier of two moments of which 0 means never: its index, or -1. */
static int first_of(const uint64_t at[2])
{
    if (!at[UP] && !at[DOWN])
        return -1;
    return at[DOWN] && (!at[UP] || at[DOWN] < at[UP]) ? DOWN : UP;
}

/* An RST behind both FINs is how a socket answers what comes too late, and an RST of a client that
 * has all that the other side said before its FIN is how some programs close: the FINs count. */
static bool is_afterthought(const struct look *l, const struct farewell *w, enum dir rst)
{
    uint64_t fins = w->fin_ns[UP] > w->fin_ns[DOWN] ? w->fin_ns[UP] : w->fin_ns[DOWN];

    if (!w->fin_ns[DOWN] || fins > w->rst_ns[rst])
        return false;
    return w->fin_ns[UP] || (rst == UP && stream_unacked(&l->c->streams[DOWN]) == 0);
}

static void read_close(struct look *l)
{
    struct farewell w = read_farewell(l->c);
    int fin = first_of(w.fin_ns), rst = first_of(w.rst_ns);

    if (!l->x->is_last || (fin < 0 && rst < 0))
        return;
    l->closed = true;
    l->by_rst = rst >= 0 && !is_afterthought(l, &w, (enum dir)rst);
    l->closer = (enum dir)(l->by_rst ? rst : fin);
    l->close_ns = l->by_rst ? w.rst_ns[rst] : w.fin_ns[fin];
    l->close_number = l->by_rst ? w.rst_number[rst] : w.fin_number[fin];
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What happened last before it became quiet. */
static uint64_t last_event(const struct look *l)
{
    static const enum mark marks[] = {MARK_SYN,        MARK_ESTABLISHED, MARK_REQUEST_END,
                                      MARK_ANSWER_END, MARK_HELLO_END,   MARK_LAST};
    uint64_t last = l->x->begin_ns;

    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        last = later(last, look_get(l, marks[i]));
    return last;
}

/* The first FIN or RST that ended the quiet. */
static uint64_t first_close(const struct look *l)
{
    struct farewell w = read_farewell(l->c);
    uint64_t first = l->close_ns;

    for (unsigned d = UP; d <= DOWN; d++) {
        if (w.fin_ns[d] && w.fin_ns[d] < first)
            first = w.fin_ns[d];
        if (w.rst_ns[d] && w.rst_ns[d] < first)
            first = w.rst_ns[d];
    }
    return first;
}

static void read_quiet(struct look *l)
{
    l->last_ns = last_event(l);
    if (l->closed)
        l->until_ns = first_close(l);
    else
        l->until_ns = l->x->is_last ? l->now_ns : l->last_ns;
    if (l->until_ns > l->last_ns && !l->c->clock_jumped)
        l->quiet_ns = l->until_ns - l->last_ns;
}

void look_init(struct look *l)
{
    const struct exchange *x = l->x;

    assert(x->conn && l->f && l->patience_ns > 0);
    l->rare = exchange_get_rare(x);
    l->judged = l->rare->judged;
    l->sight = l->rare->inside ? inside_get(l->rare->inside) : NULL;
    l->c = x->conn;
    l->up = x->upstream ? x->upstream->conn : NULL;
    l->far = x->proxied ? SIDE_PROXY : SIDE_TARGET;
    l->beyond = x->upstream && x->upstream->to_parent ? SIDE_PARENT : SIDE_TARGET;
    l->unseen[UP] = !l->c->streams[UP].begun;
    l->unseen[DOWN] = !l->c->streams[DOWN].begun;
    read_close(l);
    read_quiet(l);
}

/* ---- who and when */

enum side look_side(const struct look *l, enum dir dir)
{
    return dir == UP ? SIDE_CLIENT : l->far;
}

uint64_t look_get(const struct look *l, enum mark m)
{
    return exchange_get_ns(l->x, m);
}

/* ---- for people */

static const char *unit(const struct look *l)
{
    return l->c->is_text ? "line" : "packet";
}

/* Which of several files it is in; the first goes without saying. */
static size_t write_file(const struct look *l, char *out, size_t room)
{
    const char *path =
        l->source && l->c->file > 0 ? capture_source_get_path(l->source, l->c->file) : NULL;
    int n = path ? snprintf(out, room, " of %s", path) : 0;

    return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

const char *look_name_packet(const struct look *l, uint32_t number, uint64_t at_ns,
                             char out[LOOK_TEXT_MAX])
{
    uint64_t since_ms = at_ns > l->x->begin_ns ? (at_ns - l->x->begin_ns) / NS_PER_MS : 0;
    size_t n;

    out[0] = '\0';
    if (number)
        snprintf(out, LOOK_TEXT_MAX - 32, "%s %" PRIu32, unit(l), number);
    n = strlen(out);
    if (number)
        n += write_file(l, out + n, LOOK_TEXT_MAX - 32 - n);
    if (at_ns)
        snprintf(out + n, LOOK_TEXT_MAX - n, "%sat %" PRIu64 ".%03" PRIu64 " s", n ? " " : "",
                 since_ms / 1000, since_ms % 1000);
    return out;
}

const char *look_name_packets(const struct look *l, uint32_t first, uint32_t last,
                              char out[LOOK_TEXT_MAX])
{
    out[0] = '\0';
    if (first && last > first)
        snprintf(out, LOOK_TEXT_MAX, "%ss %" PRIu32 " to %" PRIu32, unit(l), first, last);
    else if (first || last)
        snprintf(out, LOOK_TEXT_MAX, "%s %" PRIu32, unit(l), first ? first : last);
    return out;
}

const char *look_name_host(const struct look *l, const struct endpoint *e, char out[LOOK_TEXT_MAX])
{
    const char *name = l->source && e->addr.family == ADDR_NAMED
                           ? capture_source_find_name(l->source, &e->addr)
                           : NULL;
    char text[ENDPOINT_TEXT_MAX];

    if (!name)
        addr_write(&e->addr, text);
    snprintf(out, LOOK_TEXT_MAX, "%s", name ? name : text);
    return out;
}

struct ending look_conclude(const struct look *l, enum verdict v, enum side by, enum certainty c,
                            const char *fmt, ...)
{
    char reason[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(reason, sizeof reason, fmt, ap);
    va_end(ap);
    flow_set_text(&l->f->reason, *reason ? reason : NULL);
    return (struct ending){v, by, c, SIDE_NOBODY};
}

bool look_is_waiting(const struct look *l)
{
    return l->quiet_ns >= l->patience_ns || (l->c->is_text && !l->closed && l->x->is_last);
}

bool look_is_upload(const struct look *l)
{
    bool was_answered = l->x->status || (l->unseen[DOWN] && look_get(l, MARK_ANSWER));

    return l->rare->request_promised > l->rare->request_received && !was_answered;
}

unsigned look_find_timer(uint64_t quiet_ns)
{
    static const unsigned timers_s[] = {30, 60, 120, 270, 300, 600, 900};

    for (size_t i = 0; i < ARRAY_LEN(timers_s); i++) {
        uint64_t timer_ns = timers_s[i] * NS_PER_S;
        uint64_t off = quiet_ns > timer_ns ? quiet_ns - timer_ns : timer_ns - quiet_ns;

        if (off <= later(NS_PER_S, timer_ns / 100))
            return timers_s[i];
    }
    return 0;
}

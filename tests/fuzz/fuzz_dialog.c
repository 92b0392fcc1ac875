/* Two ends that say anything, in any pieces, with anything missing: exchanges are handed out once
 * each, in order, with facts that fit each other; all memory is given back, and never much is held.
 *
 * The input is lines: '>' or '<' and what that side says (\r \n \xHH; "~N" at the end: N bytes more
 * that are not in the capture), 'f' 'F' (FIN of the opener, of the other), 'r' 'R' (RST), 'w' (time
 * passes), 'e' (the connection ends, the next one begins). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "capture/dialog.h"
#include "capture/pair.h"
#include "capture/round.h"
#include "capture/secrets.h"
#include "fuzz.h"

#define LINE_MAX_LEN 4096

struct scene {
    struct dialogs *dialogs;
    struct pairs *pairs;
    struct conn_events events;
    struct conn c;
    uint64_t at_ns, learnt, over;
    uint32_t number;
    uint16_t port;
};

static void check_text(const char *text)
{
    assert(!text || strlen(text) < 4096);
}

static void check_exchange(const struct exchange *x)
{
    const struct exchange_rare *r = exchange_get_rare(x);
    uint64_t answer = exchange_get_ns(x, MARK_ANSWER), end = exchange_get_ns(x, MARK_ANSWER_END);
    char *url = NULL;

    assert(x->conn && x->asked <= ASKED_OTHER && x->status < 1000);
    check_text(x->target);
    exchange_copy_url(x, &url);
    check_text(url);
    check_text(r->user);
    assert(!r->user || !strstr(r->user, "secret"));
    assert(!url || !strstr(url, "//me:secret@"));
    free(url);
    assert(exchange_get_sni(x).len < 4096 && exchange_get_alpn(x).len < 4096);
    assert(!(x->complete && x->body_unfinished));
    assert(!end || !answer || end >= answer);
    assert(!x->tls_version || x->is_tls);
    assert(!r->promised || r->received <= r->promised || x->body_unfinished == false);
    if (r->judged)
        assert(r->judged->verdict != VERDICT_OK && r->judged->by < SIDE_COUNT);
    if (x->upstream)
        assert(x->upstream->conn && x->upstream->conn != x->conn && !x->upstream->upstream);
}

static void on_told(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    struct scene *s = owner;

    s->over++;
    check_exchange(x);
}

static void on_over(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    check_exchange(x);
    pairs_end(((struct scene *)owner)->pairs, x, how, now_ns);
}

static void on_learnt(void *owner, struct exchange *x, uint64_t now_ns)
{
    ((struct scene *)owner)->learnt++;
    pairs_learn(((struct scene *)owner)->pairs, x, now_ns);
}

/* Every second one is opened by the proxy's host. */
static void begin_conn(struct scene *s)
{
    bool far = s->port % 2;

    s->c = (struct conn){.begin_ns = s->at_ns, .begin_number = s->number, .established = true};
    s->c.last_ns = s->at_ns;
    s->c.mid_stream = s->port % 5 == 4;
    s->c.is_text = s->port % 7 == 6;
    endpoint_parse(far ? SPAN_LIT("10.0.0.1:4000") : SPAN_LIT("10.0.0.5:4000"), &s->c.ends[UP]);
    endpoint_parse(far ? SPAN_LIT("192.0.2.1:443") : SPAN_LIT("10.0.0.1:3128"), &s->c.ends[DOWN]);
    s->c.ends[UP].port = (uint16_t)(4000 + s->port++);
    s->c.streams[UP].begun = s->port % 3 != 0;
    s->c.streams[UP].syn = s->c.streams[DOWN].begun = true;
    s->events.established(s->events.owner, &s->c);
}

static void end_conn(struct scene *s)
{
    s->events.ended(s->events.owner, &s->c, CONN_END_CLOSED, s->at_ns);
    assert(!s->c.dialog);
}

static size_t unescape(struct span line, char *out)
{
    size_t n = 0;
    uint64_t byte;

    for (size_t i = 0; i < line.len && n < LINE_MAX_LEN; i++) {
        char c = line.ptr[i];

        if (c == '\\' && i + 1 < line.len) {
            c = line.ptr[++i];
            c = c == 'r' ? '\r' : c == 'n' ? '\n' : c;
            if (c == 'x' && i + 2 < line.len &&
                num_parse_hex((struct span){line.ptr + i + 1, 2}, 255, &byte)) {
                c = (char)byte;
                i += 2;
            }
        }
        out[n++] = c;
    }
    return n;
}

static void say(struct scene *s, enum dir dir, struct span line)
{
    char *bytes = malloc(LINE_MAX_LEN);
    uint64_t missing = 0;
    long tilde = -1;

    assert(bytes);
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '~')
            tilde = (long)i;
    if (tilde >= 0 &&
        num_parse_u64((struct span){line.ptr + tilde + 1, line.len - (size_t)tilde - 1}, 100000,
                      &missing))
        line.len = (size_t)tilde;
    size_t n = unescape(line, bytes);
    struct stream_piece p = {.bytes = {realloc(bytes, n ? n : 1), n},
                             .len = (uint32_t)(n + missing),
                             .at_ns = s->at_ns,
                             .number = ++s->number};

    s->c.streams[dir].bytes += p.len;
    s->c.last_ns = s->at_ns;
    s->c.last_number = s->number;
    if (p.len > 0)
        s->events.bytes(s->events.owner, &s->c, dir, &p);
    free((void *)(uintptr_t)p.bytes.ptr);
}

static void leave(struct scene *s, enum dir dir, bool rst)
{
    struct stream *of = &s->c.streams[dir];

    if (of->fin || of->rst)
        return;
    of->fin = !rst;
    of->rst = rst;
    if (rst) {
        s->events.reset(s->events.owner, &s->c, dir, s->at_ns, ++s->number);
    } else {
        of->fin_ns = s->at_ns;
        s->events.fin(s->events.owner, &s->c, dir, s->at_ns, ++s->number);
    }
}

static void step(struct scene *s, struct span line)
{
    struct span rest = {line.ptr + 1, line.len - 1};
    bool open[2] = {!s->c.streams[UP].fin && !s->c.streams[UP].rst,
                    !s->c.streams[DOWN].fin && !s->c.streams[DOWN].rst};

    s->at_ns += NS_PER_MS;
    switch (line.ptr[0]) {
    case '>':
    case '<':
        if (open[line.ptr[0] == '<'])
            say(s, line.ptr[0] == '>' ? UP : DOWN, rest);
        break;
    case 'f':
    case 'F':
        leave(s, line.ptr[0] == 'f' ? UP : DOWN, false);
        break;
    case 'r':
    case 'R':
        leave(s, line.ptr[0] == 'r' ? UP : DOWN, true);
        break;
    case 'w':
        s->at_ns += 3 * NS_PER_S * (rest.len + 1);
        dialogs_tick(s->dialogs, s->at_ns);
        pairs_tick(s->pairs, s->at_ns);
        break;
    case 'e':
        end_conn(s);
        begin_conn(s);
        break;
    }
    assert(dialogs_get_memory(s->dialogs) < (1u << 20));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scene s = {.at_ns = NS_PER_S};
    struct dialogs_options o = {.over = on_over, .learnt = on_learnt, .owner = &s};
    struct span rest = {(const char *)data, size};
    uint64_t before, pairs_before;

    o.secrets = secrets_new();
    secrets_add(o.secrets,
                SPAN_LIT("CLIENT_RANDOM 0000000000000000000000000000000000000000000000000000"
                         "000000000000 00\n"));
    s.dialogs = dialogs_new(&o);
    s.pairs =
        pairs_new(&(struct pairs_options){.dialogs = s.dialogs, .over = on_told, .owner = &s});
    assert(s.dialogs && s.pairs);
    before = s.dialogs->memory;
    pairs_before = pairs_get_memory(s.pairs);
    s.events = dialogs_get_events(s.dialogs);
    begin_conn(&s);
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');

        if (line.len > 0)
            step(&s, line);
    }
    end_conn(&s);
    pairs_finish(s.pairs);
    assert(s.dialogs->memory == before && s.dialogs->kept == 0); /* pools stay */
    assert(pairs_get_memory(s.pairs) == pairs_before);
    pairs_free(s.pairs);
    dialogs_free(s.dialogs);
    secrets_free(o.secrets);
    return 0;
}

/* tests/unit/capture/talk.h - a dialog of two ends that are made up without packets, and a listener
 * that writes down what it hears. */
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/dialog.h"

/* ---- who listens */

struct heard {
    char lines[16][256];
    unsigned len;
    unsigned learnt;
    void (*look)(const struct exchange *x); /* NULL: only lines */
};

static const char *const asked_names[] = {
    [ASKED_NOTHING] = "nothing", [ASKED_CONNECT] = "connect", [ASKED_ABSOLUTE] = "absolute",
    [ASKED_ORIGIN] = "origin",   [ASKED_TLS] = "tls",         [ASKED_UNSEEN] = "unseen",
    [ASKED_OTHER] = "other"};

__attribute__((format(printf, 2, 3))) static inline void add(char out[256], const char *fmt, ...)
{
    size_t n = strlen(out);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out + n, 256 - n, fmt, ap);
    va_end(ap);
}

/* "connect a.test:443 200 first last": what is as most have it is left out. */
static inline void on_over(void *owner, struct exchange *x, enum conn_end how, uint64_t now_ns)
{
    struct heard *h = owner;
    char *out = h->lines[h->len++];

    assert_true(h->len <= ARRAY_LEN(h->lines));
    add(out, "%s", asked_names[x->asked]);
    if (x->target)
        add(out, " %s", x->target);
    if (x->status)
        add(out, " %u", x->status);
    if (exchange_get_rare(x)->judged)
        add(out, " %s", verdict_get_info(exchange_get_rare(x)->judged->verdict)->name);
    if (exchange_get_rare(x)->user)
        add(out, " user=%s", exchange_get_rare(x)->user);
    add(out, "%s%s%s", x->is_first ? " first" : "", x->is_last ? " last" : "",
        x->complete ? " complete" : "");
    add(out, "%s%s%s", x->proxied ? "" : " direct", x->early_unseen ? " early-unseen" : "",
        x->content_unseen ? " content-unseen" : "");
    add(out, "%s%s%s", x->is_tls ? " is-tls" : "", x->body_unfinished ? " body-unfinished" : "",
        x->request_unfinished ? " request-unfinished" : "");
    if (x->sides[UP].bytes || x->sides[DOWN].bytes)
        add(out, " %u/%u", (unsigned)x->sides[UP].bytes, (unsigned)x->sides[DOWN].bytes);
    if (h->look)
        h->look(x);
}

static inline void on_learnt(void *owner, struct exchange *x, uint64_t now_ns)
{
    ((struct heard *)owner)->learnt++;
}

/* ---- who speaks */

struct speaker {
    struct dialogs *d;
    struct conn_events events;
    struct conn c;
    uint64_t at_ns;
    uint32_t number;
};

static inline void begin(struct speaker *s, struct heard *h, struct secrets *secrets, uint16_t port)
{
    struct dialogs_options o = {
        .secrets = secrets, .over = on_over, .learnt = on_learnt, .owner = h};

    *s = (struct speaker){.at_ns = NS_PER_S, .number = 3};
    s->d = dialogs_new(&o);
    s->events = dialogs_get_events(s->d);
    s->c.begin_ns = s->c.last_ns = NS_PER_S;
    s->c.begin_number = 1;
    s->c.last_number = 3;
    s->c.established = true;
    endpoint_parse(SPAN_LIT("10.0.0.5:40000"), &s->c.ends[UP]);
    endpoint_parse(SPAN_LIT("10.0.0.1:1"), &s->c.ends[DOWN]);
    s->c.ends[DOWN].port = port;
    s->c.streams[UP].syn = s->c.streams[DOWN].syn = true;
    s->c.streams[UP].begun = s->c.streams[DOWN].begun = true;
}

/* `missing` bytes of it are not in the capture.  Exactly sized, for the sanitizer's sake. */
static inline void say(struct speaker *s, enum dir dir, struct span text, uint32_t missing)
{
    char *bytes = malloc(text.len + 1);
    struct stream_piece p = {
        .len = (uint32_t)text.len + missing, .at_ns = s->at_ns, .number = ++s->number};

    memcpy(bytes, text.ptr, text.len);
    bytes = realloc(bytes, text.len ? text.len : 1);
    p.bytes = (struct span){bytes, text.len};
    s->c.streams[dir].bytes += p.len;
    s->c.last_ns = s->at_ns;
    s->c.last_number = s->number;
    s->events.bytes(s->events.owner, &s->c, dir, &p);
    free(bytes);
    s->at_ns += NS_PER_MS;
}

static inline void leave(struct speaker *s, enum dir dir)
{
    s->c.streams[dir].fin = true;
    s->c.streams[dir].fin_ns = s->at_ns;
    s->events.fin(s->events.owner, &s->c, dir, s->at_ns, ++s->number);
}

static inline void finish(struct speaker *s)
{
    s->events.ended(s->events.owner, &s->c, CONN_END_CLOSED, s->at_ns);
    assert_null(s->c.dialog);
    dialogs_free(s->d);
}

/* ---- what is said most */

#define CONNECT "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"
#define CONNECT_AS                                                                                 \
    "CONNECT a.test:443 HTTP/1.1\r\nProxy-Authorization: Basic Zm1jOnNlY3JldA==\r\n\r\n"
#define GET "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OPENED "HTTP/1.1 200 Connection established\r\n\r\n"
#define LOGIN                                                                                      \
    "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 2\r\n\r\nno"
#define FINE "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* What the client asks: request heads and their bodies, and what is none. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "capture/head.h"
#include "capture/round.h"
#include "wire/authn.h"
#include "wire/authority.h"

#define URL_MAX 1024 /* bytes that are kept of one */
#define USER_MAX 256

/* The round whose head is being read, or NULL. */
static struct round *find_asking(const struct dialog *g)
{
    return g->last && !g->last->asked_head ? g->last : NULL;
}

/* ---- what a head says */

/* A target in its parts, read as proxies do, without what names a user. */
struct target {
    struct span scheme, authority, path;
};

static struct target split_target(struct span text)
{
    static const struct span mark = SPAN_INIT("://");
    const char *at = memmem(text.ptr, text.len < 32 ? text.len : 32, mark.ptr, mark.len);
    struct target t = {.path = text};
    struct span rest;
    size_t n = 0;

    if (!at)
        return t;
    t.scheme = (struct span){text.ptr, (size_t)(at - text.ptr)};
    rest = (struct span){at + mark.len, text.len - t.scheme.len - mark.len};
    while (n < rest.len && !memchr("/?#", rest.ptr[n], 3))
        n++;
    t.authority = (struct span){rest.ptr, n};
    t.path = (struct span){rest.ptr + n, rest.len - n};
    t.authority = head_skip_user(t.authority);
    return t;
}

static void set_authority(struct exchange *x, struct span text, uint16_t port)
{
    char out[AUTHORITY_TEXT_MAX];
    struct authority a;

    text = head_skip_user(text);
    x->url_behind = false;
    if (!authority_parse_default(text, port, &a)) { /* odd, but that is what was asked for */
        flow_set_span(&x->target, (struct span){text.ptr, text.len < 255 ? text.len : 255});
        x->by_name = true;
        return;
    }
    authority_write(&a, out);
    flow_set_text(&x->target, out);
    x->by_name = !a.addr.family;
}

static void set_url(struct exchange *x, struct span scheme, struct span authority, struct span path)
{
    char url[URL_MAX];
    int n = snprintf(url, sizeof url, "%.*s://%.*s%.*s", (int)scheme.len, scheme.ptr,
                     (int)(authority.len < 300 ? authority.len : 300), authority.ptr,
                     (int)(path.len < URL_MAX ? path.len : URL_MAX), path.ptr);

    if (n < 0)
        return;
    head_hide_user(url);
    exchange_set_url(x, url);
}

/* Absolute and origin form of one request give one number. */
static uint64_t hash_request(const struct exchange *x, struct span method, struct span path)
{
    uint64_t parts[4] = {hash_bytes(method.ptr, method.len), 0, 0, 0};

    if (path.len > 0 && path.ptr[0] == '/') /* which may be left out before a query */
        path = (struct span){path.ptr + 1, path.len - 1};
    if (x->target)
        parts[1] = hash_bytes(x->target, strlen(x->target));
    parts[2] = hash_bytes(path.ptr, path.len);
    return hash_bytes(parts, sizeof parts);
}

static struct span find_value(const struct http1_head *h, enum field_id id)
{
    for (unsigned i = 0; i < h->fields_len; i++)
        if (h->fields[i].id == id)
            return h->fields[i].value;
    return SPAN_LIT("");
}

static void read_credentials(struct exchange *x, struct span value)
{
    struct authn_credentials c;

    if (value.len == 0)
        return;
    x->credentials_sent = true;
    x->is_basic = span_begins_nocase(value, SPAN_LIT("basic"));
    if (authn_parse_credentials(value, &c) == AUTHN_OK && !c.userhash && c.user.len > 0 &&
        c.user.len <= USER_MAX && authn_is_text(c.user) && exchange_make_rare(x))
        flow_set_span(&x->rare->user, c.user);
}

/* A whole target; `x->method` is set. */
static void read_target(struct exchange *x, const struct http1_head *h)
{
    struct target t = split_target(h->target);
    struct span host = find_value(h, FIELD_HOST);
    uint16_t port = x->conn->ends[DOWN].port;

    if (x->method == METHOD_CONNECT) {
        set_authority(x, h->target, 443);
        t.path = SPAN_LIT("");
    } else if (t.scheme.len > 0) {
        set_authority(x, t.authority, authority_default_port(t.scheme));
        set_url(x, t.scheme, t.authority, t.path);
    } else if (host.len > 0) {
        set_authority(x, host, x->proxied ? 80 : port);
        set_url(x, SPAN_LIT("http"), host, h->target);
    }
    x->hello_hash = hash_request(x, h->method_text, t.path);
}

/* Sets `asked` by as much of a request line as there is. */
static void classify(struct dialogs *d, struct exchange *x, const struct http1_head *h)
{
    bool absolute = split_target(h->target).scheme.len > 0;

    x->method = (uint8_t)h->method;
    x->asked = h->method == METHOD_CONNECT ? ASKED_CONNECT
               : absolute                  ? ASKED_ABSOLUTE
                                           : ASKED_ORIGIN;
    x->proxied = x->asked != ASKED_ORIGIN || round_is_sure_proxy(d, &x->conn->ends[DOWN]);
    if (x->asked != ASKED_ORIGIN)
        round_learn_proxy(d, &x->conn->ends[DOWN], false);
    if (h->method == METHOD_OTHER && h->method_text.len <= HTTP1_METHOD_MAX &&
        exchange_make_rare(x))
        flow_set_span(&x->rare->method, h->method_text);
}

/* ---- a head */

/* Where the head is cut, so is what would tell of a body. */
static enum mode mode_behind(struct said *s, struct round *t, bool whole)
{
    struct body body, *kept;

    if (t->x.method == METHOD_CONNECT)
        return MODE_BEHIND;
    if (!whole)
        return MODE_SEEK;
    body_of_request(&body, &s->d->head);
    if (body.done)
        return MODE_HEAD;
    kept = round_make_body(s->d, t, UP);
    if (!kept)
        return MODE_SEEK;
    *kept = body;
    return MODE_BODY;
}

static void read_head(struct dialogs *d, struct exchange *x, struct span text)
{
    struct http1_head *h = &d->head;

    head_read_request(text, h);
    classify(d, x, h);
    if (h->has_line)
        read_target(x, h);
    read_credentials(x, find_value(h, FIELD_PROXY_AUTHORIZATION));
}

void dialog_request_read_part(struct dialogs *d, struct dialog *g, struct round *t)
{
    struct span text = round_kept(g, UP);

    if (t == g->last && !t->asked_head && t->x.asked == ASKED_NOTHING &&
        head_guess_request(text) == PARSE_OK)
        read_head(d, &t->x, text);
}

/* The head is through, or as much of it as will ever be seen. */
static void take_known(struct said *s, struct round *t, struct span text, bool whole)
{
    read_head(s->d, &t->x, text);
    t->x.content_unseen |= !s->d->head.has_line;
    t->keeps = s->d->head.keep_alive;
    exchange_mark(&t->x, MARK_REQUEST_END, s->p.at_ns, s->p.number);
    t->asked_head = true;
    s->g->mode[UP] = mode_behind(s, t, whole);
    t->asked_all = s->g->mode[UP] != MODE_BODY;
    round_forget(s->d, s->g, UP);
    round_tell(s, t);
    if (s->g->first == t)
        dialog_replay(s, DOWN);
}

/* Bytes that no head stands in front of: they are asked for all the same. */
static void take_unknown(struct said *s, struct round *t, enum asked asked)
{
    t->x.asked = (uint8_t)asked;
    t->asked_head = t->asked_all = true;
    exchange_mark(&t->x, MARK_REQUEST, s->p.at_ns, s->p.number);
    round_forget(s->d, s->g, UP);
}

/* A request that stands in a hole: its answer may be there. */
static size_t take_hole(struct said *s)
{
    struct round *t = find_asking(s->g);
    bool is_first = !s->g->had_round || (t && t == s->g->first && t->x.is_first);

    if (!t)
        t = round_begin(s);
    if (!t)
        return s->p.len;
    if (is_first) {
        dialog_unseen_begin(s, t);
        return 0;
    }
    take_unknown(s, t, ASKED_UNSEEN);
    exchange_mark(&t->x, MARK_REQUEST_END, s->p.at_ns, s->p.number);
    t->x.content_unseen = true;
    t->keeps = true;
    s->g->mode[UP] = MODE_SEEK;
    round_tell(s, t);
    return s->p.len;
}

/* The first bytes of a connection are no HTTP; later ones are nobody's. */
static size_t take_other(struct said *s, struct round *t, struct span text)
{
    struct dialog *g = s->g;

    if (t && t->x.packets[MARK_REQUEST] > 0 && text.len > s->p.bytes.len)
        t->x.sides[UP].bytes += text.len - s->p.bytes.len; /* kept while they might be a request */
    if (!t && g->had_round) {
        g->mode[UP] = MODE_SEEK;
        return s->p.len;
    }
    if (!t)
        t = round_begin(s);
    if (!t)
        return s->p.len;
    if (dialog_tls_is_record(s->p.bytes)) {
        dialog_tls_begin_direct(s, t);
    } else {
        take_unknown(s, t, s->c->mid_stream ? ASKED_UNSEEN : ASKED_OTHER);
        t->x.proxied &= round_is_sure_proxy(s->d, &s->c->ends[DOWN]);
        g->mode[UP] = g->mode[DOWN] = s->c->mid_stream ? MODE_TUNNEL : MODE_OPAQUE;
        exchange_mark(&t->x, MARK_BODY, s->p.at_ns, s->p.number);
        round_tell(s, t);
    }
    dialog_replay(s, DOWN);
    return 0;
}

/* A head without end: the exchange goes on without it. */
static size_t give_up(struct said *s, struct round *t)
{
    dialog_request_read_part(s->d, s->g, t);
    round_forget(s->d, s->g, UP);
    t->x.content_unseen = true;
    s->g->mode[UP] = MODE_SEEK;
    return s->p.len;
}

static bool is_line_end(char c)
{
    return c == '\r' || c == '\n';
}

static size_t take_head(struct said *s)
{
    struct round *t = find_asking(s->g);
    bool cut = s->p.len > s->p.bytes.len;
    struct span text;
    size_t before, len;
    enum parse guess;

    if (s->p.bytes.len == 0 && round_kept(s->g, UP).len == 0)
        return take_hole(s);
    if (!t && s->g->had_round && is_line_end(s->p.bytes.ptr[0]))
        return 1; /* some clients send an empty line behind a body */
    if (!round_gather(s, &text, &before))
        return give_up(s, t);
    guess = head_guess_request(text);
    if (guess == PARSE_BAD)
        return take_other(s, t, text);
    if (!t && !(t = round_begin(s)))
        return s->p.len;
    exchange_mark(&t->x, MARK_REQUEST, s->p.at_ns, s->p.number);
    len = guess == PARSE_OK ? head_find_end(text, before) : 0;
    if (len > 0 || (cut && guess == PARSE_OK)) {
        take_known(s, t, (struct span){text.ptr, len > 0 ? len : text.len}, len > 0);
        return len > 0 ? round_fresh(len, before) : s->p.len;
    }
    if (cut) {
        dialog_unseen_begin(s, t);
        return 0;
    }
    if (before == 0 && !round_keep(s->d, s->g, UP, text))
        return give_up(s, t);
    return s->p.bytes.len;
}

/* ---- a body */

static size_t skip_body(struct said *s, struct body *b)
{
    uint64_t n = s->p.len;

    if (b->kind != BODY_LENGTH) { /* where the next chunk begins stood in the hole */
        s->g->mode[UP] = MODE_SEEK;
        s->g->last->asked_all = true;
        return s->p.len;
    }
    if (n > b->left)
        n = b->left;
    body_skip(b, n);
    return (size_t)n;
}

static size_t take_body(struct said *s)
{
    struct round *t = s->g->last;
    struct body *b = t ? round_get_body(t, UP) : NULL;
    struct span data = {0};
    size_t used = 0;
    uint64_t before;

    if (!b)
        return s->p.len;
    before = b->payload;
    if (s->p.bytes.len == 0) {
        used = skip_body(s, b);
    } else if (body_read(b, s->p.bytes, &used, &data) == PARSE_BAD) {
        s->g->mode[UP] = MODE_SEEK;
        t->asked_all = true;
        used = s->p.len;
    }
    t->x.sides[UP].bytes += b->payload - before;
    if (b->done) {
        s->g->mode[UP] = MODE_HEAD;
        t->asked_all = true;
        round_finish(s, t);
    }
    return used;
}

/* ---- behind what was lost, and behind a CONNECT */

/* A request at the beginning of a packet: what went before is over. */
static size_t seek_head(struct said *s)
{
    struct round *t = s->g->last;

    if (!s->at_start || head_guess_request(s->p.bytes) != PARSE_OK)
        return s->p.len;
    if (t) {
        t->asked_all = t->asked_head = true;
        if (t == s->g->first && (s->g->mode[DOWN] == MODE_SEEK || t->answer_unseen)) {
            t->answered_all = true; /* or it would not ask again */
            s->g->mode[DOWN] = MODE_HEAD;
        }
    }
    s->g->mode[UP] = MODE_HEAD;
    return 0;
}

static size_t take_behind(struct said *s)
{
    const struct round *t = s->g->last;
    bool refused = !t || t->x.status >= 300;
    bool is_request = s->p.bytes.len > 0 && !dialog_tls_is_record(s->p.bytes) &&
                      head_guess_request(s->p.bytes) == PARSE_OK;

    if (is_request && t && t->answer_unseen)
        return seek_head(s);
    s->g->mode[UP] = refused || is_request ? MODE_HEAD : MODE_TUNNEL;
    return 0;
}

size_t dialog_request_take(struct said *s)
{
    switch ((enum mode)s->g->mode[UP]) {
    case MODE_HEAD:
        return take_head(s);
    case MODE_BODY:
        return take_body(s);
    case MODE_SEEK:
        return seek_head(s);
    case MODE_BEHIND:
        return take_behind(s);
    case MODE_TUNNEL:
    case MODE_TLS:
    case MODE_UNSEEN:
    case MODE_OPAQUE:
        break;
    }
    return s->p.len;
}

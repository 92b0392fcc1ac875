/* What is asked and what is answered: CONNECT or an absolute-form request to the proxy, the request
 * inside the tunnel, the bodies, and the close. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check/download.h"
#include "check/internal.h"
#include "check/refusal.h"
#include "flow/greeting.h"
#include "flow/offer.h"
#include "net/tls.h"

#define REQUEST_MAX 16384
#define REQUEST_LINE 64  /* bytes that one of our own fields takes at most */
#define DRAIN_MAX 65536  /* bytes of a 407's body that are worth the connection */
#define INTERIMS_MAX 100 /* answers of 1xx before one that counts */

#define AGENT "User-Agent: viaduct/" VIADUCT_VERSION "\r\nAccept: */*\r\n"

static struct span path_of(const struct url *u)
{
    return u->at.path;
}

/* ---- requests */

/* The target of the request to the proxy.  Quotes and backslashes are encoded, as `serve` does for
 * a parent: proxies do not agree what they are in the quoted uri of Digest. */
static size_t write_uri(const struct probe *p, char *out, size_t cap)
{
    char host[AUTHORITY_TEXT_MAX];
    struct span path = path_of(p->url);
    size_t len;

    if (p->url->tls)
        return url_write_target(p->url, out);
    url_write_host(p->url, host);
    len = (size_t)snprintf(out, cap, "http://%s%s", host, path.ptr[0] == '/' ? "" : "/");
    for (size_t i = 0; i < path.len && len + 3 < cap; i++) {
        const char c = path.ptr[i];

        if (c == '"' || c == '\\')
            len += (size_t)snprintf(out + len, cap - len, "%s", c == '"' ? "%22" : "%5C");
        else
            out[len++] = c;
    }
    out[len] = '\0';
    return len + 3 < cap ? len : 0;
}

/* The fields of a download that goes on where a file ends. */
static size_t write_range(const struct probe *p, char out[DOWNLOAD_FIELDS_MAX])
{
    const struct download *d = p->check->options.download;
    size_t n = d ? download_write_fields(d, out) : 0;

    out[n] = '\0';
    return n;
}

/* The fields that make a request, or its answer, as long as a search for sizes wants them. */
static size_t write_sizes(const struct probe *p, char *out, size_t cap, size_t head_len)
{
    static const char filler[] = "X-Filler: ";
    const size_t around = sizeof filler - 1 + 2;
    size_t n = 0, fill;

    if (p->wish.range && cap > REQUEST_LINE)
        n = (size_t)snprintf(out, cap, "Range: bytes=0-%u\r\n", p->wish.range - 1);
    if (p->wish.pad <= head_len + n + around || cap < p->wish.pad)
        return n;
    fill = p->wish.pad - head_len - n - around;
    memcpy(out + n, filler, sizeof filler - 1);
    n += sizeof filler - 1;
    memset(out + n, 'x', fill);
    memcpy(out + n + fill, "\r\n", 2);
    return n + fill + 2;
}

/* A capture is handed on to others: it has as many asterisks as the password has bytes.  `line` is
 * our Proxy-Authorization. */
static void hide_password(const struct probe *p, char *line, size_t len)
{
    const struct login *l = &p->check->login;
    const size_t name_len = sizeof "Proxy-Authorization: " - 1;
    char stars[AUTHN_STORE_MAX];
    size_t n = strlen(l->password);

    if (!p->login.sent || p->login.scheme != AUTHN_BASIC || n > sizeof stars)
        return;
    memset(stars, '*', n);
    authn_write_basic(span_of(l->user), (struct span){stars, n}, line + name_len, len - name_len);
}

static int ask_proxy(struct probe *p)
{
    struct check *c = p->check;
    char request[REQUEST_MAX], shown[REQUEST_MAX], uri[REQUEST_MAX / 2], host[AUTHORITY_TEXT_MAX];
    size_t uri_len = write_uri(p, uri, sizeof uri), n, at, login;
    int err;
    const char *method = p->url->tls ? "CONNECT" : "GET";

    if (p->url->tls)
        url_write_target(p->url, host);
    else
        url_write_host(p->url, host);
    n = (size_t)snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: %s\r\n" AGENT "%s",
                         method, uri, host, p->url->tls ? "Proxy-Connection: keep-alive\r\n" : "");
    if (uri_len == 0 || n + DOWNLOAD_FIELDS_MAX >= sizeof request)
        return -EMSGSIZE;
    if (!p->url->tls)
        n += write_range(p, request + n);
    at = n;
    login = login_write(&c->login, &p->login, span_of(method), (struct span){uri, uri_len},
                        probe_now(p), request + n, sizeof request - n - 2);
    if (p->login.sent && p->login.scheme == AUTHN_BASIC && !c->options.proxy->tls &&
        !(p->flow.warnings & 1u << WARNING_WEAK_AUTH))
        flow_warn(&p->flow, WARNING_WEAK_AUTH, "Basic to the proxy, without TLS");
    n += login;
    if (!p->url->tls)
        n += write_sizes(p, request + n, sizeof request - n - 2, n + 2);
    memcpy(request + n, "\r\n", 2);
    memcpy(shown, request, n + 2);
    if (login > 0)
        hide_password(p, shown + at, login);
    err = probe_send_as(p, request, shown, n + 2);
    explicit_bzero(request, n + 2);
    return err;
}

static int ask_target(struct probe *p)
{
    char request[REQUEST_MAX], host[AUTHORITY_TEXT_MAX], range[DOWNLOAD_FIELDS_MAX];
    struct span path = path_of(p->url);
    int n;

    url_write_host(p->url, host);
    write_range(p, range);
    n = snprintf(request, sizeof request,
                 "GET %s%.*s HTTP/1.1\r\nHost: %s\r\n" AGENT "%sConnection: close\r\n\r\n",
                 path.ptr[0] == '/' ? "" : "/", (int)path.len, path.ptr, host, range);
    if (n < 0 || (size_t)n >= sizeof request)
        return -EMSGSIZE;
    return probe_send(p, request, (size_t)n);
}

/* Whether all that was asked went out: 1, 0 not yet, or -errno. */
static int flush(struct probe *p)
{
    int err;

    if (!conn_has_rest(&p->conn))
        return 1;
    err = p->conn.ready & CONN_OUT ? conn_flush(&p->conn) : -EAGAIN;
    return err == 0 ? 1 : err == -EAGAIN ? 0 : err;
}

enum probe_next probe_step_ask(struct probe *p)
{
    int err = ask_proxy(p);

    if (err == -EMSGSIZE)
        return probe_end(p, VERDICT_BAD_REQUEST, SIDE_CLIENT, CERTAINTY_SEEN,
                         "the URL is too long for a request line");
    if (err < 0)
        return probe_broken(p, -err);
    p->heard_ns = 0;
    return probe_enter(p, PROBE_ANSWER);
}

/* ---- the end of a connection, where something was to come */

/* Who ended the connection.  Nobody but the target can say close_notify in its TLS; where an
 * inspecting proxy may have made the certificate, that one could. */
static enum side find_closer(struct probe *p)
{
    const struct certificate *c = &p->certificate;

    if (!p->through_proxy || p->state <= PROBE_ANSWER)
        return probe_far(p);
    if (p->tls_begun && tls_was_ended(p->conn.tls) && c->verified && !c->is_local && !c->inspector)
        return SIDE_TARGET;
    flow_evidence(&p->flow, "the proxy closed it; a proxy passes the end of the target's "
                            "connection on, too");
    return SIDE_PROXY;
}

static enum probe_next broken_before_answer(struct probe *p, int err)
{
    bool asked_proxy = p->state == PROBE_ANSWER || p->state == PROBE_ASK;
    char why[128];

    probe_note_asked(p);
    p->signs.proxy_mute = asked_proxy && p->in.len == 0 && !p->conn.tls;
    if (err == ECONNRESET || err == EPIPE)
        return probe_end_reset(p,
                               p->in.len > 0 ? "inside a response head" : "in place of an answer");
    if (err == EPROTO)
        return probe_end(p, asked_proxy ? VERDICT_PROXY_TLS_FAILED : VERDICT_TLS_FAILED,
                         asked_proxy ? SIDE_PROXY : SIDE_TARGET, CERTAINTY_SEEN, "%s",
                         probe_tls_reason(p, why, sizeof why));
    if (err)
        return probe_end(p, asked_proxy ? VERDICT_PROXY_UNREACHABLE : VERDICT_STALLED, SIDE_NETWORK,
                         CERTAINTY_SEEN, "%s", verdict_errno_text(err));
    if (p->in.len > 0)
        return probe_end(p, VERDICT_INCOMPLETE, find_closer(p), CERTAINTY_SEEN,
                         "closed after %u bytes of a response head", p->in.len);
    if (asked_proxy)
        return probe_end(p, VERDICT_PROXY_SILENT, SIDE_PROXY, CERTAINTY_SEEN,
                         "closed without a byte of an answer");
    return probe_end(p, VERDICT_UPSTREAM_FAILED, find_closer(p), CERTAINTY_SEEN,
                     "closed without a byte of an answer");
}

enum probe_next probe_broken(struct probe *p, int err)
{
    if (p->state <= PROBE_ANSWER && (p->draining || (p->reused && p->in.len == 0)))
        return probe_redial(p); /* the 407's connection did not last */
    if (p->state == PROBE_REFUSAL)
        return refusal_judge(p);
    if (p->state != PROBE_TRANSFER)
        return broken_before_answer(p, err);
    probe_note_count(p);
    if (err == ECONNRESET || err == EPIPE)
        return probe_end_reset(p, "inside the body");
    if (err)
        return probe_end(p, VERDICT_STALLED, SIDE_NETWORK, CERTAINTY_SEEN, "%s",
                         verdict_errno_text(err));
    return probe_end(p, VERDICT_INCOMPLETE, find_closer(p), CERTAINTY_SEEN,
                     "closed after %llu bytes", (unsigned long long)p->down.payload);
}

/* ---- heads */

/* The next head of p->in into the checker's: *parsed is PARSE_MORE when there is none to look at,
 * and what comes next is returned. */
static enum probe_next read_head(struct probe *p, enum parse *parsed)
{
    struct http1_head *h = &p->check->head;
    ssize_t n;

    for (;;) {
        struct span bytes = buf_span(&p->in);

        *parsed = PARSE_MORE;
        if (bytes.len > 0) {
            http1_head_reset(h);
            *parsed = http1_parse_response(bytes, h);
        }
        if (*parsed != PARSE_MORE)
            return PROBE_AGAIN;
        if (bytes.len > PROBE_HEAD_MAX) {
            h->bad_what = "a response head over 64 KiB";
            *parsed = PARSE_BAD;
            return PROBE_AGAIN;
        }
        n = probe_read(p);
        if (n == -EAGAIN)
            return PROBE_WAIT;
        if (n <= 0) {
            *parsed = PARSE_MORE;
            return probe_broken(p, (int)-n);
        }
    }
}

static void note_redirect(struct probe *p, const struct http1_head *h)
{
    for (unsigned i = 0; i < h->fields_len; i++) {
        if (!span_equal_nocase(h->fields[i].name, SPAN_LIT("location")))
            continue;
        flow_note(&p->flow, NOTE_REDIRECT, 0, "%u %.*s", h->status, (int)h->fields[i].value.len,
                  h->fields[i].value.ptr);
        free(p->location);
        p->location = span_dup(h->fields[i].value);
        if (!p->check->options.follow)
            flow_warn(&p->flow, WARNING_REDIRECT, "not followed (-L follows)");
        return;
    }
}

/* What the answer means for the file that the body should go to. */
static enum download_answer ask_download(struct probe *p, const struct http1_head *h)
{
    char what[DOWNLOAD_WHAT_MAX];
    enum download_answer answer;

    if (!p->check->options.download || p->wish.beside) /* one at a time writes to it */
        return DOWNLOAD_ELSEWHERE;
    answer = download_take_head(p->check->options.download, h, what);
    if (*what)
        flow_evidence(&p->flow, "%s", what);
    if (answer == DOWNLOAD_COMPLETE)
        p->down = (struct body){.done = true}; /* what is said of it is not wanted */
    p->saving = answer == DOWNLOAD_SAVES;
    return answer;
}

/* The body follows, of an answer that is a success or one that says no. */
static enum probe_next begin_body(struct probe *p, const struct http1_head *h)
{
    struct span head = {buf_span(&p->in).ptr, h->head_len};
    uint64_t waited = probe_now(p) - p->sent_ns;
    enum download_answer answer;

    p->status = h->status;
    p->flow.status = h->status;
    p->head_wait_ns = waited;
    p->body_ns = probe_now(p);
    body_of_response(&p->down, h, METHOD_GET);
    if (h->status >= 300 && h->status < 400)
        note_redirect(p, h);
    if (waited > PROBE_SLOW_NS)
        flow_warn(&p->flow, WARNING_SLOW_TARGET, "the answer began %.1f s after the request",
                  (double)waited / 1e9);
    answer = ask_download(p, h);
    if (answer == DOWNLOAD_WRONG)
        return probe_end(p, VERDICT_UPSTREAM_FAILED, SIDE_TARGET, CERTAINTY_SEEN,
                         "another part came than the one that was asked for");
    if (answer != DOWNLOAD_COMPLETE && (h->status >= 400 || refusal_is_suspect(p, h))) {
        refusal_keep_head(p, head);
        buf_consume(&p->in, h->head_len);
        return probe_enter(p, PROBE_REFUSAL);
    }
    buf_consume(&p->in, h->head_len);
    if (p->state == PROBE_ANSWER) {
        flow_skip(&p->flow, PHASE_TLS, OUTCOME_SKIPPED);
        flow_skip(&p->flow, PHASE_EXCHANGE, OUTCOME_SKIPPED);
    }
    return probe_enter(p, PROBE_TRANSFER);
}

/* ---- the proxy's answer */

/* A 407 that is the end: its page is still read, for what it says.  *h is of no use behind it. */
static enum probe_next deny(struct probe *p, const struct http1_head *h, struct ending e,
                            const char *why)
{
    flow_set_text(&p->flow.reason, why);
    p->ending = e;
    p->denied = true;
    body_of_response(&p->down, h, METHOD_GET);
    refusal_keep_head(p, (struct span){buf_span(&p->in).ptr, h->head_len});
    buf_consume(&p->in, h->head_len);
    return probe_enter(p, PROBE_REFUSAL);
}

/* Nothing was offered that is answered: schemes that we do not speak, those that the user does not
 * want, or a 407 that says not with what to log in (as flow/outside judges it). */
static enum probe_next end_unanswered(struct probe *p, const struct http1_head *h, const char *what)
{
    enum verdict v = p->login.sent ? VERDICT_AUTH_FAILED : VERDICT_AUTH_REQUIRED;
    enum login_wish wish = p->check->login.wish;
    struct offer o = {.any = false};
    char why[LOGIN_WHAT_MAX + 32] = "";

    for (unsigned i = 0; i < h->fields_len; i++)
        if (span_equal_nocase(h->fields[i].name, SPAN_LIT("proxy-authenticate")))
            offer_add(&o, h->fields[i].value);
    if (!o.any)
        return deny(p, h, (struct ending){v, SIDE_PROXY, CERTAINTY_INFERRED}, what);
    if (!o.usable || wish == LOGIN_ANY)
        v = VERDICT_AUTH_UNSUPPORTED;
    else
        snprintf(why, sizeof why, "%s, which %s leaves out", what,
                 wish == LOGIN_BASIC ? "--basic" : "--digest");
    return deny(p, h, (struct ending){v, SIDE_PROXY, CERTAINTY_SEEN}, *why ? why : what);
}

/* A 407: the credentials' turn, or the end. */
static enum probe_next take_challenge(struct probe *p, const struct http1_head *h)
{
    char what[LOGIN_WHAT_MAX];
    enum login_next next =
        login_take_challenges(&p->check->login, &p->login, h, probe_now(p), what, sizeof what);
    struct body body;

    p->flow.status = 407;
    switch (next) {
    case LOGIN_AGAIN:
        flow_evidence(&p->flow, "407: %s", what);
        flow_note(&p->flow, NOTE_STEP, STEP_KIND_AUTHENTICATE, "%s", what);
        flow_step(&p->flow, STEP_KIND_AUTHENTICATE, probe_now(p) - p->sent_ns);
        p->rounds++;
        body_of_response(&body, h, p->url->tls ? METHOD_CONNECT : METHOD_GET);
        if (!h->keep_alive || body.kind == BODY_CLOSE ||
            (body.kind == BODY_LENGTH && body.left > DRAIN_MAX))
            return probe_redial(p);
        p->down = body;
        p->body_ns = probe_now(p);
        p->draining = true;
        buf_consume(&p->in, h->head_len);
        return PROBE_AGAIN;
    case LOGIN_REQUIRED:
        return deny(p, h, (struct ending){VERDICT_AUTH_REQUIRED, SIDE_PROXY, CERTAINTY_SEEN}, what);
    case LOGIN_REFUSED:
    case LOGIN_HELD:
        return deny(p, h, (struct ending){VERDICT_AUTH_FAILED, SIDE_PROXY, CERTAINTY_SEEN}, what);
    case LOGIN_UNSUPPORTED:
        return end_unanswered(p, h, what);
    }
    return PROBE_WAIT;
}

/* What is left of a 407's body. */
static enum probe_next drain(struct probe *p)
{
    struct span bytes = buf_span(&p->in), data;
    enum parse parsed = PARSE_MORE;
    size_t used = 0;
    ssize_t n;

    if (!p->down.done && bytes.len > 0) {
        parsed = body_read(&p->down, bytes, &used, &data);
        buf_consume(&p->in, used);
    }
    if (p->down.done && p->in.len > 0) /* what nobody asked for is no answer to the next */
        return probe_redial(p);
    if (p->down.done) {
        p->draining = false;
        p->reused = true;
        return probe_enter(p, PROBE_ASK);
    }
    if (parsed == PARSE_BAD || p->down.payload > DRAIN_MAX ||
        probe_now(p) >= p->body_ns + PROBE_REFUSAL_NS)
        return probe_redial(p);
    if (used > 0 && p->in.len > 0)
        return PROBE_AGAIN;
    n = probe_read(p);
    if (n == -EAGAIN)
        return PROBE_WAIT;
    return n <= 0 ? probe_redial(p) : PROBE_AGAIN;
}

/* CONNECT was answered with 2xx: the tunnel is open. */
static enum probe_next tunnel(struct probe *p, const struct http1_head *h)
{
    if (!login_take_info(&p->check->login, &p->login, h))
        flow_evidence(&p->flow, "Proxy-Authentication-Info: the proxy does not know the password");
    p->flow.status = h->status;
    if (refusal_is_suspect(p, h)) {
        body_of_response(&p->down, h, METHOD_GET); /* as a web server means it */
        p->status = h->status;
        p->body_ns = probe_now(p);
        refusal_keep_head(p, (struct span){buf_span(&p->in).ptr, h->head_len});
        buf_consume(&p->in, h->head_len);
        return probe_enter(p, PROBE_REFUSAL);
    }
    buf_consume(&p->in, h->head_len);
    if (p->in.len > 0) { /* a TLS server never speaks first */
        char who[GREETING_MAX];

        greeting_write(buf_span(&p->in), who);
        flow_evidence(&p->flow, "the other end of the tunnel speaks first: %s", who);
        flow_phase(&p->flow, PHASE_TLS, probe_now(p));
        return probe_end(p, VERDICT_TLS_FAILED, SIDE_TARGET, CERTAINTY_SEEN,
                         "%u bytes came before the ClientHello", p->in.len);
    }
    return probe_enter(p, PROBE_TLS);
}

/* 1xx: the one that counts follows, but not behind any number of these. */
static enum probe_next take_interim(struct probe *p, const struct http1_head *h)
{
    bool by_target = p->asked_target || !p->through_proxy;

    if (p->interims == INTERIMS_MAX)
        return probe_end(p, by_target ? VERDICT_UPSTREAM_FAILED : VERDICT_PROXY_ERROR,
                         by_target ? SIDE_TARGET : SIDE_PROXY, CERTAINTY_SEEN,
                         "more than %u interim answers and none that counts", INTERIMS_MAX);
    if (p->interims++ == 0)
        flow_evidence(&p->flow, "an interim %u came first", h->status);
    buf_consume(&p->in, h->head_len);
    return PROBE_AGAIN;
}

static enum probe_next take_answer(struct probe *p, const struct http1_head *h)
{
    if (h->status < 200)
        return take_interim(p, h);
    if (h->status == 407)
        return take_challenge(p, h);
    if (p->url->tls && h->status < 300)
        return tunnel(p, h);
    if (p->login.sent)
        login_take_info(&p->check->login, &p->login, h);
    return begin_body(p, h);
}

enum probe_next probe_step_answer(struct probe *p)
{
    enum parse parsed;
    enum probe_next next;
    int sent = flush(p);

    if (sent <= 0)
        return sent < 0 ? probe_broken(p, -sent) : PROBE_WAIT;
    if (p->draining)
        return drain(p);
    next = read_head(p, &parsed);
    if (parsed == PARSE_MORE)
        return next;
    if (parsed == PARSE_BAD)
        return refusal_judge_bytes(p, buf_span(&p->in), p->check->head.bad_what);
    return take_answer(p, &p->check->head);
}

/* ---- the target's answer */

enum probe_next probe_step_exchange(struct probe *p)
{
    enum parse parsed;
    enum probe_next next;
    int err = p->asked_target ? flush(p) : ask_target(p);

    if (err == -EMSGSIZE)
        return probe_end(p, VERDICT_BAD_REQUEST, SIDE_CLIENT, CERTAINTY_SEEN,
                         "the URL is too long for a request line");
    if (err < 0)
        return probe_broken(p, -err);
    if (!p->asked_target) {
        p->asked_target = true;
        p->heard_ns = 0;
        return PROBE_AGAIN;
    }
    if (err == 0)
        return PROBE_WAIT;
    next = read_head(p, &parsed);
    if (parsed == PARSE_MORE)
        return next;
    if (parsed == PARSE_BAD)
        return refusal_judge_bytes(p, buf_span(&p->in), p->check->head.bad_what);
    if (p->check->head.status < 200)
        return take_interim(p, &p->check->head);
    return begin_body(p, &p->check->head);
}

/* ---- no end came */

/* What was awaited, for the reason. */
static const char *awaited(const struct probe *p)
{
    if (p->state == PROBE_TRANSFER)
        return "the body stands still";
    if (p->draining)
        return "the body of the 407 stands still";
    return p->in.len > 0 ? "the response head stands still" : "no answer to the request";
}

enum probe_next probe_http_late(struct probe *p)
{
    bool asked_proxy = p->state == PROBE_ANSWER || p->state == PROBE_ASK;

    if (p->state == PROBE_CLOSE)
        return probe_end_as(p, p->ending);
    if (p->state == PROBE_REFUSAL)
        return refusal_judge(p);
    if (p->state == PROBE_TRANSFER)
        probe_note_count(p);
    if (probe_note_hole(p))
        return probe_end(p, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, CERTAINTY_INFERRED,
                         "full-size segments vanish");
    if (asked_proxy && p->in.len == 0 && p->info.unacked > 0)
        flow_evidence(&p->flow, "the request is not acknowledged, sent again %u times",
                      p->info.backoffs);
    else if (!probe_is_silent(p) && probe_now(p) >= p->deadline_ns) {
        if (p->state != PROBE_TRANSFER && p->in.len > 0) /* drop by drop */
            flow_evidence(&p->flow, "%u bytes of a response head came, and not its end", p->in.len);
        return probe_end(p, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_SEEN,
                         p->saving ? "time was over; -m gives it more" : "time was over");
    }
    flow_evidence(&p->flow, "no byte came for %.1f s",
                  (double)(probe_now(p) - (p->heard_ns ? p->heard_ns : p->sent_ns)) / 1e9);
    if (asked_proxy && p->in.len == 0 && !p->draining)
        return probe_end(p, VERDICT_PROXY_SILENT, SIDE_PROXY, CERTAINTY_SEEN,
                         "no answer to the request");
    return probe_end(p, VERDICT_STALLED, probe_far(p), CERTAINTY_SEEN, "%s", awaited(p));
}

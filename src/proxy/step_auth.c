/* proxy/step_auth.c: who asks.  Comes into play when a rule wants to know: without credentials, or
 * with such as are not accepted, the client gets a 407 with what is offered; else the rules are
 * asked once more, with the user.
 *
 * Nearly every login is settled at once, and leaves nothing behind but a name.  Three wait in
 * STATE_LOGIN: one whose account has a slow hash, which another thread computes; one whose proof
 * covers the body (auth-int), which is read first; and a refused one with a small body, which is
 * read away so that the connection can be kept.
 *
 * Why a login failed stands in the record only.  What a client is told is the same for unknown
 * users and wrong passwords. */
#include "proxy/session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "policy/attempts.h"
#include "proxy/passwords.h"
#include "proxy/worker.h"
#include "wire/authn.h"

#define BODY_MAX (64u * 1024) /* of a request that is read before its login is settled */
#define CHALLENGES_MAX 4096u  /* bytes of all Proxy-Authenticate lines */
#define NAME_SHOWN 128        /* bytes of a refused name in the evidence */

static const struct session_refusal not_accepted = {
    .verdict = VERDICT_AUTH_FAILED,
    .reason = "credentials not accepted",
};

/* ---- refusing */

/* The challenges, strongest first as configured; NULL where they do not fit, which no realm that
 * the configuration takes makes happen. */
static const char *write_challenges(const struct session *s, bool stale, char *out, size_t cap)
{
    const struct worker *w = s->worker;
    const struct config_authentication *c = &w->config->authentication;
    char nonce[NONCE_TEXT_LEN];
    struct authn_offer offer = {
        .realm = span_of(c->realm),
        .nonce = {nonce, sizeof nonce},
        .schemes = c->schemes,
        .algorithms = c->algorithms,
        .schemes_len = c->schemes_len,
        .algorithms_len = c->algorithms_len,
        .stale = stale,
    };
    size_t n;

    nonce_make(w->shared->nonces, w->loop.wall_ns / NS_PER_MS, nonce);
    n = authn_write_offer(&offer, out, cap - 1);
    out[n] = '\0';
    return n ? out : NULL;
}

/* A reload took `authentication` away while a login waited: the client comes again, unasked. */
static enum step end_reloaded(struct session *s)
{
    return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "the configuration changed");
}

/* Ends the flow with the refusal, whatever is still unread of the request. */
static enum step answer_refusal(struct session *s, const struct session_refusal *r)
{
    char text[CHALLENGES_MAX];
    bool asks = verdict_get_info(r->verdict)->status == 407;

    if (asks && !s->worker->accounts)
        return end_reloaded(s);
    return session_end_login(s, r, asks ? write_challenges(s, r->stale, text, sizeof text) : NULL);
}

struct session_login *session_login_get(struct session *s)
{
    if (!s->login)
        s->login = slab_get(&s->worker->logins);
    return s->login;
}

void session_login_drop(struct session *s)
{
    if (s->login->waits || s->login->info || s->login->held_until_ns)
        return;
    slab_put(&s->worker->logins, s->login);
    s->login = NULL;
}

void session_login_end(struct session *s)
{
    struct session_login *l = s->login;

    if (!l)
        return;
    if (l->head.ptr) /* it has the credentials */
        explicit_bzero(l->head.ptr, l->head.cap);
    buf_fini(&l->head);
    l->waits = false;
    flow_set_text(&l->info, NULL);
    session_login_drop(s);
}

const char *session_login_info(const struct session *s)
{
    return s->login ? s->login->info : NULL;
}

static bool is_waiting(const struct session *s)
{
    return s->login && s->login->waits;
}

/* Keeps the request for later; false when memory is out. */
static bool make_login(struct session *s, const struct http1_head *h)
{
    struct span text = s->worker->head_text;
    struct session_login *l = session_login_get(s);

    if (!l)
        return false;
    l->waits = true;
    l->seen = 0;
    body_of_request(&l->body, h);
    l->expects = h->expect_continue;
    buf_init(&l->head, PUMP_BUFFER);
    if (buf_append(&l->head, text.ptr, text.len))
        return true;
    session_login_end(s);
    return false;
}

/* A body that is small, and comes without being asked for, is read away: then the client can come
 * again on this connection.  Behind any other one the connection closes. */
static bool is_discardable(const struct session_login *l)
{
    return !l->expects && (l->body.kind != BODY_LENGTH || l->body.total <= BODY_MAX);
}

static enum step wait_for(struct session *s, enum session_login_wait what)
{
    s->login->wait = (uint8_t)what;
    return session_enter(s, STATE_LOGIN);
}

/* `h` NULL: there is a login already. */
static enum step refuse(struct session *s, const struct http1_head *h,
                        const struct session_refusal *r)
{
    if (is_waiting(s) && s->login->wait == LOGIN_BODY) { /* it is here, and of no more use */
        buf_consume(&s->in, s->login->seen);
        s->unread = false;
    }
    if (!s->unread || s->closes || (!is_waiting(s) && !make_login(s, h)) ||
        !is_discardable(s->login))
        return answer_refusal(s, r);
    s->login->refusal = *r;
    return wait_for(s, LOGIN_DISCARD);
}

/* ---- what came of credentials */

static uint64_t wall_ms(const struct session *s)
{
    return s->worker->loop.wall_ns / NS_PER_MS;
}

static void end_step(struct session *s)
{
    loop_touch(&s->worker->loop);
    flow_step(&s->flow, STEP_KIND_AUTHENTICATE, session_now(s) - s->step_ns);
}

/* What the answer proves in turn (RFC 7616 3.5), with a new nonce where this one is past half of
 * its life: whoever asks often never meets a stale one. */
static void write_info(struct session *s, const struct accounts_result *r,
                       const struct authn_credentials *c)
{
    const struct config_authentication *config = &s->worker->config->authentication;
    char line[SESSION_INFO_MAX] = "Proxy-Authentication-Info: ", nonce[NONCE_TEXT_LEN];
    size_t at = strlen(line), n;
    struct span next = {nonce, 0};

    if (wall_ms(s) > r->nonce_made_ms &&
        wall_ms(s) - r->nonce_made_ms > config->nonce_ns / NS_PER_MS / 2) {
        nonce_make(s->worker->shared->nonces, wall_ms(s), nonce);
        next.len = sizeof nonce;
    }
    n = accounts_write_info(r->account, c, next, line + at, sizeof line - at - 3);
    if (n == 0)
        return;
    memcpy(line + at + n, "\r\n", 3);
    if (session_login_get(s))
        flow_set_text(&s->login->info, line);
}

/* True: logged in.  False: refused (*next).  All failures count that depend on who it is or what
 * the password: else who watches what counts learns which names exist. */
static bool take_result(struct session *s, const struct http1_head *h,
                        const struct accounts_result *r, struct span user, enum step *next)
{
    struct session_refusal refusal = not_accepted;

    end_step(s);
    if (r->outcome == ACCOUNTS_OK) {
        flow_set_text(&s->flow.user, r->account->name);
        if (s->flow.user)
            return true;
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        return false;
    }
    refusal.why = accounts_outcome_text(r->outcome);
    refusal.stale = accounts_is_stale(r->outcome);
    flow_evidence(&s->flow, "user \"%.*s\"", user.len < NAME_SHOWN ? (int)user.len : NAME_SHOWN,
                  user.ptr);
    if (!refusal.stale && r->outcome != ACCOUNTS_UNKNOWN_ALGORITHM)
        attempts_add(s->worker->shared->attempts, &s->flow.client.addr, user, session_now(s));
    *next = refuse(s, h, &refusal);
    return false;
}

/* The name that failures are counted under: the account's own, also where its hash was sent. */
static struct span counted_name(const struct session *s, const struct authn_credentials *c)
{
    const struct account *a =
        c->userhash ? accounts_find_hashed(s->worker->accounts, c->algorithm, c->user) : NULL;

    return a ? span_of(a->name) : c->user;
}

/* ---- Basic */

/* A slow hash: known from a moment ago, or handed to the thread for it.  As log_in. */
static bool check_slowly(struct session *s, const struct http1_head *h,
                         const struct authn_credentials *c, struct accounts_result *r,
                         enum step *next)
{
    struct worker *w = s->worker;
    unsigned char mark[VERIFIED_MARK_LEN];
    struct password_job *job = NULL;

    verified_mark(&w->verified, r->hash, c->user, c->password, mark);
    if (!r->decoy && verified_find(&w->verified, mark, session_now(s))) {
        r->outcome = r->account->disabled ? ACCOUNTS_DISABLED : ACCOUNTS_OK;
        return take_result(s, h, r, c->user, next);
    }
    if (w->shared->passwords && w->checks < PASSWORDS_OPEN_MAX && make_login(s, h))
        job = password_job_new(w->accounts, r, c->user, c->password);
    if (job) {
        job->session = slab_slot_of(s);
        job->flow = s->flow.id;
        memcpy(job->mark, mark, sizeof mark);
    }
    if (!job || !passwords_send(w->shared->passwords, w->number, job)) {
        password_job_free(job);
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "too many passwords to be checked");
        return false;
    }
    w->checks++;
    *next = wait_for(s, LOGIN_PASSWORD);
    return false;
}

static bool log_in_basic(struct session *s, const struct http1_head *h,
                         const struct authn_credentials *c, enum step *next)
{
    struct accounts_result r;

    if (!s->client.tls)
        flow_warn(&s->flow, WARNING_WEAK_AUTH, "Basic on a connection without TLS");
    accounts_check_basic(s->worker->accounts, c->user, c->password, &r);
    return r.hash ? check_slowly(s, h, c, &r, next) : take_result(s, h, &r, c->user, next);
}

/* ---- Digest */

/* `body`: of auth-int, else empty. */
static bool log_in_digest(struct session *s, const struct http1_head *h,
                          const struct authn_credentials *c, struct span body, enum step *next)
{
    const struct config_authentication *config = &s->worker->config->authentication;
    char hex[DIGEST_HEX_MAX];
    struct accounts_request request = {
        .method = h->method_text,
        .target = h->target,
        .realm = span_of(config->realm),
        .algorithms = config->algorithms,
        .algorithms_len = config->algorithms_len,
        .now_ms = wall_ms(s),
        .nonce_lifetime_ms = config->nonce_ns / NS_PER_MS,
    };
    struct accounts_result r;

    if (c->qop == AUTHN_QOP_AUTH_INT)
        request.body = (struct span){hex, digest_hex_of(c->algorithm, &body, 1, hex)};
    accounts_check_digest(s->worker->accounts, s->worker->shared->nonces, c, &request, &r);
    if (!take_result(s, h, &r, counted_name(s, c), next))
        return false;
    write_info(s, &r, c);
    return true;
}

/* auth-int: the body is part of the proof. */
static enum step begin_body(struct session *s, const struct http1_head *h)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!is_waiting(s) && !make_login(s, h))
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    if (s->login->body.kind == BODY_LENGTH && s->login->body.total > BODY_MAX)
        return session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, 413, NULL,
                              "auth-int takes bodies up to %u bytes", BODY_MAX);
    if (s->login->expects && s->in.len == 0 && conn_send(&s->client, go_on, sizeof go_on - 1) < 0) {
        s->client.ready |= CONN_ERR;
        return session_end_left(s);
    }
    return wait_for(s, LOGIN_BODY);
}

/* ---- the step between head and rules */

static bool is_offered(const struct session *s, enum authn_scheme scheme)
{
    const struct config_authentication *c = &s->worker->config->authentication;

    for (unsigned i = 0; i < c->schemes_len; i++)
        if (c->schemes[i] == scheme)
            return true;
    return false;
}

/* Whether this pair, or the client alone, failed too often of late (*r says so). */
static bool is_locked_out(const struct session *s, const struct authn_credentials *c,
                          struct session_refusal *r)
{
    unsigned wait_s = attempts_wait_s(s->worker->shared->attempts, &s->flow.client.addr,
                                      counted_name(s, c), session_now(s));

    *r = (struct session_refusal){
        .verdict = VERDICT_CLIENT_LIMIT,
        .wait_s = wait_s,
        .reason = "too many logins that were not accepted",
        .why = "ten wrong passwords in a minute, or a hundred of that address",
    };
    return wait_s > 0;
}

/* What the field has, as far as it can be told from its form; false: refused (*next). */
static bool read_credentials(struct session *s, const struct http1_head *h,
                             struct authn_credentials *c, enum step *next)
{
    const struct http1_field *field = http1_find_field(h, FIELD_PROXY_AUTHORIZATION);
    struct session_refusal r = not_accepted;
    unsigned count = 0;

    for (unsigned i = 0; i < h->fields_len; i++)
        count += h->fields[i].id == FIELD_PROXY_AUTHORIZATION;
    if (count == 0) {
        *next = refuse(s, h,
                       &(struct session_refusal){.verdict = VERDICT_AUTH_REQUIRED,
                                                 .reason = "log in",
                                                 .why = "no credentials"});
        return false;
    }
    switch (count > 1 ? AUTHN_BAD : authn_parse_credentials(field->value, c)) {
    case AUTHN_OK:
        if (is_offered(s, c->scheme))
            return true;
        r.why = "the scheme is not offered";
        break;
    case AUTHN_UNKNOWN:
        r.why = c->bad_what;
        break;
    case AUTHN_BAD:
        *next = session_end(s, VERDICT_BAD_REQUEST, SIDE_PROXY, "Proxy-Authorization: %s",
                            count > 1 ? "it stands twice" : c->bad_what);
        return false;
    }
    *next = refuse(s, h, &r);
    return false;
}

static void note_asking(struct session *s, const struct access_rule *r)
{
    const char *kind = r->allow ? "allow" : "deny";

    if (r->line > 0)
        flow_evidence(&s->flow, "%s:%d: %s %s asks for a user", r->file, r->line, kind, r->name);
    else
        flow_evidence(&s->flow, "%s: %s %s asks for a user", r->file, kind, r->name);
}

bool session_log_in(struct session *s, const struct http1_head *h, const struct access_rule *asking,
                    enum step *next)
{
    struct authn_credentials c;
    struct session_refusal locked;
    bool ok = false;

    loop_touch(&s->worker->loop);
    s->step_ns = session_now(s);
    if (!http1_find_field(h, FIELD_PROXY_AUTHORIZATION))
        note_asking(s, asking);
    if (!read_credentials(s, h, &c, next))
        return false;
    if (is_locked_out(s, &c, &locked)) {
        *next = refuse(s, h, &locked);
    } else if (c.scheme == AUTHN_BASIC) {
        ok = log_in_basic(s, h, &c, next);
    } else if (c.qop == AUTHN_QOP_AUTH_INT && s->unread) {
        *next = begin_body(s, h);
    } else {
        ok = log_in_digest(s, h, &c, (struct span){"", 0}, next);
    }
    explicit_bzero(&c, sizeof c); /* Basic's password among it */
    return ok;
}

/* ---- the waiting */

/* Bytes of the body that came; PARSE_OK: it is whole. */
static enum parse take_body(struct session_login *l, struct span bytes, size_t *used)
{
    enum parse parsed = l->body.done ? PARSE_OK : PARSE_MORE;

    *used = 0;
    while (parsed == PARSE_MORE && *used < bytes.len) {
        struct span data;
        size_t n;

        parsed =
            body_read(&l->body, (struct span){bytes.ptr + *used, bytes.len - *used}, &n, &data);
        *used += n;
        if (n == 0)
            break;
    }
    return parsed;
}

/* Reads more of the body behind what is in s->in; false when nothing came (*next). */
static bool read_more(struct session *s, enum step *next)
{
    char *room;
    ssize_t n;

    *next = STEP_WAIT;
    if (!(s->client.ready & CONN_IN))
        return false;
    room = buf_reserve(&s->in, BODY_MAX / 4);
    if (!room) {
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        return false;
    }
    n = conn_read(&s->client, room, BODY_MAX / 4);
    if (n > 0) {
        buf_commit(&s->in, (size_t)n);
        return true;
    }
    if (n == -EAGAIN)
        return false;
    flow_evidence(&s->flow, "client: %s inside the request body", n ? strerror((int)-n) : "FIN");
    *next = session_end(s, VERDICT_CLIENT_GONE, SIDE_CLIENT, "left inside the request body");
    return false;
}

/* Reads the body away, then refuses; one that gets too large is left where it is. */
static enum step discard(struct session *s)
{
    struct session_refusal refusal = s->login->refusal;
    enum parse parsed;
    enum step next;
    size_t used;

    for (;;) {
        parsed = take_body(s->login, buf_span(&s->in), &used);
        buf_consume(&s->in, (uint32_t)used);
        if (parsed != PARSE_MORE || s->login->body.payload > BODY_MAX)
            break;
        if (!read_more(s, &next))
            return next;
    }
    s->unread = parsed != PARSE_OK;
    return answer_refusal(s, &refusal);
}

/* The content of the body that stands whole at the front of s->in: where it is, or in `copy` where
 * it is in chunks.  False when memory is out. */
static bool find_content(struct session *s, const struct http1_head *h, struct buf *copy,
                         struct span *content)
{
    struct span all = {buf_span(&s->in).ptr, s->login->seen};
    struct body body;

    *content = all;
    body_of_request(&body, h);
    while (body.kind == BODY_CHUNKED && !body.done && all.len > 0) {
        struct span data;
        size_t n;

        body_read(&body, all, &n, &data);
        if (!buf_append(copy, data.ptr, data.len))
            return false;
        all = (struct span){all.ptr + n, all.len - n};
    }
    if (body.kind == BODY_CHUNKED)
        *content = buf_span(copy);
    return true;
}

/* The login of whoever has the head of its request again: on with the request. */
static enum step go_on(struct session *s)
{
    struct buf head = s->login->head;

    s->login->head = (struct buf){0};
    s->login->waits = false;
    session_login_drop(s);
    return session_logged_in(s, &head);
}

/* The body is whole. */
static enum step check_body(struct session *s)
{
    const struct http1_head *h;
    struct authn_credentials c;
    struct span content;
    struct buf copy;
    enum step next;
    bool ok;

    if (!s->worker->accounts)
        return end_reloaded(s);
    h = session_parse_again(s, &s->login->head);
    buf_init(&copy, BODY_MAX);
    authn_parse_credentials(http1_find_field(h, FIELD_PROXY_AUTHORIZATION)->value, &c);
    loop_touch(&s->worker->loop);
    s->step_ns = session_now(s);
    if (!find_content(s, h, &copy, &content)) {
        buf_fini(&copy);
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    }
    ok = log_in_digest(s, h, &c, content, &next);
    buf_fini(&copy);
    return ok ? go_on(s) : next;
}

static enum step await_body(struct session *s)
{
    struct session_login *l = s->login;
    enum parse parsed;
    enum step next;
    size_t used;

    for (;;) {
        struct span bytes = buf_span(&s->in);

        parsed = take_body(l, (struct span){bytes.ptr + l->seen, bytes.len - l->seen}, &used);
        l->seen += (uint32_t)used;
        if (parsed == PARSE_BAD)
            return session_end(s, VERDICT_BAD_REQUEST, SIDE_PROXY, "%s", l->body.bad_what);
        if (l->body.payload > BODY_MAX || l->seen > 2 * BODY_MAX)
            return session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, 413, NULL,
                                  "auth-int takes bodies up to %u bytes", BODY_MAX);
        if (parsed == PARSE_OK)
            return check_body(s);
        if (!read_more(s, &next))
            return next;
    }
}

enum step step_login(struct session *s)
{
    switch ((enum session_login_wait)s->login->wait) {
    case LOGIN_BODY:
        return await_body(s);
    case LOGIN_DISCARD:
        return discard(s);
    case LOGIN_PASSWORD: /* one that asked plain HTTP may have closed its half only */
        if (s->client.ready & CONN_ERR || (!s->flow.url && s->client.ready & CONN_RDHUP))
            return session_end_left(s);
        break;
    }
    return STEP_WAIT;
}

enum step step_login_timeout(struct session *s)
{
    struct session_refusal refusal = s->login->refusal;

    switch ((enum session_login_wait)s->login->wait) {
    case LOGIN_BODY:
        return session_end(s, VERDICT_REQUEST_TIMEOUT, SIDE_CLIENT,
                           "the body that auth-int needs did not come");
    case LOGIN_DISCARD:
        return answer_refusal(s, &refusal);
    case LOGIN_PASSWORD:
        break;
    }
    return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "too many passwords to be checked");
}

void session_password_checked(struct session *s, struct password_job *job)
{
    enum step next;

    if (s->state != STATE_LOGIN || !s->has_flow || s->flow.id != job->flow)
        return; /* it was not waited for */
    if (job->result.outcome == ACCOUNTS_OK)
        verified_add(&s->worker->verified, job->mark, session_now(s));
    if (take_result(s, NULL, &job->result, (struct span){job->text, job->user_len}, &next))
        next = go_on(s);
    if (next == STEP_AGAIN)
        session_drive(s);
    else if (next == STEP_YIELD)
        worker_queue(s->worker, s);
}

/* proxy/step_auth.c: who asks.  Comes into play when a rule wants to know: without credentials, or
 * with such as are not accepted, the client gets a 407 with what is offered; else the rules are
 * asked once more, with the user.
 *
 * Nearly every login is settled at once, and leaves nothing behind but a name; three kinds wait in
 * STATE_LOGIN (step_login.c).
 *
 * Why a login failed stands in the record only.  What a client is told is the same for unknown
 * users and wrong passwords. */
#include "proxy/login.h"

#include <string.h>

#include "base/clock.h"
#include "policy/attempts.h"
#include "proxy/passwords.h"
#include "proxy/worker.h"
#include "wire/authn.h"

#define CHALLENGES_MAX 4096u /* bytes of all Proxy-Authenticate lines */
#define NAME_SHOWN 128       /* bytes of a refused name in the evidence */

static const struct session_refusal not_accepted = {
    .verdict = VERDICT_AUTH_FAILED,
    .reason = "credentials not accepted",
};

/* The time of nonces: the wall clock's when the table was made, and what went by since.  A wall
 * clock that is put back would have all new nonces older than those whose counts were forgotten,
 * and so stale; one that is put forward would have all old ones expire at once. */
static uint64_t nonce_ms(const struct session *s)
{
    return (session_now(s) + s->worker->shared->nonces_ahead_ns) / NS_PER_MS;
}

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

    nonce_make(w->shared->nonces, nonce_ms(s), nonce);
    n = authn_write_offer(&offer, out, cap - 1);
    out[n] = '\0';
    return n ? out : NULL;
}

enum step login_end_reloaded(struct session *s)
{
    return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "the configuration changed");
}

enum step login_refuse(struct session *s, const struct session_refusal *r)
{
    char text[CHALLENGES_MAX];
    bool asks = verdict_get_info(r->verdict)->status == 407;

    if (asks && !s->worker->accounts)
        return login_end_reloaded(s);
    return session_end_login(s, r, asks ? write_challenges(s, r->stale, text, sizeof text) : NULL);
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
    return !l->expects && (l->body.kind != BODY_LENGTH || l->body.total <= LOGIN_BODY_MAX);
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
        return login_refuse(s, r);
    s->login->refusal = *r;
    return wait_for(s, LOGIN_DISCARD);
}

/* ---- what came of credentials */

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

    if (nonce_ms(s) > r->nonce_made_ms &&
        nonce_ms(s) - r->nonce_made_ms > config->nonce_ns / NS_PER_MS / 2) {
        nonce_make(s->worker->shared->nonces, nonce_ms(s), nonce);
        next.len = sizeof nonce;
    }
    n = accounts_write_info(r->account, c, next, line + at, sizeof line - at - 3);
    if (n == 0)
        return;
    memcpy(line + at + n, "\r\n", 3);
    if (session_login_get(s))
        flow_set_text(&s->login->info, line);
}

bool login_take_result(struct session *s, const struct http1_head *h,
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
        return login_take_result(s, h, r, c->user, next);
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
    return r.hash ? check_slowly(s, h, c, &r, next) : login_take_result(s, h, &r, c->user, next);
}

/* ---- Digest */

bool login_check_digest(struct session *s, const struct http1_head *h,
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
        .now_ms = nonce_ms(s),
        .nonce_lifetime_ms = config->nonce_ns / NS_PER_MS,
    };
    struct accounts_result r;

    if (c->qop == AUTHN_QOP_AUTH_INT)
        request.body = (struct span){hex, digest_hex_of(c->algorithm, &body, 1, hex)};
    accounts_check_digest(s->worker->accounts, s->worker->shared->nonces, c, &request, &r);
    if (!login_take_result(s, h, &r, counted_name(s, c), next))
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
    if (s->login->body.kind == BODY_LENGTH && s->login->body.total > LOGIN_BODY_MAX)
        return session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, 413, NULL,
                              "auth-int takes bodies up to %u bytes", LOGIN_BODY_MAX);
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
        ok = login_check_digest(s, h, &c, (struct span){"", 0}, next);
    }
    explicit_bzero(&c, sizeof c); /* Basic's password among it */
    return ok;
}

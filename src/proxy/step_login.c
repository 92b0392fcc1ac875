/* proxy/step_login.c: a login that waits.  One whose account has a slow hash, which another thread
 * computes; one whose proof covers the body (auth-int), which is read first; and a refused one with
 * a small body, which is read away so that the connection can be kept. */
#include "proxy/login.h"

#include <errno.h>

#include "proxy/passwords.h"
#include "proxy/worker.h"
#include "wire/authn.h"

/* ---- what is kept of it */

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
    room = buf_reserve(&s->in, LOGIN_BODY_MAX / 4);
    if (!room) {
        *next = session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
        return false;
    }
    n = conn_read(&s->client, room, LOGIN_BODY_MAX / 4);
    if (n > 0) {
        buf_commit(&s->in, (size_t)n);
        return true;
    }
    if (n == -EAGAIN)
        return false;
    flow_evidence(&s->flow, "client: %s inside the request body",
                  n ? verdict_errno_text((int)-n) : "FIN");
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
        if (parsed != PARSE_MORE || s->login->body.payload > LOGIN_BODY_MAX)
            break;
        if (!read_more(s, &next))
            return next;
    }
    s->unread = parsed != PARSE_OK;
    return login_refuse(s, &refusal);
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
        return login_end_reloaded(s);
    h = session_parse_again(s, &s->login->head);
    buf_init(&copy, LOGIN_BODY_MAX);
    authn_parse_credentials(http1_find_field(h, FIELD_PROXY_AUTHORIZATION)->value, &c);
    loop_touch(&s->worker->loop);
    s->step_ns = session_now(s);
    if (!find_content(s, h, &copy, &content)) {
        buf_fini(&copy);
        return session_end(s, VERDICT_OVERLOADED, SIDE_PROXY, "out of memory");
    }
    ok = login_check_digest(s, h, &c, content, &next);
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
        if (l->body.payload > LOGIN_BODY_MAX || l->seen > 2 * LOGIN_BODY_MAX)
            return session_end_as(s, VERDICT_BAD_REQUEST, SIDE_PROXY, 413, NULL,
                                  "auth-int takes bodies up to %u bytes", LOGIN_BODY_MAX);
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
        return login_refuse(s, &refusal);
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
    if (login_take_result(s, NULL, &job->result, (struct span){job->text, job->user_len}, &next))
        next = go_on(s);
    if (next == STEP_AGAIN)
        session_drive(s);
    else if (next == STEP_YIELD)
        worker_queue(s->worker, s);
}

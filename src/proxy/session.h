/* proxy/session.h - one client connection, from accept to close: the machine that drives its flows.
 *
 * A kept-alive client is one session with several flows; a flow begins with the first byte of a
 * request and ends once, in session_end.  States are the proxy's own and finer than phases; the
 * table in session.c says where each lies, what its deadline is and which step drives it.
 *
 * A step does one thing and returns: STEP_AGAIN (call the state's step again), STEP_WAIT (an event
 * or the timer will come), STEP_YIELD (more to do, after the others had their turn), STEP_DONE (the
 * session was retired: touch it no more). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"
#include "flow/judge.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/pump.h"
#include "net/resolve.h"
#include "net/wheel.h"
#include "policy/access.h"
#include "policy/limits.h"
#include "policy/login.h"
#include "proxy/hop.h"
#include "proxy/pool.h"
#include "wire/authority.h"
#include "wire/body.h"

struct worker;
struct watch;
struct http1_head;
struct password_job;

enum step { STEP_AGAIN, STEP_WAIT, STEP_YIELD, STEP_DONE };

enum session_state {
    STATE_IDLE,    /* no request has begun: a fresh or a kept-alive connection */
    STATE_REQUEST, /* a request head is coming in */
    STATE_LOGIN,   /* a login waits for a slow hash or for the request's body */
    STATE_RESOLVE, /* the target's name is being looked up */
    STATE_CONNECT, /* the target is being dialled */
    STATE_FORWARD, /* plain HTTP, or CONNECT to a parent: the request goes out, the answer comes
                      back */
    STATE_HELLO,   /* a tunnel whose first bytes are watched for TLS */
    STATE_TUNNEL,  /* a tunnel whose bytes are moved */
    STATE_ANSWER,  /* our own answer goes out */
    STATE_LINGER,  /* answered for good: reads on a little, so that the answer is not lost (RFC
                      9112 9.6) */
    STATE_CUT,     /* RST is to follow what the client is still to get */
    STATE_COUNT
};

/* What an exchange with a parent has besides (via_parent.c). */
struct parent_call {
    struct login_try login; /* our credentials there */
    struct buf again;       /* the bytes of the request's body that were sent, for a second time */
    struct body refused;    /* the body of a 407, which is read away */
    uint64_t ask_ns;        /* until then the body waits for 100 (Expect); 0: it does not wait */
    bool asks;              /* Expect is ours: the client does not hear of the 100 */
    uint64_t wait_ns;       /* until then another flow may try the password first; 0: not */
    bool drops;             /* `refused` is being read */
    bool no_again;          /* more of the body was sent than is kept */
    bool is_refusal;        /* the response says of the parent, not of the target: */
    uint8_t verdict, by, certainty;
};

/* One plain-HTTP request and its response, or a CONNECT that asks a parent; there only while they
 * last. */
struct exchange {
    struct buf head;     /* the request head as sent on, kept until an answer begins */
    struct buf response; /* a response head that has not come whole */
    struct body up, down;
    struct pump_way way_up, way_down;
    uint64_t begin_ns; /* when there was a link for it, first */
    uint64_t sent_ns;  /* when the request was sent whole; 0: not yet */
    uint16_t status;   /* of the response; 0: none yet */
    uint8_t method;    /* enum http1_method */
    bool head_sent;
    bool may_retry;                  /* idempotent, without body, on a link that was used before */
    bool redialled;                  /* that link was dead: only a new one now */
    bool client_keeps, target_keeps; /* the connection is kept afterwards */
    bool client_is_10, dechunk;
    bool upgrade;       /* the request asks for another protocol */
    bool expects;       /* Expect: 100-continue */
    bool bind_link;     /* NTLM or Negotiate was spoken */
    bool upstream_gone; /* the target cannot be written to any more; its answer may still come */
    struct parent_call parent;
};

#define SESSION_INFO_MAX 1024 /* bytes of a Proxy-Authentication-Info line with its NUL */
#define SESSION_TRIES 4       /* addresses dialled at the same time */

/* A dial under way. */
struct session_dial {
    struct dial dial;
    struct link *links[SESSION_TRIES]; /* NULL: free */
};

/* What a login comes to that is not accepted. */
struct session_refusal {
    enum verdict verdict;
    bool stale;         /* the password was right: the challenge says stale=true */
    unsigned wait_s;    /* Retry-After; 0: none */
    const char *reason; /* for the client, who is not told why; static */
    const char *why;    /* for record and log; static */
};

enum session_login_wait {
    LOGIN_BODY,     /* for the body, which is part of the proof (auth-int) */
    LOGIN_PASSWORD, /* for a slow hash */
    LOGIN_DISCARD,  /* for the end of a small body, so that the refusal keeps the connection */
};

/* What logging in leaves behind for a while; an idle tunnel has none of it. */
struct session_login {
    /* a login that cannot be settled at once */
    bool waits;                     /* there is one: */
    uint8_t wait;                   /* enum session_login_wait */
    bool expects;                   /* Expect: 100-continue: the body comes when it is asked for */
    struct buf head;                /* the request's head as it came, to be parsed again */
    struct body body;               /* its framing */
    uint32_t seen;                  /* bytes of s->in that `body` has taken */
    struct session_refusal refusal; /* once it is refused */
    /* one that was accepted */
    char *info; /* heap: the Proxy-Authentication-Info line that the answer takes along; NULL */
    /* a flow that ended in 407, until the request that answers it names it */
    uint64_t held_until_ns; /* 0: none is held */
    struct flow held;
};

struct session {
    struct worker *worker;
    struct conn client;
    struct link *link;           /* towards the target or the parent; NULL: none */
    struct hop *hop;             /* the parent that the flow goes through; NULL: direct */
    struct exchange *exchange;   /* NULL: a tunnel, or one that needs nobody's word */
    struct session_dial *dial;   /* NULL: not dialling */
    struct session_login *login; /* NULL: nothing is left of a login */
    struct watch *watch;         /* NULL: no byte was said yet, or it is not TLS */
    struct resolve_query *query; /* NULL: no look-up is under way */
    struct wheel_timer timer;
    uint64_t deadline_ns; /* of the state; UINT64_MAX: none */
    uint64_t wake_ns;     /* earlier look, for throttling and the next dial; UINT64_MAX: none */
    uint64_t active_ns;   /* when bytes last moved */
    uint64_t left_ns;     /* FIN came before the answer: patience until then; UINT64_MAX */
    uint64_t step_ns;     /* when the step of `answer` under way began; of a tunnel: until when a
                           * ClientHello is waited for (sni match) */
    uint64_t fin_ns;      /* when a side of the tunnel sent the first FIN; 0: none did */
    struct list node;     /* in the worker's run or retired list */
    struct buf in;        /* bytes of the client that were read and not used yet */
    struct flow_limits limits;
    uint8_t state;         /* enum session_state */
    uint8_t sni;           /* enum access_sni of the rule */
    uint8_t listener;      /* number of the worker's listener */
    uint8_t refuse;        /* enum verdict to answer whatever is asked; 0 (ok): serve */
    uint8_t answer_format; /* enum answer_format, of the request's Accept */
    bool answer_language;  /* of its Accept-Language: Japanese */
    bool has_flow, queued, retired;
    bool counted, counted_client; /* in the shared connection counts */
    bool spare;                   /* sits on the worker's spare descriptor */
    bool no_memory;               /* one of the worker's reserve: there is no memory for another */
    uint32_t asked;               /* bytes of the tunnel up since the last ones down */
    uint32_t acked;               /* by both sides, when idle time was last over (modulo 2^32) */
    bool exempt_private;          /* the rule "private" does not apply to this target */
    bool closes;                  /* no further request on this connection */
    bool only_connect;            /* after a 407 to CONNECT: nothing but another CONNECT */
    bool unread;                  /* the request has a body that was not read */
    uint8_t fin_first;            /* enum side whose FIN came first */
    uint8_t broken_err;           /* errno of the socket that broke */
    bool splice_up, splice_down;  /* a tunnel's modes, between two calls */
    struct flow flow;
};

/* Makes the session of an accepted connection and drives it.  Short of memory it gets its 503;
 * false when not even that can be had: the connection was reset. */
bool session_accept(struct worker *w, unsigned listener, int fd, const struct endpoint *client,
                    enum verdict refuse, bool spare);

/* Runs steps until the session waits, yields or is retired. */
void session_drive(struct session *s);

/* Events: the bits of epoll for the client's socket or for a link; the timer. */
void session_client_event(struct session *s, uint32_t events);
void session_link_event(struct session *s, struct link *l, uint32_t events);
void session_timer(struct session *s);

/* The only way to change state: stamps the flow, rearms the deadline. */
enum step session_enter(struct session *s, enum session_state next);

/* When idle time is over: whether bytes that were handed on are still being taken, however slowly.
 * Then the deadline is moved a little, and they are looked at again. */
bool session_is_delivering(struct session *s);

/* Moves the deadline of the state; wakes the session at `wake_ns` if that is earlier. */
void session_set_deadline(struct session *s, uint64_t deadline_ns);
void session_set_wake(struct session *s, uint64_t wake_ns);

/* Begins a flow for a request whose first byte is here. */
void session_begin(struct session *s);

/* The only end of a flow.  Ends it with the verdict, the party, and a reason in a few words (NULL:
 * none); if no byte of an answer went out and the verdict has a status, the client is answered.
 * Links go back or are closed, the flow goes to the recorder, the session on to its next request,
 * to lingering, or is retired. */
enum step session_end(struct session *s, enum verdict v, enum side by, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with an answer other than the verdict's usual one: 0 or NULL keep that. */
enum step session_end_as(struct session *s, enum verdict v, enum side by, int status,
                         const char *error, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* The same for a login that was not accepted, with challenges (whole lines) where it is a 407.  The
 * client is told `reason`, the record has `why`.  The connection is kept where it can be, also
 * after a CONNECT. */
enum step session_end_login(struct session *s, const struct session_refusal *r,
                            const char *challenges);

/* Ends a flow that already answered (a tunnel, a transfer): `cut` shows the client a cut where
 * bytes were owed. */
enum step session_end_stream(struct session *s, struct ending e, bool cut);
/* The same where all that came is to reach the client before the RST, at which its own kernel would
 * forget what is under way. */
enum step session_end_short(struct session *s, struct ending e);

/* The same for chunks whose end never came: they are left without a last chunk, and the connection
 * ends. */
enum step session_end_unfinished(struct session *s, struct ending e);

/* Ends the flow with an answer that was made already; the client's connection is kept unless
 * s->closes. */
enum step session_answer(struct session *s, enum verdict v, const char *bytes, size_t n);

/* Ends the flow of an exchange whose response went out whole; keeps what can be kept. */
enum step session_end_exchange(struct session *s, struct ending e);

/* Gives back what only an exchange needs; its link stays. */
void session_drop_exchange(struct session *s);

/* Hands a held 407 over; `successor` is the flow that answers it, 0: none does. */
void session_settle_held(struct session *s, uint64_t successor);

/* Gives the session back at the end of the turn; ends no flow. */
enum step session_retire(struct session *s);

/* Ends the flow because a person said so: before an answer as if a rule had denied it, else by a
 * reset.  Both texts land in its record. */
void session_end_by_order(struct session *s, const char *who, const char *why);

/* Fills in the legs of `f` as they are now (those that are known already stay). */
void session_read_legs(const struct session *s, struct flow *f);

/* Draining: ends what is idle; at the end of patience, everything. */
void session_drain(struct session *s, bool now);

uint64_t session_now(const struct session *s);

/* Who is at the other end of the link. */
static inline enum side session_far(const struct session *s)
{
    return s->hop ? SIDE_PARENT : SIDE_TARGET;
}

/* The question to the access rules as far as the flow can tell it; `host` borrows from the flow. */
void session_query(const struct session *s, struct access_query *q);

/* Takes name, limits and terms of the rule that allowed the flow, and the report-only ones. */
void session_take_rule(struct session *s, const struct access_decision *d);
enum step session_deny(struct session *s, const struct access_decision *d);

/* How many bytes of one direction may move now under rate and size limit; 0: none, and a wake is
 * set. */
uint64_t session_allowance(struct session *s, bool up);
/* Whether max-upload or max-download is used up. */
bool session_is_full(const struct session *s, bool up);
/* Ends the flow over it, after its head went out. */
enum step session_end_full(struct session *s, bool up);

/* Hands the session's bytes to a tunnel: after the 200, and after a 101. */
enum step session_tunnel(struct session *s);
enum step session_tunnel_opaque(struct session *s);

/* The steps, one a state (step_*.c). */
enum step step_idle(struct session *s);
enum step step_request(struct session *s);
enum step step_login(struct session *s);
enum step step_resolve(struct session *s);
enum step step_connect(struct session *s);
enum step step_forward(struct session *s);
enum step step_hello(struct session *s);
enum step step_tunnel(struct session *s);
enum step step_answer(struct session *s);
enum step step_linger(struct session *s);
enum step step_cut(struct session *s);

/* Between the steps: the rule `asking` wants to know who it is (step_auth.c).  True: s->flow.user
 * is set; false: the flow was ended, or waits (*next). */
bool session_log_in(struct session *s, const struct http1_head *h, const struct access_rule *asking,
                    enum step *next);
/* A login that took its time was accepted: on with the request, whose head is used up; and a kept
 * head, parsed anew into the worker's (step_request.c). */
enum step session_logged_in(struct session *s, struct buf *head);
const struct http1_head *session_parse_again(struct session *s, const struct buf *head);
/* A slow hash came back, maybe for a flow that is over; the job stays the caller's. */
void session_password_checked(struct session *s, struct password_job *job);

/* s->login, made where it is missing (NULL: no memory); and given back once nothing of it is used.
 */
struct session_login *session_login_get(struct session *s);
void session_login_drop(struct session *s);
/* Ends a login that waits, forgets the line for the answer; a held flow stays. */
void session_login_end(struct session *s);
/* The line that the answer takes along, or NULL. */
const char *session_login_info(const struct session *s);

/* After authorization, towards the parent or the target (step_connect.c: `literal` NULL for a
 * target's name); a link is there (step_forward.c, step_tunnel.c; `behind`: bytes of the target
 * that came with a parent's 200); the links under way are dropped. */
enum step session_connect(struct session *s, const struct addr *literal);
enum step step_forward_start(struct session *s);
enum step step_tunnel_start(struct session *s, struct span behind);
void step_connect_abandon(struct session *s);

/* The request goes again on a new connection to the same address: session_redial because a kept
 * link was dead, which happens once. */
enum step session_redial(struct session *s);
enum step session_connect_anew(struct session *s);

/* Whether the client went away before the answer.  One that asked for a tunnel has, once it sends
 * FIN; one that asked plain HTTP may only have closed its half, as nc does, and gets a second of
 * patience. */
bool session_client_left(struct session *s);
enum step session_end_left(struct session *s);

/* Idle time ran out, or a deadline of the state: what to do is the state's (step_*.c). */
enum step step_login_timeout(struct session *s);
enum step step_tunnel_timeout(struct session *s);
enum step step_forward_timeout(struct session *s);
enum step step_connect_timeout(struct session *s);

/* check/probe.h - one walk to one URL: a session turned around.
 *
 *   resolve -> dial -> [hello: TLS to the proxy] -> ask -> answer -> [refusal]
 *                                             \-> tls -> exchange -> transfer -> close -> ended
 *
 * Each state lies in one phase of the flow that the probe makes; a 407 that is answered goes back
 * to `ask` (or to `dial`, where the proxy closed) inside the phase `answer`.  It waits for nobody:
 * the checker (check.c) drives many on one loop.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "check/capture.h"
#include "check/certificate.h"
#include "check/check.h"
#include "check/url.h"
#include "flow/flow.h"
#include "flow/judge.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/resolve.h"
#include "net/sock.h"
#include "net/wheel.h"
#include "policy/login.h"
#include "wire/body.h"
#include "wire/http1.h"
#include "wire/tap.h"
#include "wire/tlsrec.h"

struct check;

enum probe_state {
    PROBE_RESOLVE,  /* the name of the proxy, or of the target when direct, is being looked up */
    PROBE_DIAL,     /* its addresses are being tried */
    PROBE_HELLO,    /* TLS with the proxy itself */
    PROBE_ASK,      /* CONNECT or an absolute-form request goes out */
    PROBE_ANSWER,   /* its answer's head is awaited */
    PROBE_TLS,      /* TLS with the target */
    PROBE_EXCHANGE, /* the request to the target goes out, its head is awaited */
    PROBE_REFUSAL,  /* the body of an answer that says no is read, for what it says */
    PROBE_TRANSFER, /* the body comes */
    PROBE_CLOSE,    /* our FIN went out, theirs is awaited a little */
    PROBE_ENDED,
    PROBE_STATES
};

#define PROBE_TRIES 4                   /* addresses dialled at the same time */
#define PROBE_HEAD_MAX 65536            /* bytes of an answer's head */
#define PROBE_REFUSAL_MAX 16384         /* bytes kept of the body of a refusal */
#define PROBE_REFUSAL_NS (2 * NS_PER_S) /* for the body of an answer that says no */
#define PROBE_SLOW_NS (5 * NS_PER_S)    /* an answer that begins later earns a warning */
#define PROBE_CLOSE_NS 100000000ull     /* for the other side's FIN */

/* What makes one probe differ from another on the same way. */
struct probe_wish {
    uint32_t mss;     /* clamp of our segments and theirs, 0: none */
    bool small_hello; /* a ClientHello of under 400 bytes */
    bool proxy_tls;   /* TLS with the proxy, only to see whether its port speaks it */
    bool handshake;   /* no further than the target's handshake */
    uint16_t half;    /* payload bytes of a request that never ends, 1: as fit in a segment */
    uint16_t hello;   /* about the bytes of the ClientHello, 0: as many as browsers send */
    uint16_t pad;     /* bytes of the request head, 0: as it comes */
    uint32_t range;   /* bytes of the body that are asked for, 0: all */
    bool beside;      /* it goes beside another one, and its phases are nobody's business */
};

/* What was noticed that another probe could explain. */
struct probe_signs {
    bool tls_hung;  /* nothing came back for the ClientHello */
    bool tls_broke; /* the handshake ended in an alert, RST or FIN before the ServerHello */
    bool hole_up;   /* full-size segments of ours are sent again and again */
    bool hole_down; /* something behind a hole in what comes to us is here */
    bool mute; /* all we said was acknowledged, nothing full-size ever came, now nothing does */
    bool small_pass; /* and a probe with small segments came through meanwhile */
    bool cut;        /* the transfer ended early */
    bool proxy_mute; /* the proxy took the request and hung up without a byte */
    bool proxy_spoke_tls;
    uint32_t segment; /* bytes of our full segments then */
    uint64_t cut_ns;  /* since the first byte of the body */
    uint64_t cut_at;  /* bytes of the body that came */
};

struct probe {
    struct check *check;
    unsigned number; /* among the checker's probes: part of its references */
    unsigned url_number;
    uint32_t generation; /* of the connection */
    unsigned chosen;     /* the try that became the connection */
    const struct url *url;
    struct probe_wish wish;
    uint8_t state; /* enum probe_state */
    bool through_proxy;
    bool queued; /* in the checker's run list, by: */
    struct list node;
    struct resolve_query *query;
    struct dial dial;
    struct conn tries[PROBE_TRIES]; /* fd -1: free */
    uint8_t try_numbers[PROBE_TRIES];
    struct tap taps[PROBE_TRIES]; /* their packets, where a capture is wanted */
    bool tap_holds;               /* a handshake's packets wait for their secrets */
    struct conn conn;             /* the one that is used */
    struct tls *outer;            /* TLS with the proxy, while conn.tls is the one inside it */
    struct wheel_timer timer;
    uint64_t deadline_ns;  /* of the whole probe */
    uint64_t state_ns;     /* since when it is in this state */
    uint64_t heard_ns;     /* when bytes last came; 0: none did on this connection */
    uint64_t sent_ns;      /* when the last request or hello went out */
    uint64_t body_ns;      /* when the head was here and the body began */
    uint64_t head_wait_ns; /* how long the head of the answer took */
    struct buf in;         /* bytes that came and were not used yet */
    struct buf head;       /* of an answer that says no, and */
    struct buf refusal;    /* its body, as far as it is kept */
    struct body down;
    struct login_try login;
    uint8_t rounds;    /* requests answered with 407 */
    bool draining;     /* the body of a 407 is read, to ask again behind it */
    bool reused;       /* the request went out behind a 407 on the same connection */
    bool asked_target; /* the request to the target was written */
    uint8_t interims;  /* answers of 1xx that came first */
    bool denied;       /* the ending is known, and only the page of the 407 is read */
    bool finishing;    /* the ending is known, and only the close is awaited */
    bool saving;       /* the body goes to the checker's download */
    struct ending ending;
    struct tlsrec records; /* of what comes from the target */
    char first[64];        /* its first bytes */
    uint8_t first_len;
    bool tls_begun;
    uint32_t half_last, half_sent;  /* bytes of the request that never ends: its last write, all */
    uint32_t tls_hello;             /* bytes of the ClientHello, 0: none was sent */
    struct certificate certificate; /* the target's */
    struct probe_signs signs;
    struct sock_info info; /* of the connection, last read */
    struct flow flow;
    uint16_t status; /* of the head that was read last */
    char *location;  /* heap: of a redirect; NULL */
    void (*on_end)(struct probe *p);
    void *owner;
};

/* Begins; all is the caller's but what the probe makes itself.  on_end is called once, from within
 * any of these functions, with the flow ended. */
void probe_start(struct probe *p);
void probe_drive(struct probe *p);
void probe_event(struct probe *p, unsigned which, uint32_t events); /* which: try, or PROBE_TRIES */
void probe_timer(struct probe *p);

/* Ends it as if its time were over: a probe beside it has shown why nothing comes. */
void probe_give_up(struct probe *p);

/* Another write of the request that never ends (wish.half), so many bytes long. */
void probe_send_half(struct probe *p, uint32_t n);

/* For how long nothing came since the last word of either side, in ns. */
uint64_t probe_quiet_ns(const struct probe *p);

/* Ends it where it stands (a key was pressed): `open`. */
void probe_stop(struct probe *p);

/* Frees what it holds, the flow too unless it was moved out. */
void probe_fini(struct probe *p);

/* ---- between the probe's own files */

enum probe_next { PROBE_AGAIN, PROBE_WAIT };

uint64_t probe_now(const struct probe *p);
enum probe_next probe_enter(struct probe *p, enum probe_state next);

/* Ends the flow in the phase that is open. */
enum probe_next probe_end(struct probe *p, enum verdict v, enum side by, enum certainty c,
                          const char *fmt, ...) __attribute__((format(printf, 5, 6)));
enum probe_next probe_end_as(struct probe *p, struct ending e);
enum probe_next probe_end_reset(struct probe *p, const char *where); /* "after the hello" */

/* Who is at the other end of the connection, as far as one sees. */
enum side probe_far(const struct probe *p);

/* Reads into p->in, or into the checker's buffer alone: bytes, 0 at the end, -EAGAIN, -errno. */
ssize_t probe_read(struct probe *p);
ssize_t probe_read_straight(struct probe *p);
int probe_send(struct probe *p, const char *bytes, size_t n);
/* The same with other bytes, as many, in the capture. */
int probe_send_as(struct probe *p, const char *bytes, const char *shown, size_t n);

/* Tells how much of the body is here. */
void probe_tell_bytes(const struct probe *p);

/* All that was wanted is here: the close. */
enum probe_next probe_close_well(struct probe *p);

/* The connection ended or failed: err 0 is FIN. */
enum probe_next probe_broken(struct probe *p, int err);
/* Why the TLS of the connection broke, into `out`, which is returned: an alert by its name, or the
 * library's own words. */
const char *probe_tls_reason(const struct probe *p, char *out, size_t cap);
/* As evidence, where it is so: the target wanted a client certificate. */
void probe_note_asked(struct probe *p);

/* Whether nothing came for so long that it is no slowness any more. */
bool probe_is_silent(const struct probe *p);

/* Notes a hole that TCP_INFO showed (probe.signs) as evidence; false when there is none. */
bool probe_note_hole(struct probe *p);

/* Sets the timer for what is awaited in this state. */
void probe_arm(struct probe *p);

/* Gives up what is open: tries under way; the connection, so that another may follow. */
void probe_close_tries(struct probe *p);
void probe_hang_up(struct probe *p, bool reset);

/* The proxy closed after its 407: the same address again. */
enum probe_next probe_redial(struct probe *p);

/* How much of the body came until now, and in which time, as evidence of a cut. */
void probe_note_count(struct probe *p);

/* The steps (probe_dial.c, probe_tls.c, probe_http.c, probe_body.c). */
enum probe_next probe_step_resolve(struct probe *p);
enum probe_next probe_step_dial(struct probe *p);
enum probe_next probe_step_hello(struct probe *p);
enum probe_next probe_step_ask(struct probe *p);
enum probe_next probe_step_answer(struct probe *p);
enum probe_next probe_step_tls(struct probe *p);
enum probe_next probe_step_exchange(struct probe *p);
enum probe_next probe_step_refusal(struct probe *p);
enum probe_next probe_step_transfer(struct probe *p);
enum probe_next probe_step_close(struct probe *p);

/* What it means that time is over in a state of these files. */
enum probe_next probe_resolve_late(struct probe *p);
enum probe_next probe_dial_late(struct probe *p);
enum probe_next probe_tls_late(struct probe *p);
enum probe_next probe_http_late(struct probe *p);

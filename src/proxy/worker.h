/* proxy/worker.h - one thread, one loop: accept, dispatch, deadlines, retire.
 *
 * A worker owns its loop, wheel, slabs, resolver, pools and pipes; nothing of it is locked.  Others
 * reach it through its mailbox only (a new configuration, a connection handed over, a stop). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/ring.h"
#include "base/slab.h"
#include "config/config.h"
#include "net/loop.h"
#include "net/pump.h"
#include "net/resolve.h"
#include "net/wheel.h"
#include "policy/trial.h"
#include "policy/verified.h"
#include "proxy/heal.h"
#include "proxy/pool.h"
#include "proxy/recorder.h"
#include "wire/http1.h"

struct hop;
struct session;
struct tls_context;
struct accounts;
struct attempts;
struct nonce_table;
struct passwords;
struct live_call;

/* What an event of the loop is for. */
enum worker_ref { REF_LISTENER = 1, REF_CLIENT, REF_LINK, REF_RESOLVER, REF_MAILBOX };

/* One listening socket of this worker, which closes it. */
struct worker_listener {
    int fd;                  /* -1: another worker accepts for this one */
    struct endpoint at;      /* as bound */
    struct tls_context *tls; /* NULL: plain; a reference of its own */
};

/* What is the same for all workers; owned by the server, outlives them. */
struct proxy_shared {
    struct recorder *recorder;
    struct limits_clients *clients;
    struct heal heal;
    /* for logging in; there before the first snapshot of accounts is mailed */
    struct nonce_table *nonces;
    uint64_t nonces_ahead_ns; /* add to the monotonic clock: the time that nonces are made at */
    struct attempts *attempts;
    struct trial trial;                  /* our own credentials at the parent */
    struct passwords *_Atomic passwords; /* NULL: no account has a slow hash */
    _Atomic uint32_t connections;        /* open client connections of all workers */
    _Atomic uint32_t connections_max;    /* `connections`, lowered to what descriptors allow */
    char pseudonym[32]; /* "viaduct-1a2b3c4d": Via and Proxy-Status, unique to each instance */
    uint64_t beat_ns;   /* a worker turns at least that often; 0: only when it must */
    unsigned workers_len;
    struct worker *workers;
    bool hand_round; /* one acceptor (worker 0) hands connections to all */
};

/* A message to a worker; it frees it. */
enum mail_kind { MAIL_CONFIG, MAIL_ACCOUNTS, MAIL_LISTENERS, MAIL_CLIENT, MAIL_DRAIN, MAIL_STOP };
struct mail {
    enum mail_kind kind;
    struct config *config;             /* CONFIG: a reference to keep */
    struct tls_context *parent_tls;    /* CONFIG: a reference to keep; NULL: none */
    struct accounts *accounts;         /* CONFIG, ACCOUNTS: a reference to keep; NULL: no logins */
    struct worker_listener *listeners; /* LISTENERS: heap array to keep */
    unsigned listeners_len;
    int fd;                 /* CLIENT */
    unsigned listener;      /* CLIENT: index */
    struct endpoint client; /* CLIENT */
    uint64_t at_ns;         /* DRAIN: monotonic end of patience */
};

#define WORKER_RESERVE 4

struct worker {
    unsigned number;
    pthread_t thread;
    struct proxy_shared *shared;
    struct config *config;     /* the snapshot in force */
    struct hop *hop;           /* the parent that it names; NULL: none */
    uint32_t hops;             /* serial of the last one */
    struct accounts *accounts; /* that of the accounts; NULL: without `authentication` */
    struct verified verified;  /* slow hashes that were computed a moment ago */
    struct loop loop;
    struct wheel wheel;
    struct pump pump;
    struct pool pool; /* idle connections to targets */
    struct resolver *resolver;
    struct slab sessions, exchanges, dials, logins;
    struct list run;     /* sessions that have more to do without an event */
    struct list retired; /* sessions to give back after the batch */
    struct worker_listener *listeners;
    unsigned listeners_len, next_worker; /* next_worker: whose turn when handing round */
    struct ring mail, mail_handed;       /* from the server; from worker 0 */
    struct ring mail_checked;            /* from the thread of passwords */
    struct ring mail_asked;              /* from who asks what we are doing (live.h) */
    unsigned checks;                     /* passwords that are out there */
    int mail_fd;
    int spare_fd;    /* given up to answer with when descriptors run out; -1: given up */
    bool spare_lent; /* a session sits on it */
    struct session *reserve[WORKER_RESERVE]; /* sessions to answer with when memory runs out */
    unsigned reserve_len;
    uint64_t warned_ns;       /* when the lack of descriptors was last told */
    uint64_t accept_again_ns; /* when paused listeners are tried again; UINT64_MAX: none is */
    uint64_t drain_end_ns;    /* draining until then; 0: not draining */
    bool stop;
    uint64_t id_state;      /* of flow ids */
    uint64_t minute_end_ns; /* wall time until which `week_minute` holds */
    int week_minute;        /* local time: minutes since Monday 00:00 */
    char *out;              /* PUMP_BUFFER bytes: heads and answers are written here */
    struct http1_head head; /* the head being parsed; not kept between two steps */
    struct span head_text;  /* its bytes, in the pump's buffer */
    _Atomic uint64_t beats; /* turns of the loop, for the watchdog */
};

/* Prepares worker `number` with this snapshot and what TLS to its parent needs (NULL: nothing);
 * takes references; 0 or -errno. */
int worker_init(struct worker *w, struct proxy_shared *shared, unsigned number,
                struct config *config, struct tls_context *parent_tls);
void worker_fini(struct worker *w);

/* The thread: turns until told to stop.  `arg` is the worker. */
void *worker_run(void *arg);

/* What the resolver needs of a snapshot. */
struct resolve_config worker_resolve_config(const struct config *c);

/* One turn: waits until `until_ns` at most, serves what is ready.  Tests call it without a thread.
 */
void worker_turn(struct worker *w, uint64_t until_ns);

/* From other threads: false when the mailbox is full (the message is still the caller's). */
bool worker_send(struct worker *w, struct mail *mail);

/* From the one thread that asks: a question, whose reference goes to the worker.  False when it has
 * not answered those before. */
bool worker_ask(struct worker *w, struct live_call *call);

/* For sessions: to be driven again in this turn; to be given back after it. */
void worker_queue(struct worker *w, struct session *s);
void worker_retire(struct worker *w, struct session *s);

/* Closes the connection of a client that was told that descriptors ran out, and has its slot as the
 * spare again in the same moment: between a close and an open another connection would take it. */
void worker_take_spare(struct worker *w, struct conn *c);

/* Brings week_minute up to the wall clock. */
void worker_tell_time(struct worker *w);

/* The next flow id: unique in this process, unlikely to be met again in another. */
uint64_t worker_next_id(struct worker *w);

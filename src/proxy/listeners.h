/* proxy/listeners.h - the listening sockets of all workers: opened, kept over a reload, handed out.
 *
 * Each address has one socket a worker (SO_REUSEPORT), or one for all when systemd brought it.
 * Set-up code; the server's thread. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "config/config.h"
#include "proxy/worker.h"

struct tls_context;

struct listeners {
    struct listeners_one {
        struct endpoint asked, at; /* as configured; as bound (a port that the kernel gave) */
        uint32_t mss;
        struct tls_context *tls; /* NULL: plain */
        char *certificate, *key; /* what `tls` was loaded from */
        int *fds;                /* one a worker; -1: not this worker's */
    } * all;
    unsigned len, workers;
};

/* Whether every certificate and key can be used: false with *err naming file, line and the nearest
 * fix. */
bool listeners_check(const struct config_listener *asked, unsigned len, struct err *err);

/* Opens the listeners asked for, sharing what is the same in `old` (may be NULL).  On failure
 * nothing was opened, `old` is untouched and *err says why. */
bool listeners_open(struct listeners *l, const struct config_listener *asked, unsigned len,
                    unsigned workers, const struct listeners *old, struct err *err);

/* Takes the `n` sockets that the service manager opened, from NOTIFY_FIRST_FD on: all connections
 * come to worker 0, which hands them round.  A listener asked for with the same port lends its
 * certificate. */
bool listeners_inherit(struct listeners *l, unsigned n, const struct config_listener *asked,
                       unsigned len, unsigned workers, struct err *err);

/* The array for worker `w`, for it to keep; NULL: no memory. */
struct worker_listener *listeners_of_worker(const struct listeners *l, unsigned w, unsigned *len);

/* Frees the list; the sockets are the workers'.  `close_all`: closes them too (no worker has them).
 */
void listeners_fini(struct listeners *l, bool close_all);

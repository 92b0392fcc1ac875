/* proxy/server.h - the proxy as a whole: start, reload, stop: listeners, workers, signals.
 *
 * Runs on the thread that calls it, which serves no traffic: it waits for signals, follows this
 * machine's own addresses and feeds the watchdog. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "config/config.h"

struct door;

/* Who runs beside the proxy, on a thread of its own that it makes: the console.  Both are called on
 * the server's thread; NULL: nobody. */
struct server_company {
    void *owner;
    /* The workers run, privileges are dropped.  False with *err: the proxy does not start. */
    bool (*start)(void *owner, struct door *door, struct err *err);
    /* Before the workers end; from its return on the door is not used any more. */
    void (*stop)(void *owner);
};

struct server_options {
    const char *config_path; /* NULL: the default place, or the built-in defaults */
    const char *listen;      /* -l ADDR:PORT in place of the file's listeners; NULL: none */
    struct server_company company;
};

/* Runs until told to stop; takes over the reference to `config`.  False with *err when it cannot
 * start. */
bool server_run(const struct server_options *options, struct config *config, struct err *err);

/* config/access_test.h - which access rule would decide, without sending anything: for `viaduct
 * access test` and the console. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "config/config.h"
#include "wire/authority.h"

struct access_test {
    const char *client, *target; /* an address; HOST:PORT (443 when left out) or a URL */
    const char *user, *method;   /* NULL: not logged in; CONNECT, or GET for an http URL */
};

/* What came of it.  The rules live as long as the configuration. */
struct access_answer {
    struct access_decision decision;
    struct authority at;
    char method[33];
    struct access_query query; /* borrows from `at`, `method` and the question */
};

/* Asks the rules of *c.  The machine's own addresses are learnt before, where they were not
 * (access_test_learn).  False with *err: the client is no address, the target none. */
bool access_test_ask(const struct config *c, const struct access_test *t, struct access_answer *out,
                     struct err *err);

/* Writes it for people: "allowed: CONNECT a.test:443 from 127.0.0.1", the rule that decided, and
 * every other rule that matches or may. */
bool access_test_write(const struct config *c, const struct access_test *t,
                       const struct access_answer *a, struct buf *out);

/* "allowed", "denied", "login needed", "depends on the address". */
const char *access_test_word(enum access_outcome outcome);

/* This machine's addresses count as loopback: reads them, for who is not the proxy, which follows
 * them. */
void access_test_learn(void);

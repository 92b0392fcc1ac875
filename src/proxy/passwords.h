/* proxy/passwords.h - slow password hashes, computed on a thread of their own.
 *
 * A worker hands a job over through its ring and gets it back through another; it never waits. Each
 * ring has one producer and one consumer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slab.h"
#include "policy/accounts.h"
#include "policy/verified.h"

struct worker;
struct passwords;

/* One password to be held against one hash; on the heap, of whoever has it. */
struct password_job {
    struct slab_slot session;      /* who waits for it; a late answer finds another generation */
    uint64_t flow;                 /* and for which flow */
    struct accounts *accounts;     /* a reference: what `result` points into */
    struct accounts_result result; /* undecided; settled when it comes back */
    unsigned char mark[VERIFIED_MARK_LEN];
    size_t user_len, password_len;
    char text[]; /* the name as it came, then the password, wiped as soon as it is not needed */
};

#define PASSWORDS_OPEN_MAX 64 /* jobs of one worker that are out; a power of two */

/* NULL when memory is out. */
struct password_job *password_job_new(struct accounts *accounts, const struct accounts_result *r,
                                      struct span user, struct span password);
void password_job_free(struct password_job *j); /* NULL is fine */

/* Starts the thread for that many workers; NULL with *err set. */
struct passwords *passwords_new(struct worker *workers, unsigned workers_len, struct err *err);

/* Ends it, at the latest after the hash under way: when the workers have ended. */
void passwords_free(struct passwords *p); /* NULL is fine */

/* Of worker `w`: false when the ring is full; the job is still the caller's. */
bool passwords_send(struct passwords *p, unsigned w, struct password_job *job);

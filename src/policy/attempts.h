/* policy/attempts.h - wrong passwords by client and user, counted by all workers without a lock.
 *
 * A pair that failed ATTEMPTS_MAX times within ATTEMPTS_SPAN_S of its first failure has to wait for
 * the rest of that time.  The table is of fixed size; where it is full, the pair with the fewest
 * failures makes room, so that who fails under many names does not wash his own count away.  Time
 * is an argument, monotonic nanoseconds.  Any thread. */
#pragma once

#include <stdint.h>

#include "base/endpoint.h"
#include "base/span.h"

#define ATTEMPTS_MAX 10u
#define ATTEMPTS_SPAN_S 60u

struct attempts;

struct attempts *attempts_new(void); /* NULL: no memory */
void attempts_free(struct attempts *a);

/* Counts a failure.  An IPv6 client is its /64. */
void attempts_add(struct attempts *a, const struct addr *client, struct span user, uint64_t now_ns);

/* Seconds that the pair has to wait, 0: it may try. */
unsigned attempts_wait_s(const struct attempts *a, const struct addr *client, struct span user,
                         uint64_t now_ns);

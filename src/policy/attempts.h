/* policy/attempts.h - wrong passwords by client and user, counted by all workers without a lock.
 *
 * A pair that failed ATTEMPTS_MAX times within ATTEMPTS_SPAN_S of its first failure has to wait for
 * the rest of that time; so has a client that failed ATTEMPTS_CLIENT_MAX times, under however many
 * names.  The table is of fixed size; where it is full, who has the fewest failures makes room, so
 * that who fails under many names does not wash his own count away.  Time is an argument, monotonic
 * nanoseconds.  Any thread. */
#pragma once

#include <stdint.h>

#include "base/endpoint.h"
#include "base/span.h"

#define ATTEMPTS_MAX 10u
#define ATTEMPTS_CLIENT_MAX 100u /* many users may share an address */
#define ATTEMPTS_SPAN_S 60u

struct attempts;

struct attempts *attempts_new(void); /* NULL: no memory */
void attempts_free(struct attempts *a);

/* Counts a failure.  An IPv6 client is its /64. */
void attempts_add(struct attempts *a, const struct addr *client, struct span user, uint64_t now_ns);

/* Seconds that this user has to wait at this client, 0: he may try. */
unsigned attempts_wait_s(const struct attempts *a, const struct addr *client, struct span user,
                         uint64_t now_ns);

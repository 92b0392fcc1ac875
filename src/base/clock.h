/* base/clock.h - monotonic and wall time in nanoseconds.
 *
 * Time is an argument everywhere else: only net/loop, the threads that wait, and cli/ call these.
 */
#pragma once

#include <stdint.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

uint64_t clock_mono_ns(void); /* since some point in the past; never steps */
uint64_t clock_wall_ns(void); /* since 1970-01-01 UTC; may step */

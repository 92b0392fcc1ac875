/* tests/fuzz/fuzz.h - the one function of a fuzz target: never fails, aborts where an invariant is
 * broken. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of a target that has to reach all of something: whether its corpus does, asked after it. */
bool fuzz_has_seen_all(void) __attribute__((weak));

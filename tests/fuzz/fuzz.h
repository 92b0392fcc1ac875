/* tests/fuzz/fuzz.h - the one function of a fuzz target: never fails, aborts where an invariant is
 * broken. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A key log: what is known of a connection does not depend on how the lines came. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "capture/secrets.h"
#include "fuzz.h"

/* What both know of the connection that a line names. */
static void compare(const struct secrets *a, const struct secrets *b, struct span line)
{
    const struct secrets_of *one, *other;
    unsigned char random[32];
    struct span hex;

    span_cut(&line, ' ');
    hex = span_cut(&line, ' ');
    if (!digest_parse_hex(hex, random, sizeof random))
        return;
    one = secrets_find(a, random);
    other = secrets_find(b, random);
    assert(!one == !other);
    if (!one)
        return;
    assert(memcmp(one, other, sizeof *one) == 0);
    assert(one->master.len == 0 || one->master.len == 48);
    for (int i = 0; i < 2; i++)
        assert(one->handshake[i].len <= 48 && one->traffic[i].len <= 48);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span all = {(const char *)data, size}, rest = all;
    struct secrets *whole = secrets_new(), *steps = secrets_new();

    assert(whole && steps);
    secrets_add(whole, all);
    for (size_t i = 0; i < size; i++)
        secrets_add(steps, (struct span){all.ptr + i, 1});
    while (rest.len > 0)
        compare(whole, steps, span_cut(&rest, '\n'));
    secrets_free(whole);
    secrets_free(steps);
    return 0;
}

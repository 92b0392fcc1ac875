/* A dump of sock_diag: ends in a known way, and what was read can be shown. */
#include <assert.h>
#include <stdlib.h>

#include "fuzz.h"
#include "host/sockets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockets all = {0};
    char text[ENDPOINT_TEXT_MAX];
    int got = sockets_parse(&all, (struct span){(const char *)data, size});

    assert(got <= 1 && got > -4096);
    for (size_t i = 0; i < all.len; i++) {
        const struct sockets_entry *e = &all.items[i];

        assert(endpoint_write(&e->local, text) > 0 && endpoint_write(&e->peer, text) > 0);
        assert(sockets_state_name(e->state) && e->pid == 0 && !*e->process);
        assert(e->unacked >= -1 && e->unacked <= e->send_queue && e->age_ms >= -1);
    }
    sockets_fini(&all);
    return 0;
}

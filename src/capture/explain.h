/* capture/explain.h - a capture in, flows out: the whole of it.
 *
 *   source -> conn (stream) -> dialog -> pair -> ending -> flow
 *
 * Packets are read once.  Flows come out as they end; a 407 waits up to 10 s of the capture's time
 * for the request that answers it, a transfer that was cut for another that was cut the same way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "capture/series.h"
#include "capture/source.h"
#include "flow/flow.h"

struct explain;

struct explain_options {
    struct capture_options capture; /* `secrets` and `owner` are set by explain itself */
    struct endpoint proxies[16];    /* -x; port 0, family 0: any */
    unsigned proxies_len;
    const char *keylog; /* a file with TLS secrets, NULL */
    bool plots;
    /* A flow is over.  It is the caller's to take (copy the struct and zero *f) or to leave; the
     * same goes for *plot (NULL without `plots`, freed by series_free with NULL). */
    void (*flow)(void *owner, struct flow *f, struct series **plot);
    void *owner;
};

struct explain_counts {
    uint64_t flows;
    uint64_t half_open_lost; /* SYNs without answer that were only counted */
    uint64_t evicted;        /* flows that were ended early: too many at once */
    uint64_t memory_peak;    /* bytes of all that was kept, for the curious */
};

struct explain *explain_new(const struct explain_options *o, struct err *err);

/* Reads on: at most `packets` of them.  1: there is more; 0: all was read and all flows are out;
 * -errno: reading failed (the flows so far are out). */
int explain_run(struct explain *e, unsigned packets);

/* Ends a live capture early: what is there is explained. */
void explain_stop(struct explain *e);

const struct capture_seen *explain_get_seen(const struct explain *e);
const struct explain_counts *explain_get_counts(const struct explain *e);
const struct capture_source *explain_get_source(const struct explain *e);
void explain_free(struct explain *e);

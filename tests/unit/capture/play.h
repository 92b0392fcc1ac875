/* tests/unit/capture/play.h - a script of packets played to a table of connections. */
#pragma once

#include "base/util.h"
#include "packets.h"

static struct packets packets;
static struct heard heard;

/* Plays a script from its first packet to its end; what was heard is in `heard`. */
static const struct conn_counts *play(const struct conn_options *o, const char *script)
{
    static struct conn_counts counts;
    struct conn_events events;
    struct conn_table *t;

    memset(&heard, 0, sizeof heard);
    events = heard_events(&heard);
    t = conn_table_new(o, &events);
    assert_non_null(t);
    packets_play(&packets, script, t);
    conn_table_finish(t, packets.begin_ns + 3600 * NS_PER_S);
    counts = *conn_table_get_counts(t);
    conn_table_free(t);
    return &counts;
}

/* render/html.h - flows as one page that needs nothing but itself: no script, no request, no font.
 *
 * Written in pieces, so that a page of a thousand flows is never in memory at once: html_begin,
 * then html_flow for each, then html_end.  Every text is escaped; the page's policy
 * (Content-Security-Policy) lets nothing run or load even if one were not.  Light and dark follow
 * the reader's system.  False when the buf's maximum was reached: nothing was added. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "flow/flow.h"
#include "render/svg.h"

/* What stands above the flows. */
struct html_page {
    uint64_t packets, tcp;
    bool is_text;               /* they are lines of a text */
    uint64_t first_ns, last_ns; /* wall clock; packets 0: not known */
    const char *const *names;   /* of the files, as they are shown */
    size_t names_len;
    const char *interface; /* of a live capture; NULL */
    uint64_t flows, failed, superseded;
    const uint64_t *verdicts; /* [VERDICT_COUNT]: flows */
    const uint64_t *warned;   /* [WARNING_COUNT]: flows that are fine but for this */
    const char *trouble;      /* lines about the capture, as they went to the terminal; "" */
    uint64_t shown;           /* how many flows follow */
};

bool html_begin(struct buf *out, const struct html_page *page);

/* One flow; `plot` NULL: nothing to plot.  `is_open`: unfolded. */
bool html_flow(struct buf *out, const struct flow *f, const struct svg_plot *plot, bool is_open);

bool html_end(struct buf *out);

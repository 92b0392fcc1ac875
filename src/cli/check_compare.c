#include "cli/check_compare.h"

#include <string.h>

#include "cli/check_report.h"
#include "render/escape.h"
#include "render/human.h"

#define WAY_WIDTH 26

static void write_cell(struct pen *p, const struct flow *f, enum phase phase)
{
    size_t from = pen_len(p);

    switch ((enum outcome)f->outcomes[phase]) {
    case OUTCOME_OK:
    case OUTCOME_FAILED:
        human_duration(p, f->phases[phase].duration_ns);
        if (f->outcomes[phase] == OUTCOME_FAILED)
            pen_text(p, " failed");
        break;
    case OUTCOME_NONE:
    case OUTCOME_SKIPPED:
    case OUTCOME_UNKNOWN:
    case OUTCOME_COUNT:
        pen_char(p, '-');
        break;
    }
    pen_pad_to(p, from, WAY_WIDTH);
}

static void write_row(struct pen *p, const char *title, const struct check_way *ways, unsigned len,
                      void (*cell)(struct pen *, const struct check_way *))
{
    size_t from = pen_len(p);

    pen_text(p, title);
    pen_pad_to(p, from, 12);
    for (unsigned i = 0; i < len; i++) {
        from = pen_len(p);
        cell(p, &ways[i]);
        pen_pad_to(p, from, WAY_WIDTH);
    }
    pen_char(p, '\n');
}

static void cell_name(struct pen *p, const struct check_way *w)
{
    pen_text(p, w->name);
}

static void cell_verdict(struct pen *p, const struct check_way *w)
{
    pen_text(p, verdict_get_info(w->flow->verdict)->name);
}

static void cell_status(struct pen *p, const struct check_way *w)
{
    if (w->flow->status)
        pen_u64(p, w->flow->status);
    else
        pen_char(p, '-');
}

static void cell_issuer(struct pen *p, const struct check_way *w)
{
    const char *issuer = w->flow->tls && w->flow->tls->issuer ? w->flow->tls->issuer : "-";

    escape_text(p, (struct span){issuer, strnlen(issuer, WAY_WIDTH - 2)});
}

static void cell_total(struct pen *p, const struct check_way *w)
{
    human_duration(p, w->flow->duration_ns);
}

/* The target's own answer is what the way was for. */
static bool is_through(const struct flow *f)
{
    return verdict_is_success(f->verdict) || f->verdict == VERDICT_TARGET_ERROR;
}

/* Of ways that do not all fail, the one that adds the failure: from the target's end, the parent
 * comes before the proxy.  0: only the direct one fails. */
static unsigned find_failing(const struct check_way *ways, unsigned len)
{
    for (unsigned i = len; i-- > 1;)
        if (!is_through(ways[i].flow))
            return i;
    return 0;
}

/* What the target does, a proxy passes on in words or in kind, or waits for as its client does. */
static bool may_be_targets(const struct flow *f)
{
    return f->ended_by == SIDE_TARGET || f->verdict == VERDICT_PROXY_SILENT ||
           f->verdict == VERDICT_STALLED || f->verdict == VERDICT_INCOMPLETE ||
           f->verdict == VERDICT_UPSTREAM_FAILED || f->verdict == VERDICT_RESET_BY_PROXY;
}

/* Whether the target's own failure is reason enough for all.  One that was not reached direct may
 * be shut off there, and proves nothing of a proxy that says nothing of it. */
static bool fails_by_target(const struct check_way *ways, unsigned len)
{
    bool reached = ways[0].flow->ended_in > PHASE_CONNECT,
         all = ways[0].flow->ended_by == SIDE_TARGET;

    for (unsigned i = 1; i < len; i++)
        all &= ways[i].flow->ended_by == SIDE_TARGET || (reached && may_be_targets(ways[i].flow));
    return all;
}

static void write_ending(struct pen *p, const struct flow *f)
{
    human_ending(p, f);
    if (f->reason) {
        pen_text(p, ", ");
        escape_text(p, span_of(f->reason));
    }
}

/* No way leads to the target. */
static void write_all_lost(struct pen *p, const struct check_way *ways, unsigned len)
{
    bool same = true;

    for (unsigned i = 1; i < len; i++)
        same &= ways[i].flow->verdict == ways[0].flow->verdict;
    if (same) {
        pen_text(p, "every way fails alike: it is the target, or this machine's own network\n");
    } else if (fails_by_target(ways, len)) {
        pen_text(p, "every way fails, and the target does so by itself: ");
        write_ending(p, ways[0].flow);
        pen_char(p, '\n');
    } else {
        pen_text(p, "every way fails, each for a reason of its own\n");
    }
}

/* Ways are: direct, through the proxy, through its parent. */
static void write_conclusion(struct pen *p, const struct check_way *ways, unsigned len)
{
    unsigned fine = 0, open = 0, failing;

    for (unsigned i = 0; i < len; i++) {
        fine += is_through(ways[i].flow);
        open += ways[i].flow->verdict == VERDICT_OPEN;
    }
    if (open > 0) { /* nobody knows what it would have come to */
        pen_text(p, "not every way was gone to its end\n");
        return;
    }
    if (fine == len) {
        pen_text(p, "every way leads to the target\n");
        return;
    }
    if (fine == 0) {
        write_all_lost(p, ways, len);
        return;
    }
    failing = find_failing(ways, len);
    pen_text(p, failing == 0 ? "only " : "");
    pen_text(p, ways[failing].name);
    if (failing == 0) {
        pen_text(p, " fails: ");
    } else if (failing == 2 && is_through(ways[1].flow)) {
        pen_text(p, " fails, and ");
        pen_text(p, ways[1].name);
        pen_text(p, " does without it: ");
    } else {
        pen_text(p, " adds the failure: ");
    }
    write_ending(p, ways[failing].flow);
    if (failing == 0 && ways[0].flow->ended_in <= PHASE_CONNECT)
        pen_text(p, "; as it should be where a proxy is the only way out");
    pen_char(p, '\n');
}

/* Another chain than the one seen direct: somebody between made it. */
static void write_interception(struct pen *p, const struct check_way *ways, unsigned len)
{
    const struct flow_tls *first = ways[0].flow->tls;

    for (unsigned i = 1; i < len; i++) {
        const struct flow_tls *t = ways[i].flow->tls;

        if (first && first->issuer && t && t->issuer && strcmp(first->issuer, t->issuer) != 0) {
            pen_text(p, ways[i].name);
            pen_text(p, " shows another certificate than ");
            pen_text(p, ways[0].name);
            pen_text(p, ", made by ");
            escape_text(p, span_of(t->issuer));
            pen_char(p, '\n');
        }
    }
}

bool check_compare_write(struct buf *out, const struct check_way *ways, unsigned len, bool coloured)
{
    struct pen p;

    pen_init_draft(&p, out);
    pen_text(&p, coloured ? "\x1b[1m" : "");
    escape_text(&p, span_of(ways[0].flow->url));
    pen_text(&p, coloured ? "\x1b[0m" : "");
    pen_text(&p, "\n\n");
    write_row(&p, "", ways, len, cell_name);
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        size_t from = pen_len(&p);

        pen_text(&p, phase_name(phase));
        pen_pad_to(&p, from, 12);
        for (unsigned i = 0; i < len; i++)
            write_cell(&p, ways[i].flow, phase);
        pen_char(&p, '\n');
    }
    write_row(&p, "total", ways, len, cell_total);
    write_row(&p, "status", ways, len, cell_status);
    write_row(&p, "issuer", ways, len, cell_issuer);
    write_row(&p, "verdict", ways, len, cell_verdict);
    pen_char(&p, '\n');
    write_conclusion(&p, ways, len);
    write_interception(&p, ways, len);
    return pen_end_draft(&p, out);
}

/* The way whose failure the conclusion is about, or `len`. */
static unsigned find_named(const struct check_way *ways, unsigned len)
{
    unsigned fine = 0;

    for (unsigned i = 0; i < len; i++) {
        fine += is_through(ways[i].flow);
        if (ways[i].flow->verdict == VERDICT_OPEN)
            return len;
    }
    return fine == len ? len : fine == 0 ? 1 : find_failing(ways, len);
}

bool check_compare_write_ways(struct buf *out, const struct check_args *args,
                              const struct check_way *ways, unsigned len, bool coloured)
{
    unsigned named = find_named(ways, len);
    struct pen p;

    pen_init_draft(&p, out);
    pen_char(&p, '\n');
    if (!pen_end_draft(&p, out) ||
        (named < len && !check_report_flow(out, &args[named], ways[named].flow, coloured)))
        return false;
    pen_init_draft(&p, out);
    for (unsigned i = 0; i < len; i++) {
        if (i == named)
            continue;
        pen_text(&p, ways[i].name);
        pen_text(&p, ", ");
        check_report_write_curl(&p, &args[i], ways[i].flow);
    }
    return pen_end_draft(&p, out);
}

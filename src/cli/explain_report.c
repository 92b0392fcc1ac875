/* What explain prints when nothing else is asked for:
 *
 * packets   1234, TCP 1200
 * time      2026-11-23T05:00:00.123456Z, 0:05:12
 * files     a.pcap
 * flows     12, failed 3
 *
 *   mtu-blackhole           2  Large packets vanish …
 *   ok                      9  The flow finished as both sides meant.
 *
 * #7 mtu-blackhole in tls by network (inferred): 4 segments of 1460 bytes unacknowledged
 *    CONNECT t.example:443 from 10.40.40.1:40220 through 10.10.10.1:80
 *    2026-11-23T05:00:01.000000Z, 12.3 s, up 1.8 KiB, down 0 B
 *    advice
 *    - evidence */
#include "cli/explain_report.h"

#include <stdlib.h>

#include "base/util.h"
#include "flow/words.h"
#include "render/date.h"
#include "render/escape.h"
#include "render/human.h"
#include "render/render.h"
#include "render/say.h"

#define LABEL_WIDTH 10
#define VERDICT_WIDTH 22 /* the longest is "upstream-unreachable" */
#define COUNT_WIDTH 8
#define EVIDENCE_MAX 4 /* lines of a block */
#define NAMES_MAX 8    /* files that are named */

enum ink { INK_PLAIN, INK_GOOD, INK_BAD, INK_WARN, INK_FAINT };

static void ink(struct pen *p, bool on, enum ink ink)
{
    static const char *const codes[] = {"\x1b[0m", "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m"};

    if (on)
        pen_text(p, codes[ink]);
}

static void write_number(struct pen *p, const char *msgid, uint64_t n)
{
    char number[SAY_NUMBER_MAX];

    say_words(p, escape_text, msgid, say_number(number, n), NULL);
}

/* ---- what was read */

static void write_span_of_time(struct pen *p, const struct capture_seen *seen)
{
    if (!seen->packets)
        return;
    say_label(p, N_("time"), LABEL_WIDTH);
    date_write_moment(p, seen->first_ns);
    pen_text(p, ", ");
    human_duration(p, seen->last_ns > seen->first_ns ? seen->last_ns - seen->first_ns : 0);
    pen_char(p, '\n');
}

static void write_names(struct pen *p, const struct explain_report *r)
{
    if (r->interface) {
        say_label(p, N_("interface"), LABEL_WIDTH);
        escape_text(p, span_of(r->interface));
    } else {
        say_label(p, N_("files"), LABEL_WIDTH);
    }
    for (size_t i = 0; i < r->names_len && i < NAMES_MAX; i++) {
        pen_text(p, i ? ", " : "");
        escape_text(p, span_of(r->names[i]));
    }
    if (r->names_len > NAMES_MAX)
        write_number(p, N_(" and {1} more"), r->names_len - NAMES_MAX);
    pen_char(p, '\n');
}

static void write_read(struct pen *p, const struct explain_report *r)
{
    say_label(p, r->seen->is_text ? N_("lines") : N_("packets"), LABEL_WIDTH);
    pen_u64(p, r->seen->packets);
    pen_text(p, ", TCP ");
    pen_u64(p, r->seen->tcp);
    pen_char(p, '\n');
    write_span_of_time(p, r->seen);
    write_names(p, r);
    say_label(p, N_("flows"), LABEL_WIDTH);
    pen_u64(p, r->keep->flows);
    write_number(p, N_(", failed: {1}"), r->keep->failed);
    pen_text(p, "\n");
}

/* ---- by verdict */

static int compare_verdicts(const void *a, const void *b)
{
    enum verdict left = *(const enum verdict *)a, right = *(const enum verdict *)b;
    unsigned bad = rank_of_verdict(left), worse = rank_of_verdict(right);

    if (bad != worse)
        return bad > worse ? -1 : 1;
    return left < right ? -1 : left > right;
}

static void write_verdict(struct pen *p, const struct explain_report *r, enum verdict v)
{
    const struct verdict_info *info = verdict_get_info(v);
    size_t from;

    pen_text(p, "  ");
    ink(p, r->colour, verdict_is_success(v) ? INK_GOOD : INK_BAD);
    from = pen_len(p);
    pen_text(p, info->name);
    pen_pad_to(p, from, VERDICT_WIDTH);
    ink(p, r->colour, INK_PLAIN);
    pen_digits(p, r->keep->verdicts[v], COUNT_WIDTH, ' ');
    pen_text(p, "  ");
    ink(p, r->colour, INK_FAINT);
    pen_text(p, words_local(info->cause));
    ink(p, r->colour, INK_PLAIN);
    pen_char(p, '\n');
}

static void write_warned(struct pen *p, const struct explain_report *r)
{
    bool any = false;

    for (unsigned i = 0; i < WARNING_COUNT; i++) {
        if (!r->keep->warned[i])
            continue;
        pen_text(p, any ? ", " : "  ");
        if (!any)
            say_label(p, N_("warnings, no failures:"), 1);
        pen_text(p, flow_warning_name(i));
        pen_char(p, ' ');
        pen_u64(p, r->keep->warned[i]);
        any = true;
    }
    if (any)
        pen_char(p, '\n');
}

static void write_verdicts(struct pen *p, const struct explain_report *r)
{
    enum verdict order[VERDICT_COUNT];

    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        order[i] = (enum verdict)i;
    qsort(order, VERDICT_COUNT, sizeof order[0], compare_verdicts);
    pen_char(p, '\n');
    for (unsigned i = 0; i < VERDICT_COUNT; i++)
        if (r->keep->verdicts[order[i]] && !(r->failed && verdict_is_success(order[i])))
            write_verdict(p, r, order[i]);
    if (r->failed)
        return;
    if (r->keep->superseded) {
        pen_text(p, "  ");
        write_number(p, N_("407 that was answered by credentials, no failure: {1}"),
                     r->keep->superseded);
        pen_char(p, '\n');
    }
    write_warned(p, r);
}

/* ---- flow by flow */

static void write_headline(struct pen *p, const struct flow *f, bool colour)
{
    pen_char(p, '#');
    pen_u64(p, f->id);
    pen_char(p, ' ');
    ink(p, colour, rank_is_failure(f) ? INK_BAD : INK_GOOD);
    human_ending(p, f);
    ink(p, colour, INK_PLAIN);
    if (f->reason && *f->reason) {
        pen_text(p, ": ");
        escape_text(p, span_of(f->reason));
    }
    pen_char(p, '\n');
}

static void write_who(struct pen *p, const struct flow *f)
{
    static const struct {
        const char *before;
        enum side side;
    } sides[] = {{" from ", SIDE_CLIENT}, {" through ", SIDE_PROXY}, {" to ", SIDE_TARGET}};

    pen_text(p, "   ");
    human_asked(p, f);
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        if (!human_has_side(f, sides[i].side))
            continue;
        pen_text(p, sides[i].before);
        human_side(p, f, sides[i].side);
    }
    pen_text(p, "\n   ");
    date_write_moment(p, f->start_ns);
    pen_text(p, ", ");
    human_duration(p, f->duration_ns);
    pen_text(p, ", up ");
    human_bytes(p, f->bytes_up);
    pen_text(p, ", down ");
    human_bytes(p, f->bytes_down);
    pen_char(p, '\n');
}

static void write_evidence(struct pen *p, const struct flow *f)
{
    char id[SAY_NUMBER_MAX], number[SAY_NUMBER_MAX];
    uint64_t left = 0;
    unsigned shown = 0;
    uint32_t at = 0;
    const char *text;

    while ((text = flow_next_note(f, NOTE_EVIDENCE, NULL, &at))) {
        if (f->reason && strcmp(f->reason, text) == 0)
            continue; /* it stands in the headline */
        if (shown == EVIDENCE_MAX) {
            left++;
            continue;
        }
        pen_text(p, "   - ");
        escape_text(p, span_of(text));
        pen_char(p, '\n');
        shown++;
    }
    if (!left)
        return;
    pen_text(p, "   - ");
    say_words(p, escape_text, N_("more: {1} (--flow {2} shows all)"), say_number(number, left),
              say_number(id, f->id), NULL);
    pen_char(p, '\n');
}

static void write_sentence(struct pen *p, const char *sentence)
{
    if (!*sentence)
        return;
    pen_text(p, "   ");
    escape_text(p, span_of(sentence));
    pen_char(p, '\n');
}

/* Cause and advice stand once where one flow after the other has the same. */
static void write_block(struct pen *p, const struct flow *f, const struct flow *before, bool colour)
{
    const char *cause = flow_cause(f), *advice = flow_advice(f);

    write_headline(p, f, colour);
    write_who(p, f);
    if (!before || strcmp(flow_cause(before), cause) != 0)
        write_sentence(p, cause);
    if (!before || strcmp(flow_advice(before), advice) != 0)
        write_sentence(p, advice);
    write_evidence(p, f);
}

static void write_left_out(struct pen *p, const struct explain_report *r, uint64_t shown)
{
    char number[SAY_NUMBER_MAX];
    uint64_t left = r->keep->failed - shown;

    if (!left)
        return;
    pen_char(p, '\n');
    say_words(p, escape_text,
              r->failed || shown == r->keep->max
                  ? N_("failed flows left out here: {1} (--failed --json prints all)")
                  : N_("failed flows left out here: {1} (--failed shows them)"),
              say_number(number, left), NULL);
    pen_char(p, '\n');
}

static void write_blocks(struct pen *p, const struct explain_report *r)
{
    unsigned max = r->failed ? r->keep->max : EXPLAIN_REPORT_BLOCKS;
    const struct flow *before = NULL;
    uint64_t shown = 0;

    for (; shown < max && shown < r->keep->len; shown++) {
        const struct flow *f = &r->keep->items[shown]->flow;

        if (!rank_is_failure(f))
            break;
        pen_char(p, '\n');
        write_block(p, f, before, r->colour);
        before = f;
    }
    write_left_out(p, r, shown);
    if (shown) {
        pen_char(p, '\n');
        pen_text(p, words_local(N_("--flow N shows the ladder of flow #N, --html OUT draws all.")));
        pen_char(p, '\n');
    }
}

bool explain_report_summary(struct buf *out, const struct explain_report *r)
{
    struct pen p;
    bool single = r->keep->flows == 1 && r->keep->len == 1 &&
                  (!r->failed || r->keep->failed == 1) && !r->is_told;

    pen_init_draft(&p, out);
    write_read(&p, r);
    if (!single && r->keep->flows) {
        write_verdicts(&p, r);
        if (!r->is_told)
            write_blocks(&p, r);
    }
    if (single)
        pen_char(&p, '\n');
    return pen_end_draft(&p, out) &&
           (!single || render_ladder(out, &r->keep->items[0]->flow, r->colour));
}

bool explain_report_live(struct buf *out, const struct flow *f, bool colour)
{
    struct pen p;

    pen_init_draft(&p, out);
    if (rank_is_failure(f)) {
        write_block(&p, f, NULL, colour);
    } else {
        write_headline(&p, f, colour);
        write_who(&p, f);
    }
    return pen_end_draft(&p, out);
}

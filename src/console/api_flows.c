/* console/api_flows.c - the history: flows by filters and pages, one of them, sums for charts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/util.h"
#include "console/handlers.h"
#include "render/json_read.h"
#include "render/render.h"
#include "store/browse.h"

#define PAGE_MAX 200
#define VERDICTS_MAX 64
#define CANDIDATES 8 /* flows whose ids begin alike */
#define BODY_MAX (16u << 20)
#define MINUTE_NS (60 * NS_PER_S)
#define HOUR_MIN 60
#define DAY_MIN 1440

/* The history of the configuration in force, opened for this request: it may be another after a
 * reload, or one that was set aside.  NULL: the reply says why. */
static struct browse *open_history(struct request *r, struct reply *reply)
{
    const struct console_door *door = &console_get_options(r->console)->door;
    struct config *c = door->config(door->owner);
    struct browse *b = NULL;
    enum fault fault;
    struct err err;

    if (c->history)
        door->settle(door->owner); /* what ended before the question is in the answer */
    if (!c->history)
        reply_problem(reply, 409, "no-history", NULL, "the history is off");
    else if (!(b = browse_open(c->history, &fault, &err)))
        reply_problem(reply, 503, "no-history", NULL, "%s: %s", c->history, err.text);
    config_unref(c);
    return b;
}

/* --- flows ------------------------------------------------------------------------------------ */

struct listing {
    struct buf *out;
    unsigned len, limit;
    int64_t last; /* seq of the last row */
    bool more, failed;
};

static struct span cut_line_end(struct span json)
{
    while (json.len && json.ptr[json.len - 1] == '\n')
        json.len--;
    return json;
}

static bool add_row(void *arg, const struct browse_row *row)
{
    struct listing *l = arg;
    struct span json = cut_line_end(row->json);

    if (l->len == l->limit) {
        l->more = l->len > 0; /* behind none, there is no next page */
        return false;
    }
    l->failed = (l->len && !buf_append(l->out, ",", 1)) || !buf_append(l->out, json.ptr, json.len);
    l->last = row->seq;
    l->len++;
    return !l->failed;
}

static unsigned split_verdicts(char *text, const char *out[VERDICTS_MAX])
{
    unsigned n = 0;

    for (char *rest = text, *word; (word = strsep(&rest, ",")) && n < VERDICTS_MAX;)
        if (*word)
            out[n++] = word;
    return n;
}

static const char *given(const struct request *r, const char *name)
{
    const char *text = request_get_argument(r, name);

    return text && *text ? text : NULL;
}

/* 1 or 0, which is as good as missing. */
static bool get_flag(const struct request *r, const char *name, bool *out, struct reply *reply)
{
    uint64_t n;
    bool ok = request_get_number(r, name, 1, 0, &n, reply);

    *out = n == 1;
    return ok;
}

static bool read_query(const struct request *r, struct browse_query *q, struct listing *l,
                       struct reply *reply)
{
    uint64_t before, after, limit;

    if (!request_get_number(r, "since", INT64_MAX, 0, &q->since_us, reply) ||
        !request_get_number(r, "until", INT64_MAX, 0, &q->until_us, reply) ||
        !request_get_number(r, "before", INT64_MAX, 0, &before, reply) ||
        !request_get_number(r, "after", INT64_MAX, 0, &after, reply) ||
        !request_get_number(r, "limit", PAGE_MAX, 50, &limit, reply) ||
        !get_flag(r, "failed", &q->failed, reply))
        return false;
    q->before = (int64_t)before;
    q->after = (int64_t)after;
    l->limit = (unsigned)limit;
    q->client = given(r, "client");
    q->target = given(r, "target");
    q->user = given(r, "user");
    q->rule = given(r, "rule");
    q->ended_in = given(r, "ended_in");
    q->ended_by = given(r, "ended_by");
    q->text = given(r, "text");
    return true;
}

/* ---- as lines: a flow each, with what its JSON does not say; behind them what is of all */

static bool add_line(void *arg, const struct browse_row *row)
{
    struct listing *l = arg;
    struct span json = cut_line_end(row->json);
    char id[17];
    struct pen pen;
    struct jsonw w = {.pen = &pen};

    if (l->len == l->limit) {
        l->more = l->len > 0; /* behind none, there is no next page */
        return false;
    }
    snprintf(id, sizeof id, "%016" PRIx64, row->id);
    pen_init_draft(&pen, l->out);
    jsonw_open(&w, '{');
    jsonw_member_u64(&w, "seq", (uint64_t)row->seq);
    jsonw_member_text(&w, "id", id);
    jsonw_member_u64(&w, "ended_us", row->ended_us);
    jsonw_key(&w, "failed");
    jsonw_bool(&w, row->failed);
    jsonw_key(&w, "own_answer");
    jsonw_bool(&w, row->own_answer);
    jsonw_key(&w, "reason");
    if (row->reason.ptr)
        jsonw_span(&w, row->reason);
    else
        jsonw_null(&w);
    jsonw_key(&w, "flow");
    jsonw_next(&w);
    while (json.len) { /* a record of ours has no line end in it */
        pen_span(&pen, span_cut(&json, '\n'));
        pen_text(&pen, json.len ? " " : "");
    }
    jsonw_close(&w, '}');
    pen_char(&pen, '\n');
    l->failed = !pen_end_draft(&pen, l->out);
    l->last = row->seq;
    l->len++;
    return !l->failed;
}

/* The line behind the rows.  `last` was read before them, so that none is passed over. */
static void add_end(struct request *r, struct browse *b, struct listing *l, int64_t last,
                    struct reply *reply)
{
    char why[128] = "", file[64];
    struct pen pen;
    struct jsonw w = {.pen = &pen};
    uint64_t since_us, lost = 0;

    if (!request_get_number(r, "lost_since", INT64_MAX, 0, &since_us, reply))
        return;
    if (since_us)
        lost = browse_count_lost(b, since_us, why, sizeof why);
    browse_write_file(b, file, sizeof file);
    pen_init_draft(&pen, l->out);
    jsonw_open(&w, '{');
    jsonw_key(&w, "next");
    if (l->more)
        jsonw_u64(&w, (uint64_t)l->last);
    else
        jsonw_null(&w);
    jsonw_member_u64(&w, "last", (uint64_t)last);
    jsonw_member_text(&w, "file", file);
    jsonw_member_u64(&w, "lost", lost);
    jsonw_member_text(&w, "why", why);
    jsonw_close(&w, '}');
    pen_char(&pen, '\n');
    if (l->failed || !pen_end_draft(&pen, l->out)) {
        reply_out_of_memory(reply);
        return;
    }
    reply->type = "application/x-ndjson";
}

static void write_lines(struct request *r, struct browse *b, const struct browse_query *q,
                        struct listing *l, struct reply *reply)
{
    const char *order = given(r, "order");
    bool oldest = order && strcmp(order, "oldest") == 0;
    int64_t last = browse_get_last(b);
    struct err err;

    buf_init(&reply->body, BODY_MAX);
    if (!(oldest ? browse_follow : browse_find)(b, q, add_line, l, &err))
        reply_problem(reply, 503, "no-history", NULL, "%s", err.text);
    else
        add_end(r, b, l, last, reply);
}

static void write_page(struct browse *b, const struct browse_query *q, struct listing *l,
                       struct reply *reply)
{
    struct err err;

    buf_init(&reply->body, BODY_MAX);
    buf_append(&reply->body, "{\"flows\":[", 10);
    if (!browse_find(b, q, add_row, l, &err))
        reply_problem(reply, 503, "no-history", NULL, "%s", err.text);
    else if (l->failed)
        reply_out_of_memory(reply);
    else if (l->more)
        buf_printf(&reply->body, "],\"next\":%" PRId64 "}\n", l->last);
    else
        buf_printf(&reply->body, "],\"next\":null}\n");
}

static void list_flows(struct request *r, struct browse *b, struct reply *reply)
{
    const char *verdicts[VERDICTS_MAX];
    char *names = given(r, "verdict") ? strdup(given(r, "verdict")) : NULL;
    struct browse_query q = {0};
    struct listing l = {.out = &reply->body};
    bool lines;

    if (get_flag(r, "lines", &lines, reply) && read_query(r, &q, &l, reply)) {
        q.verdicts_len = names ? split_verdicts(names, verdicts) : 0;
        q.verdicts = q.verdicts_len ? verdicts : NULL;
        if (lines)
            write_lines(r, b, &q, &l, reply);
        else
            write_page(b, &q, &l, reply);
    }
    free(names);
}

void flows_get(struct request *r, struct reply *reply)
{
    struct browse *b = open_history(r, reply);

    if (b)
        list_flows(r, b, reply);
    browse_close(b);
}

struct one {
    struct request *request;
    struct reply *reply;
    unsigned found;
};

static bool show_one(void *arg, const struct browse_row *row)
{
    struct one *o = arg;
    const struct json_read_more more = {row->reason, row->own_answer};
    struct flow f = {0};
    struct buf ladder;
    struct reply_json j;
    struct err err;

    if (o->found++)
        return false;
    if (!json_read_flow(&f, row->json, &more, &err)) {
        reply_problem(o->reply, 503, "bad-record", NULL, "%s", err.text);
        return false;
    }
    buf_init(&ladder, BODY_MAX);
    render_ladder(&ladder, &f, false);
    reply_json_begin(o->reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_key(&j.w, "flow");
    jsonw_next(&j.w);
    pen_bytes(&j.pen, row->json.ptr, row->json.len);
    jsonw_key(&j.w, "ladder");
    jsonw_span(&j.w, buf_span(&ladder));
    jsonw_key(&j.w, "cause");
    jsonw_text(&j.w, flow_cause_in(&f, request_get_language(o->request)));
    jsonw_key(&j.w, "advice");
    jsonw_text(&j.w, flow_advice_in(&f, request_get_language(o->request)));
    jsonw_close(&j.w, '}');
    reply_json_end(o->reply, &j);
    buf_fini(&ladder);
    flow_fini(&f);
    return false;
}

/* Those whose ids begin so. */
static void write_candidates(struct request *r, struct browse *b, struct reply *reply)
{
    struct listing l = {.out = &reply->body, .limit = CANDIDATES};
    struct span digits = span_of(r->parts[0]);
    uint64_t id;
    struct err err;

    buf_init(&reply->body, BODY_MAX);
    if (digits.len > 16 || !num_parse_hex(digits, UINT64_MAX, &id))
        reply_problem(reply, 404, "not-found", NULL, "an id has 16 hex digits at most");
    else if (!browse_get(b, digits, add_line, &l, &err))
        reply_problem(reply, 503, "no-history", NULL, "%s", err.text);
    else
        add_end(r, b, &l, browse_get_last(b), reply);
}

void flow_get(struct request *r, struct reply *reply)
{
    struct browse *b = open_history(r, reply);
    struct one o = {r, reply, 0};
    struct err err;
    bool lines;

    if (!b)
        return;
    if (!get_flag(r, "lines", &lines, reply))
        /* said */;
    else if (lines)
        write_candidates(r, b, reply);
    else if (strlen(r->parts[0]) != 16 || strspn(r->parts[0], "0123456789abcdef") != 16)
        reply_problem(reply, 404, "not-found", NULL, "an id has 16 hex digits");
    else if (!browse_get(b, span_of(r->parts[0]), show_one, &o, &err))
        reply_problem(reply, 503, "no-history", NULL, "%s", err.text);
    else if (!o.found)
        reply_problem(reply, 404, "not-found", NULL, "there is no such flow (any more)");
    browse_close(b);
}

/* --- sums ------------------------------------------------------------------------------------- */

/* span=hour|day: its minutes and the step of a chart of it. */
static bool read_span(const struct request *r, int64_t *from, int64_t *to, int64_t *step,
                      struct reply *reply)
{
    const char *span = given(r, "span");
    bool day = span && strcmp(span, "day") == 0;

    if (span && !day && strcmp(span, "hour") != 0) {
        reply_problem(reply, 400, "bad-argument", "span", "hour or day");
        return false;
    }
    *step = day ? 15 : 1;
    *to = (int64_t)(clock_wall_ns() / MINUTE_NS) / *step * *step + *step;
    *from = *to - (day ? DAY_MIN : HOUR_MIN);
    return true;
}

struct chart {
    int64_t from, step;
    unsigned len; /* steps */
    uint64_t counts[VERDICT_COUNT][DAY_MIN / 15];
    uint64_t up[DAY_MIN / 15], down[DAY_MIN / 15];
};

static bool add_minute(void *arg, const struct tally_row *row)
{
    struct chart *c = arg;
    enum verdict v = verdict_find(row->name);
    int64_t at = (row->minute - c->from) / c->step;

    if (at < 0 || at >= c->len)
        return true;
    if (v < VERDICT_COUNT)
        c->counts[v][at] += row->flows;
    c->up[at] += row->bytes_up;
    c->down[at] += row->bytes_down;
    return true;
}

static void write_counts(struct jsonw *w, const char *name, const uint64_t *counts, unsigned len)
{
    jsonw_key(w, name);
    jsonw_open(w, '[');
    for (unsigned i = 0; i < len; i++)
        jsonw_u64(w, counts[i]);
    jsonw_close(w, ']');
}

static bool is_empty(const uint64_t *counts, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        if (counts[i])
            return false;
    return true;
}

static void write_chart(struct reply *reply, const struct chart *c)
{
    struct reply_json j;

    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_member_u64(&j.w, "step_s", (uint64_t)c->step * 60);
    jsonw_member_u64(&j.w, "from_us", (uint64_t)c->from * 60000000);
    jsonw_key(&j.w, "series");
    jsonw_open(&j.w, '[');
    for (unsigned v = 0; v < VERDICT_COUNT; v++) {
        if (is_empty(c->counts[v], c->len))
            continue;
        jsonw_open(&j.w, '{');
        jsonw_member_text(&j.w, "verdict", verdict_get_info((enum verdict)v)->name);
        write_counts(&j.w, "counts", c->counts[v], c->len);
        jsonw_close(&j.w, '}');
    }
    jsonw_close(&j.w, ']');
    write_counts(&j.w, "bytes_up", c->up, c->len);
    write_counts(&j.w, "bytes_down", c->down, c->len);
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
}

void charts_get(struct request *r, struct reply *reply)
{
    struct browse_sums q = {.kind = TALLY_VERDICT, .by_minute = true};
    struct chart *c = calloc(1, sizeof *c);
    struct browse *b;
    struct err err;

    if (!c) {
        reply_out_of_memory(reply);
        return;
    }
    if (read_span(r, &q.from, &q.to, &c->step, reply) && (b = open_history(r, reply))) {
        c->from = q.from;
        c->len = (unsigned)((q.to - q.from) / c->step);
        if (browse_sum(b, &q, add_minute, c, &err))
            write_chart(reply, c);
        else
            reply_problem(reply, 503, "no-history", NULL, "%s", err.text);
        browse_close(b);
    }
    free(c);
}

static bool add_name(void *arg, const struct tally_row *row)
{
    struct jsonw *w = arg;

    jsonw_open(w, '{');
    jsonw_key(w, "name");
    jsonw_span(w, row->name);
    jsonw_member_u64(w, "flows", row->flows);
    jsonw_member_u64(w, "failed", row->failures);
    jsonw_member_u64(w, "bytes_up", row->bytes_up);
    jsonw_member_u64(w, "bytes_down", row->bytes_down);
    jsonw_close(w, '}');
    return true;
}

void top_get(struct request *r, struct reply *reply)
{
    const char *by = given(r, "by");
    struct browse_sums q = {0};
    struct browse *b;
    struct reply_json j;
    uint64_t limit;
    int64_t step;
    struct err err;
    bool ok;

    while (q.kind < TALLY_COUNT && by && strcmp(by, tally_kind_name(q.kind)) != 0)
        q.kind++;
    if (!by || q.kind == TALLY_COUNT) {
        reply_problem(reply, 400, "bad-argument", "by", "verdict, target, client, user or rule");
        return;
    }
    if (!get_flag(r, "failed", &q.failures, reply) ||
        !request_get_number(r, "limit", 100, 10, &limit, reply) ||
        !read_span(r, &q.from, &q.to, &step, reply) || !(b = open_history(r, reply)))
        return;
    q.limit = (unsigned)limit;
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_key(&j.w, "rows");
    jsonw_open(&j.w, '[');
    ok = browse_sum(b, &q, add_name, &j.w, &err);
    jsonw_close(&j.w, ']');
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    if (!ok)
        reply_problem(reply, 503, "no-history", NULL, "%s", err.text);
    browse_close(b);
}

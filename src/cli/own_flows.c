/* Pages are asked for by age, each from where the one before ended in time: so flows that begin or
 * end meanwhile shift nothing. */
#include "cli/own_flows.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/util.h"
#include "render/date.h"
#include "render/human.h"
#include "render/json_read.h"
#include "render/jsonw.h"
#include "render/say.h"

#define PAGE_MAX (8u << 20)
#define PAGES_MAX 1000 /* more than a proxy has flows */
#define CELL_MAX 1024
#define ASKED_MAX 60 /* characters of a target or URL in the table */

/* ---- reading */

void own_flows_fini(struct own_flows *f)
{
    for (size_t i = 0; i < f->len; i++) {
        flow_fini(&f->items[i].flow);
        free(f->items[i].json);
    }
    free(f->items);
    *f = (struct own_flows){0};
}

static bool has_id(const struct own_flows *f, size_t from, uint64_t id)
{
    for (size_t i = from; i < f->len; i++)
        if (f->items[i].flow.id == id)
            return true;
    return false;
}

static bool make_room(struct own_flows *f)
{
    size_t cap = f->cap ? f->cap * 2 : 128;
    struct own_flow *items = f->len < f->cap ? f->items : realloc(f->items, cap * sizeof *items);

    if (!items)
        return false;
    f->cap = f->len < f->cap ? f->cap : cap;
    f->items = items;
    return true;
}

/* The phase that it is in, which its JSON has only once it is over. */
static bool take_phase(struct flow *f, const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "phase"));

    for (unsigned i = 0; text && i < PHASE_COUNT; i++)
        if (strcmp(phase_name((enum phase)i), text) == 0) {
            f->phase = (uint8_t)i;
            return true;
        }
    return false;
}

/* False: it makes no sense, or memory is out.  One that is there, behind `from`, is passed over. */
static bool take_row(struct own_flows *f, size_t from, const json_t *row)
{
    const json_t *idle = json_object_get(row, "idle_us"), *flow = json_object_get(row, "flow");
    struct own_flow one = {0};
    struct err err;

    if (!json_is_integer(idle) || json_integer_value(idle) < 0 || !json_is_object(flow) ||
        !make_room(f) || !(one.json = json_dumps(flow, JSON_COMPACT)))
        return false;
    one.idle_ns = (uint64_t)json_integer_value(idle);
    one.idle_ns = one.idle_ns < UINT64_MAX / NS_PER_US ? one.idle_ns * NS_PER_US : UINT64_MAX;
    if (!json_read_flow(&one.flow, span_of(one.json), NULL, &err)) {
        free(one.json);
        return false;
    }
    bool known = take_phase(&one.flow, row);
    if (known && !has_id(f, from, one.flow.id)) {
        f->items[f->len++] = one;
        return true;
    }
    flow_fini(&one.flow);
    free(one.json);
    return known;
}

/* *next: where the page after it begins; 0: there is none. */
static bool take_page(struct own_flows *f, size_t from, struct span bytes, uint64_t *next)
{
    json_t *root = json_loadb(bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *rows = json_object_get(root, "rows"), *open = json_object_get(root, "open"),
                 *on = json_object_get(root, "next");
    bool ok = json_is_array(rows) && json_is_integer(open) && json_integer_value(open) >= 0 &&
              (json_is_null(on) || (json_is_integer(on) && json_integer_value(on) > 0));

    for (size_t i = 0; ok && i < json_array_size(rows); i++)
        ok = take_row(f, from, json_array_get(rows, i));
    f->open = (uint64_t)json_integer_value(open);
    f->whole = f->whole && json_is_true(json_object_get(root, "whole"));
    *next = (uint64_t)json_integer_value(on);
    json_decref(root);
    return ok;
}

static enum control_result ask_page(struct own_flows *f, const char *socket, size_t from,
                                    uint64_t *next, struct err *err)
{
    char path[128];
    struct control_request r = {"GET", path, {"", 0}};
    enum control_result result;
    struct buf answer;

    snprintf(path, sizeof path, "/api/v1/connections?sort=age&order=asc&begun_by=%" PRIu64, *next);
    buf_init(&answer, PAGE_MAX);
    result = control_ask(socket, &r, &answer, err);
    if (result == CONTROL_OK && !take_page(f, from, buf_span(&answer), next)) {
        err_set(err, "the answer at the control socket makes no sense");
        result = CONTROL_FAILED;
    }
    buf_fini(&answer);
    return result;
}

enum control_result own_flows_read(struct own_flows *f, const char *socket, bool all,
                                   struct err *err)
{
    enum control_result result;
    size_t page = 0, before;
    uint64_t next = 0, last;
    unsigned pages = 0;

    *f = (struct own_flows){.whole = true};
    do {
        before = f->len;
        last = next;
        result = ask_page(f, socket, page, &next, err);
        page = before;
    } while (result == CONTROL_OK && all && next && next != last && ++pages < PAGES_MAX);
    if (result != CONTROL_OK)
        own_flows_fini(f);
    f->is_known = result == CONTROL_OK;
    return result;
}

/* ---- the table */

enum column {
    COLUMN_ID,
    COLUMN_PHASE,
    COLUMN_CLIENT,
    COLUMN_USER,
    COLUMN_ASKED,
    COLUMN_RULE,
    COLUMN_AGE,
    COLUMN_IDLE,
    COLUMN_UP,
    COLUMN_DOWN,
    COLUMN_CLIENT_RTT,
    COLUMN_CLIENT_RETRANS,
    COLUMN_TARGET_RTT,
    COLUMN_TARGET_RETRANS,
    COLUMN_COUNT
};

static const char *const titles[] = {"flow", "phase",   "client",     "user",   "request",
                                     "rule", "age",     "idle",       "up",     "down",
                                     "rtt",  "retrans", "target rtt", "retrans"};
static_assert(ARRAY_LEN(titles) == COLUMN_COUNT, "a column has no title");

static void write_text(struct pen *p, const char *text)
{
    if (text && *text)
        escape_text(p, span_of(text));
    else
        pen_char(p, '-');
}

static void write_asked(struct pen *p, const struct flow *f)
{
    const char *what = f->url ? f->url : f->target;
    struct span text = span_of(what ? what : "");
    bool cut = text.len > ASKED_MAX;

    if (cut)
        text.len = ASKED_MAX;
    while (cut && text.len && ((unsigned char)what[text.len] & 0xc0) == 0x80)
        text.len--;
    pen_text(p, f->method ? f->method : "-");
    pen_char(p, ' ');
    escape_text(p, text);
    pen_text(p, cut ? "…" : "");
}

static void write_rtt(struct pen *p, const struct flow_leg *leg)
{
    if (leg->known)
        human_duration(p, (uint64_t)leg->rtt_us * NS_PER_US);
    else
        pen_char(p, '-');
}

static void write_retrans(struct pen *p, const struct flow_leg *leg)
{
    if (leg->known)
        pen_u64(p, leg->retransmissions);
    else
        pen_char(p, '-');
}

static void write_cell(struct pen *p, const struct own_flow *o, enum column column)
{
    const struct flow *f = &o->flow;

    switch (column) {
    case COLUMN_ID:
        pen_hex(p, f->id);
        break;
    case COLUMN_PHASE:
        pen_text(p, phase_name(f->phase));
        break;
    case COLUMN_CLIENT:
        human_endpoint(p, &f->client);
        break;
    case COLUMN_USER:
        write_text(p, f->user);
        break;
    case COLUMN_ASKED:
        write_asked(p, f);
        break;
    case COLUMN_RULE:
        write_text(p, f->rule);
        break;
    case COLUMN_AGE:
        human_duration(p, f->duration_ns);
        break;
    case COLUMN_IDLE:
        human_duration(p, o->idle_ns);
        break;
    case COLUMN_UP:
        human_bytes(p, f->bytes_up);
        break;
    case COLUMN_DOWN:
        human_bytes(p, f->bytes_down);
        break;
    case COLUMN_CLIENT_RTT:
        write_rtt(p, &f->client_leg);
        break;
    case COLUMN_CLIENT_RETRANS:
        write_retrans(p, &f->client_leg);
        break;
    case COLUMN_TARGET_RTT:
        write_rtt(p, &f->upstream_leg);
        break;
    case COLUMN_TARGET_RETRANS:
        write_retrans(p, &f->upstream_leg);
        break;
    case COLUMN_COUNT:
        break;
    }
}

/* Without a flow, the column's heading. */
static struct span make_cell(char memory[CELL_MAX], const struct own_flow *o, unsigned column)
{
    struct pen p;

    pen_init_fixed(&p, memory, CELL_MAX);
    if (o)
        write_cell(&p, o, (enum column)column);
    else
        pen_text(&p, titles[column]);
    return (struct span){memory, pen_len(&p)};
}

static void widen(size_t widths[COLUMN_COUNT], const struct own_flow *o)
{
    char memory[CELL_MAX];

    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        size_t n = say_columns(make_cell(memory, o, i));

        widths[i] = n > widths[i] ? n : widths[i];
    }
}

/* Words to the left, figures to the right. */
static void write_row(struct pen *p, const size_t widths[COLUMN_COUNT], const struct own_flow *o)
{
    char memory[CELL_MAX];

    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        struct span cell = make_cell(memory, o, i);
        size_t fill = widths[i] - say_columns(cell);

        pen_text(p, i > 0 ? "  " : "");
        if (i >= COLUMN_AGE)
            pen_pad(p, ' ', fill);
        pen_span(p, cell);
        if (i < COLUMN_AGE)
            pen_pad(p, ' ', fill);
    }
}

void own_flows_write_table(struct pen *p, const struct own_flows *f, size_t rows, bool colour)
{
    size_t widths[COLUMN_COUNT] = {0}, shown = f->len < rows ? f->len : rows;

    pen_text(p,
             f->len > 0 ? "flows under way in the proxy\n" : "no flow is under way in the proxy\n");
    if (f->len > 0) {
        widen(widths, NULL);
        for (size_t i = 0; i < shown; i++)
            widen(widths, &f->items[i]);
        pen_text(p, colour ? "\x1b[1m" : "");
        write_row(p, widths, NULL);
        pen_text(p, colour ? "\x1b[0m\n" : "\n");
    }
    for (size_t i = 0; i < shown; i++) {
        write_row(p, widths, &f->items[i]);
        pen_char(p, '\n');
    }
    if (f->open > shown && f->len > 0) {
        pen_text(p, "… and ");
        pen_u64(p, f->open - shown);
        pen_text(p, " more\n");
    }
    if (!f->whole)
        pen_text(p, "(a worker did not answer in time: some may be missing)\n");
}

void own_flows_write_json(struct pen *p, const struct own_flows *f, uint64_t wall_ns)
{
    char time[40];
    struct pen date;

    pen_init_fixed(&date, time, sizeof time - 1);
    date_write_rfc3339(&date, wall_ns);
    *date.at = '\0';
    for (size_t i = 0; i < f->len; i++) {
        struct jsonw w = {.pen = p};

        jsonw_open(&w, '{');
        jsonw_member_text(&w, "time", time);
        jsonw_member_u64(&w, "idle_us", f->items[i].idle_ns / NS_PER_US);
        jsonw_member_text(&w, "phase", phase_name(f->items[i].flow.phase));
        jsonw_key(&w, "flow");
        jsonw_next(&w);
        pen_text(p, f->items[i].json);
        jsonw_close(&w, '}');
        pen_char(p, '\n');
    }
}

/* console/api_live.c - flows under way: the totals, a page of rows, one of them, its end; and the
 * events that keep a page up to date. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "console/handlers.h"
#include "console/health.h"
#include "render/render.h"

#define EVENTS_MAX (1u << 20)

static const char *const orders[] = {
    [LIVE_BY_AGE] = "age",       [LIVE_BY_IDLE] = "idle",     [LIVE_BY_UP] = "up",
    [LIVE_BY_DOWN] = "down",     [LIVE_BY_CLIENT] = "client", [LIVE_BY_USER] = "user",
    [LIVE_BY_TARGET] = "target", [LIVE_BY_RULE] = "rule",     [LIVE_BY_PHASE] = "phase"};
static_assert(ARRAY_LEN(orders) == LIVE_ORDER_COUNT, "an order has no name");

static const struct console_door *door_of(const struct request *r)
{
    return &console_get_options(r->console)->door;
}

/* --- the totals ------------------------------------------------------------------------------- */

static void write_health(struct jsonw *w, struct health *health)
{
    struct health_look look;

    health_get(health, 0, &look);
    jsonw_key(w, "health");
    jsonw_open(w, '{');
    jsonw_key(w, "resolver_ok");
    jsonw_bool(w, look.resolver_ok);
    jsonw_member_text(w, "resolver", look.resolver);
    jsonw_key(w, "parent_ok");
    jsonw_bool(w, look.parent_ok);
    jsonw_member_text(w, "parent", look.parent);
    jsonw_close(w, '}');
}

static void write_totals(struct jsonw *w, const struct console_door *door, struct health *health,
                         const struct live_page *live, const struct totals *t)
{
    struct console_state s;

    door->state(door->owner, &s);
    jsonw_open(w, '{');
    jsonw_member_u64(w, "start_us", s.start_ns / 1000);
    jsonw_member_u64(w, "now_us", clock_wall_ns() / 1000);
    jsonw_member_u64(w, "uptime_us", s.uptime_ns / 1000);
    jsonw_key(w, "draining");
    jsonw_bool(w, s.draining);
    jsonw_member_u64(w, "workers", s.workers);
    jsonw_member_u64(w, "connections", s.connections);
    jsonw_member_u64(w, "connections_max", s.connections_max);
    jsonw_member_u64(w, "flows_dropped", s.flows_dropped);
    jsonw_member_u64(w, "history_lost", s.history_lost);
    jsonw_member_u64(w, "open", live->open);
    jsonw_member_u64(w, "tunnels", live->tunnels);
    jsonw_member_u64(w, "bytes_up", t->bytes_up + live->bytes_up);
    jsonw_member_u64(w, "bytes_down", t->bytes_down + live->bytes_down);
    jsonw_key(w, "flows");
    jsonw_open(w, '{');
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        if (t->flows[v])
            jsonw_member_u64(w, verdict_get_info((enum verdict)v)->name, t->flows[v]);
    jsonw_close(w, '}');
    jsonw_member_u64(w, "superseded", t->superseded);
    write_health(w, health);
    jsonw_close(w, '}');
}

void state_get(struct request *r, struct reply *reply)
{
    const struct console_door *door = door_of(r);
    struct health *health = console_get_health(r->console);
    struct live_query q = {0};
    struct live_page live;
    struct reply_json j;
    struct totals t;

    if (!door->totals(door->owner, &t)) {
        reply_out_of_memory(reply);
        return;
    }
    door->ask(door->owner, &q, &live);
    reply_json_begin(reply, &j);
    write_totals(&j.w, door, health, &live, &t);
    reply_json_end(reply, &j);
    totals_free(&t);
}

/* --- rows ------------------------------------------------------------------------------------- */

static bool copy_argument(const struct request *r, const char *name, char *out, size_t cap,
                          struct reply *reply)
{
    const char *text = request_get_argument(r, name);

    if (!text)
        text = "";
    if ((size_t)snprintf(out, cap, "%s", text) < cap)
        return true;
    reply_problem(reply, 400, "bad-argument", name, "%s is longer than %zu bytes", name, cap - 1);
    return false;
}

static bool read_query(const struct request *r, struct live_query *q, struct reply *reply)
{
    const char *sort = request_get_argument(r, "sort"), *order = request_get_argument(r, "order");
    uint64_t offset, limit;
    unsigned i = 0;

    *q = (struct live_query){.order = LIVE_BY_AGE};
    while (sort && *sort && i < LIVE_ORDER_COUNT && strcmp(sort, orders[i]) != 0)
        i++;
    if (i == LIVE_ORDER_COUNT) {
        reply_problem(reply, 400, "bad-argument", "sort", "there is no such order");
        return false;
    }
    q->order = (enum live_order)i;
    q->descending = order && strcmp(order, "desc") == 0;
    if (!request_get_number(r, "offset", UINT32_MAX, 0, &offset, reply) ||
        !request_get_number(r, "limit", LIVE_ROWS_MAX, LIVE_ROWS_MAX, &limit, reply) ||
        !request_get_number(r, "begun_by", UINT64_MAX, 0, &q->begun_by_ns, reply))
        return false;
    q->offset = (uint32_t)offset;
    q->limit = (uint32_t)limit;
    return copy_argument(r, "client", q->client, sizeof q->client, reply) &&
           copy_argument(r, "user", q->user, sizeof q->user, reply) &&
           copy_argument(r, "target", q->target, sizeof q->target, reply) &&
           copy_argument(r, "rule", q->rule, sizeof q->rule, reply);
}

/* The flow's own object, with what only a live one has: {"idle_us":…,"phase":"…","flow":{…}}. */
static bool write_row(struct buf *out, const struct live_row *row)
{
    if (!buf_printf(out, "{\"idle_us\":%" PRIu64 ",\"phase\":\"%s\",\"flow\":",
                    (uint64_t)(row->idle_ns / NS_PER_US), phase_name(row->flow.phase)) ||
        !render_json(out, &row->flow))
        return false;
    out->len--; /* its newline */
    return buf_append(out, "}", 1);
}

static bool write_page(struct buf *out, const struct live_page *page)
{
    bool ok =
        buf_printf(out, "{\"matching\":%" PRIu64 ",\"open\":%" PRIu64 ",\"whole\":%s,\"rows\":[",
                   page->matching, page->open, page->whole ? "true" : "false");

    for (unsigned i = 0; i < page->len && ok; i++)
        ok = (i == 0 || buf_append(out, ",", 1)) && write_row(out, &page->rows[i]);
    return ok && (page->next_ns ? buf_printf(out, "],\"next\":%" PRIu64 "}", page->next_ns)
                                : buf_append(out, "],\"next\":null}", 14));
}

static void free_page(struct live_page *page)
{
    for (unsigned i = 0; i < page->len; i++)
        flow_fini(&page->rows[i].flow);
}

void connections_get(struct request *r, struct reply *reply)
{
    const struct console_door *door = door_of(r);
    struct live_query q;
    struct live_page page;

    if (!read_query(r, &q, reply))
        return;
    buf_init(&reply->body, EVENTS_MAX);
    if (!door->ask(door->owner, &q, &page) || !write_page(&reply->body, &page) ||
        !buf_append(&reply->body, "\n", 1))
        reply_out_of_memory(reply);
    free_page(&page);
}

static bool read_id(const struct request *r, uint64_t *id, struct reply *reply)
{
    *id = strtoull(r->parts[0], NULL, 16);
    if (strlen(r->parts[0]) == 16 && strspn(r->parts[0], "0123456789abcdef") == 16 && *id)
        return true;
    reply_problem(reply, 404, "not-found", NULL, "an id has 16 hex digits");
    return false;
}

void connection_get(struct request *r, struct reply *reply)
{
    const struct console_door *door = door_of(r);
    struct live_query q = {.limit = 1};
    struct live_page page;

    if (!read_id(r, &q.id, reply))
        return;
    buf_init(&reply->body, EVENTS_MAX);
    if (!door->ask(door->owner, &q, &page))
        reply_out_of_memory(reply);
    else if (page.len == 0)
        reply_problem(reply, 404, "not-found", NULL, "no such flow is under way");
    else if (!write_row(&reply->body, &page.rows[0]))
        reply_out_of_memory(reply);
    free_page(&page);
}

void connection_delete(struct request *r, struct reply *reply)
{
    const struct console_door *door = door_of(r);
    const char *reason = request_get_argument(r, "reason");
    uint64_t id;

    if (!read_id(r, &id, reply))
        return;
    switch (door->end(door->owner, id, r->who, reason ? reason : "")) {
    case LIVE_ENDED:
        request_audit(r, "ended flow %016" PRIx64 ": %s", id, reason ? reason : "no reason given");
        reply_done(reply);
        break;
    case LIVE_NOT_FOUND:
        reply_problem(reply, 404, "not-found", NULL, "no such flow is under way");
        break;
    case LIVE_UNKNOWN:
        reply_problem(reply, 503, "busy", NULL, "a worker did not answer in time");
        break;
    }
}

/* --- events ----------------------------------------------------------------------------------- */

struct follower {
    const struct console_door *door;
    struct health *health;
    bool rows; /* the page's, besides the totals */
    struct live_query query;
};

static bool write_event(struct buf *out, const char *name, struct buf *data)
{
    struct span text = buf_span(data);
    bool ok = buf_printf(out, "event: %s\ndata: ", name) && buf_append(out, text.ptr, text.len) &&
              buf_append(out, "\n\n", 2);

    buf_fini(data);
    return ok;
}

static bool add_state(const struct follower *f, const struct live_page *page, struct buf *out)
{
    struct reply_json j;
    struct buf data;
    struct totals t;
    bool ok;

    if (!f->door->totals(f->door->owner, &t))
        return false;
    buf_init(&data, EVENTS_MAX);
    pen_init_draft(&j.pen, &data);
    j.w = (struct jsonw){.pen = &j.pen};
    write_totals(&j.w, f->door, f->health, page, &t);
    ok = pen_end_draft(&j.pen, &data);
    totals_free(&t);
    return write_event(out, "state", &data) && ok;
}

static bool add_rows(const struct live_page *page, struct buf *out)
{
    struct buf data;

    buf_init(&data, EVENTS_MAX);
    if (!write_page(&data, page)) {
        buf_fini(&data);
        return false;
    }
    return write_event(out, "connections", &data);
}

/* A client that is slow is told less often, not everything later. */
static bool tick(void *owner, struct buf *out, uint64_t now_ns)
{
    struct follower *f = owner;
    struct live_page page;
    bool ok;

    (void)now_ns;
    if (out->len)
        return true;
    ok = f->door->ask(f->door->owner, &f->query, &page) && add_state(f, &page, out) &&
         (!f->rows || add_rows(&page, out));
    free_page(&page);
    return ok;
}

void events_get(struct request *r, struct reply *reply)
{
    static struct event_stream stream; /* copied at once */
    struct follower *f = calloc(1, sizeof *f);
    const char *rows = request_get_argument(r, "connections");

    if (!f) {
        reply_out_of_memory(reply);
        return;
    }
    f->door = door_of(r);
    f->health = console_get_health(r->console);
    f->rows = rows && strcmp(rows, "1") == 0;
    if (f->rows && !read_query(r, &f->query, reply)) {
        free(f);
        return;
    }
    stream = (struct event_stream){f, tick, free};
    reply->stream = &stream;
}

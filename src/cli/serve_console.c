#include "cli/serve_console.h"

#include "console/console.h"
#include "proxy/door.h"

static bool ask(void *owner, const struct live_query *q, struct live_page *page)
{
    return door_ask(owner, q, page);
}

static enum live_end end(void *owner, uint64_t id, const char *who, const char *why)
{
    return door_end(owner, id, who, why);
}

static bool totals(void *owner, struct totals *out)
{
    return door_read_totals(owner, out);
}

static struct config *config(void *owner)
{
    return door_get_config(owner);
}

static bool reload(void *owner, struct err *err)
{
    return door_reload(owner, err);
}

static void state(void *owner, struct console_state *out)
{
    struct door_state s;

    door_get_state(owner, &s);
    *out = (struct console_state){.draining = s.draining,
                                  .start_ns = s.start_ns,
                                  .uptime_ns = s.uptime_ns,
                                  .workers = s.workers,
                                  .connections = s.connections,
                                  .connections_max = s.connections_max,
                                  .flows_dropped = s.flows_dropped,
                                  .history_lost = s.history_lost,
                                  .at = s.at,
                                  .tls = s.tls};
}

static void settle(void *owner)
{
    door_flush_history(owner);
}

static void accounts(void *owner, const char *path, bool *taken, bool *refused)
{
    door_look_at_accounts(owner, path, taken, refused);
}

static bool start(void *owner, struct door *door, struct err *err)
{
    struct serve_console *s = owner;
    struct console_options o = {
        .door = {door, ask, end, totals, config, reload, state, settle, accounts},
        .config_path = s->config_path,
        .config_name = s->config_name,
        .program = "/proc/self/exe"};

    return console_start(&o, &s->console, err);
}

static void stop(void *owner)
{
    struct serve_console *s = owner;

    console_stop(s->console);
    s->console = NULL;
}

struct server_company serve_console_company(struct serve_console *s)
{
    return (struct server_company){s, start, stop};
}

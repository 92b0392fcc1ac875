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
                                  .workers = s.workers,
                                  .connections = s.connections,
                                  .connections_max = s.connections_max,
                                  .flows_dropped = s.flows_dropped,
                                  .at = s.at,
                                  .tls = s.tls};
}

static bool start(void *owner, struct door *door, struct err *err)
{
    struct serve_console *s = owner;
    struct console_options o = {.door = {door, ask, end, totals, config, reload, state},
                                .config_path = s->config_path,
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

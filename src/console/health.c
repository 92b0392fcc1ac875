/* console/health.c - /healthz and /readyz, for service managers and load balancers. */

#include "console/health.h"
#include "console/handlers.h"

#define PATIENCE_MS 500 /* the console stands still meanwhile, once a look at most */

void health_get_alive(struct request *r, struct reply *reply)
{
    (void)r;
    reply->type = "text/plain; charset=utf-8";
    reply->fixed = SPAN_LIT("ok\n");
}

void health_get_ready(struct request *r, struct reply *reply)
{
    struct health_look look;
    struct console_state state;
    const struct console_door *door = &console_get_options(r->console)->door;

    door->state(door->owner, &state);
    health_get(console_get_health(r->console), PATIENCE_MS, &look);
    reply->type = "text/plain; charset=utf-8";
    buf_init(&reply->body, 4096);
    buf_printf(&reply->body, "%s\nresolver: %s\nparent: %s\n",
               state.draining ? "draining" : "accepting", look.resolver, look.parent);
    if (state.draining || !look.resolver_ok || !look.parent_ok)
        reply->status = 503;
}

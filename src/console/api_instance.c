/* console/api_instance.c - which proxy this is, so that a command knows whether the files that it
 * was given are this one's. */
#include <stdlib.h>
#include <unistd.h>

#include "console/handlers.h"

/* Its real path, from the root, where it can be looked up. */
static void write_path(struct jsonw *w, const char *key, const char *path)
{
    char *real = path ? realpath(path, NULL) : NULL;

    jsonw_member_text(w, key, real ? real : path);
    free(real);
}

void instance_get(struct request *r, struct reply *reply)
{
    const struct console_options *o = console_get_options(r->console);
    struct config *c = o->door.config(o->door.owner);
    struct reply_json j;

    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_member_text(&j.w, "version", VIADUCT_VERSION);
    jsonw_member_u64(&j.w, "pid", (uint64_t)getpid());
    jsonw_member_text(&j.w, "config", o->config_name ? o->config_name : o->config_path);
    write_path(&j.w, "history", c->history);
    write_path(&j.w, "accounts", c->authentication.present ? c->authentication.accounts : NULL);
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    config_unref(c);
}

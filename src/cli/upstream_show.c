#include "cli/upstream_show.h"

#include <stdio.h>

#include "render/jsonw.h"

#define DOTS "••••••"
#define SHOWN_MAX (1u << 20) /* bytes */

static const char *on_off(bool on)
{
    return on ? "on" : "off";
}

static void write_json(const char *file, const struct config_upstream *u, struct pen *p)
{
    struct jsonw w = {.pen = p};

    jsonw_open(&w, '{');
    jsonw_member_text(&w, "file", file);
    jsonw_key(&w, "present");
    jsonw_bool(&w, u->present);
    jsonw_key(&w, "enabled");
    jsonw_bool(&w, u->enabled);
    jsonw_member_text(&w, "host", u->host);
    jsonw_key(&w, "port");
    if (u->port)
        jsonw_u64(&w, u->port);
    else
        jsonw_null(&w);
    jsonw_member_text(&w, "user", u->user);
    jsonw_member_text(&w, "password", u->password ? DOTS : NULL);
    jsonw_key(&w, "tls");
    jsonw_bool(&w, u->tls);
    jsonw_member_text(&w, "ca", u->ca);
    jsonw_key(&w, "no_proxy");
    jsonw_open(&w, '[');
    for (unsigned i = 0; i < u->no_proxy_len; i++)
        jsonw_text(&w, u->no_proxy[i]);
    jsonw_close(&w, ']');
    jsonw_key(&w, "smart_licensing");
    jsonw_bool(&w, u->smart_licensing);
    jsonw_close(&w, '}');
    pen_char(p, '\n');
}

bool upstream_show_json(const char *file, const struct config_upstream *u)
{
    struct buf out;
    struct pen p;

    buf_init(&out, SHOWN_MAX);
    pen_init_draft(&p, &out);
    write_json(file, u, &p);
    bool ok = pen_end_draft(&p, &out);
    fwrite(buf_span(&out).ptr, 1, out.len, stdout);
    buf_fini(&out);
    return ok;
}

/* A name or a path may come from a file of somebody else's: the terminal gets text. */
static void show_line(const char *name, const char *value)
{
    char memory[4096];
    struct pen p;

    pen_init_fixed(&p, memory, sizeof memory);
    escape_text(&p, span_of(value));
    printf("%-16s %.*s\n", name, (int)pen_len(&p), memory);
}

void upstream_show_text(const char *file, const struct config_upstream *u)
{
    char port[8];

    snprintf(port, sizeof port, "%u", u->port);
    show_line("file", file);
    if (!u->present) {
        puts("no upstream proxy is set: targets are connected directly");
        return;
    }
    show_line("enabled", on_off(u->enabled));
    show_line("host", u->host ? u->host : "-");
    show_line("port", u->port ? port : "-");
    show_line("user", u->user ? u->user : "- (no authentication)");
    show_line("password", u->password ? DOTS : "-");
    show_line("tls", on_off(u->tls));
    show_line("ca", u->ca ? u->ca : "- (the system's)");
    printf("%-16s", "no_proxy");
    for (unsigned i = 0; i < u->no_proxy_len; i++)
        printf(" %s", u->no_proxy[i]);
    puts(u->no_proxy_len ? "" : " -");
    show_line("smart_licensing", on_off(u->smart_licensing));
}

#include "cli/upstream_probe.h"

#include <stdlib.h>
#include <unistd.h>

#include "check/check.h"
#include "render/render.h"

#define SHOWN_MAX (1u << 20) /* bytes of a ladder */

struct probe {
    enum probe_show show;
    const char *url;
    unsigned flows, failures;
};

static bool is_reached(const struct probe *p, const struct flow *f)
{
    return verdict_is_success((enum verdict)f->verdict) ||
           (p->show <= PROBE_QUIET_JSON && f->verdict == VERDICT_TARGET_ERROR);
}

static void show_flow(const struct probe *p, const struct flow *f, FILE *out)
{
    bool colour = isatty(fileno(out)) && !getenv("NO_COLOR");
    struct buf text;

    buf_init(&text, SHOWN_MAX);
    if (p->show == PROBE_JSON || p->show == PROBE_QUIET_JSON)
        render_json(&text, f);
    else
        render_ladder(&text, f, colour);
    fwrite(buf_span(&text).ptr, 1, text.len, out);
    buf_fini(&text);
}

static void take_flow(void *owner, unsigned url, struct flow *f)
{
    struct probe *p = owner;
    bool reached = is_reached(p, f);

    p->flows++;
    p->failures += !reached;
    if (p->show != PROBE_QUIET)
        show_flow(p, f, stdout);
    else if (!reached)
        show_flow(p, f, stderr);
    else
        printf("tested: %s is reached through the proxy\n", p->url);
}

enum probe_result upstream_probe(const struct config_upstream *u, const char *url,
                                 enum probe_show show, struct err *err)
{
    struct probe p = {.show = show, .url = url};
    const struct check_proxy proxy = {
        .tls = u->tls,
        .host = u->host,
        .port = u->port,
        .user = u->user,
        .password = u->password,
        .wish = LOGIN_ANY,
        .ca = u->ca,
    };
    const struct check_options o = {.proxy = &proxy, .owner = &p, .on_flow = take_flow};

    if (!check_run(&o, &url, 1, NULL, err))
        return PROBE_ERROR;
    if (p.flows == 0) {
        err_set(err, "the test of %s came to no end", url);
        return PROBE_ERROR;
    }
    return p.failures == 0 ? PROBE_OK : PROBE_FAILED;
}

#include "cli/check_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/util.h"
#include "check/url.h"
#include "render/date.h"
#include "render/escape.h"
#include "render/human.h"
#include "render/render.h"

#define NAME_WIDTH 20 /* the longest verdict */

static void colour(struct pen *p, bool on, const char *code)
{
    if (on)
        pen_text(p, code);
}

static bool is_fine(const struct flow *f)
{
    return verdict_is_success(f->verdict);
}

/* ---- for the proxy's owner */

#define CERTIFICATE_HINT "the certificate's names and dates, and whether its whole chain is sent"

/* What to look for in which log, by verdict: where a proxy was asked, and where the way was direct.
 * NULL: the line for all. */
static const struct hint {
    enum verdict verdict;
    const char *proxy, *direct;
} hints[] = {
    {VERDICT_ACL_DENIED,
     "TCP_DENIED/403 in squid's access.log, \"acl-denied\" and the rule in viaduct's",
     "the filter on this machine's way out, for its address as source"},
    {VERDICT_AUTH_REQUIRED, "TCP_DENIED/407 in squid's access.log, \"auth-required\" in viaduct's",
     NULL},
    {VERDICT_AUTH_FAILED,
     "TCP_DENIED/407 in squid's access.log and the helper's lines in cache.log; "
     "\"auth-failed\" with its evidence in viaduct's",
     NULL},
    {VERDICT_UPSTREAM_UNRESOLVED, "DNS errors of the proxy's resolver at that time",
     "DNS errors of this machine's resolver at that time"},
    {VERDICT_UPSTREAM_TIMEOUT,
     "TCP_MISS/503 or /504 in squid's access.log; the firewall's log for the "
     "proxy's address as source",
     "the firewall's log for this machine's address as source"},
    {VERDICT_PROXY_UNRESOLVED, "the proxy's name in the DNS that this machine asks", NULL},
    {VERDICT_PROXY_UNREACHABLE, "the firewall's log for this machine's address as source", NULL},
    {VERDICT_PROXY_SILENT,
     "the client's address in the proxy's access log and in cache.log; a "
     "firewall that lets the handshake pass and nothing else",
     NULL},
    {VERDICT_PROXY_TLS_FAILED,
     "the port's settings (squid: https_port; viaduct: tls-certificate) "
     "and the certificate's names and dates",
     NULL},
    {VERDICT_NOT_A_PROXY, "what listens on that address and port: ss -ltnp there", NULL},
    {VERDICT_AUTH_UNSUPPORTED, "a Basic or Digest scheme beside the others (squid: auth_param)",
     NULL},
    {VERDICT_PROXY_REFUSED, "whether the proxy's process runs and listens: ss -ltn there", NULL},
    {VERDICT_UPSTREAM_REFUSED, NULL, "whether the service runs and listens: ss -ltn there"},
    {VERDICT_TLS_UNTRUSTED,
     "whether the proxy inspects TLS to the target (squid: ssl_bump); if not, " CERTIFICATE_HINT,
     CERTIFICATE_HINT},
    {VERDICT_TLS_INTERCEPTED, "the rule by which TLS to the target is inspected (squid: ssl_bump)",
     "who inspects TLS on this machine's way out, and by which rule"},
    {VERDICT_MTU_BLACKHOLE,
     "ip link, ip route get and the tunnels' MTU on the way; ICMP type 3 code "
     "4 or ICMPv6 type 2 in the firewall's log",
     "ip link, ip route get and the tunnels' MTU on the way; ICMP type 3 code "
     "4 or ICMPv6 type 2 in the firewall's log"},
};

static const char *hint_of(enum verdict v, bool direct)
{
    for (size_t i = 0; i < ARRAY_LEN(hints); i++)
        if (hints[i].verdict == v)
            return direct ? hints[i].direct : hints[i].proxy;
    return NULL;
}

/* No proxy was asked: there is none, or NO_PROXY names the target. */
static bool is_direct(const struct check_args *a, const struct flow *f)
{
    const struct check_options *o = &a->options;
    struct url u = {0};
    struct err err;
    bool direct = !o->proxy;

    if (!direct && o->is_direct && url_parse(&u, span_of(f->url), &err))
        direct = o->is_direct(o->direct_owner, u.at.host, &u.at.addr);
    url_fini(&u);
    return direct;
}

static void write_asked(struct pen *p, const struct check_args *a, const struct flow *f)
{
    pen_text(p, "  asked     ");
    date_write_rfc3339(p, f->start_ns);
    pen_char(p, ' ');
    escape_text(p, span_of(f->method));
    pen_char(p, ' ');
    escape_text(p, span_of(f->target));
    if (f->client.addr.family) {
        pen_text(p, " from ");
        human_endpoint(p, &f->client);
    }
    pen_text(p, ", ");
    pen_text(p, is_direct(a, f) ? "direct" : a->proxy_text);
    if (f->user) {
        pen_text(p, ", user ");
        escape_text(p, span_of(f->user));
    }
    pen_char(p, '\n');
}

static void write_got(struct pen *p, const struct flow *f)
{
    pen_text(p, "  came back ");
    if (f->status)
        pen_u64(p, f->status);
    else
        pen_text(p, "no answer");
    pen_text(p, " after ");
    human_duration(p, f->duration_ns);
    pen_text(p, ": ");
    human_ending(p, f);
    if (f->reason) {
        pen_text(p, ", ");
        escape_text(p, span_of(f->reason));
    }
    pen_char(p, '\n');
}

/* The line for all: the two ends of a connection, and whose log has them. */
static void write_ends(struct pen *p, bool direct, bool at_target, const struct flow *f)
{
    if (at_target && !direct) {
        pen_text(p, "the proxy's address");
    } else if (f->client.addr.family) {
        pen_text(p, "client ");
        human_endpoint(p, &f->client);
    } else {
        pen_text(p, "this machine's address");
    }
    pen_text(p, " and target ");
    escape_text(p, span_of(f->target));
    pen_text(p, " at that time in the ");
    pen_text(p, at_target ? "target's access log and its firewall's"
                          : "proxy's access log (squid: access.log; viaduct: viaduct flows)");
}

static void write_look(struct pen *p, const struct check_args *a, const struct flow *f)
{
    bool direct = is_direct(a, f), at_target = direct || f->verdict == VERDICT_TARGET_ERROR;
    const char *hint = hint_of(f->verdict, at_target);

    pen_text(p, "  look for  ");
    if (hint)
        pen_text(p, hint);
    else
        write_ends(p, direct, at_target, f);
    pen_char(p, '\n');
}

/* ---- the same with curl */

/* A word of a shell's command line. */
static void write_word(struct pen *p, const char *text)
{
    pen_char(p, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            pen_text(p, "'\\''");
        else
            escape_text(p, (struct span){text, 1});
    }
    pen_char(p, '\'');
}

static bool has_no_proxy(void)
{
    return getenv("no_proxy") || getenv("NO_PROXY");
}

static void write_curl_proxy(struct pen *p, const struct check_args *a, const struct flow *f)
{
    static const char *const wishes[] = {
        [LOGIN_ANY] = " --proxy-anyauth", [LOGIN_DIGEST] = " --proxy-digest", [LOGIN_BASIC] = ""};

    if (is_direct(a, f)) {
        pen_text(p, " --noproxy '*'");
        return;
    }
    if (has_no_proxy()) /* which curl follows, and check does not */
        pen_text(p, " --noproxy ''");
    pen_text(p, " -x ");
    write_word(p, a->proxy_text);
    if (a->proxy.user) {
        pen_text(p, wishes[a->proxy.wish]);
        pen_text(p, " -U ");
        write_word(p, a->proxy.user);
    }
    if (a->proxy.ca) {
        pen_text(p, " --proxy-cacert ");
        write_word(p, a->proxy.ca);
    }
}

void check_report_write_curl(struct pen *p, const struct check_args *a, const struct flow *f)
{
    pen_text(p, "the same with curl: curl -v");
    write_curl_proxy(p, a, f);
    if (a->options.insecure)
        pen_text(p, a->proxy.tls ? " -k --proxy-insecure" : " -k");
    if (a->options.cacert) {
        pen_text(p, " --cacert ");
        write_word(p, a->options.cacert);
    }
    if (a->options.follow)
        pen_text(p, " -L");
    if (a->resume)
        pen_text(p, " -C -");
    pen_text(p, " -o ");
    write_word(p, a->output ? a->output : "/dev/null");
    pen_text(p, " -m ");
    pen_u64(p, a->options.timeout_ns ? (a->options.timeout_ns + NS_PER_S - 1) / NS_PER_S : 30);
    pen_char(p, ' ');
    write_word(p, f->url ? f->url : "");
    pen_char(p, '\n');
}

bool check_report_flow(struct buf *out, const struct check_args *a, const struct flow *f,
                       bool coloured)
{
    struct pen p;

    if (!render_ladder(out, f, coloured))
        return false;
    pen_init_draft(&p, out);
    pen_char(&p, '\n');
    if (!is_fine(f)) {
        pen_text(&p, !is_direct(a, f) && f->verdict != VERDICT_TARGET_ERROR
                         ? "for the proxy's owner:\n"
                         : "for the target's owner:\n");
        write_asked(&p, a, f);
        write_got(&p, f);
        write_look(&p, a, f);
        pen_char(&p, '\n');
    }
    check_report_write_curl(&p, a, f);
    return pen_end_draft(&p, out);
}

/* ---- sizes */

#define MTU_LEG_WIDTH 26
#define MTU_WIDTH 15

static void write_column(struct pen *p, bool at_least, uint32_t number)
{
    size_t from = pen_len(p);

    if (at_least)
        pen_text(p, ">= ");
    pen_u64(p, number);
    pen_pad_to(p, from, MTU_WIDTH);
}

static void write_way(struct pen *p, const struct check_mtu *m, unsigned i)
{
    static const char *const known[] = {[CHECK_MTU_UNKNOWN] = "unknown",
                                        [CHECK_MTU_INFERRED] = "inferred",
                                        [CHECK_MTU_SEEN] = "seen"};
    const struct check_mtu_way *w = &m->ways[i];
    bool v6 = i < 2 ? m->is_v6 : m->is_far_v6;
    size_t from = pen_len(p);

    pen_text(p, w->from);
    pen_text(p, " to ");
    pen_text(p, w->to);
    pen_pad_to(p, from, MTU_LEG_WIDTH);
    if (w->mss) {
        uint32_t mtu = w->mss + CHECK_MTU_HEADERS(v6);

        write_column(p, w->more, mtu);
        write_column(p, w->more, mtu - CHECK_MTU_HEADERS(false));
        write_column(p, w->more, mtu - CHECK_MTU_HEADERS(true));
        write_column(p, w->more, w->mss - m->options);
    } else {
        for (unsigned n = 0; n < 4; n++)
            pen_text(p, "-              ");
    }
    pen_text(p, known[w->known]);
    pen_text(p, ", ");
    pen_u64(p, w->probes);
    pen_text(p, w->probes == 1 ? " probe" : " probes");
    if (*w->why) {
        pen_text(p, ": ");
        escape_text(p, span_of(w->why));
    }
    pen_char(p, '\n');
}

/* The smaller of what passes in the two directions of this machine's own leg, where both are known.
 */
static void write_advice(struct pen *p, const struct check_mtu *m)
{
    uint32_t out = m->ways[0].mss, in = m->ways[1].mss, mss = out < in ? out : in;

    pen_text(p, "path MTU that this machine's kernel knows: ");
    pen_u64(p, m->pmtu);
    pen_char(p, '\n');
    if (mss && !m->ways[0].more && !m->ways[1].more &&
        mss + CHECK_MTU_HEADERS(m->is_v6) < m->pmtu) {
        pen_text(p, "MSS to configure for this leg, at either end: ");
        pen_u64(p, mss);
        pen_char(p, '\n');
    }
}

bool check_report_mtu(struct buf *out, const struct check_mtu *m, const struct flow *f)
{
    static const char *const titles[] = {"path MTU", "MSS IPv4", "MSS IPv6", "payload"};
    struct pen p;

    pen_init_draft(&p, out);
    pen_char(&p, '\n');
    pen_pad(&p, ' ', MTU_LEG_WIDTH);
    for (size_t i = 0; i < ARRAY_LEN(titles); i++) {
        size_t from = pen_len(&p);

        pen_text(&p, titles[i]);
        pen_pad_to(&p, from, MTU_WIDTH);
    }
    pen_char(&p, '\n');
    for (unsigned i = 0; i < m->len; i++)
        write_way(&p, m, i);
    write_advice(&p, m);
    if (f->proxy.addr.family) {
        pen_text(&p, "beyond the proxy, its own host sees it all: viaduct check --mtu -x direct ");
        write_word(&p, f->url ? f->url : "");
        pen_char(&p, '\n');
    }
    return pen_end_draft(&p, out);
}

/* ---- many */

bool check_report_row(struct buf *out, const struct flow *f, bool coloured)
{
    struct pen p;
    size_t from;

    pen_init_draft(&p, out);
    colour(&p, coloured, is_fine(f) ? "\x1b[32m" : "\x1b[31m");
    from = pen_len(&p);
    pen_text(&p, verdict_get_info(f->verdict)->name);
    pen_pad_to(&p, from, NAME_WIDTH);
    colour(&p, coloured, "\x1b[0m");
    from = pen_len(&p);
    pen_text(&p, phase_name(f->ended_in));
    pen_pad_to(&p, from, 10);
    from = pen_len(&p);
    if (f->status)
        pen_u64(&p, f->status);
    else
        pen_char(&p, '-');
    pen_pad_to(&p, from, 4);
    from = pen_len(&p);
    human_duration(&p, f->duration_ns);
    pen_pad_to(&p, from, 10);
    escape_text(&p, span_of(f->url));
    if (f->reason && !is_fine(f)) {
        pen_text(&p, "  ");
        escape_text(&p, span_of(f->reason));
    }
    pen_char(&p, '\n');
    return pen_end_draft(&p, out);
}

bool check_report_sum(struct buf *out, unsigned flows, unsigned ok, unsigned open,
                      uint64_t longest_ns)
{
    struct pen p;

    pen_init_draft(&p, out);
    pen_u64(&p, ok);
    pen_text(&p, " of ");
    pen_u64(&p, flows);
    pen_text(&p, " ok");
    if (open > 0) {
        pen_text(&p, ", ");
        pen_u64(&p, open);
        pen_text(&p, " open");
    }
    pen_text(&p, ", the longest took ");
    human_duration(&p, longest_ns);
    pen_char(&p, '\n');
    return pen_end_draft(&p, out);
}

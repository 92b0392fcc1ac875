#include "config/access_test.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "policy/parent.h"

const char *access_test_word(enum access_outcome outcome)
{
    switch (outcome) {
    case ACCESS_ALLOW:
        return "allowed";
    case ACCESS_DENY:
        return "denied";
    case ACCESS_LOGIN:
        return "login needed";
    case ACCESS_RESOLVE:
        return "depends on the address";
    }
    return "";
}

void access_test_learn(void)
{
    struct addr list[256];
    struct ifaddrs *all = NULL;
    unsigned n = 0;

    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *i = all; i && n < ARRAY_LEN(list); i = i->ifa_next) {
        struct endpoint e;

        if (!i->ifa_addr ||
            (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        endpoint_from_sockaddr(&e, i->ifa_addr);
        list[n++] = e.addr;
    }
    freeifaddrs(all);
    access_set_own_addresses(list, n);
}

/* Minutes since Monday 00:00, local time. */
static int week_minute_now(void)
{
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    return ((tm.tm_wday + 6) % 7 * 24 + tm.tm_hour) * 60 + tm.tm_min;
}

/* "https://host/…" is asked for by CONNECT, as a client of the proxy does; an http URL by its own
 * method. */
static bool parse_target(const struct access_test *t, struct access_answer *out)
{
    struct span text = span_of(t->target);
    bool is_url = strstr(t->target, "://") != NULL;
    const char *method = "CONNECT";

    if (!is_url) {
        if (!authority_parse_default(text, 443, &out->at))
            return false;
    } else {
        if (!authority_parse_absolute(text, false, &out->at))
            return false;
        if (span_equal_nocase(out->at.scheme, SPAN_LIT("http")))
            method = "GET";
    }
    snprintf(out->method, sizeof out->method, "%s", t->method ? t->method : method);
    return true;
}

bool access_test_ask(const struct config *c, const struct access_test *t, struct access_answer *out,
                     struct err *err)
{
    struct access_query *q = &out->query;

    *out = (struct access_answer){0};
    if (!addr_parse(span_of(t->client), &q->client)) {
        err_set(err, "\"%s\" is no address", t->client);
        return false;
    }
    if (!parse_target(t, out)) {
        err_set(err, "\"%s\": %s", t->target, out->at.bad_what);
        return false;
    }
    q->user = t->user;
    q->can_login = c->authentication.present;
    q->method = span_of(out->method);
    q->host = (struct span){out->at.host, out->at.host_len};
    q->addr = out->at.addr;
    q->port = out->at.port;
    parent_route(c->parent, q);
    q->week_minute = week_minute_now();
    access_decide(c->access, q, &out->decision);
    return true;
}

/* "deny private (built in)", "allow local (viaduct.conf:12, report only)" */
static bool write_rule(struct buf *out, const char *front, const struct access_rule *r)
{
    bool ok = buf_printf(out, "%s%s %s (", front, r->allow ? "allow" : "deny", r->name);

    if (r->line > 0)
        ok = ok && buf_printf(out, "%s:%d", r->file, r->line);
    else
        ok = ok && buf_printf(out, "%.*s", (int)strcspn(r->file + 1, ")"), r->file + 1);
    return ok && buf_printf(out, "%s)\n", r->report ? ", report only" : "");
}

bool access_test_write(const struct config *c, const struct access_test *t,
                       const struct access_answer *a, struct buf *out)
{
    const struct access_decision *d = &a->decision;
    char at[AUTHORITY_TEXT_MAX];
    bool ok;

    authority_write(&a->at, at);
    ok = buf_printf(out, "%s: %.32s %s from %.64s%s%.128s\n", access_test_word(d->outcome),
                    a->method, at, t->client, t->user ? " as " : "", t->user ? t->user : "");
    if (d->rule)
        ok = ok && write_rule(out, d->outcome == ACCESS_LOGIN ? "  asked by   " : "  decided by ",
                              d->rule);
    else if (d->outcome == ACCESS_DENY)
        ok = ok && buf_printf(out, "  no rule allows it\n");
    else
        ok = ok && buf_printf(out, "  nothing was looked up; of these, report-only ones aside, the "
                                   "first that matches an address decides for it\n");
    for (unsigned i = 0; i < access_count_rules(c->access) && ok; i++) {
        const struct access_rule *r = access_get_rule(c->access, i);
        int matches = access_rule_matches(c->access, i, &a->query, NULL);

        if (r != d->rule && matches != 0)
            ok = write_rule(out, matches > 0 ? "  matches    " : "  may match  ", r);
    }
    return ok;
}

/* The judge tries its rules from the top; the first that holds decides.  The order carries meaning:
 * what is no answer of a proxy, then words, the surest first, then the status.
 *
 * A mark says that a proxy stands there (Via, X-Cache); a signature that it made this answer itself
 * (X-Squid-Error, its name as the server, its own sentence).  To CONNECT only a proxy answers; to
 * an absolute-form request the target does, unless the answer is signed. */
#include "flow/outside.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/util.h"
#include "flow/greeting.h"
#include "flow/marks.h"
#include "flow/offer.h"
#include "flow/ownwords.h"
#include "flow/proxystatus.h"

#define SHOWN_MAX 160  /* bytes of a text from outside in one item of evidence */
#define MEMBERS_MAX 16 /* of Proxy-Status that are read */

/* --- the answer's fields --------------------------------------------------------------------- */

static void add_value(struct outside_values *v, struct span value)
{
    if (v->len < OUTSIDE_VALUES_MAX)
        v->items[v->len++] = value;
}

void outside_add_field(struct outside_answer *a, struct span name, struct span value)
{
    const struct {
        struct span name;
        struct outside_values *values;
        struct span *value;
    } fields[] = {
        {SPAN_INIT("proxy-status"), &a->proxy_status, NULL},
        {SPAN_INIT("via"), &a->via, NULL},
        {SPAN_INIT("proxy-authenticate"), &a->proxy_authenticate, NULL},
        {SPAN_INIT("www-authenticate"), &a->www_authenticate, NULL},
        {SPAN_INIT("x-squid-error"), NULL, &a->squid_error},
        {SPAN_INIT("server"), NULL, &a->server},
        {SPAN_INIT("proxy-agent"), NULL, &a->proxy_agent},
        {SPAN_INIT("location"), NULL, &a->location},
        {SPAN_INIT("content-type"), NULL, &a->content_type},
        {SPAN_INIT("retry-after"), NULL, &a->retry_after},
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!span_equal_nocase(name, fields[i].name))
            continue;
        if (fields[i].values)
            add_value(fields[i].values, value);
        else
            *fields[i].value = value;
        return;
    }
    a->has_cache_mark |= span_equal_nocase(name, SPAN_LIT("x-cache")) ||
                         span_equal_nocase(name, SPAN_LIT("x-cache-lookup"));
    a->has_envoy_mark |= span_begins_nocase(name, SPAN_LIT("x-envoy-"));
}

/* --- the scene ------------------------------------------------------------------------------- */

struct scene {
    const struct outside_answer *a;
    struct flow *f;
    struct mark server;      /* who signs as Server or Proxy-Agent */
    struct words_mark words; /* of X-Squid-Error, of the body or of a block page's address */
    struct proxystatus said; /* the first member of Proxy-Status with an error */
    unsigned members, said_at;
    bool has_said;
    bool is_marked, is_signed; /* see the top */
    enum side speaker;         /* who made the answer, as far as one sees */
};

static struct span shown(struct span text)
{
    return (struct span){text.ptr, text.len < SHOWN_MAX ? text.len : SHOWN_MAX};
}

#define SHOWN(text) (int)shown(text).len, shown(text).ptr ? shown(text).ptr : ""

static void read_proxy_status(struct scene *sc)
{
    const struct outside_values *v = &sc->a->proxy_status;
    struct proxystatus m;

    for (unsigned i = 0; i < v->len; i++) {
        struct span rest = v->items[i];

        while (sc->members < MEMBERS_MAX && proxystatus_next(&rest, &m)) {
            if (m.error.len > 0 && !sc->has_said) {
                sc->said = m;
                sc->said_at = sc->members;
                sc->has_said = true;
            }
            sc->members++;
        }
    }
}

static unsigned count_via(const struct outside_answer *a)
{
    unsigned n = 0;

    for (unsigned i = 0; i < a->via.len; i++) {
        struct span rest = a->via.items[i];

        while (rest.len > 0)
            n += span_trim(span_cut(&rest, ',')).len > 0;
    }
    return n;
}

static const char *find_via(const struct outside_answer *a)
{
    const char *product = NULL;

    for (unsigned i = 0; i < a->via.len && !product; i++)
        product = marks_find_via(a->via.items[i]);
    return product;
}

/* The words of fields and body, the surest first. */
static struct words_mark read_words(const struct outside_answer *a)
{
    struct span body = {a->body.ptr,
                        a->body.len < OUTSIDE_BODY_MAX ? a->body.len : OUTSIDE_BODY_MAX};

    if (a->status >= 300 && a->status < 400)
        return marks_read_location(a->location);
    if (a->squid_error.len > 0)
        return marks_read_squid(a->squid_error, a->status, a->by_name);
    if (a->status >= 400)
        return marks_read_body(body, a->status, a->by_name);
    return (struct words_mark){.verdict = VERDICT_COUNT};
}

/* Who made a signed answer: with two in Via the one behind the proxy did, as each adds itself on
 * the way back; in Proxy-Status its place in the list tells. */
static enum side find_speaker(const struct scene *sc)
{
    if (sc->a->asked == OUTSIDE_DIRECT)
        return SIDE_TARGET;
    if (sc->has_said)
        return sc->said_at + 1 < sc->members || sc->said.received_status >= 400 ? SIDE_PARENT
                                                                                : SIDE_PROXY;
    return count_via(sc->a) >= 2 ? SIDE_PARENT : SIDE_PROXY;
}

static struct scene set_scene(const struct outside_answer *a, struct flow *f)
{
    struct scene sc = {.a = a, .f = f, .words = {.verdict = VERDICT_COUNT}};

    sc.server = marks_find_server(a->proxy_agent.len > 0 ? a->proxy_agent : a->server);
    read_proxy_status(&sc);
    sc.words = read_words(a);
    sc.is_signed = sc.has_said || a->squid_error.len > 0 || sc.server.kind == MARK_PROXY ||
                   sc.words.kind == MARK_PROXY || a->proxy_authenticate.len > 0;
    sc.is_marked = sc.is_signed || sc.members > 0 || a->via.len > 0 || a->has_cache_mark ||
                   a->proxy_agent.len > 0;
    sc.speaker = find_speaker(&sc);
    return sc;
}

/* --- conclusions ----------------------------------------------------------------------------- */

typedef bool (*rule_fn)(const struct scene *, struct outside_verdict *);

/* Who ended it: the target and the network for what they do, else who says so. */
static enum side blame(enum verdict v, enum side speaker)
{
    if (v == VERDICT_UPSTREAM_UNRESOLVED || v == VERDICT_UPSTREAM_UNREACHABLE)
        return SIDE_NETWORK;
    if (v == VERDICT_UPSTREAM_REFUSED || v == VERDICT_UPSTREAM_FAILED ||
        v == VERDICT_UPSTREAM_TIMEOUT || v == VERDICT_TARGET_ERROR)
        return SIDE_TARGET;
    return v == VERDICT_REQUEST_TIMEOUT ? SIDE_CLIENT : speaker;
}

static bool conclude(const struct scene *sc, struct outside_verdict *out, enum verdict v,
                     enum certainty c)
{
    out->verdict = v;
    out->by = blame(v, sc->speaker);
    out->certainty = c;
    return true;
}

__attribute__((format(printf, 2, 3))) static void give_reason(struct outside_verdict *out,
                                                              const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(out->reason, sizeof out->reason, fmt, ap);
    va_end(ap);
}

static void note_status(const struct scene *sc)
{
    const struct outside_answer *a = sc->a;
    bool has_server = a->server.len > 0;

    flow_evidence(sc->f, "the answer was %u %.*s%s%.*s", a->status, SHOWN(a->reason),
                  has_server ? ", Server: " : "", SHOWN(a->server));
    if (a->retry_after.len > 0)
        flow_evidence(sc->f, "Retry-After: %.*s", SHOWN(a->retry_after));
}

/* What it is instead of a proxy, by name. */
static bool not_a_proxy(const struct scene *sc, struct outside_verdict *out, enum certainty c,
                        const char *what)
{
    give_reason(out, "%s", what);
    flow_evidence(sc->f, "%s answered", what);
    if (sc->a->is_http)
        note_status(sc);
    out->verdict = VERDICT_NOT_A_PROXY;
    out->by = SIDE_PROXY;
    out->certainty = c;
    return true;
}

/* --- rules: what is no proxy's answer -------------------------------------------------------- */

static bool judge_greeting(const struct scene *sc, struct outside_verdict *out)
{
    char name[GREETING_MAX];

    if (sc->a->is_http)
        return false;
    greeting_write(sc->a->first, name);
    if (sc->a->asked != OUTSIDE_DIRECT) /* a broken proxy's words may look like HTTP's */
        return not_a_proxy(sc, out,
                           span_begins_nocase(sc->a->first, SPAN_LIT("HTTP/")) ? CERTAINTY_INFERRED
                                                                               : CERTAINTY_SEEN,
                           name);
    give_reason(out, "%s", name);
    flow_evidence(sc->f, "%s answered instead of a web server", name);
    return conclude(sc, out, VERDICT_UPSTREAM_FAILED, CERTAINTY_SEEN);
}

static bool judge_portal(const struct scene *sc, struct outside_verdict *out)
{
    if (sc->a->status != 511)
        return false;
    not_a_proxy(sc, out, CERTAINTY_SEEN, "a captive portal: the network wants a log-in first");
    out->by = SIDE_NETWORK;
    return true;
}

/* A page that came with the 200 to CONNECT is a web server's; a mere field may be an odd proxy's.
 */
static bool is_page(const struct outside_answer *a)
{
    size_t at = 0;

    if (!span_begins_nocase(a->content_type, SPAN_LIT("text/html")))
        return false;
    while (at < a->body.len && memchr(" \t\r\n", a->body.ptr[at], 4))
        at++;
    return at == a->body.len || a->body.ptr[at] == '<';
}

static bool judge_success(const struct scene *sc, struct outside_verdict *out)
{
    const struct outside_answer *a = sc->a;

    if (a->status < 200 || a->status >= 300)
        return false;
    if (a->asked == OUTSIDE_CONNECT && is_page(a) && !sc->is_marked)
        return not_a_proxy(sc, out, CERTAINTY_SEEN, "a web server with a page of its own");
    out->verdict = VERDICT_OK;
    out->by = SIDE_NOBODY;
    return true;
}

/* A known filter's block page is words; any other redirect belongs to the target, but to CONNECT.
 */
static bool judge_redirect(const struct scene *sc, struct outside_verdict *out)
{
    const struct outside_answer *a = sc->a;

    if (a->status < 300 || a->status >= 400 || sc->words.verdict != VERDICT_COUNT)
        return false;
    bool by_proxy = sc->server.kind == MARK_PROXY || a->squid_error.len > 0;

    if (a->asked == OUTSIDE_DIRECT || (a->asked == OUTSIDE_ABSOLUTE && !by_proxy)) {
        out->verdict = VERDICT_OK;
        out->by = SIDE_NOBODY;
        return true;
    }
    flow_evidence(sc->f, "Location: %.*s", SHOWN(a->location));
    if (!sc->is_marked)
        return not_a_proxy(sc, out, CERTAINTY_SEEN, "a log-in page (a redirect)");
    give_reason(out, "a redirect");
    note_status(sc);
    return conclude(sc, out, VERDICT_ACL_DENIED, CERTAINTY_INFERRED);
}

static bool judge_direct(const struct scene *sc, struct outside_verdict *out)
{
    bool blocked = sc->words.kind == MARK_PROXY && sc->words.verdict == VERDICT_ACL_DENIED;

    if (sc->a->asked != OUTSIDE_DIRECT)
        return false;
    if (blocked) { /* a filter on the way speaks in the target's name */
        give_reason(out, "%s", sc->words.product);
        flow_evidence(sc->f, "%s says: %.*s", sc->words.product, SHOWN(sc->words.words));
        conclude(sc, out, VERDICT_ACL_DENIED, sc->words.certainty);
        out->by = SIDE_NETWORK;
        return true;
    }
    give_reason(out, "%u %.*s", sc->a->status, SHOWN(sc->a->reason));
    note_status(sc);
    return conclude(sc, out, VERDICT_TARGET_ERROR, CERTAINTY_SEEN);
}

/* --- rules: words ---------------------------------------------------------------------------- */

static void note_speaker(const struct scene *sc)
{
    if (sc->speaker == SIDE_PARENT)
        flow_evidence(sc->f, "said by the parent, a proxy behind the proxy");
}

static void note_said(const struct scene *sc)
{
    const struct proxystatus *m = &sc->said;

    if (!sc->has_said)
        return;
    flow_evidence(sc->f, "Proxy-Status: %.*s; error=%.*s%s%.*s%s%.*s", SHOWN(m->name),
                  SHOWN(m->error), m->next_hop.len ? "; next-hop=" : "", SHOWN(m->next_hop),
                  m->details.len ? "; details=" : "", SHOWN(m->details));
    if (m->received_status)
        flow_evidence(sc->f, "the next hop had answered %u", m->received_status);
}

/* An answer of viaduct's own says its verdict.  A target might write such a phrase too: to an
 * absolute-form request it counts only with Proxy-Status beside it. */
static bool judge_viaduct(const struct scene *sc, struct outside_verdict *out)
{
    const struct outside_answer *a = sc->a;
    struct span why;
    enum verdict v = ownwords_read_phrase(a->reason, &why);

    if (a->asked == OUTSIDE_ABSOLUTE && sc->members == 0)
        return false;
    if (v == VERDICT_COUNT && sc->members > 0)
        v = ownwords_read_page(a->body);
    if (v == VERDICT_COUNT)
        return false;
    out->product = "viaduct";
    give_reason(out, "%.*s", SHOWN(why.len > 0 ? why : sc->said.details));
    note_status(sc);
    note_said(sc);
    note_speaker(sc);
    return conclude(sc, out, v, CERTAINTY_SEEN);
}

static bool says(struct span text, const char *word)
{
    return text.len > 0 && memmem(text.ptr, text.len, word, strlen(word)) != NULL;
}

static bool judge_said(const struct scene *sc, struct outside_verdict *out)
{
    enum verdict v = sc->has_said ? proxystatus_verdict(&sc->said, sc->a->status) : VERDICT_COUNT;

    if (sc->has_said && span_equal_nocase(sc->said.error, SPAN_LIT("proxy_internal_response")) &&
        (says(sc->said.details, "shutting down") || says(sc->said.details, "drain")))
        v = VERDICT_DRAINING;
    if (v == VERDICT_COUNT)
        return false;
    give_reason(out, "%.*s", SHOWN(sc->said.details.len > 0 ? sc->said.details : sc->said.error));
    note_said(sc);
    note_status(sc);
    note_speaker(sc);
    return conclude(sc, out, v, CERTAINTY_SEEN);
}

/* --- rules: who wants a log-in --------------------------------------------------------------- */

/* A proxy that asks by 401 does it wrong, and is told so; a 407 can only be a proxy's. */
static bool judge_login(const struct scene *sc, struct outside_verdict *out)
{
    const struct outside_answer *a = sc->a;
    bool wrong = a->status == 401 && (a->asked == OUTSIDE_CONNECT || sc->is_signed);
    const struct outside_values *asked;
    struct offer o = {.any = false};
    enum verdict v;

    if (a->status != 407 && !wrong)
        return false;
    asked = a->proxy_authenticate.len > 0 ? &a->proxy_authenticate : &a->www_authenticate;
    for (unsigned i = 0; i < asked->len; i++)
        offer_add(&o, asked->items[i]);
    v = o.any && !o.usable                ? VERDICT_AUTH_UNSUPPORTED
        : a->credentials_sent && !o.stale ? VERDICT_AUTH_FAILED
                                          : VERDICT_AUTH_REQUIRED;
    if (o.any)
        give_reason(out, "it offers %s", o.names);
    flow_evidence(sc->f, "%u%s%s%s", a->status, o.any ? ", it offers " : ", without a challenge",
                  o.names, o.stale ? " (the nonce was stale)" : "");
    if (wrong)
        flow_evidence(sc->f, "401 asks for a log-in at the target; a proxy should answer 407");
    note_status(sc);
    note_said(sc);
    note_speaker(sc);
    return conclude(sc, out, v, wrong || o.stale || !o.any ? CERTAINTY_INFERRED : CERTAINTY_SEEN);
}

/* Words of other makers.  A gateway's own words to an absolute-form request may be the target's. */
static bool judge_words(const struct scene *sc, struct outside_verdict *out)
{
    const struct words_mark *w = &sc->words;
    bool counts = w->kind == MARK_PROXY || sc->a->asked == OUTSIDE_CONNECT;

    if (w->verdict == VERDICT_COUNT || !counts)
        return false;
    give_reason(out, "%.*s", SHOWN(w->words));
    flow_evidence(sc->f, "%s says: %.*s", w->product, SHOWN(w->words));
    if (w->note)
        flow_evidence(sc->f, "%s", w->note);
    note_status(sc);
    note_speaker(sc);
    return conclude(sc, out, w->verdict, w->certainty);
}

/* --- rules: numbers -------------------------------------------------------------------------- */

/* What a proxy means by a status that comes without words. */
static enum verdict status_verdict(unsigned status)
{
    static const struct {
        uint16_t status;
        enum verdict verdict;
    } statuses[] = {
        {403, VERDICT_ACL_DENIED},
        {404, VERDICT_NOT_FOUND},
        {408, VERDICT_REQUEST_TIMEOUT},
        {429, VERDICT_CLIENT_LIMIT},
        {451, VERDICT_ACL_DENIED},
        {501, VERDICT_BAD_REQUEST},
        {502, VERDICT_UPSTREAM_FAILED},
        {503, VERDICT_OVERLOADED},
        {504, VERDICT_UPSTREAM_TIMEOUT},
        {505, VERDICT_BAD_REQUEST},
        {508, VERDICT_LOOP},
        /* g3 and some others */
        {521, VERDICT_UPSTREAM_REFUSED},
        {522, VERDICT_UPSTREAM_TIMEOUT},
        {523, VERDICT_UPSTREAM_UNREACHABLE},
        {525, VERDICT_UPSTREAM_FAILED},
        {530, VERDICT_UPSTREAM_UNRESOLVED},
    };

    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].verdict;
    return status < 500 ? VERDICT_BAD_REQUEST : VERDICT_PROXY_ERROR;
}

/* From who shows no sign of being a proxy: a web server's ways to say to CONNECT that it is none,
 * and to anything that TLS is spoken there. */
static bool judge_web_server(const struct scene *sc, struct outside_verdict *out)
{
    const struct outside_answer *a = sc->a;
    bool typical = a->status == 404 || a->status == 405 || a->status == 421 || a->status == 501;
    bool bad = a->status == 400 && a->server.len > 0;
    bool wants_tls = a->status == 400 && marks_wants_tls(a->body);
    char name[OUTSIDE_REASON_MAX];

    if (sc->is_marked || !(wants_tls || (a->asked == OUTSIDE_CONNECT && (typical || bad))))
        return false;
    snprintf(name, sizeof name, "a web server%s%s%.*s%s", wants_tls ? " that wants TLS" : "",
             a->server.len > 0 ? " (" : "", SHOWN(a->server), a->server.len > 0 ? ")" : "");
    return not_a_proxy(sc, out, CERTAINTY_SEEN, name);
}

/* An answer to an absolute-form request that no proxy signed was passed on. */
static bool judge_target(const struct scene *sc, struct outside_verdict *out)
{
    const struct outside_answer *a = sc->a;
    bool relayed = a->server.len > 0 || a->via.len > 0 || a->has_cache_mark || sc->members > 0 ||
                   a->www_authenticate.len > 0;

    if (a->asked != OUTSIDE_ABSOLUTE || sc->is_signed || a->status == 408)
        return false;
    give_reason(out, "%u %.*s", a->status, SHOWN(a->reason));
    note_status(sc);
    if (a->status == 401)
        flow_evidence(sc->f, "the target wants a log-in, not the proxy");
    return conclude(sc, out, VERDICT_TARGET_ERROR, relayed ? CERTAINTY_SEEN : CERTAINTY_INFERRED);
}

static bool judge_status(const struct scene *sc, struct outside_verdict *out)
{
    give_reason(out, "%u %.*s", sc->a->status, SHOWN(sc->a->reason));
    note_status(sc);
    note_said(sc);
    note_speaker(sc);
    return conclude(sc, out, status_verdict(sc->a->status), CERTAINTY_INFERRED);
}

/* Who made the answer; nobody is named for one that was passed on. */
static const char *find_product(const struct scene *sc)
{
    bool own = sc->a->asked == OUTSIDE_CONNECT || sc->is_signed;

    if (!own || sc->a->asked == OUTSIDE_DIRECT)
        return sc->words.kind == MARK_PROXY ? sc->words.product : NULL;
    if (sc->words.product)
        return sc->words.product;
    if (sc->server.kind == MARK_PROXY || sc->server.kind == MARK_GATEWAY)
        return sc->server.product;
    return sc->a->has_envoy_mark ? "Envoy" : find_via(sc->a);
}

struct outside_verdict outside_judge(const struct outside_answer *a, struct flow *f)
{
    static const rule_fn rules[] = {judge_greeting, judge_portal,     judge_success, judge_redirect,
                                    judge_direct,   judge_viaduct,    judge_said,    judge_login,
                                    judge_words,    judge_web_server, judge_target,  judge_status};
    struct scene sc = set_scene(a, f);
    struct outside_verdict out = {.certainty = CERTAINTY_SEEN};

    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i](&sc, &out))
            break;
    if (!out.product && out.verdict != VERDICT_OK)
        out.product = find_product(&sc);
    return out;
}

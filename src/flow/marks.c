/* The rows of squid, tinyproxy, HAProxy, nginx, Apache and lighttpd are what Debian 12's packages
 * were seen to send; those of appliances are what their makers' manuals and published answers show.
 * A row that would only be a guess is left out. */
#include "flow/marks.h"

#include "base/num.h"
#include "base/util.h"

/* Position of `needle` in `text`, or -1. */
static long find(struct span text, struct span needle)
{
    const char *at = text.len > 0 ? memmem(text.ptr, text.len, needle.ptr, needle.len) : NULL;

    return at ? at - text.ptr : -1;
}

/* The same without case, for short texts. */
static long find_nocase(struct span text, struct span needle)
{
    for (size_t at = 0; at + needle.len <= text.len; at++)
        if (span_lower(text.ptr[at]) == span_lower(*needle.ptr) &&
            span_equal_nocase((struct span){text.ptr + at, needle.len}, needle))
            return (long)at;
    return -1;
}

/* --- names in fields ------------------------------------------------------------------------- */

static const struct {
    struct span begin; /* of the field, without case */
    struct mark mark;
} servers[] = {
    {SPAN_INIT("squid"), {"squid", MARK_PROXY}},
    {SPAN_INIT("tinyproxy"), {"tinyproxy", MARK_PROXY}},
    {SPAN_INIT("viaduct"), {"viaduct", MARK_PROXY}},
    {SPAN_INIT("privoxy"), {"Privoxy", MARK_PROXY}},
    {SPAN_INIT("cntlm"), {"Cntlm", MARK_PROXY}},
    {SPAN_INIT("zscaler"), {"Zscaler", MARK_PROXY}},
    {SPAN_INIT("bluecoat-security-appliance"), {"Blue Coat ProxySG", MARK_PROXY}},
    {SPAN_INIT("mikrotik httpproxy"), {"MikroTik HttpProxy", MARK_PROXY}},
    {SPAN_INIT("sonicwall"), {"SonicWall", MARK_PROXY}},
    {SPAN_INIT("kerio control"), {"Kerio Control", MARK_PROXY}},
    {SPAN_INIT("olfeo"), {"Olfeo", MARK_PROXY}},
    {SPAN_INIT("mitmproxy"), {"mitmproxy", MARK_PROXY}},
    {SPAN_INIT("ats/"), {"Apache Traffic Server", MARK_GATEWAY}},
    {SPAN_INIT("haproxy"), {"HAProxy", MARK_GATEWAY}},
    {SPAN_INIT("envoy"), {"Envoy", MARK_GATEWAY}},
    {SPAN_INIT("istio-envoy"), {"Envoy", MARK_GATEWAY}},
    {SPAN_INIT("varnish"), {"Varnish", MARK_GATEWAY}},
    {SPAN_INIT("nginx"), {"nginx", MARK_SERVER}},
    {SPAN_INIT("openresty"), {"nginx (OpenResty)", MARK_SERVER}},
    {SPAN_INIT("apache"), {"Apache", MARK_SERVER}},
    {SPAN_INIT("lighttpd"), {"lighttpd", MARK_SERVER}},
    {SPAN_INIT("microsoft-iis"), {"Microsoft IIS", MARK_SERVER}},
    {SPAN_INIT("microsoft-httpapi"), {"Microsoft HTTP.sys", MARK_SERVER}},
    {SPAN_INIT("caddy"), {"Caddy", MARK_SERVER}},
};

struct mark marks_find_server(struct span server)
{
    for (size_t i = 0; i < ARRAY_LEN(servers); i++)
        if (span_begins_nocase(server, servers[i].begin))
            return servers[i].mark;
    return (struct mark){NULL, MARK_NONE};
}

static const struct {
    struct span part;
    const char *product;
} vias[] = {
    {SPAN_INIT("(squid"), "squid"},
    {SPAN_INIT("(tinyproxy"), "tinyproxy"},
    {SPAN_INIT("viaduct"), "viaduct"},
    {SPAN_INIT("(cisco-wsa"), "Cisco Secure Web Appliance"},
    {SPAN_INIT("mcafee web gateway"), "McAfee Web Gateway"},
    {SPAN_INIT("(apachetrafficserver"), "Apache Traffic Server"},
    {SPAN_INIT("mitmproxy"), "mitmproxy"},
};

const char *marks_find_via(struct span via)
{
    for (size_t i = 0; i < ARRAY_LEN(vias); i++)
        if (find_nocase(via, vias[i].part) >= 0)
            return vias[i].product;
    return NULL;
}

/* --- squid ----------------------------------------------------------------------------------- */

#define SQUID_NO_PATH "squid 5 says this where the target's name does not resolve"

/* Error pages whose name says what happened; those that are left out leave it to the status. */
static const struct {
    struct span name;
    enum verdict verdict;
} squid_errors[] = {
    {SPAN_INIT("ERR_ACCESS_DENIED"), VERDICT_ACL_DENIED},
    {SPAN_INIT("ERR_FORWARDING_DENIED"), VERDICT_ACL_DENIED},
    {SPAN_INIT("ERR_CONNECT_FAIL"), VERDICT_UPSTREAM_FAILED}, /* its errno says more */
    {SPAN_INIT("ERR_SECURE_CONNECT_FAIL"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("ERR_DNS_FAIL"), VERDICT_UPSTREAM_UNRESOLVED},
    {SPAN_INIT("ERR_CANNOT_FORWARD"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("ERR_READ_ERROR"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("ERR_READ_TIMEOUT"), VERDICT_UPSTREAM_TIMEOUT},
    {SPAN_INIT("ERR_WRITE_ERROR"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("ERR_ZERO_SIZE_OBJECT"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("ERR_INVALID_RESP"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("ERR_GATEWAY_FAILURE"), VERDICT_PROXY_ERROR},
    {SPAN_INIT("ERR_SOCKET_FAILURE"), VERDICT_PROXY_ERROR},
    {SPAN_INIT("ERR_ICAP_FAILURE"), VERDICT_PROXY_ERROR},
    {SPAN_INIT("ERR_LIFETIME_EXP"), VERDICT_LIFETIME_LIMIT},
    {SPAN_INIT("ERR_SHUTTING_DOWN"), VERDICT_DRAINING},
    {SPAN_INIT("ERR_TOO_BIG"), VERDICT_SIZE_LIMIT}, /* 431: the request's head */
    {SPAN_INIT("ERR_UNSUP_REQ"), VERDICT_BAD_REQUEST},
    {SPAN_INIT("ERR_UNSUP_HTTPVERSION"), VERDICT_BAD_REQUEST},
    {SPAN_INIT("ERR_INVALID_URL"), VERDICT_BAD_REQUEST},
    {SPAN_INIT("ERR_INVALID_REQ"), VERDICT_BAD_REQUEST},
    {SPAN_INIT("ERR_PROTOCOL_UNKNOWN"), VERDICT_BAD_REQUEST},
    {SPAN_INIT("ERR_CONFLICT_HOST"), VERDICT_BAD_REQUEST},
    {SPAN_INIT("ERR_REQUEST_START_TIMEOUT"), VERDICT_REQUEST_TIMEOUT},
    {SPAN_INIT("ERR_REQUEST_PARSE_TIMEOUT"), VERDICT_REQUEST_TIMEOUT},
};

/* The numbers of Linux, whatever this is built on. */
static enum verdict connect_verdict(uint64_t number)
{
    switch (number) {
    case 111:
        return VERDICT_UPSTREAM_REFUSED;
    case 101:
    case 113:
        return VERDICT_UPSTREAM_UNREACHABLE;
    case 110:
        return VERDICT_UPSTREAM_TIMEOUT;
    default:
        return VERDICT_UPSTREAM_FAILED;
    }
}

static bool is_one_of(struct span name, struct span a, struct span b)
{
    return span_equal(name, a) || span_equal(name, b);
}

struct words_mark marks_read_squid(struct span error, unsigned status, bool by_name)
{
    struct words_mark m = {"squid", VERDICT_COUNT, CERTAINTY_SEEN, MARK_PROXY, error, NULL};
    struct span rest = error, name = span_cut(&rest, ' ');
    uint64_t number = 0;

    num_parse_u64(span_trim(rest), 4095, &number);
    for (size_t i = 0; i < ARRAY_LEN(squid_errors); i++)
        if (span_equal(name, squid_errors[i].name))
            m.verdict = squid_errors[i].verdict;
    if (span_equal(name, SPAN_LIT("ERR_CONNECT_FAIL")))
        m.verdict = connect_verdict(number);
    if (m.verdict == VERDICT_SIZE_LIMIT && status == 431)
        m.verdict = VERDICT_BAD_REQUEST;
    if (number == 0 &&
        is_one_of(name, SPAN_LIT("ERR_CANNOT_FORWARD"), SPAN_LIT("ERR_READ_ERROR"))) {
        m.certainty = CERTAINTY_INFERRED;
        if (by_name) {
            m.verdict = VERDICT_UPSTREAM_UNRESOLVED;
            m.note = SQUID_NO_PATH;
        }
    }
    return m;
}

/* "ERR_CONNECT_FAIL" out of <body id=ERR_CONNECT_FAIL>, or the comment at the page's end. */
static struct span squid_page_error(struct span body)
{
    static const struct span before[] = {SPAN_INIT("<body id=ERR_"), SPAN_INIT("<!-- ERR_")};

    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        long at = find(body, before[i]);
        size_t start, end;

        if (at < 0)
            continue;
        start = end = (size_t)at + before[i].len - 4;
        while (end < body.len &&
               ((body.ptr[end] >= 'A' && body.ptr[end] <= 'Z') || body.ptr[end] == '_'))
            end++;
        return (struct span){body.ptr + start, end - start};
    }
    return (struct span){NULL, 0};
}

/* "(111) Connection refused" of a page, or an empty span. */
static struct span squid_page_errno(struct span body)
{
    long at = find(body, SPAN_LIT("The system returned: <i>("));
    struct span rest;

    if (at < 0)
        return (struct span){NULL, 0};
    at += (long)strlen("The system returned: <i>(");
    rest = (struct span){body.ptr + at, body.len - (size_t)at};
    return span_cut(&rest, ')');
}

static struct words_mark read_squid_page(struct span body, unsigned status, bool by_name)
{
    struct words_mark m = {.verdict = VERDICT_COUNT};
    struct span name = squid_page_error(body), number = squid_page_errno(body);
    char text[80];
    size_t len = name.len < 64 ? name.len : 64;

    if (name.len == 0)
        return m;
    memcpy(text, name.ptr, len);
    text[len++] = ' ';
    if (number.len > 0 && number.len <= 4) {
        memcpy(text + len, number.ptr, number.len);
        len += number.len;
    }
    m = marks_read_squid((struct span){text, len}, status, by_name);
    m.words = name;
    return m;
}

/* --- sentences in bodies --------------------------------------------------------------------- */

#define SEEN CERTAINTY_SEEN
#define INFERRED CERTAINTY_INFERRED

/* Of the one sentence that is inferred. */
#define TINYPROXY_ANY                                                                              \
    "tinyproxy says the same of a name that does not resolve, of a refused connection and of "     \
    "silence"

static const struct {
    struct span sentence;
    const char *product;
    enum verdict verdict; /* VERDICT_COUNT: only who it is */
    enum certainty certainty;
    enum mark_kind kind;
} sentences[] = {
    /* tinyproxy 1.11: one sentence for a name that does not resolve and a refused connection */
    {SPAN_INIT("The request you made has been filtered"), "tinyproxy", VERDICT_ACL_DENIED, SEEN,
     MARK_PROXY},
    {SPAN_INIT("The CONNECT method not allowed with the port you tried to use"), "tinyproxy",
     VERDICT_ACL_DENIED, SEEN, MARK_PROXY},
    {SPAN_INIT("has not configured it to service requests from your host"), "tinyproxy",
     VERDICT_ACL_DENIED, SEEN, MARK_PROXY},
    {SPAN_INIT("has not configured it to service requests from you."), "tinyproxy", VERDICT_COUNT,
     SEEN, MARK_PROXY},
    {SPAN_INIT("Tinyproxy was unable to connect to the remote web server"), "tinyproxy",
     VERDICT_UPSTREAM_FAILED, INFERRED, MARK_PROXY},
    {SPAN_INIT("A network error occurred while trying to write data to the remote web server"),
     "tinyproxy", VERDICT_UPSTREAM_FAILED, SEEN, MARK_PROXY},
    {SPAN_INIT("Tinyproxy was unable to retrieve and process headers from the remote web server"),
     "tinyproxy", VERDICT_UPSTREAM_FAILED, SEEN, MARK_PROXY},
    {SPAN_INIT("Request has an invalid format"), "tinyproxy", VERDICT_BAD_REQUEST, SEEN,
     MARK_PROXY},
    {SPAN_INIT("Generated by tinyproxy"), "tinyproxy", VERDICT_COUNT, SEEN, MARK_PROXY},
    /* Privoxy 3.0 */
    {SPAN_INIT("<title>Request blocked (Privoxy@"), "Privoxy", VERDICT_ACL_DENIED, SEEN,
     MARK_PROXY},
    {SPAN_INIT("could not be fulfilled, because the domain name"), "Privoxy",
     VERDICT_UPSTREAM_UNRESOLVED, SEEN, MARK_PROXY},
    {SPAN_INIT("<title>503 - Connect failed (Privoxy@"), "Privoxy", VERDICT_UPSTREAM_FAILED, SEEN,
     MARK_PROXY},
    {SPAN_INIT("<title>504 - Connection timeout (Privoxy@"), "Privoxy", VERDICT_UPSTREAM_TIMEOUT,
     SEEN, MARK_PROXY},
    {SPAN_INIT("(Privoxy@"), "Privoxy", VERDICT_COUNT, SEEN, MARK_PROXY},
    /* HAProxy 2.6 */
    {SPAN_INIT("Request forbidden by administrative rules."), "HAProxy", VERDICT_ACL_DENIED, SEEN,
     MARK_GATEWAY},
    {SPAN_INIT("Your browser sent an invalid request."), "HAProxy", VERDICT_BAD_REQUEST, SEEN,
     MARK_GATEWAY},
    {SPAN_INIT("Your browser didn't send a complete request in time."), "HAProxy",
     VERDICT_REQUEST_TIMEOUT, SEEN, MARK_GATEWAY},
    {SPAN_INIT("The server returned an invalid or incomplete response."), "HAProxy",
     VERDICT_UPSTREAM_FAILED, SEEN, MARK_GATEWAY},
    {SPAN_INIT("No server is available to handle this request."), "HAProxy",
     VERDICT_UPSTREAM_FAILED, SEEN, MARK_GATEWAY},
    {SPAN_INIT("The server didn't respond in time."), "HAProxy", VERDICT_UPSTREAM_TIMEOUT, SEEN,
     MARK_GATEWAY},
    {SPAN_INIT("You have sent too many requests in a given period of time."), "HAProxy",
     VERDICT_CLIENT_LIMIT, SEEN, MARK_GATEWAY},
    /* Envoy: the delayed error's number before the general reason */
    {SPAN_INIT("delayed connect error: 111"), "Envoy", VERDICT_UPSTREAM_REFUSED, SEEN,
     MARK_GATEWAY},
    {SPAN_INIT("delayed connect error: 113"), "Envoy", VERDICT_UPSTREAM_UNREACHABLE, SEEN,
     MARK_GATEWAY},
    {SPAN_INIT("reset reason: connection timeout"), "Envoy", VERDICT_UPSTREAM_TIMEOUT, SEEN,
     MARK_GATEWAY},
    {SPAN_INIT("reset reason: overflow"), "Envoy", VERDICT_OVERLOADED, SEEN, MARK_GATEWAY},
    {SPAN_INIT("upstream connect error or disconnect/reset before headers"), "Envoy",
     VERDICT_UPSTREAM_FAILED, SEEN, MARK_GATEWAY},
    {SPAN_INIT("no healthy upstream"), "Envoy", VERDICT_UPSTREAM_FAILED, SEEN, MARK_GATEWAY},
    {SPAN_INIT("upstream request timeout"), "Envoy", VERDICT_UPSTREAM_TIMEOUT, SEEN, MARK_GATEWAY},
    {SPAN_INIT("RBAC: access denied"), "Envoy", VERDICT_ACL_DENIED, SEEN, MARK_GATEWAY},
    {SPAN_INIT("local_rate_limited"), "Envoy", VERDICT_CLIENT_LIMIT, SEEN, MARK_GATEWAY},
    /* Blue Coat ProxySG: the exception's id in brackets */
    {SPAN_INIT("(policy_denied)"), "Blue Coat ProxySG", VERDICT_ACL_DENIED, SEEN, MARK_PROXY},
    {SPAN_INIT("(content_filter_denied)"), "Blue Coat ProxySG", VERDICT_ACL_DENIED, SEEN,
     MARK_PROXY},
    {SPAN_INIT("(dns_unresolved_hostname)"), "Blue Coat ProxySG", VERDICT_UPSTREAM_UNRESOLVED, SEEN,
     MARK_PROXY},
    {SPAN_INIT("(dns_server_failure)"), "Blue Coat ProxySG", VERDICT_UPSTREAM_UNRESOLVED, SEEN,
     MARK_PROXY},
    /* filters and their block pages */
    {SPAN_INIT("FortiGuard Intrusion Prevention - Access Blocked"), "FortiGate", VERDICT_ACL_DENIED,
     SEEN, MARK_PROXY},
    {SPAN_INIT("<title>Web Filter Violation</title>"), "FortiGate", VERDICT_ACL_DENIED, SEEN,
     MARK_PROXY},
    {SPAN_INIT("<title>Web Filter Block Override</title>"), "FortiGate", VERDICT_ACL_DENIED, SEEN,
     MARK_PROXY},
    {SPAN_INIT("<title>Notification: Policy: "), "Cisco Secure Web Appliance", VERDICT_ACL_DENIED,
     SEEN, MARK_PROXY},
    {SPAN_INIT("blocked because of a Cisco Umbrella policy setting"), "Cisco Umbrella",
     VERDICT_ACL_DENIED, SEEN, MARK_PROXY},
    {SPAN_INIT("<title>Web Page Blocked</title>"), "a web filter", VERDICT_ACL_DENIED, SEEN,
     MARK_PROXY},
    {SPAN_INIT("/mwg-internal/"), "McAfee Web Gateway", VERDICT_COUNT, SEEN, MARK_PROXY},
};

struct words_mark marks_read_body(struct span body, unsigned status, bool by_name)
{
    struct words_mark m = read_squid_page(body, status, by_name);

    if (m.product)
        return m;
    for (size_t i = 0; i < ARRAY_LEN(sentences); i++) {
        long at = find(body, sentences[i].sentence);

        if (at >= 0)
            return (struct words_mark){sentences[i].product,
                                       sentences[i].verdict,
                                       sentences[i].certainty,
                                       sentences[i].kind,
                                       {body.ptr + at, sentences[i].sentence.len},
                                       sentences[i].certainty == INFERRED ? TINYPROXY_ANY : NULL};
    }
    return m;
}

static const struct {
    struct span part;
    const char *product;
} block_pages[] = {
    {SPAN_INIT("reasoncode=CATEGORY_DENIED"), "Zscaler"},
    {SPAN_INIT("block.opendns.com"), "Cisco Umbrella"},
    {SPAN_INIT("www.bluecoat.com/notify-"), "Blue Coat ProxySG"},
};

struct words_mark marks_read_location(struct span location)
{
    for (size_t i = 0; i < ARRAY_LEN(block_pages); i++)
        if (find_nocase(location, block_pages[i].part) >= 0)
            return (struct words_mark){block_pages[i].product,
                                       VERDICT_ACL_DENIED,
                                       CERTAINTY_SEEN,
                                       MARK_PROXY,
                                       location,
                                       NULL};
    return (struct words_mark){.verdict = VERDICT_COUNT};
}

bool marks_wants_tls(struct span body)
{
    static const struct span sentences_of_tls[] = {
        SPAN_INIT("The plain HTTP request was sent to HTTPS port"),
        SPAN_INIT("speaking plain HTTP to an SSL-enabled server port"),
        SPAN_INIT("Client sent an HTTP request to an HTTPS server"),
    };

    for (size_t i = 0; i < ARRAY_LEN(sentences_of_tls); i++)
        if (find(body, sentences_of_tls[i]) >= 0)
            return true;
    return false;
}

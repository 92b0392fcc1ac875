#include "policy/refusal.h"

#include <stdio.h>

#include "base/util.h"

struct row {
    const char *word;
    enum verdict verdict;
};

/* The types of RFC 9209 section 2.3; those of TLS and of responses that are not here broke on the
 * way: upstream-failed. */
static const struct row types[] = {
    {"dns_timeout", VERDICT_UPSTREAM_UNRESOLVED},
    {"dns_error", VERDICT_UPSTREAM_UNRESOLVED},
    {"destination_ip_prohibited", VERDICT_ACL_DENIED},
    {"destination_ip_unroutable", VERDICT_UPSTREAM_UNREACHABLE},
    {"connection_refused", VERDICT_UPSTREAM_REFUSED},
    {"connection_timeout", VERDICT_UPSTREAM_TIMEOUT},
    {"connection_read_timeout", VERDICT_UPSTREAM_TIMEOUT},
    {"connection_write_timeout", VERDICT_UPSTREAM_TIMEOUT},
    {"connection_limit_reached", VERDICT_OVERLOADED},
    {"http_request_error", VERDICT_BAD_REQUEST},
    {"http_request_denied", VERDICT_ACL_DENIED},
    {"http_response_body_size", VERDICT_SIZE_LIMIT},
    {"http_response_timeout", VERDICT_UPSTREAM_TIMEOUT},
    {"proxy_internal_response", VERDICT_PROXY_ERROR},
    {"proxy_internal_error", VERDICT_PROXY_ERROR},
    {"proxy_configuration_error", VERDICT_PROXY_ERROR},
    {"proxy_loop_detected", VERDICT_LOOP},
};

/* Squid's page names; ERR_CONNECT_FAIL is followed by an errno of Linux. */
static const struct row squid[] = {
    {"ERR_ACCESS_DENIED", VERDICT_ACL_DENIED},
    {"ERR_BLOCKED_BY_ADMIN", VERDICT_ACL_DENIED},
    {"ERR_CONNECT_FAIL 110", VERDICT_UPSTREAM_TIMEOUT},
    {"ERR_CONNECT_FAIL 111", VERDICT_UPSTREAM_REFUSED},
    {"ERR_CONNECT_FAIL 101", VERDICT_UPSTREAM_UNREACHABLE},
    {"ERR_CONNECT_FAIL 113", VERDICT_UPSTREAM_UNREACHABLE},
    {"ERR_DNS_FAIL", VERDICT_UPSTREAM_UNRESOLVED},
    {"ERR_GATEWAY_FAILURE", VERDICT_UPSTREAM_FAILED},
    {"ERR_INVALID_REQ", VERDICT_BAD_REQUEST},
    {"ERR_INVALID_URL", VERDICT_BAD_REQUEST},
    {"ERR_LIFETIME_EXP", VERDICT_UPSTREAM_TIMEOUT},
    {"ERR_READ_TIMEOUT", VERDICT_UPSTREAM_TIMEOUT},
    {"ERR_SOCKET_FAILURE", VERDICT_OVERLOADED},
    {"ERR_TOO_BIG", VERDICT_SIZE_LIMIT},
    {"ERR_UNSUP_REQ", VERDICT_BAD_REQUEST},
};

/* INTERFACES: the status of an answer to CONNECT. */
static const struct {
    uint16_t status;
    enum verdict verdict;
} numbers[] = {
    {403, VERDICT_ACL_DENIED},       {429, VERDICT_CLIENT_LIMIT},    {451, VERDICT_ACL_DENIED},
    {500, VERDICT_PROXY_ERROR},      {502, VERDICT_UPSTREAM_FAILED}, {503, VERDICT_OVERLOADED},
    {504, VERDICT_UPSTREAM_TIMEOUT},
};

static bool starts_with(struct span s, const char *word)
{
    struct span w = span_of(word);

    return s.len >= w.len && span_equal_nocase((struct span){s.ptr, w.len}, w);
}

/* Takes up to the next `;` or `,` that stands in no quoted string. */
static struct span take_part(struct span *rest)
{
    bool quoted = false;
    size_t n = 0;

    for (; n < rest->len; n++) {
        char c = rest->ptr[n];

        if (quoted && c == '\\')
            n++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == ';' || c == ','))
            break;
    }
    n = n < rest->len ? n : rest->len;
    struct span part = {rest->ptr, n};
    n += n < rest->len;
    rest->ptr += n;
    rest->len -= n;
    return span_trim(part);
}

/* The first error type of a Proxy-Status list: who only hands an error on names none. */
static struct span find_type(const struct http1_head *h)
{
    static const struct span key = SPAN_INIT("error=");

    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span rest = h->fields[i].value;

        while (h->fields[i].id == FIELD_PROXY_STATUS && rest.len > 0) {
            struct span part = take_part(&rest);

            if (part.len > key.len && starts_with(part, key.ptr))
                return (struct span){part.ptr + key.len, part.len - key.len};
        }
    }
    return (struct span){0};
}

static bool read_proxy_status(const struct http1_head *h, struct refusal *out)
{
    struct span type = find_type(h);

    if (type.len == 0)
        return false;
    out->verdict = VERDICT_UPSTREAM_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (span_equal(type, span_of(types[i].word)))
            out->verdict = types[i].verdict;
    snprintf(out->words, sizeof out->words, "Proxy-Status error=%.*s", (int)type.len, type.ptr);
    return true;
}

static bool read_squid(const struct http1_head *h, struct refusal *out)
{
    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span value = h->fields[i].value;

        if (!span_equal_nocase(h->fields[i].name, SPAN_LIT("x-squid-error")))
            continue;
        out->verdict = VERDICT_UPSTREAM_FAILED;
        for (size_t k = 0; k < ARRAY_LEN(squid); k++)
            if (starts_with(value, squid[k].word))
                out->verdict = squid[k].verdict;
        snprintf(out->words, sizeof out->words, "X-Squid-Error: %.*s", (int)value.len, value.ptr);
        return true;
    }
    return false;
}

static bool read_number(const struct http1_head *h, struct refusal *out)
{
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (h->status != numbers[i].status)
            continue;
        out->verdict = numbers[i].verdict;
        out->certainty = CERTAINTY_INFERRED;
        snprintf(out->words, sizeof out->words, "status %u", h->status);
        return true;
    }
    return false;
}

bool refusal_read(const struct http1_head *h, bool connect, struct refusal *out)
{
    struct refusal r = {.certainty = CERTAINTY_SEEN};

    if (!read_proxy_status(h, &r) && !read_squid(h, &r) && !(connect && read_number(h, &r)))
        return false;
    *out = r;
    return true;
}

#include "flow/proxystatus.h"

#include "base/num.h"
#include "base/util.h"

#define STATUS_MAX 999

static void skip_blanks(struct span *s)
{
    while (s->len > 0 && (*s->ptr == ' ' || *s->ptr == '\t')) {
        s->ptr++;
        s->len--;
    }
}

/* Takes a string without its quotes, or what stands before the next delimiter. */
static struct span take_item(struct span *s)
{
    struct span item = {s->ptr, 0};
    bool quoted = s->len > 0 && *s->ptr == '"';
    size_t at = quoted;

    if (quoted) {
        while (at < s->len && s->ptr[at] != '"')
            at += s->ptr[at] == '\\' && at + 1 < s->len ? 2 : 1;
        item = (struct span){s->ptr + 1, at - 1};
        at += at < s->len; /* the closing quote */
    } else {
        while (at < s->len && !memchr(",;= \t", s->ptr[at], 5))
            at++;
        item.len = at;
    }
    s->ptr += at;
    s->len -= at;
    return item;
}

static void set_parameter(struct proxystatus *m, struct span key, struct span value)
{
    const struct {
        struct span key;
        struct span *value;
    } texts[] = {
        {SPAN_INIT("error"), &m->error},
        {SPAN_INIT("details"), &m->details},
        {SPAN_INIT("next-hop"), &m->next_hop},
        {SPAN_INIT("rcode"), &m->rcode},
    };
    uint64_t n;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (span_equal_nocase(key, texts[i].key))
            *texts[i].value = value;
    if (span_equal_nocase(key, SPAN_LIT("received-status")) && num_parse_u64(value, STATUS_MAX, &n))
        m->received_status = (unsigned)n;
}

static bool take_byte(struct span *s, char c)
{
    if (s->len == 0 || *s->ptr != c)
        return false;
    s->ptr++;
    s->len--;
    return true;
}

/* One parameter behind its semicolon; bytes that fit nowhere are stepped over. */
static void take_parameter(struct span *rest, struct proxystatus *m)
{
    struct span key, value = {"", 0};

    skip_blanks(rest);
    key = take_item(rest);
    skip_blanks(rest);
    if (take_byte(rest, '=')) {
        skip_blanks(rest);
        value = take_item(rest);
    }
    set_parameter(m, key, value);
}

bool proxystatus_next(struct span *rest, struct proxystatus *out)
{
    *out = (struct proxystatus){0};
    do
        skip_blanks(rest);
    while (take_byte(rest, ','));
    if (rest->len == 0)
        return false;
    out->name = take_item(rest);
    while (rest->len > 0 && !take_byte(rest, ',')) {
        size_t before = rest->len;

        if (take_byte(rest, ';'))
            take_parameter(rest, out);
        else
            take_item(rest);
        if (rest->len == before) /* a delimiter where none belongs */
            take_byte(rest, *rest->ptr);
    }
    return true;
}

/* What a request that was turned down was turned down for. */
static enum verdict request_verdict(unsigned status, enum verdict otherwise)
{
    switch (status) {
    case 401:
    case 407:
        return VERDICT_COUNT; /* what was offered and sent decides */
    case 408:
        return VERDICT_REQUEST_TIMEOUT;
    case 429:
        return VERDICT_CLIENT_LIMIT;
    case 403:
    case 451:
        return VERDICT_ACL_DENIED;
    default:
        return otherwise;
    }
}

/* The registered types in the order of RFC 9209 2.3. */
static const struct {
    struct span error;
    enum verdict verdict;
} errors[] = {
    {SPAN_INIT("dns_timeout"), VERDICT_UPSTREAM_UNRESOLVED},
    {SPAN_INIT("dns_error"), VERDICT_UPSTREAM_UNRESOLVED},
    {SPAN_INIT("destination_not_found"), VERDICT_PROXY_ERROR}, /* it has no route configured */
    {SPAN_INIT("destination_unavailable"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("destination_ip_prohibited"), VERDICT_ACL_DENIED},
    {SPAN_INIT("destination_ip_unroutable"), VERDICT_UPSTREAM_UNREACHABLE},
    {SPAN_INIT("connection_refused"), VERDICT_UPSTREAM_REFUSED},
    {SPAN_INIT("connection_terminated"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("connection_timeout"), VERDICT_UPSTREAM_TIMEOUT},
    {SPAN_INIT("connection_read_timeout"), VERDICT_UPSTREAM_TIMEOUT},
    {SPAN_INIT("connection_write_timeout"), VERDICT_UPSTREAM_TIMEOUT},
    {SPAN_INIT("connection_limit_reached"), VERDICT_OVERLOADED},
    {SPAN_INIT("tls_protocol_error"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("tls_certificate_error"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("tls_alert_received"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_request_error"), VERDICT_BAD_REQUEST},
    {SPAN_INIT("http_request_denied"), VERDICT_ACL_DENIED},
    {SPAN_INIT("http_response_incomplete"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_response_header_section_size"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_response_header_size"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_response_body_size"), VERDICT_SIZE_LIMIT},
    {SPAN_INIT("http_response_trailer_section_size"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_response_trailer_size"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_response_transfer_coding"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_response_content_coding"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_response_timeout"), VERDICT_UPSTREAM_TIMEOUT},
    {SPAN_INIT("http_upgrade_failed"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("http_protocol_error"), VERDICT_UPSTREAM_FAILED},
    {SPAN_INIT("proxy_internal_error"), VERDICT_PROXY_ERROR},
    {SPAN_INIT("proxy_configuration_error"), VERDICT_PROXY_ERROR},
    {SPAN_INIT("proxy_loop_detected"), VERDICT_LOOP},
};

enum verdict proxystatus_verdict(const struct proxystatus *m, unsigned status)
{
    enum verdict v = VERDICT_COUNT;

    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (span_equal_nocase(m->error, errors[i].error))
            v = errors[i].verdict;
    if (v == VERDICT_PROXY_ERROR && m->received_status == 407)
        return VERDICT_PARENT_AUTH_FAILED;
    if (v == VERDICT_BAD_REQUEST || (v == VERDICT_ACL_DENIED && status != 403))
        return request_verdict(status, v);
    return v;
}

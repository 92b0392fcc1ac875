#include "proxy/answer.h"

#include "base/util.h"
#include "proxy/page.h"
#include "render/date.h"
#include "render/escape.h"

#define REASON_MAX 200 /* bytes of a flow's reason in a field or the status line */

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {411, "Length Required"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *answer_reason_phrase(int status)
{
    for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "";
}

static const char *const content_types[] = {
    [ANSWER_TEXT] = "text/plain; charset=utf-8",
    [ANSWER_HTML] = "text/html; charset=utf-8",
    [ANSWER_JSON] = "application/json",
};

static struct span cut_reason(const struct flow *f)
{
    return (struct span){f->reason, f->reason ? strnlen(f->reason, REASON_MAX) : 0};
}

/* "HTTP/1.1 403 Forbidden (acl-denied: rule social)"; an answer that is no failure has no brackets.
 */
static void write_status_line(struct pen *p, int status, const struct flow *f)
{
    pen_text(p, "HTTP/1.1 ");
    pen_u64(p, (uint64_t)status);
    pen_char(p, ' ');
    pen_text(p, answer_reason_phrase(status));
    if (f && !verdict_is_success(f->verdict)) {
        pen_text(p, " (");
        pen_text(p, verdict_get_info(f->verdict)->name);
        if (f->reason && *f->reason) {
            pen_text(p, ": ");
            escape_ascii(p, cut_reason(f));
        }
        pen_char(p, ')');
    }
    pen_text(p, "\r\n");
}

/* Whether the name is a token of RFC 8941 3.3.4. */
static bool is_sf_token(const char *s)
{
#define LETTERS "*ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return *s && strchr(LETTERS, *s) && s[strspn(s, LETTERS "0123456789!#$%&'+-.^_`|~:/")] == '\0';
#undef LETTERS
}

static void write_name(struct pen *p, const char *name)
{
    if (is_sf_token(name))
        pen_text(p, name);
    else
        escape_sf_string(p, span_of(name));
}

/* The DNS answer code that the reason or the look-up's detail names (RFC 9209 2.3.2), or NULL. */
static const char *find_rcode(const struct flow *f)
{
    static const char *const codes[] = {"NXDOMAIN", "SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"};
    const char *texts[] = {f->reason, flow_find_note(f, NOTE_STEP, STEP_KIND_RESOLVE)};

    for (size_t t = 0; t < ARRAY_LEN(texts); t++)
        for (size_t i = 0; texts[t] && i < ARRAY_LEN(codes); i++)
            if (strstr(texts[t], codes[i]))
                return codes[i];
    return NULL;
}

/* Whom we dialled when that is what failed; an address that a rule forbids is not told. */
static void write_next_hop(struct pen *p, const struct flow *f)
{
    char text[ENDPOINT_TEXT_MAX];

    if (f->verdict != VERDICT_UPSTREAM_REFUSED && f->verdict != VERDICT_UPSTREAM_UNREACHABLE &&
        f->verdict != VERDICT_UPSTREAM_FAILED && f->verdict != VERDICT_UPSTREAM_TIMEOUT)
        return;
    if (!f->address.addr.family)
        return;
    pen_text(p, "; next-hop=");
    escape_sf_string(p, (struct span){text, endpoint_write(&f->address, text)});
}

/* RFC 9209: who answers, the error's type with the parameters that this type has, and the reason.
 */
static void write_proxy_status(struct pen *p, const struct answer *a, int status,
                               const struct flow *f)
{
    const char *error = a->error ? a->error : verdict_get_info(f->verdict)->proxy_status;
    const char *rcode = error && strcmp(error, "dns_error") == 0 ? find_rcode(f) : NULL;

    pen_text(p, "Proxy-Status: ");
    write_name(p, a->proxy ? a->proxy : "viaduct");
    if (error) {
        pen_text(p, "; error=");
        pen_text(p, error);
    }
    if (rcode) {
        pen_text(p, "; rcode=");
        escape_sf_string(p, span_of(rcode));
    }
    if (error && strcmp(error, "http_request_error") == 0) {
        pen_text(p, "; status-code=");
        pen_u64(p, (uint64_t)status);
    }
    write_next_hop(p, f);
    if (f->reason && *f->reason) {
        pen_text(p, "; details=");
        escape_sf_string(p, cut_reason(f));
    }
    pen_text(p, "\r\n");
}

/* The fields after Proxy-Status, and the empty line. */
static void write_fields(struct pen *p, const struct answer *a, const char *type, size_t body_len)
{
    pen_text(p, "Date: ");
    date_write_http(p, a->wall_ns);
    pen_text(p, "\r\nContent-Type: ");
    pen_text(p, type);
    pen_text(p, "\r\nContent-Length: ");
    pen_u64(p, body_len);
    pen_text(p, "\r\nCache-Control: no-store\r\n");
    if (a->retry_after) {
        pen_text(p, "Retry-After: ");
        pen_u64(p, a->retry_after);
        pen_text(p, "\r\n");
    }
    if (a->extra)
        pen_text(p, a->extra);
    if (a->close)
        pen_text(p, "Connection: close\r\n");
    pen_text(p, "\r\n");
}

/* The fields, and the body unless it is an answer to HEAD. */
static void write_rest(struct pen *p, const struct answer *a, const struct pen *body)
{
    write_fields(p, a, content_types[a->format], pen_len(body));
    if (!a->head_only)
        pen_bytes(p, body->begin, pen_len(body));
}

size_t answer_write(const struct answer *a, const struct flow *f, char *out, size_t cap)
{
    char memory[PAGE_MAX];
    struct flow shown = *f; /* borrows its texts; f may not have ended yet */
    int status = a->status ? a->status : verdict_get_info(a->verdict)->status;
    struct pen p, body;

    shown.verdict = (uint8_t)a->verdict;
    if (!status)
        status = 500; /* a verdict without an answer of its own: we were wrong to answer */
    pen_init_fixed(&body, memory, sizeof memory);
    page_write_flow(&body, a->format, a->language ? a->language : "en", status, &shown);
    pen_init_fixed(&p, out, cap);
    write_status_line(&p, status, &shown);
    write_proxy_status(&p, a, status, &shown);
    write_rest(&p, a, &body);
    return p.full || body.full ? 0 : pen_len(&p);
}

/* Status line and Proxy-Status of our own resources. */
static void write_own_head(struct pen *p, const struct answer *a, int status)
{
    write_status_line(p, status, NULL);
    pen_text(p, "Proxy-Status: ");
    write_name(p, a->proxy ? a->proxy : "viaduct");
    pen_text(p, "\r\n");
}

size_t answer_write_page(struct span path, const char *listener, const struct answer *a, char *out,
                         size_t cap)
{
    char memory[PAGE_MAX];
    bool found = span_equal(path, SPAN_LIT("/")) || span_equal(path, SPAN_LIT("*"));
    struct pen p, body;

    pen_init_fixed(&body, memory, sizeof memory);
    page_write_about(&body, a->format, a->language ? a->language : "en", found, a->tls, listener);
    pen_init_fixed(&p, out, cap);
    write_own_head(&p, a, found ? 200 : 404);
    write_rest(&p, a, &body);
    return p.full || body.full ? 0 : pen_len(&p);
}

size_t answer_write_pac(const struct pac *pac, const struct answer *a, char *out, size_t cap)
{
    struct pen p;
    size_t len;

    pen_init_fixed(&p, out, cap); /* once for its length: it can be too long for a stack */
    pac_write(&p, pac);
    if (p.full)
        return 0;
    len = pen_len(&p);
    pen_init_fixed(&p, out, cap);
    write_own_head(&p, a, 200);
    write_fields(&p, a, "application/x-ns-proxy-autoconfig", len);
    if (!a->head_only)
        pac_write(&p, pac);
    return p.full ? 0 : pen_len(&p);
}

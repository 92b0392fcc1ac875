/* Squid's native access.log, for the programs that read it:
 *   %ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %un %Sh/%<a %mt
 * The time is that of the end, in UTC seconds; sizes are those of the payload; the media type is
 * not recorded and always "-". */
#include "render/render.h"

#include "base/clock.h"
#include "render/escape.h"

/* Squid's word for what became of a request that went no further than the proxy; any other was sent
 * to the target, or should have been. */
static const char *const kept_here[VERDICT_COUNT] = {
    [VERDICT_AUTH_REQUIRED] = "TCP_DENIED", [VERDICT_AUTH_FAILED] = "TCP_DENIED",
    [VERDICT_ACL_DENIED] = "TCP_DENIED",    [VERDICT_CLIENT_LIMIT] = "TCP_DENIED",
    [VERDICT_BAD_REQUEST] = "NONE_NONE",    [VERDICT_REQUEST_TIMEOUT] = "NONE_NONE",
    [VERDICT_OVERLOADED] = "NONE_NONE",     [VERDICT_DRAINING] = "NONE_NONE",
    [VERDICT_LOOP] = "NONE_NONE",
};

static const char *result_code(const struct flow *f)
{
    if (kept_here[f->verdict])
        return kept_here[f->verdict];
    return f->method && strcmp(f->method, "CONNECT") == 0 ? "TCP_TUNNEL" : "TCP_MISS";
}

static const char *result_suffix(const struct flow *f)
{
    if (f->verdict == VERDICT_CLIENT_GONE || f->verdict == VERDICT_RESET_BY_CLIENT)
        return "_ABORTED";
    if (f->verdict == VERDICT_STALLED || f->verdict == VERDICT_LIFETIME_LIMIT)
        return "_TIMEDOUT";
    return "";
}

static void write_address(struct pen *p, const struct addr *a)
{
    char text[ENDPOINT_TEXT_MAX];

    if (a->family)
        pen_bytes(p, text, addr_write(a, text));
    else
        pen_char(p, '-');
}

static void write_word(struct pen *p, const char *text, const char *none)
{
    escape_word(p, span_of(text ? text : none));
}

/* Where it was sent: to the target, to the parent, or nowhere. */
static void write_hierarchy(struct pen *p, const struct flow *f)
{
    if (f->parent) {
        pen_text(p, "FIRSTUP_PARENT/");
        write_word(p, f->parent, "-");
        return;
    }
    pen_text(p, f->address.addr.family ? "HIER_DIRECT/" : "HIER_NONE/");
    write_address(p, &f->address.addr);
}

static void write_flow(struct pen *p, const struct flow *f)
{
    uint64_t end_ms = (f->start_ns + f->duration_ns) / NS_PER_MS;

    pen_milli(p, end_ms, 0);
    pen_char(p, ' ');
    pen_digits(p, f->duration_ns / NS_PER_MS, 6, ' ');
    pen_char(p, ' ');
    write_address(p, &f->client.addr);
    pen_char(p, ' ');
    pen_text(p, result_code(f));
    pen_text(p, result_suffix(f));
    pen_char(p, '/');
    pen_digits(p, f->status, 3, '0');
    pen_char(p, ' ');
    pen_u64(p, f->bytes_down);
    pen_char(p, ' ');
    write_word(p, f->method, "NONE");
    pen_char(p, ' ');
    write_word(p, f->url ? f->url : f->target, "error:invalid-request");
    pen_char(p, ' ');
    write_word(p, f->user, "-");
    pen_char(p, ' ');
    write_hierarchy(p, f);
    pen_text(p, " -\n");
}

bool render_squid(struct buf *out, const struct flow *f)
{
    struct pen pen;

    pen_init_draft(&pen, out);
    write_flow(&pen, f);
    return pen_end_draft(&pen, out);
}

/* An end of a packet as tcpdump writes it, "host.port", and as people do. */
#include "base/num.h"
#include "base/util.h"
#include "wire/dumptext_private.h"

enum { NAME_MAX_LEN = 255 };

uint16_t dumptext_find_service(struct span name)
{
    static const struct {
        struct span name;
        uint16_t port;
    } services[] = {
        {SPAN_INIT("http"), 80},          {SPAN_INIT("www"), 80},
        {SPAN_INIT("https"), 443},        {SPAN_INIT("http-alt"), 8080},
        {SPAN_INIT("webcache"), 8080},    {SPAN_INIT("http-proxy"), 8080},
        {SPAN_INIT("squid"), 3128},       {SPAN_INIT("squid-http"), 3128},
        {SPAN_INIT("ndl-aas"), 3128},     {SPAN_INIT("tproxy"), 8081},
        {SPAN_INIT("https-alt"), 8443},   {SPAN_INIT("pcsync-https"), 8443},
        {SPAN_INIT("ddi-tcp-1"), 8888},   {SPAN_INIT("privoxy"), 8118},
        {SPAN_INIT("socks"), 1080},       {SPAN_INIT("domain"), 53},
        {SPAN_INIT("ssh"), 22},           {SPAN_INIT("irdmi"), 8000},
        {SPAN_INIT("vcom-tunnel"), 8001}, {SPAN_INIT("sunwebadmin"), 8800},
    };

    for (size_t i = 0; i < ARRAY_LEN(services); i++)
        if (span_equal_nocase(name, services[i].name))
            return services[i].port;
    return 0;
}

bool dumptext_is_host(struct span s)
{
    if (s.len == 0 || s.len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if ((unsigned char)c <= ' ' || c == ',' || c == ';' || c == '"' || c == '(' || c == ')' ||
            c == '>' || c == '{' || c == '}')
            return false;
    }
    return true;
}

static void set_host(struct span host, struct dumptext_end *out)
{
    struct span inside = host;

    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        inside = (struct span){host.ptr + 1, host.len - 2};
    if (!addr_parse(inside, &out->at.addr))
        out->name = host;
}

static void set_port(struct span port, struct dumptext_end *out)
{
    uint64_t n;

    if (num_parse_u64(port, UINT16_MAX, &n))
        out->at.port = (uint16_t)n;
    else if (!(out->at.port = dumptext_find_service(port)))
        out->service = port;
}

bool dumptext_parse_end(struct span text, bool with_port, struct dumptext_end *out)
{
    size_t cut = text.len;

    *out = (struct dumptext_end){0};
    if (!dumptext_is_host(text))
        return false;
    if (!with_port || addr_parse(text, &out->at.addr)) {
        set_host(text, out);
        return true;
    }
    while (cut > 0 && text.ptr[cut - 1] != '.' && text.ptr[cut - 1] != ']')
        cut--;
    if (cut > 1 && text.ptr[cut - 1] == '.' && span_find(dumptext_after(text, cut), ':') < 0) {
        set_host((struct span){text.ptr, cut - 1}, out);
        set_port(dumptext_after(text, cut), out);
        return out->at.port || out->service.len > 0 || cut == text.len - 1;
    }
    /* not as tcpdump writes it: "[2001:db8::1]:443", "client:40000", or a name alone */
    cut = text.len;
    while (cut > 0 && dumptext_is_digit(text.ptr[cut - 1]))
        cut--;
    if (cut < text.len && cut > 1 && text.ptr[cut - 1] == ':') {
        set_port(dumptext_after(text, cut), out);
        text.len = cut - 1;
    }
    set_host(text, out);
    return true;
}

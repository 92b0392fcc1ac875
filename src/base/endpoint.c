#include "base/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/num.h"

/* inet_pton wants a terminated text; an address is never longer than this. */
static bool parse_as(int family, struct span text, struct addr *out)
{
    char copy[INET6_ADDRSTRLEN];
    struct addr a = {.family = (uint8_t)family};

    if (text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(family, copy, a.bytes) != 1)
        return false;
    *out = a;
    return true;
}

bool addr_parse(struct span text, struct addr *out)
{
    if (text.len == 0)
        return false;
    return parse_as(span_find(text, ':') >= 0 ? AF_INET6 : AF_INET, text, out);
}

bool addr_is_equal(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Decimal digits of a small number; log lines are full of them. */
static char *put_number(char *at, unsigned n)
{
    char digits[10];
    unsigned len = 0;

    do
        digits[len++] = (char)('0' + n % 10);
    while (n /= 10);
    while (len > 0)
        *at++ = digits[--len];
    return at;
}

static char *put_ipv4(char *at, const uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *at++ = '.';
        at = put_number(at, bytes[i]);
    }
    *at = '\0';
    return at;
}

size_t addr_write(const struct addr *a, char out[ENDPOINT_TEXT_MAX])
{
    if (a->family == AF_INET)
        return (size_t)(put_ipv4(out, a->bytes) - out);
    if (a->family == ADDR_NAMED)
        return (size_t)snprintf(out, ENDPOINT_TEXT_MAX, "name-%u",
                                (unsigned)a->bytes[2] << 8 | a->bytes[3]);
    if (!a->family || !inet_ntop(a->family, a->bytes, out, ENDPOINT_TEXT_MAX))
        out[0] = '\0';
    return strlen(out);
}

bool endpoint_parse(struct span text, struct endpoint *out)
{
    struct endpoint e = {0};
    struct span host = text;
    uint64_t port;
    size_t colon = text.len;

    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    host.len = colon - 1;
    if (!num_parse_u64((struct span){text.ptr + colon, text.len - colon}, UINT16_MAX, &port))
        return false;
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        if (!parse_as(AF_INET6, (struct span){host.ptr + 1, host.len - 2}, &e.addr))
            return false;
    } else if (host.len == 0 || !parse_as(AF_INET, host, &e.addr)) {
        return false;
    }
    e.port = (uint16_t)port;
    *out = e;
    return true;
}

size_t endpoint_write(const struct endpoint *e, char out[ENDPOINT_TEXT_MAX])
{
    char host[ENDPOINT_TEXT_MAX];
    int n = 0;

    if (e->addr.family == AF_INET) {
        char *at = put_ipv4(out, e->addr.bytes);

        *at++ = ':';
        at = put_number(at, e->port);
        *at = '\0';
        return (size_t)(at - out);
    }
    addr_write(&e->addr, host);
    out[0] = '\0';
    if (e->addr.family == AF_INET6 && e->scope)
        n = snprintf(out, ENDPOINT_TEXT_MAX, "[%s%%%u]:%u", host, e->scope, e->port);
    else if (e->addr.family == AF_INET6)
        n = snprintf(out, ENDPOINT_TEXT_MAX, "[%s]:%u", host, e->port);
    else if (e->addr.family == ADDR_NAMED)
        n = snprintf(out, ENDPOINT_TEXT_MAX, "%s:%u", host, e->port);
    return (size_t)n;
}

void endpoint_from_sockaddr(struct endpoint *e, const struct sockaddr *sa)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    *e = (struct endpoint){0};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sa, sizeof in);
        e->addr.family = AF_INET;
        memcpy(e->addr.bytes, &in.sin_addr, 4);
        e->port = ntohs(in.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, sa, sizeof in6);
        e->port = ntohs(in6.sin6_port);
        if (memcmp(&in6.sin6_addr, mapped, sizeof mapped) == 0) {
            e->addr.family = AF_INET;
            memcpy(e->addr.bytes, in6.sin6_addr.s6_addr + 12, 4);
        } else {
            e->addr.family = AF_INET6;
            memcpy(e->addr.bytes, &in6.sin6_addr, 16);
            e->scope = in6.sin6_scope_id;
        }
    }
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e, struct sockaddr_storage *out)
{
    *out = (struct sockaddr_storage){0};
    if (e->addr.family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(e->port)};

        memcpy(&in.sin_addr, e->addr.bytes, 4);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    if (e->addr.family == AF_INET6) {
        struct sockaddr_in6 in6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(e->port), .sin6_scope_id = e->scope};

        memcpy(&in6.sin6_addr, e->addr.bytes, 16);
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    return 0;
}

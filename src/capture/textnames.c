#include "capture/textnames.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>

#include "base/hash.h"

void textnames_fini(struct textnames *t)
{
    for (unsigned i = 0; i < t->len; i++)
        free(t->names[i]);
    *t = (struct textnames){0};
}

/* The number of a name.  Beyond the table's end: one that only tells it from others. */
static uint32_t find_number(struct textnames *t, struct span name)
{
    for (unsigned i = 0; i < t->len; i++)
        if (span_equal_nocase(name, span_of(t->names[i])))
            return i + 1;
    if (t->len < TEXTNAMES_MAX && (t->names[t->len] = span_dup(name)))
        return ++t->len;
    return (uint32_t)hash_bytes(name.ptr, name.len) | 0x80000000;
}

/* The machine's own table of ports; it is read from a file each time, so the last answer is kept.
 */
static uint16_t find_port(struct textnames *t, struct span service)
{
    struct servent entry, *found = NULL;
    char lines[1024];

    if (service.len == 0 || service.len >= sizeof t->service)
        return 0;
    if (span_equal(service, span_of(t->service)))
        return t->service_port;
    memcpy(t->service, service.ptr, service.len);
    t->service[service.len] = '\0';
    t->service_port = 0;
    if (getservbyname_r(t->service, "tcp", &entry, lines, sizeof lines, &found) == 0 && found)
        t->service_port = ntohs((uint16_t)found->s_port);
    return t->service_port;
}

struct endpoint textnames_get_end(struct textnames *t, const struct dumptext_end *e)
{
    struct endpoint at = e->at;

    if (at.port == 0)
        at.port = find_port(t, e->service);
    if (at.addr.family == 0 && e->name.len > 0) {
        uint32_t number = htonl(find_number(t, e->name));

        at.addr.family = ADDR_NAMED;
        memcpy(at.addr.bytes, &number, sizeof number);
    }
    return at;
}

const char *textnames_find(const struct textnames *t, const struct addr *a)
{
    uint32_t number;

    if (a->family != ADDR_NAMED)
        return NULL;
    memcpy(&number, a->bytes, sizeof number);
    number = ntohl(number);
    return number > 0 && number <= t->len ? t->names[number - 1] : NULL;
}

uint16_t textnames_get_interface(struct textnames *t, struct span name)
{
    if (name.len == 0 || name.len >= sizeof t->interfaces[0])
        return 0;
    for (unsigned i = 0; i < t->interfaces_len; i++)
        if (span_equal(name, span_of(t->interfaces[i])))
            return (uint16_t)(i + 1);
    if (t->interfaces_len == TEXTNAMES_INTERFACES)
        return 0;
    memcpy(t->interfaces[t->interfaces_len], name.ptr, name.len);
    return (uint16_t)++t->interfaces_len;
}

#include "policy/parent.h"

#include <stdlib.h>

#include "policy/classes.h"

struct parent *parent_new(struct span host, uint16_t port)
{
    struct parent *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    p->host = span_dup(host);
    if (!p->host) {
        free(p);
        return NULL;
    }
    for (char *c = p->host; *c; c++)
        *c = span_lower(*c);
    if (!addr_parse(host, &p->addr))
        p->addr.family = 0;
    p->port = port;
    return p;
}

void parent_free(struct parent *p)
{
    if (!p)
        return;
    domains_fini(&p->names);
    cidr_fini(&p->addresses);
    free(p->host);
    free(p);
}

bool parent_add_exception(struct parent *p, struct span word, const char **why)
{
    struct cidr network;
    struct addr addr;

    if (!addr_parse(word, &addr) && span_find(word, '/') < 0)
        return domains_add(&p->names, word, why);
    if (!cidr_parse(word, &network, why))
        return false;
    *why = "out of memory";
    return cidr_add(&p->addresses, &network);
}

bool parent_seal(struct parent *p)
{
    cidr_seal(&p->addresses);
    return domains_seal(&p->names);
}

bool parent_is_exception(const struct parent *p, struct span host, const struct addr *addr)
{
    struct classes_forms forms;

    if (!addr->family)
        return domains_has(&p->names, host);
    classes_forms_of(addr, &forms);
    for (unsigned i = 0; i < forms.same; i++)
        if (cidr_has(&p->addresses, &forms.form[i]))
            return true;
    return false;
}

static bool is_parent_itself(const struct parent *p, const struct access_query *q)
{
    if (q->port != p->port)
        return false;
    return p->addr.family ? addr_is_equal(&p->addr, &q->addr)
                          : span_equal(q->host, span_of(p->host));
}

bool parent_route(const struct parent *p, struct access_query *q)
{
    bool excepted = p && parent_is_exception(p, q->host, &q->addr);

    q->no_resolve = p && !excepted;
    q->exempt_private =
        p && (is_parent_itself(p, q) || (excepted && access_classify(&q->client) & CLASS_LOOPBACK));
    return q->no_resolve;
}

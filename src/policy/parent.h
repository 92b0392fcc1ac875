/* policy/parent.h - which next hop for which target: the parent proxy, or (NO_PROXY) the target
 * itself.
 *
 * Knows no sockets and no login.  Names are compared as access rules compare them (`example.com`
 * that name alone, `*.example.com` its subdomains, `.example.com` both), addresses in all forms
 * that mean the same host.  A name is never looked up for it: a network in NO_PROXY means literal
 * addresses.  Filled by the configuration, then immutable: any thread. */
#pragma once

#include <stdbool.h>

#include "base/endpoint.h"
#include "base/span.h"
#include "policy/access.h"
#include "policy/cidr.h"
#include "policy/domains.h"

struct parent {
    char *host;       /* lower case, no trailing dot; an address without brackets */
    struct addr addr; /* family 0: the host is a name */
    uint16_t port;
    struct domains names;      /* of NO_PROXY */
    struct cidr_set addresses; /* the same */
};

/* A parent with no exceptions; NULL when memory is out. */
struct parent *parent_new(struct span host, uint16_t port);
void parent_free(struct parent *p); /* NULL is fine */

/* Adds one word of NO_PROXY.  False with a static text in *why: neither name, address nor network,
 * or memory is out. */
bool parent_add_exception(struct parent *p, struct span word, const char **why);

/* Makes the look-ups; nothing is added after it.  False when memory is out. */
bool parent_seal(struct parent *p);

/* Whether NO_PROXY names the target: `host` in lower case without a trailing dot, `addr` with
 * family 0 unless the host is a literal. */
bool parent_is_exception(const struct parent *p, struct span host, const struct addr *addr);

/* Whether the target goes through the parent (NULL: there is none), and what that means for the
 * access rules: sets no_resolve and exempt_private of *q by its client, host, addr and port. */
bool parent_route(const struct parent *p, struct access_query *q);

/* policy/access.h - who may reach what: ordered rules, first match decides, nothing matched:
 * denied.
 *
 * Decided three-valued and without look-up first: when no allow can result, the denial comes at
 * once and no DNS query leaves; when the outcome needs a user, ACCESS_LOGIN; only then
 * ACCESS_RESOLVE, and each address that the name has is judged by itself.  Immutable once built;
 * any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "base/span.h"
#include "policy/limits.h"

enum access_outcome { ACCESS_ALLOW, ACCESS_DENY, ACCESS_LOGIN, ACCESS_RESOLVE };
enum access_sni { SNI_OFF, SNI_REPORT, SNI_MATCH };

/* The classes of addresses, as bits. */
enum access_class {
    CLASS_LOOPBACK = 1,
    CLASS_LINK_LOCAL = 2,
    CLASS_PRIVATE = 4,
    CLASS_MULTICAST = 8
};

/* One rule, for whoever shows it. */
struct access_rule {
    const char *name;
    const char *file; /* "(built in)" for the two that are */
    int line;
    bool allow, report;
    enum access_sni sni;
    struct flow_limits limits;
    unsigned limits_set; /* enum flow_limit_bit */
    /* conditions are private to access.c */
    struct access_conditions *conditions;
};

struct access_query {
    struct addr client;
    const char *user; /* NULL: not logged in */
    bool can_login;   /* false: a user condition can never be met (no authentication configured) */
    struct span method;
    struct span host; /* lower case, no trailing dot, or an address's text */
    struct addr addr; /* family 0: the host is a name */
    uint16_t port;
    int week_minute; /* local time: minutes since Monday 00:00 */
    bool no_resolve; /* through a parent: a name stays a name; address conditions do not match it */
    bool exempt_private; /* the rule named "private" does not apply */
};

#define ACCESS_REPORTED_MAX 16
struct access_decision {
    enum access_outcome outcome;
    const struct access_rule *rule; /* that decided, or asks for the login; NULL: none matched */
    bool by_address;                /* a deny whose `to` matched by address, not by name */
    unsigned class_bits;            /* then: enum access_class of the address */
    /* Report-only rules that match and stand above the one that decided; more than fit are left
     * out. */
    const struct access_rule *reported[ACCESS_REPORTED_MAX];
    unsigned reported_len;
};

struct access;

/* First round: the name alone (or the literal address, which is judged here and never gives
 * ACCESS_RESOLVE). */
void access_decide(const struct access *a, const struct access_query *q,
                   struct access_decision *out);

/* Second round: the same query with one address of the name.  ACCESS_ALLOW or ACCESS_DENY: who has
 * not logged in by now meets no condition on users.
 *
 * In both rounds what cannot be known (a user without authentication, an address through a parent)
 * lets nobody pass: it does not meet an allow, negated or not; a deny it meets where negated. */
void access_decide_address(const struct access *a, const struct access_query *q,
                           const struct addr *addr, struct access_decision *out);

/* All rules in the order they are tried. */
unsigned access_count_rules(const struct access *a);
const struct access_rule *access_get_rule(const struct access *a, unsigned i);

/* Whether rule i matches now: 1 yes, 0 no, -1 depends on a look-up or a login.  For `access test`.
 */
int access_rule_matches(const struct access *a, unsigned i, const struct access_query *q,
                        const struct addr *addr);

/* Classes of an address in all its forms: IPv4-mapped, NAT64 (64:ff9b::/96), 6to4 (2002::/16),
 * Teredo (2001::/32: server and client address), ::a.b.c.d count as what they embed too.  This
 * machine's own addresses count as loopback (see access_set_own_addresses). */
unsigned access_classify(const struct addr *a);

/* Replaces the list of this machine's addresses; any thread, readers see the old or the new.  At
 * most 4096: more are refused with an error in the log, those known before stay. */
void access_set_own_addresses(const struct addr *list, unsigned n);

void access_free(struct access *a);

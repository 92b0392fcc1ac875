/* policy/conditions.h - what one rule asks for, and whether a request meets it.
 *
 * Private to access.c, which walks the rules, and access_build.c, which makes them.  Immutable once
 * built. */
#pragma once

#include "base/span.h"
#include "policy/access.h"
#include "policy/cidr.h"
#include "policy/classes.h"
#include "policy/domains.h"
#include "policy/hours.h"
#include "policy/listfile.h"

/* What `from` and `to` name. */
struct conditions_places {
    bool set, negated, any;
    bool by_address;  /* something here is known by its address only */
    unsigned classes; /* enum access_class */
    struct cidr_set networks;
    struct domains names;
    struct listfile **lists; /* a reference each */
    unsigned lists_len;
};

struct access_conditions {
    char *name, *file; /* storage of the rule's own */
    bool is_private;   /* the deny rule named "private": access_query.exempt_private skips it */
    struct conditions_places from, to;
    struct port_range *ports; /* NULL: any */
    char **methods, **users;  /* NULL: any */
    unsigned ports_len, methods_len, users_len;
    bool ports_negated, methods_negated, users_negated, hours_negated, authenticated_negated;
    bool authenticated;  /* the condition is there */
    struct hours *hours; /* NULL: any */
};

/* How a rule stands to a request.  0: it matches.  Else why not, or what is still missing to know;
 * the bits of several conditions are simply put together. */
enum conditions_bit {
    CONDITIONS_USER = 1,    /* depends on who logs in */
    CONDITIONS_ADDRESS = 2, /* depends on what the name resolves to */
    CONDITIONS_NO = 4,      /* does not match, whatever the others become */
};

/* A request with what is worked out once for all rules. */
struct conditions_request {
    const struct access_query *query;
    struct classes_forms client, target; /* target without a form: a name, address not known */
    bool is_last;                        /* nothing more will be known: no login, no look-up */
};

unsigned conditions_match(const struct access_rule *rule, const struct conditions_request *r);

/* Of a rule that matches: whether it was the address of the target, not its name, that `to` was met
 * by. */
bool conditions_met_by_address(const struct access_rule *rule, const struct conditions_request *r);

void conditions_free(struct access_conditions *c); /* NULL is fine */

/* policy/classes.h - one address in all the forms it can be written in.
 *
 * An address may carry an IPv4 address inside.  Some forms are just another way to write it
 * (IPv4-mapped, RFC 4291 2.5.5.2; NAT64's well-known prefix, RFC 6052 2.1): what holds for one
 * holds for the other. Others lead to another host by way of it (6to4, RFC 3056; Teredo, RFC 4380;
 * the old IPv4-compatible form): these are only suspicious.  So each question is asked in two ways:
 * `narrow` for what lets pass, `wide` for what forbids.  Pure, but for this machine's own
 * addresses; any thread. */
#pragma once

#include "base/endpoint.h"
#include "policy/access.h"

#define CLASSES_FORMS_MAX 4

struct classes_forms {
    struct addr form[CLASSES_FORMS_MAX]; /* [0] is the address itself */
    unsigned same, len;    /* form[0..same) are the same host, form[same..len) are suspicious */
    unsigned narrow, wide; /* enum access_class bits of the former, of all */
};

/* `a` of family 0 gives no forms and no classes. */
void classes_forms_of(const struct addr *a, struct classes_forms *out);

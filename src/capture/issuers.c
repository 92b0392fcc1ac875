#include "capture/issuers.h"

#include <stdlib.h>

#include "base/util.h"

/* What of "name:443" is registered by one owner, roughly: the last two labels.  Empty: an address
 * or a name of one label, which say nothing about that. */
static struct span owner_of(const char *target)
{
    struct span host = span_of(target);
    unsigned dots = 0;
    size_t from;

    while (host.len > 0 && host.ptr[host.len - 1] != ':')
        host.len--;
    host.len -= host.len > 0;
    if (host.len == 0 || host.ptr[0] == '[' ||
        (host.ptr[host.len - 1] >= '0' && host.ptr[host.len - 1] <= '9'))
        return (struct span){NULL, 0};
    for (from = host.len; from > 0; from--)
        if (host.ptr[from - 1] == '.' && ++dots == 2)
            break;
    return dots > 0 ? (struct span){host.ptr + from, host.len - from} : (struct span){NULL, 0};
}

static bool contains(struct span text, struct span part)
{
    for (size_t at = 0; at + part.len <= text.len; at++)
        if (span_equal_nocase((struct span){text.ptr + at, part.len}, part))
            return true;
    return false;
}

/* Names in the issuers of certificates that browsers take without being told. */
bool issuers_is_public(struct span issuer)
{
    static const struct span names[] = {
        SPAN_INIT("let's encrypt"),
        SPAN_INIT("isrg"),
        SPAN_INIT("digicert"),
        SPAN_INIT("google trust"),
        SPAN_INIT("sectigo"),
        SPAN_INIT("comodo"),
        SPAN_INIT("usertrust"),
        SPAN_INIT("globalsign"),
        SPAN_INIT("amazon"),
        SPAN_INIT("microsoft"),
        SPAN_INIT("entrust"),
        SPAN_INIT("godaddy"),
        SPAN_INIT("starfield"),
        SPAN_INIT("ssl.com"),
        SPAN_INIT("ssl corporation"),
        SPAN_INIT("identrust"),
        SPAN_INIT("zerossl"),
        SPAN_INIT("buypass"),
        SPAN_INIT("certum"),
        SPAN_INIT("asseco"),
        SPAN_INIT("quovadis"),
        SPAN_INIT("thawte"),
        SPAN_INIT("geotrust"),
        SPAN_INIT("rapidssl"),
        SPAN_INIT("verisign"),
        SPAN_INIT("actalis"),
        SPAN_INIT("harica"),
        SPAN_INIT("telia"),
        SPAN_INIT("swisssign"),
        SPAN_INIT("d-trust"),
        SPAN_INIT("t-systems"),
        SPAN_INIT("telesec"),
        SPAN_INIT("secom trust"),
        SPAN_INIT("cybertrust"),
        SPAN_INIT("trustasia"),
        SPAN_INIT("wotrus"),
        SPAN_INIT("certsign"),
        SPAN_INIT("apple public"),
        SPAN_INIT("apple inc"),
        SPAN_INIT("cloudflare inc"),
        SPAN_INIT("cloudflare, inc"),
        SPAN_INIT("trustwave"),
        SPAN_INIT("network solutions"),
        SPAN_INIT("gandi"),
        SPAN_INIT("unizeto"),
        SPAN_INIT("internet2"),
        SPAN_INIT("geant"),
        SPAN_INIT("emsign"),
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (contains(issuer, names[i]))
            return true;
    return false;
}

const char *issuers_add(struct issuers *i, const char *issuer, const char *target)
{
    struct span owner = owner_of(target);
    struct issuer *item;

    if (owner.len == 0 || issuers_is_public(span_of(issuer)))
        return NULL;
    for (unsigned k = 0; k < i->len; k++)
        if (strcmp(i->items[k].issuer, issuer) == 0)
            return span_equal_nocase(owner_of(i->items[k].target), owner) ? NULL
                                                                          : i->items[k].target;
    if (i->len == ISSUERS_MAX)
        return NULL;
    item = &i->items[i->len];
    item->issuer = span_dup(span_of(issuer));
    item->target = span_dup(span_of(target));
    if (item->issuer && item->target) {
        i->len++;
    } else {
        free(item->issuer);
        free(item->target);
    }
    return NULL;
}

void issuers_fini(struct issuers *i)
{
    for (unsigned k = 0; k < i->len; k++) {
        free(i->items[k].issuer);
        free(i->items[k].target);
    }
    i->len = 0;
}

/* proxy/pac.h - /proxy.pac: tells a browser which targets it asks this proxy for.
 *
 * JavaScript of 1999, for the engines that evaluate it are many.  It looks no name up.  Pure; any
 * thread. */
#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "render/pen.h"

struct pac {
    const char *listener;        /* "10.10.10.1:3128", "[2001:db8::1]:3128", "proxy.example:3443" */
    bool tls;                    /* it is reached by TLS */
    const char *const *no_proxy; /* words of NO_PROXY, as upstream.conf may have them */
    unsigned no_proxy_len;
};

/* Writes the whole script: NO_PROXY's targets and those of the client's own machine direct,
 * everything else through the listener. */
void pac_write(struct pen *p, const struct pac *pac);

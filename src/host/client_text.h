/* host/client_text.h - what each program has to be told so that it uses a proxy.
 *
 * One row a format: the words it writes, and whether it can say what is asked.  Pure; any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* The languages that programs are configured in. */
enum client_format {
    CLIENT_ENVIRONMENT, /* NAME=value, as pam_env reads it */
    CLIENT_SHELL,       /* export NAME='value' */
    CLIENT_UNIT,        /* [Service] Environment= */
    CLIENT_MANAGER,     /* [Manager] DefaultEnvironment= */
    CLIENT_APT,
    CLIENT_CURL,
    CLIENT_WGET,
    CLIENT_GIT,
    CLIENT_NPM,
    CLIENT_PIP,
    CLIENT_DOCKER, /* JSON: one member of the outermost object */
    CLIENT_FORMATS
};

/* The proxy that is written.  Borrowed throughout. */
struct client_proxy {
    const char *host; /* address (IPv6 without brackets) or name */
    uint16_t port;
    bool tls;                    /* the proxy itself is reached by TLS */
    const char *user, *password; /* NULL: none; any bytes */
    char *const *no_proxy;       /* as upstream.conf has them; loopback is added by itself */
    unsigned no_proxy_len;
};

/* Appends the proxy as a URL: "http://user:p%40ss@[::1]:3128".  What is not unreserved in user and
 * password is percent-encoded (RFC 3986 section 2.1).  False when memory or `out` is at its end. */
bool client_text_url(const struct client_proxy *p, struct buf *out);

/* Appends the settings, in whole lines (CLIENT_DOCKER: the member, without an end of line); section
 * headers are left to who places them.  False, with the reason, when this program cannot do what
 * is asked (wget and a proxy that is reached by TLS) or when memory is out. */
bool client_text_write(enum client_format format, const struct client_proxy *p, struct buf *out,
                       struct err *err);

/* Appends `text` with what must not be seen as dots: the password of each URL, and all that stands
 * behind a word like "password", "auth" or "token". */
bool client_text_mask(struct span text, struct buf *out);

/* buf_fini for what may hold a password. */
void client_wipe(struct buf *b);

/* console/internal.h - what the console's files share, and nobody else sees. */
#pragma once

#include <microhttpd.h>

#include "console/guard.h"
#include "console/request.h"

/* Sends a reply; its body is copied or static. */
enum MHD_Result console_send(struct request *r, struct reply *reply);

/* The cookie's name: under TLS one that only this host can set (RFC 6265bis 4.1.3). */
#define CONSOLE_COOKIE(secure) ((secure) ? "__Host-viaduct" : "viaduct-console")

struct guard *console_get_guard(struct console *c);

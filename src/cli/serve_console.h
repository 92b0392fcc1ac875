/* cli/serve_console.h - the console beside `viaduct serve`: the proxy's door, as the console wants
 * it. */
#pragma once

#include "proxy/server.h"

struct serve_console {
    const char *config_path;
    const char *config_name; /* its real path, from the root; NULL: as config_path */
    struct door *door;
    struct console *console;
};

/* What server_run takes as its company; `s` must outlive it. */
struct server_company serve_console_company(struct serve_console *s);

/* cli/check_args.h - what is asked of `viaduct check`: options, the proxy, the URLs.
 *
 * The proxy comes from -x, or from the upstream settings of this machine.  A password in an
 * argument is warned of, and wiped there.  The command line's one thread. */
#pragma once

#include <stdbool.h>

#include "check/check.h"
#include "config/config.h"

struct check_args {
    struct check_options options; /* owner and what is heard of: the caller's */
    struct check_proxy proxy;     /* options.proxy points here unless it goes direct */
    struct config *config;        /* the upstream settings are read from; NULL: not asked */
    const char *config_path;      /* -c; NULL: where it lies by default */
    bool json, compare;
    bool events; /* with json: each flow also whenever another phase of it begins */
    const char *output, *pcap, *keylog;
    bool resume;
    char **urls;
    unsigned urls_len;
    char proxy_text[300]; /* "http://10.10.10.1:3128", without credentials; "direct" */
    char password[1024];
    char *proxy_host, *user;
};

/* Fills a zeroed structure.  EXIT_OK, or the exit status of a mistake that was told. */
int check_args_parse(struct check_args *a, int argc, char **argv);

/* The upstream settings as another way than the one of `a`: false when there are none, or they are
 * that way.  *out borrows from `a`. */
bool check_args_take_parent(struct check_args *a, struct check_args *out);

void check_args_fini(struct check_args *a); /* wipes the password */

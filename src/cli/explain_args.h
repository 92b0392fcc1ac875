/* cli/explain_args.h - what is asked of `viaduct explain`: captures, proxies, what to show.
 *
 * The command line's one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capture/explain.h"

struct explain_args {
    struct explain_options options; /* owner and what is heard of: the caller's */
    uint64_t flow;                  /* the only one that is shown; 0: all */
    const char *html;               /* "-": standard output; NULL: no page */
    bool failed, json, anonymize;
    char *filter; /* the words behind -i, joined */
};

/* Fills a zeroed structure; it borrows from argv.  EXIT_OK, or the exit status of a mistake that
 * was told. */
int explain_args_parse(struct explain_args *a, int argc, char **argv);

/* Takes a proxy in one of its forms, HOST:PORT, HOST, PORT, http://…, https://…, to the list: one
 * entry an address that the host's name resolves to.  A part that is left out matches any (family
 * 0, port 0).  False with a message in *err. */
bool explain_args_add_proxy(struct explain_args *a, const char *text, struct err *err);

/* A flow's number, "7" or "#7", or its id of 16 hexadecimal digits, as everything shows it. */
bool explain_args_parse_flow(const char *text, uint64_t *id);

void explain_args_fini(struct explain_args *a);

/* policy/access_rules.h - what a struct access is made of; private to access.c and access_build.c.
 */
#pragma once

#include "policy/access.h"
#include "policy/listfile.h"

struct access_list {
    char *name;
    struct listfile *file; /* a reference */
};

struct access {
    struct access_rule *rules; /* in the order they are tried */
    unsigned rules_len;
    struct access_list *lists; /* all that were loaded, for the next reload to share */
    unsigned lists_len;
};

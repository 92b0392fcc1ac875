/* console/members.h - the members of a request's JSON body, read by jansson. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "console/request.h"

struct members {
    void *root; /* json_t */
};

/* What a route knows of its body. */
struct member {
    const char *name;
    enum { MEMBER_TEXT, MEMBER_FLAG, MEMBER_LIST /* of texts */, MEMBER_ANY } kind;
    bool wanted; /* it may not be missing */
};
#define MEMBERS(...)                                                                               \
    (const struct member[])                                                                        \
    {                                                                                              \
        __VA_ARGS__,                                                                               \
        {                                                                                          \
            NULL, MEMBER_ANY, false                                                                \
        }                                                                                          \
    }

/* An object, strictly: no duplicates, UTF-8, no NUL, nesting bounded; and those of its members that
 * stand in `known` (ended by one without a name) are of their kinds.  Others are not looked at;
 * null is as good as missing.  False: the reply says what is wrong. */
bool members_parse(struct members *m, struct span body, const struct member *known,
                   struct reply *reply);
void members_free(struct members *m); /* texts are not kept anywhere else */

/* A string, "" where it is missing or none; holds until members_free. */
struct span members_get_text(const struct members *m, const char *name);
/* Whether it is there, and not null. */
bool members_has(const struct members *m, const char *name);
bool members_get_bool(const struct members *m, const char *name, bool otherwise);
/* A whole number from 0 to `most`; false: it is missing or none. */
bool members_get_number(const struct members *m, const char *name, uint64_t most, uint64_t *out);
/* Element `i` of an array of strings; false: there is none. */
bool members_get_item(const struct members *m, const char *name, unsigned i, struct span *out);

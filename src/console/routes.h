/* console/routes.h - every path of the console and of its interface: one row each.
 *
 * doc/api.md and the OpenAPI file are printed from this table. */
#pragma once

#include "console/request.h"

/* Who may call. */
enum right {
    RIGHT_ANYBODY, /* pages' files, logging in */
    RIGHT_METRICS, /* on loopback anybody, elsewhere a bearer's token, or who is logged in */
    RIGHT_READ,    /* who is logged in; who may open the control socket */
    RIGHT_CHANGE,  /* logged in, with the token against forged requests; of the control socket's
                    * root and the proxy's own account */
};

struct route {
    enum console_method method;
    const char *path; /* "{}" stands for one part, at most REQUEST_PARTS of them */
    enum right right;
    uint32_t body_max; /* bytes; 0: none is taken */
    bool upload;       /* the body goes to upload_fd */
    void (*handle)(struct request *r, struct reply *reply);
    const char *summary; /* one clause, for the manual */
    /* "name* (kind): what it means\n…" of the query; NULL: none.  "*": it may not be missing; kind:
     * number, flag (true or false) or list (of texts), else it is a text. */
    const char *arguments;
    const char *body;   /* of the body's JSON members, in the same form; NULL */
    const char *answer; /* what comes back, one clause */
};

extern const struct route routes[];
extern const unsigned routes_len;

/* The route for it, with r->parts filled; NULL: *allow has the methods of the path ("GET, HEAD,
 * PUT"), or is "" where there is no such path.  A method of CONSOLE_METHODS is none's. */
const struct route *routes_find(struct request *r, char *allow, size_t cap);

/* check/url.h - the URLs that are asked for: http and https, taken apart (RFC 3986, RFC 9110 4.2).
 *
 * Without a scheme it is http, as with curl; a fragment is cut off.  Pure but for the heap. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "wire/authority.h"

struct url {
    char *text;          /* heap: as it is asked, with scheme and path */
    bool tls;            /* https */
    struct authority at; /* host, port, path; its spans borrow from `text` */
};

/* Fills a zeroed url.  False with *err: what is wrong with `text`, and where. */
bool url_parse(struct url *u, struct span text, struct err *err);

/* The same of what a Location field says, seen from `base` (RFC 3986 5.2). */
bool url_join(struct url *u, const struct url *base, struct span location, struct err *err);

/* "name:443", with brackets where needed; returns the length. */
size_t url_write_target(const struct url *u, char out[AUTHORITY_TEXT_MAX]);

/* The field value of Host: without the port that the scheme implies. */
size_t url_write_host(const struct url *u, char out[AUTHORITY_TEXT_MAX]);

void url_fini(struct url *u);

/* flow/inspectors.h - the products that open TLS, as the names of their certificates' issuers tell.
 *
 * A certificate that verifies and whose issuer is one of these was made by an inspecting proxy or a
 * program on the machine.  Names by which the maker's own public web sites are certified are not in
 * the table: a match alone is enough to name the product.  Pure; any thread. */
#pragma once

#include "base/span.h"

/* The product whose name is in an issuer's text ("CN=…, O=…" as it came), or NULL. */
const char *inspectors_find(struct span issuer);

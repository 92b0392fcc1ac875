/* flow/ownwords.h - viaduct's own answers, as another viaduct reads them.
 *
 * Their status line ("403 Forbidden (acl-denied: rule social)") and their page name the verdict.
 * Pure; any thread. */
#pragma once

#include "base/span.h"
#include "flow/verdict.h"

/* The verdict in a status line's phrase, and in *why what stands behind its colon (may be empty).
 * VERDICT_COUNT: there is none that viaduct would answer with. */
enum verdict ownwords_read_phrase(struct span phrase, struct span *why);

/* The verdict in a page, whether JSON, HTML or text. */
enum verdict ownwords_read_page(struct span body);

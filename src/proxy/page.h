/* proxy/page.h - the bodies of the proxy's own answers, as HTML, JSON or plain text.
 *
 * A browser shows them under the target's own name: nothing from outside gets in unescaped, and
 * nothing is loaded.  Pure; any thread. */
#pragma once

#include <stdbool.h>

#include "flow/flow.h"
#include "proxy/answer.h"
#include "render/pen.h"

/* The most that a body takes: what comes from outside is cut, evidence that does not fit is left
 * out. */
#define PAGE_MAX 12288

/* Why there is no other answer: verdict, cause, advice, the facts a client may know, the flow's id.
 */
void page_write_flow(struct pen *p, enum answer_format format, const char *language, int status,
                     const struct flow *f);

/* What this port is, where its settings for browsers are, and that there is no such page where
 * `found` is false.  `tls`: the listener is reached by TLS. */
void page_write_about(struct pen *p, enum answer_format format, const char *language, bool found,
                      bool tls, const char *listener);

/* check/refusal.h - an answer that says no, or that may not be a proxy's: its head and body are
 * kept, and judged by what they say (flow/outside).
 *
 * Most clients throw the body of a refused CONNECT away; it is where proxies say why.  One thread.
 */
#pragma once

#include "check/probe.h"

/* Whether a head below 400 has to be judged as well: HTML or a redirect in answer to CONNECT, a
 * redirect that a captive portal may have sent. */
bool refusal_is_suspect(const struct probe *p, const struct http1_head *h);

/* Keeps the head's bytes. */
void refusal_keep_head(struct probe *p, struct span head);

/* Ends the flow by what head and body say; or goes on, where they say nothing bad. */
enum probe_next refusal_judge(struct probe *p);

/* Ends it by bytes that are no HTTP response; `what` is the parser's complaint. */
enum probe_next refusal_judge_bytes(struct probe *p, struct span first, const char *what);

/* capture/beyond.h - what came behind the answer: tunnels, bodies, TLS.
 *
 * Gathers the signs and asks flow/judge.  For the ending only.  Pure; one thread. */
#pragma once

#include "capture/look.h"

/* A tunnel, a transfer, or a connection straight to the target. */
struct ending beyond_judge(const struct look *l);

/* TLS with an https:// proxy: what is inside stays hidden. */
struct ending beyond_judge_proxy_tls(const struct look *l);

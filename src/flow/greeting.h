/* flow/greeting.h - what speaks first, or answers an HTTP request with something that is not HTTP.
 *
 * For the port that was taken for a proxy's: the first bytes name the protocol.  Pure; any thread.
 */
#pragma once

#include <stddef.h>

#include "base/span.h"

#define GREETING_MAX 160 /* bytes of a name with its terminator */

/* Names who sent these first bytes: "an SSH server (SSH-2.0-OpenSSH_9.2)", "something that is not
 * HTTP (4 bytes: 00 01 02 03)".  Text from outside is cut to its first line and left as it came:
 * renderers escape it.  Always terminated; returns the length. */
size_t greeting_write(struct span first, char out[GREETING_MAX]);

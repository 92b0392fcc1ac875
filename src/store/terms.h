/* store/terms.h - by what a flow is found: the terms of its record, and those of a search.
 *
 * A term is a kind, one letter, and a value.  A flow has each value of its own (the verdict, the
 * client's address, …) and the words of its texts; a search asks for terms, and finds the flows
 * that have them.  What both make of a text is decided here and nowhere else.
 * Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "flow/flow.h"

enum term_kind {
    TERM_BY = 'b',     /* who ended it */
    TERM_CLIENT = 'c', /* its address */
    TERM_DOMAIN = 'd', /* each domain above the target's host */
    TERM_FAILED = 'f', /* without a value: the flow is a failure */
    TERM_HOST = 'h',   /* the target's host */
    TERM_IN = 'i',     /* the phase it ended in */
    TERM_RULE = 'r',
    TERM_USER = 'u',
    TERM_VERDICT = 'v',
    TERM_WORD = 'w', /* of target, URL, user, rule, reason and evidence */
};

#define TERM_MAX 64    /* bytes of a term with its kind */
#define TERMS_MAX 4096 /* bytes of all terms of a flow: further ones are left out */

/* The terms one after the other, each behind a byte that is its length. */
struct terms {
    uint16_t len;
    char bytes[TERMS_MAX];
};

/* Replaces *t by the terms of an ended flow. */
void terms_of_flow(struct terms *t, const struct flow *f);

/* Whether a target (a flow's) is one that is meant: by its host, "host:port", or ".domain"
 * (":port", too) for the domain and all below it.  As a search of the history by these terms finds
 * it. */
bool terms_is_target(struct span target, struct span meant);

/* Whether it counts as a failure: neither a success nor a 407 that was answered. */
bool terms_is_failure(const struct flow *f);

/* One term as terms_of_flow makes it of such a value: a host in lower case, too long ones as their
 * beginning and a checksum.  Returns its length. */
size_t terms_write(enum term_kind kind, struct span value, char out[TERM_MAX]);

/* Takes the next word of a search text off *rest and writes its term; *prefix: it stands for all
 * words that begin so, as it ended in "*", or is the beginning of an address ("192.0").  Returns
 * its length, 0: there are no more. */
size_t terms_next_word(struct span *rest, char out[TERM_MAX], bool *prefix);

/* Steps through terms: start with *at = 0; false at the end (or where they are damaged). */
bool terms_next(struct span all, size_t *at, struct span *term);

/* The host of an authority, without brackets and last dot; *port has no pointer where there is
 * none.
 */
struct span terms_cut_host(struct span authority, struct span *port);

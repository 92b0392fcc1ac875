/* capture/fragment.h - puts the fragments of IP packets together (RFC 791 3.2, RFC 8200 4.5).
 *
 * Bounded: 256 packets at once, 1 MiB of bytes, 30 s each; the oldest goes.  Where fragments
 * overlap, what came first stays.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/packet.h"

struct fragments;

/* NULL: out of memory. */
struct fragments *fragment_new(void);
void fragment_free(struct fragments *f);

/* Takes a packet of kind PACKET_FRAGMENT, and copies what it has to keep, unless it is of a
 * protocol that nobody here wants.  True: it was the last that was missing, and *p is the whole
 * packet now (what is not the whole's stays: number and times are those of this fragment); its
 * payload holds until the next call. */
bool fragment_add(struct fragments *f, struct packet *p);

/* Packets that were never whole: given up for age or room, or still waiting. */
uint64_t fragment_get_lost(const struct fragments *f);

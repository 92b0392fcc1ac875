/* policy/cidr.h - sets of networks, asked by address.
 *
 * Collected with cidr_add, made ready by cidr_seal, then immutable: any thread.  What a network
 * means for another form of the same address (NAT64, 6to4, …) is not known here: see
 * policy/classes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/span.h"

/* An address as a number; IPv4 uses the low 32 bits of `lo`. */
struct cidr_key {
    uint64_t hi, lo;
};

struct cidr_range {
    struct cidr_key first, last; /* both belong to it */
};

struct cidr_ranges {
    struct cidr_range *items;
    uint32_t len, cap;
};

/* A zeroed one is the empty set, and ready. */
struct cidr_set {
    struct cidr_ranges v4, v6; /* apart, so that ::/0 says nothing of IPv4 */
};

struct cidr {
    struct addr addr;
    uint8_t bits;
};

/* "192.0.2.1", "192.0.2.0/24", "2001:db8::/32"; an IPv4-mapped network comes back as IPv4.  False
 * with a static text in *why when it is no network, or when bits are set behind the prefix. */
bool cidr_parse(struct span text, struct cidr *out, const char **why);

/* False when out of memory. */
bool cidr_add(struct cidr_set *set, const struct cidr *network);

/* Sorts and joins what overlaps; gives spare memory back. */
void cidr_seal(struct cidr_set *set);

/* Of a sealed set. */
bool cidr_has(const struct cidr_set *set, const struct addr *a);
bool cidr_is_empty(const struct cidr_set *set);
size_t cidr_count_bytes(const struct cidr_set *set);

void cidr_fini(struct cidr_set *set);

/* Ports from..to, both included. */
struct port_range {
    uint16_t from, to;
};

/* "443" or "8000-8100"; false with a static text in *why. */
bool cidr_parse_ports(struct span text, struct port_range *out, const char **why);

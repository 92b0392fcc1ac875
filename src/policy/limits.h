/* policy/limits.h - the ceilings of a flow and of the whole proxy.
 *
 * Plain data from the configuration; a rule's own limit replaces the global one.  All durations in
 * nanoseconds, 0: none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What a rule may set of its own; a flow keeps a copy. */
struct flow_limits {
    uint64_t idle_ns; /* of a tunnel or a transfer */
    uint64_t lifetime_ns;
    uint64_t max_download, max_upload; /* bytes */
    uint64_t rate;                     /* bytes a second, per direction */
};

enum flow_limit_bit {
    LIMIT_IDLE = 1,
    LIMIT_LIFETIME = 2,
    LIMIT_DOWNLOAD = 4,
    LIMIT_UPLOAD = 8,
    LIMIT_RATE = 16
};

struct limits {
    uint32_t connections, connections_per_client;
    uint32_t header_size; /* bytes */
    uint64_t header_ns, keepalive_ns, resolve_ns, connect_ns, response_ns, drain_ns;
    struct flow_limits flow;
};

/* `base` with what the rule sets (bits of enum flow_limit_bit) put over it. */
struct flow_limits limits_merge(const struct flow_limits *base, const struct flow_limits *rule,
                                unsigned set);

/* Connections by client, counted by all workers without a lock. */
struct limits_clients;
struct limits_clients *
limits_clients_new(uint32_t connections); /* room for that many clients; NULL: no memory */
void limits_clients_free(struct limits_clients *c);
struct addr;
/* Counts one connection more of `client`; false, and nothing counted, when it has `max` already. */
bool limits_clients_enter(struct limits_clients *c, const struct addr *client, uint32_t max);
void limits_clients_leave(struct limits_clients *c, const struct addr *client);

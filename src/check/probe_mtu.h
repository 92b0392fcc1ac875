/* check/probe_mtu.h - how large a segment passes, on each leg and in each direction that can be
 * told apart from here.
 *
 *   this machine -> next hop   a piece of a request that never ends, judged by its acknowledgement
 *   next hop -> this machine   our SYN clamped, and the largest segment of a long answer
 *   proxy -> target            a ClientHello or a request head of that length in one write:
 * inferred target -> proxy            plain HTTP: an answer of that length (Range): inferred; TLS:
 * whether a long answer comes at all
 *
 * The sizes are net/mtu's to choose; the probes are walks like any other (probe.h), one after the
 * other on a leg, the legs side by side.  At most MTU_PROBES_MAX probes and MTU_LEG_NS a leg. Knows
 * no sockets and no clock.  One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "check/probe.h"
#include "net/mtu.h"

#define MTU_LEG_NS (15 * 1000000000ull)
#define MTU_LEGS 2

enum mtu_kind {
    MTU_OUT,     /* from here */
    MTU_IN,      /* to here */
    MTU_FAR_ANY, /* something small, beyond the proxy: whether it answers, and when */
    MTU_FAR_IN,
    MTU_FAR_OUT,
};

struct mtu_way {
    uint8_t kind; /* enum mtu_kind */
    bool done;
    bool limited; /* by what gets as far as the proxy */
    struct mtu_search search;
    unsigned allowed;          /* probes, 0: as many as its leg has */
    uint32_t hint;             /* what passes the other way, mostly the same; 0: none */
    struct check_mtu_way *out; /* NULL: MTU_FAR_ANY */
};

struct mtu_leg {
    struct mtu_way ways[3];
    unsigned len, at;
    unsigned probes;
    uint32_t size; /* that is tried now */
    bool running;  /* a probe is under way, since: */
    uint64_t start_ns;
    uint64_t left_ns;    /* of its time */
    uint64_t answer_ns;  /* what an answer took; 0: none came yet */
    uint32_t head_len;   /* bytes of an answer's head, as the proxy passes it on */
    int32_t hello_extra; /* bytes of a ClientHello above what was asked for */
    bool doubt;          /* something failed that need not be for its size: nothing else came */
    uint64_t came;       /* bytes that did, then */
};

struct probe_mtu {
    bool is_tls, through_proxy;
    struct mtu_leg legs[MTU_LEGS];
    struct check_mtu out;
};

/* Begins the search on the way that `p` (ended, connected) went. */
void probe_mtu_init(struct probe_mtu *m, const struct probe *p);

enum mtu_next { MTU_NEXT_PROBE, MTU_NEXT_WAIT, MTU_NEXT_DONE };

/* The next probe of a leg; waits where it needs what the other leg finds. */
enum mtu_next probe_mtu_next(struct probe_mtu *m, unsigned leg, uint64_t now_ns,
                             struct probe_wish *wish);

/* Bytes of another write that the probe which has just passed should make, 0: none. */
uint32_t probe_mtu_more(struct probe_mtu *m, unsigned leg, const struct probe *p, uint64_t now_ns);

/* Looks at the probe of that leg; true once it has told all it can: it may be stopped. */
bool probe_mtu_look(struct probe_mtu *m, unsigned leg, const struct probe *p, uint64_t now_ns);

/* check/check.h - goes the way to URLs, phase by phase, and makes a flow of each.
 *
 * Through a proxy or direct; one probe a URL, more where another one explains what the first met (a
 * ClientHello that hangs, a transfer that is cut, a redirect that is followed).  Many URLs go side
 * by side on the caller's thread.  Knows flows, not how they are shown. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "flow/flow.h"
#include "policy/login.h"

struct check_proxy {
    bool tls;         /* https:// */
    const char *host; /* name or address, without brackets */
    uint16_t port;
    const char *user, *password; /* NULL: none */
    enum login_wish wish;
    const char *ca; /* PEM file, for the proxy itself; NULL: the system's */
};

struct capture;
struct download;

#define CHECK_AT_ONCE 64 /* URLs side by side; fewer where descriptors are few */

/* What passes in one direction of one leg.  Sizes are bytes as the MSS option counts them: options
 * of the segments (timestamps) are among them. */
enum check_mtu_known { CHECK_MTU_UNKNOWN, CHECK_MTU_INFERRED, CHECK_MTU_SEEN };
struct check_mtu_way {
    const char *from, *to; /* static: "this machine", "proxy", "target" */
    uint8_t known;         /* enum check_mtu_known */
    bool more;             /* larger ones may pass, too: they could not be tried */
    uint32_t mss;          /* the largest that passes; 0: no number */
    unsigned probes;
    char why[192]; /* what is to be known about it; "": nothing */
};

#define CHECK_MTU_WAYS 4

struct check_mtu {
    unsigned len;          /* of ways; 0: no search was made */
    bool is_v6, is_far_v6; /* the leg from here; the one beyond the proxy */
    uint32_t options;      /* bytes of options in each segment */
    uint32_t pmtu;         /* that the kernel knows: of the link, or learnt by ICMP */
    struct check_mtu_way ways[CHECK_MTU_WAYS];
};

/* Packet bytes around what the MSS counts. */
#define CHECK_MTU_HEADERS(is_v6) ((is_v6) ? 60u : 40u)

/* The same as evidence of a flow, a line a direction:
 * "mtu proxy to target: path MTU 1300, MSS 1260, payload 1248, inferred, 7 probes". */
void check_mtu_note(const struct check_mtu *m, struct flow *f);

struct check_options {
    const struct check_proxy *proxy; /* NULL: direct */
    /* Targets that are reached without the proxy all the same; NULL: none.  `addr` has family 0
     * unless the host is an address. */
    bool (*is_direct)(const void *direct_owner, const char *host, const struct addr *addr);
    const void *direct_owner;
    uint64_t timeout_ns; /* a URL; 0: 30 s */
    bool follow, insecure;
    bool mtu;           /* find out how large a segment passes, once a URL's last flow has ended */
    const char *cacert; /* PEM file, for targets; NULL: the system's */
    struct capture *capture;   /* the caller's, open; NULL: none */
    struct download *download; /* where the body of the one URL goes, open; NULL: nowhere */
    /* What the caller hears of; each may be NULL.  `url` is the number of the URL. */
    void *owner;
    void (*on_phase)(void *owner, unsigned url, const struct flow *f); /* another phase began */
    void (*on_bytes)(void *owner, unsigned url, uint64_t bytes,
                     uint64_t total);                          /* of the whole; total 0: unknown */
    void (*on_done)(void *owner, unsigned done, unsigned len); /* so many URLs are done */
    void (*on_mtu)(void *owner, unsigned url, const struct check_mtu *m); /* before its flow: */
    void (*on_flow)(void *owner, unsigned url, struct flow *f); /* it ended; zero it to keep it */
};

/* Goes to each URL, and returns when all flows were handed out: those of one URL in their order.
 * *stop (may be NULL) is looked at: once it is set, by a signal handler, flows end where they
 * stand. False with *err when it cannot begin: a URL is no URL, a CA file cannot be read, no
 * memory. */
bool check_run(const struct check_options *o, const char *const *urls, unsigned len,
               const volatile int *stop, struct err *err);

/* flow/judge.h - from the symptoms of an ended stream to its verdict; all sources use it.
 *
 * A source that ends a flow itself (a rule said no, a limit was reached) knows the verdict and
 * needs no judge.  This is for streams that ended from outside: tunnels and transfers.  Pure; any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "flow/flow.h"

/* What put an end to the stream. */
enum stream_end {
    STREAM_END_FIN,     /* `first` sent FIN, and the other side followed or was shut down */
    STREAM_END_RST,     /* `first` sent RST */
    STREAM_END_IDLE,    /* our idle timer fired */
    STREAM_END_LOST,    /* the kernel gave up retransmitting to `first` (ETIMEDOUT), or no route any
                           more */
    STREAM_END_CAPTURE, /* the capture or the look ended first */
    STREAM_END_QUIET,   /* nothing came any more for `idle_ns`, which is long enough to tell; what
                         * somebody did about it later, or whether the look ended, is not asked */
};

/* The framing of one direction's bytes as far as it was followed. */
enum stream_frame {
    STREAM_FRAME_UNKNOWN,  /* not TLS, or lost sight of (splice) */
    STREAM_FRAME_BOUNDARY, /* TLS, at a record's end */
    STREAM_FRAME_INSIDE,   /* TLS, inside a record */
    STREAM_FRAME_CLOSED,   /* TLS, close_notify seen or the last record may be one (19 bytes under
                              TLS 1.3) */
    STREAM_FRAME_ALERT,    /* TLS, a fatal alert was the last record, or (1.3) may have been, as it
                            * directly    followed the target's first flight */
};

/* A black hole takes segments from this size on: who got as many bytes, or had as many
 * acknowledged, may have seen one of them pass. */
#define JUDGE_FULL_BYTES 1200
#define JUDGE_HOLE_NS 3000000000ull /* a segment that was merely lost is sent again sooner */

/* What the proxy's own socket tells of full-size segments on one leg; zeroed: nothing is known. */
struct path_signs {
    uint32_t mss;          /* of segments sent, without options; the peer's are hardly larger */
    uint64_t unacked;      /* bytes sent and not acknowledged */
    uint64_t acked;        /* bytes acknowledged since the beginning */
    uint32_t repeats;      /* times the first unacknowledged segment was sent again, backing off */
    uint32_t sacked;       /* segments behind it that arrived */
    bool answers;          /* packets came from the other end after the last of these repeats */
    uint64_t received;     /* bytes that came in order */
    uint32_t out_of_order; /* segments that came behind a hole */
    uint64_t quiet_ns;     /* since bytes last came in order */
    /* Where packets were looked at, and not a socket's counters: `mss` is the size of the first
     * unacknowledged segment, and what passed is known by its size, not by the sum. */
    bool sized;
    uint32_t largest_acked;    /* segment from here that arrived */
    uint32_t largest_received; /* segment from there that came in order */
    uint32_t hole;             /* bytes that are missing before what came behind the hole */
    uint32_t behind;           /* and the bytes that did come behind it */
    bool told;                 /* ICMP said that segments from here are too big */
    uint32_t told_mtu;         /* for this MTU, 0: it did not say */
};

struct symptoms {
    enum stream_end end;
    enum side
        first;      /* who ended it, for FIN, RST and LOST: SIDE_CLIENT, _PROXY, _TARGET, _PARENT */
    enum side far;  /* who is at the other end, as far as one sees; SIDE_NOBODY: target or parent */
    enum side peer; /* with whom the client speaks TLS; SIDE_NOBODY: target or parent */
    bool fin_client, fin_target;     /* FINs that were seen before the end */
    bool is_tls;                     /* the stream is TLS, by its first bytes */
    bool hello_client, hello_target; /* ClientHello and ServerHello are through */
    bool alert_is_plain;             /* the alert was readable: seen, else inferred */
    uint8_t alert;                   /* its description (RFC 8446 6), when readable */
    const char *alert_name;          /* of it: "unknown_ca"; NULL or "": the number has to do */
    enum stream_frame frame_up, frame_down;
    uint64_t bytes_up, bytes_down;
    bool last_was_up; /* the last bytes came from the client: a request without reply */
    uint64_t asked;   /* bytes up since the last bytes down; 0: not counted.  Under TLS a few of
                       * them are no request: HTTP/2 acknowledges and pings that way */
    uint64_t promised, received; /* a body: Content-Length and what came; promised 0: no promise */
    bool body_unfinished;        /* a body with a promise (length or chunks) that was not kept */
    uint64_t unacked_client, unacked_target; /* bytes that side has not acknowledged */
    uint64_t held_client,
        held_target; /* bytes the proxy could not hand on to that side: it does not read */
    uint64_t closed_client_ns, closed_target_ns; /* since when that side's window is closed; 0: it
                                                  * is open, or not known */
    struct path_signs path_client, path_target;
    uint64_t idle_ns;       /* quiet time before the end */
    const char *idle_timer; /* name of the setting whose timer fired: "idle-timeout" */
};

struct ending {
    enum verdict verdict;
    enum side by;
    enum certainty certainty;
    enum side leg; /* of a black hole: towards whom full-size segments vanish, or from whom */
};

/* Judges, and adds evidence and warnings (idle-closed) to `f`.  Never fails. */
struct ending judge_stream(const struct symptoms *s, struct flow *f);

/* For a source that ended a flow by itself, because it had waited too long or somebody left: true,
 * with *e and evidence, when a black hole was the reason.  Of `s` only the paths and what is owed
 * are looked at. */
bool judge_path(const struct symptoms *s, struct flow *f, struct ending *e);

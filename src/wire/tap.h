/* wire/tap.h - the packets of a TCP connection, made from what was read from and written to it.
 *
 * Who opens a connection sees bytes and times, not packets.  A tap makes IPv4 or IPv6 packets of
 * them, right in sequence numbers and checksums, so that every reader of captures puts the streams
 * together again: SYN, SYN-ACK, data in segments of at most one MSS, FIN, RST.  It knows nothing of
 * losses, retransmissions and the sizes of the true segments, and does not make them up: an
 * acknowledgement from the far end is written where later bytes prove it, or the caller knows of
 * it. No allocation; one thread at a time.
 *
 *     tap_open(&tap, &file, &here, &there, 1460, now);     SYN
 *     tap_established(&tap, now);                          SYN-ACK, ACK     (or tap_refused)
 *     tap_data(&tap, now, TAP_NEAR, written);              as written
 *     tap_data(&tap, now, TAP_FAR, bytes);                 as read
 *     tap_close(&tap, now, TAP_FAR, false);                FIN              (true: RST)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "wire/pcapng.h"

enum tap_end { TAP_NEAR, TAP_FAR }; /* NEAR opened the connection */

/* Zeroed: no connection, and nothing that is said of it is written. */
struct tap {
    struct pcapng *out;
    struct endpoint ends[2]; /* by enum tap_end */
    uint32_t next[2];        /* sequence number of the next byte */
    uint32_t acked[2];       /* what this end has acknowledged of the other's */
    uint16_t ip_id[2];
    uint16_t mss;
    bool established;
    bool closed[2]; /* this end sent FIN; both: the connection is over, or was reset */
};

/* Begins a connection and writes its SYN.  `near` and `far` are of one family, else nothing of the
 * connection is written.  `mss` in bytes, 0: 1460 for IPv4 and 1440 for IPv6.  Again for the same
 * tap: a SYN sent anew. */
void tap_open(struct tap *t, struct pcapng *out, const struct endpoint *near,
              const struct endpoint *far, uint16_t mss, uint64_t at_ns);

/* The handshake is through: SYN-ACK and the last ACK. */
void tap_established(struct tap *t, uint64_t at_ns);

/* The far end answered the SYN with RST. */
void tap_refused(struct tap *t, uint64_t at_ns);

/* Bytes that `from` sent.  What NEAR receives it acknowledges at once, as kernels do.  Bytes of an
 * end that has closed, or before the handshake, are not written. */
void tap_data(struct tap *t, uint64_t at_ns, enum tap_end from, struct span bytes);

/* `by` acknowledges all that the other end sent: for who has it from TCP_INFO that nothing is
 * unacknowledged. */
void tap_ack(struct tap *t, uint64_t at_ns, enum tap_end by);

/* `by` sent FIN, or RST (`reset`: then the connection is over). */
void tap_close(struct tap *t, uint64_t at_ns, enum tap_end by, bool reset);

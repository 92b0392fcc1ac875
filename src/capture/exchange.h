/* capture/exchange.h - what was seen of one request and its answer: facts, before they are judged.
 *
 * The dialog (capture/dialog.h) fills it while packets go by; the ending (capture/ending.h) makes a
 * flow of it when it is over.  It is small, because many are alive at once: a flow's record with
 * its texts is made at the end only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "capture/conn.h"
#include "flow/flow.h"
#include "flow/outside.h"
#include "wire/http1.h"
#include "wire/tlsrec.h"

/* What the client asked for. */
enum asked {
    ASKED_NOTHING, /* no byte of a request was seen: only a handshake, or not even that */
    ASKED_CONNECT,
    ASKED_ABSOLUTE, /* absolute-form: plain HTTP through a proxy */
    ASKED_ORIGIN,   /* origin-form: plain HTTP, direct (or a proxy's own pages) */
    ASKED_TLS,      /* a ClientHello first: TLS, direct, or with an https:// proxy */
    ASKED_UNSEEN,   /* bytes went by whose content is not in the capture */
    ASKED_OTHER,    /* another protocol */
};

/* Moments of an exchange, each with the packet that shows it. */
enum mark {
    MARK_SYN,
    MARK_ESTABLISHED,  /* the handshake's last ACK, or the SYN-ACK where that is not here */
    MARK_PROXY_HELLO,  /* TLS with an https:// proxy: from here the rest is hidden */
    MARK_REQUEST,      /* first byte of the request to the proxy (or, direct, to the target) */
    MARK_REQUEST_END,  /* last byte of its head */
    MARK_ANSWER,       /* first byte of the (final) answer */
    MARK_ANSWER_END,   /* last byte of its head */
    MARK_HELLO,        /* ClientHello to the target: its first byte */
    MARK_HELLO_END,    /*   and its last */
    MARK_SERVER_HELLO, /* ServerHello: its first byte */
    MARK_TLS_END,      /* the client's last handshake record (its Finished): data may follow */
    MARK_INNER,        /* first byte of data inside: the request to the target */
    MARK_INNER_ANSWER, /* first byte of data down behind it */
    MARK_BODY,         /* first byte of a body, or of a transfer that cannot be read */
    MARK_LAST,         /* last byte of payload, either way */
    MARK_CLOSE,        /* first FIN or RST */
    MARK_CLOSED,       /* both sides closed, or RST */
    MARK_COUNT
};

/* The longest silence after the request was through, and what stood on both ends of it. */
struct exchange_silence {
    uint64_t begin_ns, length_ns;
    uint32_t before, after; /* packets; after 0: nothing came any more */
    uint8_t last_dir;       /* enum dir of the bytes before it */
    bool was_owed;          /* the bytes before it asked for an answer, or were unacknowledged */
};

/* A side's framing where it ended (enum stream_frame, flow/judge.h). */
struct exchange_side {
    struct tlsrec records;         /* of TLS with the target */
    uint64_t bytes;                /* of the tunnel, or of bodies */
    uint32_t since_other;          /* bytes since the other side's last: a request without reply */
    uint16_t first_flight_records; /* DOWN: whole records before the client's next flight */
};

struct exchange {
    uint64_t number;           /* the flow's, 1 is the first of the capture; its id */
    struct conn *conn;         /* the client's leg; the table's, or its own copy (conn_owned) */
    struct exchange *upstream; /* the proxy's own leg, when it is in the capture: joined, owned */
    uint64_t begin_ns;         /* what its marks count from: of its first packet */
    uint32_t marks_us[MARK_LAST];             /* private: + 1; 0: not seen (exchange_get_ns) */
    uint64_t late_ns[MARK_COUNT - MARK_LAST]; /* private */
    uint32_t packets[MARK_COUNT];
    uint8_t asked;           /* enum asked */
    uint8_t method;          /* enum http1_method */
    bool proxied;            /* goes to a proxy (by content, or by its address); else direct */
    bool is_first;           /* of its connection: the handshake is its own */
    bool is_last;            /* nothing followed it on the connection */
    bool complete;           /* request and answer came whole, by their own framing */
    bool to_parent;          /* an upstream leg: what the proxy asked is another proxy */
    bool conn_owned;         /* private: `conn` is a copy (exchange_take) */
    bool credentials_sent;   /* Proxy-Authorization was there */
    bool is_basic;           /*   and its scheme was Basic */
    bool by_name;            /* the target is a name, not an address */
    bool early_unseen;       /* its beginning is not in the capture: early phases unknown */
    bool content_unseen;     /* heads or hellos were expected and are not in the capture */
    bool is_tls, is_tls13;   /* of TLS with the target */
    bool hello_whole[2];     /* ClientHello, ServerHello are through */
    bool body_unfinished;    /* a body with a promise that was not kept */
    bool request_unfinished; /* its head was never complete */
    uint16_t status;         /* of the final answer, 0: none */
    uint16_t hello_len;      /* bytes of the ClientHello as sent, records included */
    uint32_t recent;         /* private: of capture/recent */
    uint64_t hello_hash; /* says which legs are one: of the ClientHello's first bytes (its length
                          * and half of its random: they fit in any snaplen), or of a request's
                          * method, authority and path; 0: none */
    uint64_t promised, received;                 /* of the answer's body; promised 0: no length */
    uint64_t request_promised, request_received; /* of the request's body */
    struct exchange_side sides[2];               /* by enum dir */
    struct exchange_silence silence;
    struct outside_verdict *judged; /* of the answer, heap; NULL: none, or not judged */
    struct notes notes;             /* evidence that was written on the way (flow/flow.h) */
    uint16_t warnings;              /* bits of enum warning, details among the notes */
    char *target;                   /* "host:port", heap; NULL */
    char *method_text;              /* heap; NULL */
    char *url;                      /* heap; of absolute and origin form */
    char *user;                     /* heap: from Basic or Digest, never a password; NULL */
    struct flow_tls *tls;           /* heap; NULL */
    struct inside *inside;          /* what keys opened (capture/inside.h); NULL */
    struct pair *pair;              /* private: of capture/pair */
};

/* Notes a moment; the first time counts, of MARK_LAST and MARK_CLOSED the last. */
void exchange_mark(struct exchange *x, enum mark m, uint64_t at_ns, uint32_t number);

/* Takes a moment back, of those before MARK_LAST: what seemed to be the answer was only "go on". */
void exchange_unmark(struct exchange *x, enum mark m);

/* When it was, on the line of the packets' at_ns, to the microsecond; 0: it was not seen. */
uint64_t exchange_get_ns(const struct exchange *x, enum mark m);

/* Moves it to the heap, together with a copy of its connection, which may end now: *x is zeroed.
 * NULL: out of memory, *x is as it was. */
struct exchange *exchange_take(struct exchange *x);

/* Frees what it owns, its upstream leg included, and zeroes it. */
void exchange_fini(struct exchange *x);

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
};

/* A side's framing where it ended (enum stream_frame, flow/judge.h). */
struct exchange_side {
    struct tlsrec records; /* of TLS with the target */
    uint32_t since_other;  /* bytes since the other side's last: a request without reply */
    uint64_t bytes;        /* of the tunnel, or of bodies */
};

/* What most exchanges never have: made when the first of it shows.  Texts are heap-owned. */
struct exchange_rare {
    uint64_t promised, received;                 /* of the answer's body; promised 0: no length */
    uint64_t request_promised, request_received; /* of the request's body */
    struct outside_verdict *judged; /* of the answer, heap; NULL: none, or not judged */
    struct notes notes;             /* evidence that was written on the way (flow/flow.h) */
    struct inside *inside;          /* what keys opened (capture/inside.h); NULL */
    char *method;                   /* one that http1_method does not know; NULL */
    char *url;                      /* private: one that does not begin with the target */
    char *user;                     /* from Basic or Digest, never a password; NULL */
};

/* Some 350 bytes. */
struct exchange {
    struct conn *conn;          /* the client's leg; the table's, or its own copy (conn_owned) */
    struct exchange *upstream;  /* the proxy's own leg, when it is in the capture: joined, owned */
    struct pair *pair;          /* private: of capture/pair */
    struct exchange_rare *rare; /* heap; NULL: nothing of it (exchange_get_rare) */
    char *target; /* "host:port", heap; NULL.  Private: the rest of the URL, url_behind */
    char *names;  /* private, heap: SNI, then ALPN, each terminated; NULL (exchange_get_sni) */
    const char *issuer;  /* of the certificate, "" where it could not be read: the dialogs' cache
                          * has it; NULL */
    uint64_t begin_ns;   /* what its marks count from: of its first packet */
    uint64_t hello_hash; /* says which legs are one: of the ClientHello's first bytes (its length
                          * and half of its random: they fit in any snaplen), or of a request's
                          * method, authority and path; 0: none */
    uint64_t late_ns[MARK_COUNT - MARK_LAST]; /* private */
    uint32_t marks_us[MARK_LAST];             /* private: + 1; 0: not seen (exchange_get_ns) */
    uint32_t packets[MARK_COUNT];
    uint32_t number;               /* the flow's, 1 is the first of the capture; its id */
    struct exchange_side sides[2]; /* by enum dir */
    struct exchange_silence silence;
    uint32_t recent;    /* private: of capture/recent */
    uint16_t status;    /* of the final answer, 0: none */
    uint16_t hello_len; /* bytes of the ClientHello as sent, records included */
    uint16_t tls_version, tls_cipher;
    uint8_t asked;             /* enum asked */
    uint8_t method;            /* enum http1_method */
    bool hello_whole[2];       /* ClientHello, ServerHello are through */
    bool proxied : 1;          /* goes to a proxy (by content, or by its address); else direct */
    bool is_first : 1;         /* of its connection: the handshake is its own */
    bool is_last : 1;          /* nothing followed it on the connection */
    bool complete : 1;         /* request and answer came whole, by their own framing */
    bool to_parent : 1;        /* an upstream leg: what the proxy asked is another proxy */
    bool conn_owned : 1;       /* private: `conn` is a copy (exchange_take) */
    bool credentials_sent : 1; /* Proxy-Authorization was there */
    bool is_basic : 1;         /*   and its scheme was Basic */
    bool by_name : 1;          /* the target is a name, not an address */
    bool early_unseen : 1;     /* its beginning is not in the capture: early phases unknown */
    bool content_unseen : 1;   /* heads or hellos were expected and are not in the capture */
    bool is_tls : 1, is_tls13 : 1; /* of TLS with the target */
    bool silence_is_asked : 1;     /* the bytes before the silence were the client's */
    bool sni_is_host : 1;        /* private: the target's host is the SNI, which names leaves out */
    bool url_behind : 1;         /* private: what follows the target in the URL stands behind it */
    bool url_has_port : 1;       /* private:   and the target's port is a part of the URL */
    bool body_unfinished : 1;    /* a body with a promise that was not kept */
    bool request_unfinished : 1; /* its head was never complete */
};

/* Never NULL: zeroes where there is nothing of it. */
const struct exchange_rare *exchange_get_rare(const struct exchange *x);
/* NULL: out of memory. */
struct exchange_rare *exchange_make_rare(struct exchange *x);

/* The request's method as it was sent, or NULL.  Borrows. */
const char *exchange_get_method(const struct exchange *x);

/* The names of the hellos, each terminated: which the client asked for, and which protocol was
 * agreed on in the clear.  Out of memory, none are kept. */
void exchange_set_names(struct exchange *x, struct span sni, struct span alpn);
/* Empty: none.  Borrow, until the names or the target are set anew. */
struct span exchange_get_sni(const struct exchange *x);
struct span exchange_get_alpn(const struct exchange *x);

/* The URL of absolute and origin form; `target` is set before, and a new one takes it away.  Out of
 * memory, none is kept. */
void exchange_set_url(struct exchange *x, const char *url);
/* Sets *url, freeing what it was: heap, or NULL where there is none. */
void exchange_copy_url(const struct exchange *x, char **url);

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

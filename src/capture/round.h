/* capture/round.h - private to the dialog: what is kept of a connection while its ends talk.
 *
 * A connection has rounds: requests with their answers, oldest first.  Answers belong to the oldest
 * that has none, requests make new ones at the end.  Each direction is in a mode that says what its
 * next bytes are.  Bytes are kept only until a head, a hello or the page of a refusal is whole. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "capture/dialog.h"
#include "capture/objects.h"
#include "wire/body.h"

/* What the next bytes of a direction are. */
enum mode {
    MODE_HEAD,   /* a head; of a connection's first bytes: whatever they turn out to be */
    MODE_BODY,   /* of a request or an answer */
    MODE_SEEK,   /* bytes are missing: a head is looked for at the beginning of each packet */
    MODE_BEHIND, /* UP, behind a CONNECT without an answer: the tunnel's first, or a request */
    MODE_TUNNEL, /* the first bytes in a tunnel, or behind a ClientHello */
    MODE_TLS,    /* records */
    MODE_UNSEEN, /* their content is not in the capture */
    MODE_OPAQUE, /* they are only counted */
};

/* One request and its answer, while they go on. */
struct round {
    struct exchange x;     /* the first member: who has the one has the other */
    struct round *next;    /* asked behind it */
    struct body *bodies;   /* heap, bodies_len: one, or both directions'; NULL: none */
    uint16_t ticket_len;   /* of what may be the first of two session tickets */
    uint16_t ticket_asked; /* bytes up before it */
    bool asked_head : 1;   /* the request's head is through, or will never be seen */
    bool asked_all : 1;    /* and its body */
    bool answered_all : 1; /* the final answer, and its body */
    bool keeps : 1;        /* the connection goes on behind it */
    bool has_head : 1;     /* words: in[DOWN] begins with the answer's head, to be judged */
    bool maybe_page : 1;   /* 200 to CONNECT that calls itself HTML: is a page behind it? */
    bool answer_unseen : 1;
    bool interim_cut : 1; /* the rest of a 1xx's head comes before the answer, and is not HTTP alone
                           */
    bool is_told : 1;     /* `learnt` was called */
    bool changed_up : 1;  /* UP sent its change_cipher_spec */
    bool had_tickets : 1; /* two session tickets came */
    bool retried : 1;     /* a HelloRetryRequest came: a second hello follows */
    uint8_t bodies_len : 2;
    uint8_t bodies_dir : 1; /* enum dir of the first of them */
};

/* Kept bytes, heap: while heads and hellos are not whole, and answers not judged. */
struct words {
    struct buf in[2];
    uint32_t head_len; /* of in[DOWN], with has_head: a body's bytes stand behind it */
};

struct dialog {
    struct list linger; /* answered, acknowledgement to come: dialogs.lingering */
    struct round *first, *last;
    struct words *words; /* NULL: nothing is kept */
    uint64_t last_ns;    /* of the last bytes, either way */
    uint32_t last_number, established_number;
    uint32_t established_us; /* since the connection began, + 1; 0: not seen */
    uint8_t mode[2];         /* enum mode */
    uint8_t collects; /* 1 << enum dir, in MODE_TLS: a hello (or certificate) is being collected */
    uint8_t last_dir : 1;
    bool had_round : 1;    /* there was a round before */
    bool only_alert : 1;   /* what is said here is no more than good-bye */
    bool only_tickets : 1; /* what the target says here answers nothing: session tickets */
    bool replaying : 1;    /* kept bytes are read: no second time */
};

#define ISSUERS_MAX 256
#define PROXIES_MAX 1024 /* slots of a table that is half full at most */

struct dialogs {
    struct dialogs_options o;
    uint64_t kept;                  /* bytes of buffers */
    uint64_t memory;                /* of all else, but: */
    struct objects rounds, dialogs; /* of struct round, of struct dialog */
    struct list lingering;          /* of struct dialog, oldest first */
    struct http1_head head;         /* scratch */
    struct issuer {
        uint64_t hash; /* of the certificate */
        char *text;    /* heap; "" where it could not be read */
    } issuers[ISSUERS_MAX];
    struct endpoint seen_proxies[PROXIES_MAX];
    bool answered[PROXIES_MAX];              /* seen_proxies: as a proxy does */
    struct endpoint seen_hosts[PROXIES_MAX]; /* of seen_proxies, port 0 */
    unsigned seen_len;
};

/* What a side says in this moment. */
struct said {
    struct dialogs *d;
    struct dialog *g;
    struct conn *c;
    enum dir dir;
    struct stream_piece p; /* what is left of it */
    bool at_start;         /* p is at the front of a packet's bytes */
};

/* The round whose answer comes next, or goes on; NULL. */
struct round *round_find_answering(const struct dialog *g);

/* Begins a round with the bytes of `s`; what lingers before it is over.  NULL: out of memory. */
struct round *round_begin(struct said *s);

/* Tells who listens that it is known what is asked for. */
void round_tell(struct said *s, struct round *t);

/* The oldest round is over. `closing`: its connection is, too. */
void round_end(struct dialogs *d, struct dialog *g, enum conn_end how, uint64_t now_ns,
               bool closing);

/* Both sides have said all of it: it is over as soon as that is acknowledged. */
void round_finish(struct said *s, struct round *t);

/* Its body in that direction, made (zeroed) if need be; NULL: out of memory.  Others that were got
 * before may have moved. */
struct body *round_make_body(struct dialogs *d, struct round *t, enum dir dir);
/* The same; NULL: there is none. */
struct body *round_get_body(const struct round *t, enum dir dir);

/* Kept bytes of one direction.  round_keep: false where limits or memory do not allow it; nothing
 * was added then. */
bool round_keep(struct dialogs *d, struct dialog *g, enum dir dir, struct span bytes);
struct span round_kept(const struct dialog *g, enum dir dir);
/* Kept bytes and those of `s` in one piece; *before: how many were kept.  Nothing is kept where the
 * new ones are enough.  False: as round_keep says. */
bool round_gather(struct said *s, struct span *text, size_t *before);
/* How many of the new bytes belong to the first `len` of both: none, where what was kept shows an
 * end only now that more is known of it. */
static inline size_t round_fresh(size_t len, size_t before)
{
    return len > before ? len - before : 0;
}
void round_forget(struct dialogs *d, struct dialog *g, enum dir dir);
/* Kept bytes of both directions. */
void round_free_kept(struct dialogs *d, struct dialog *g);

/* All that can be said of a connection that never had a byte: one exchange, if it is worth one. */
void round_tell_silent(struct dialogs *d, struct conn *c, const struct dialog *g, enum conn_end how,
                       uint64_t now_ns);

/* Whether an address is a proxy's, by its port where nothing better is known. */
bool round_is_proxy_port(const struct conn *c);

/* Somebody asked there as one asks a proxy; `answered`: and was answered that way. */
void round_learn_proxy(struct dialogs *d, const struct endpoint *e, bool answered);

/* Whether what is said there goes to a proxy even where it does not look like it: -x says so, or
 * others were answered by one. */
bool round_is_sure_proxy(const struct dialogs *d, const struct endpoint *e);

/* The readers.  Each takes bytes off the front of s->p and returns how many (of p.len); 0: the mode
 * has changed, who reads that goes on. */
size_t dialog_request_take(struct said *s);
size_t dialog_answer_take(struct said *s);
size_t dialog_tls_take(struct said *s);
size_t dialog_unseen_take(struct said *s);

/* Reads what was kept of a direction, as its mode says now. */
void dialog_replay(struct said *s, enum dir dir);

/* Reads as much of a request's head as there is, where that is all that will be looked at. */
void dialog_request_read_part(struct dialogs *d, struct dialog *g, struct round *t);

/* An answer that is over, by its end or the connection's, is judged if that was put off. */
void dialog_answer_end(struct dialogs *d, struct dialog *g, struct round *t);

/* What an answer means: bytes that are no HTTP; a head with the first bytes behind it; the head
 * that was kept (has_head), with what was kept behind it; a redirect, which is noted. */
void dialog_judge_bytes(struct exchange *x, struct span first);
void dialog_judge_head(struct dialogs *d, struct exchange *x, struct span head, struct span body);
void dialog_judge_kept(struct dialogs *d, struct dialog *g, struct round *t);
void dialog_judge_redirect(struct exchange *x, const struct http1_head *h);

/* The first byte behind a 200 to CONNECT: is it a page?  True: it is, and no tunnel. */
bool dialog_judge_page(struct said *s, struct round *t);

/* TLS begins with the bytes of `s`, without CONNECT. */
void dialog_tls_begin_direct(struct said *s, struct round *t);

/* Records whose beginning was not seen: they are followed from here. */
void dialog_tls_resume(struct said *s, struct round *t);

/* Whether bytes look like the beginning of a TLS record. */
bool dialog_tls_is_record(struct span bytes);

/* Nothing of these bytes can be read: both directions go by their sizes. */
void dialog_unseen_begin(struct said *s, struct round *t);

/* capture/text_private.h - a text that is being read: what the files of capture/text share.
 *
 * text.c goes from line to line; text_line.c puts a packet's line together, text_segment.c and
 * text_icmp.c make a packet of it, text_heads.c reads heads, text_queue.c holds what waits to be
 * handed out.  Nobody else includes it. */
#pragma once

#include "base/buf.h"
#include "capture/text.h"
#include "capture/textbytes.h"
#include "capture/textclock.h"
#include "capture/texthead.h"
#include "capture/textlines.h"
#include "capture/textnames.h"
#include "capture/textseq.h"

enum {
    TEXT_WRAPPED_LEN = 50, /* no program wraps a shorter line */
    TEXT_HEAD_MAX = 32 * 1024,
    TEXT_HELD_MAX = 8,                      /* heads above the first packet */
    TEXT_QUEUE_MAX = 2 * TEXT_HELD_MAX + 4, /* each head may end a body */
};

/* A packet that waits.  Its payload is in `contents`. */
struct text_item {
    struct packet packet;
    size_t off, len;
    uint32_t left; /* bytes of a body without content that follow, in pieces */
};

struct text_capture {
    struct textlines lines;
    struct textclock clock;
    struct textnames names;
    struct textseq *seq;
    struct buf line;     /* a packet's, joined */
    struct buf work;     /* characters below it */
    struct buf lined;    /* lines of HTTP below it */
    struct buf hex;      /* bytes below it */
    struct buf head;     /* a head that is being read */
    struct buf contents; /* of the queue */
    struct buf held;     /* heads above the first packet */
    size_t held_lens[TEXT_HELD_MAX];
    uint32_t held_numbers[TEXT_HELD_MAX];
    unsigned held_len;
    struct text_item queue[TEXT_QUEUE_MAX];
    unsigned queue_at, queue_len;
    struct endpoint last[2]; /* of the last segment: heads belong to its connection */
    bool has_last, looked;
    unsigned used, others;
};

static inline void text_empty(struct buf *b)
{
    buf_consume(b, b->len);
}

/* Steps over a line that says nothing. */
void text_leave_line(struct text_capture *t);

/* Without the quotes and blanks in front. */
struct span text_skip_quotes(struct span line);

/* --- text_queue.c: what waits to be handed out --- */

/* A packet of now; NULL: the queue is full, which its size does not allow. */
struct text_item *text_push(struct text_capture *t, enum packet_kind kind, uint32_t number);

/* Gives a segment its connection and its content, the first of payload_len bytes (which is set). */
void text_fill(struct text_capture *t, struct text_item *item, const struct textseq_conn *c,
               int dir, struct span content);

/* Takes the next out of a queue that is not empty. */
void text_pop(struct text_capture *t, struct packet *out);

/* Learns from a segment's content, and returns what its head says, if one begins there. */
struct texthead text_note_content(struct textseq_conn *c, int dir, struct span content);

/* Whether bytes that no head shows follow this head as its body (RFC 9112 6.3). */
bool text_has_body(const struct textseq_conn *c, const struct texthead *h);

/* A head without a line of its own becomes a packet. */
void text_push_head(struct text_capture *t, struct textseq_conn *c, struct span head,
                    uint32_t number);

/* What came before this segment without a line of its own: heads that stood above the first packet,
 * bodies that bare heads promised. */
void text_push_unseen(struct text_capture *t, struct textseq_conn *c, int dir,
                      const struct dumptext *d, uint32_t number);

/* Heads that stood above the first packet go out before the first bytes, or the end. */
void text_push_held(struct text_capture *t, struct textseq_conn *c);

/* The first of them is the content of this segment, if it is one of its sender's: into t->head.
 * Those of the other side before it go out. */
bool text_attach_held(struct text_capture *t, struct textseq_conn *c, int dir,
                      const struct dumptext *d);

/* --- text_heads.c: heads --- */

/* Makes the head in `b` the first of `len` bytes: complete where it can be, cut where it must. What
 * is missing goes into its last field as blanks, unless it may be a body. */
void text_fit_head(struct buf *b, size_t len, bool ended, bool with_body);

/* The connection that heads belong to, or NULL. */
struct textseq_conn *text_find_last(struct text_capture *t);

/* Reads the head that begins here and has no line of its own. */
void text_read_head(struct text_capture *t);

/* The head that stands below a line with bytes is their content, if it is one of its sender's: into
 * t->head. */
bool text_attach_head(struct text_capture *t, const struct textseq_conn *c, int dir,
                      const struct dumptext *d);

/* The first line of HTTP that tcpdump prints behind the length, into t->head. */
bool text_read_http_line(struct text_capture *t, const struct dumptext *d);

/* --- a packet's line --- */

/* Reads the packet's line that begins here, with those that belong to it, into t->line (which *d
 * borrows from); returns how many lines, 0: it is none. */
unsigned text_read_line(struct text_capture *t, struct dumptext *d);

/* The payload's bytes; what no segment can have is none. */
uint32_t text_get_length(const struct dumptext *d);

/* Make a packet of a line that was taken. */
void text_read_segment(struct text_capture *t, struct dumptext *d, uint32_t number);
void text_read_icmp(struct text_capture *t, struct dumptext *d, uint32_t number);

/* Line after line: a packet's line with what belongs to it (its other half, its bytes, the head
 * that is its content), or a bare head, or something that says nothing.  Each makes packets, which
 * wait in a short queue; all that they show is in contents until the queue is empty. */
#include "capture/text.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/util.h"
#include "capture/textbytes.h"
#include "capture/textclock.h"
#include "capture/texthead.h"
#include "capture/textlines.h"
#include "capture/textnames.h"
#include "capture/textseq.h"

enum {
    LOOK_AHEAD = 400,  /* lines, to find out what the times mean */
    JOINED_LINES = 6,  /* of a packet's line that was wrapped */
    WRAPPED_LEN = 50,  /* no program wraps a shorter line */
    REMARK_LINES = 20, /* of a remark in brackets */
    HEAD_LINES = 200,
    HEAD_MAX = 32 * 1024,
    HELD_MAX = 8, /* heads above the first packet */
    QUEUE_MAX = HELD_MAX + 4,
    LENGTH_MAX = 1 << 20, /* no segment is longer, offloaded or not */
    BODY_MAX = 16 << 20,  /* of bodies that no line shows */
    PIECE = 1000,         /* in which they go out: no size that says anything of an MTU */
};

/* A packet that waits.  Its payload is in `contents`. */
struct item {
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
    struct buf hex;      /* bytes below it */
    struct buf head;     /* a head that is being read */
    struct buf contents; /* of the queue */
    struct buf held;     /* heads above the first packet */
    size_t held_lens[HELD_MAX];
    uint32_t held_numbers[HELD_MAX];
    unsigned held_len;
    struct item queue[QUEUE_MAX];
    unsigned queue_at, queue_len;
    struct endpoint last[2]; /* of the last segment: heads belong to its connection */
    bool has_last, looked;
    unsigned used, others;
};

struct text_capture *text_new(text_line_fn line, void *owner)
{
    struct text_capture *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->seq = textseq_new();
    if (!t->seq) {
        free(t);
        return NULL;
    }
    textlines_init(&t->lines, line, owner);
    textclock_init(&t->clock);
    buf_init(&t->line, 128 * 1024);
    buf_init(&t->work, 2 * TEXTBYTES_MAX + 1024);
    buf_init(&t->hex, TEXTBYTES_MAX);
    buf_init(&t->head, HEAD_MAX);
    buf_init(&t->contents, TEXTBYTES_MAX + (HELD_MAX + 1) * HEAD_MAX);
    buf_init(&t->held, HELD_MAX * HEAD_MAX);
    return t;
}

void text_free(struct text_capture *t)
{
    if (!t)
        return;
    textlines_fini(&t->lines);
    textnames_fini(&t->names);
    textseq_free(t->seq);
    buf_fini(&t->line);
    buf_fini(&t->work);
    buf_fini(&t->hex);
    buf_fini(&t->head);
    buf_fini(&t->contents);
    buf_fini(&t->held);
    free(t);
}

static void empty(struct buf *b)
{
    buf_consume(b, b->len);
}

/* Steps over a line that says nothing. */
static void leave_line(struct text_capture *t)
{
    struct span line;

    if (textlines_peek(&t->lines, 0, &line) && !texthead_is_blank(line))
        t->others++;
    textlines_skip(&t->lines, 1);
}

/* --- the queue --- */

/* A packet of now; NULL: the queue is full, which its size does not allow. */
static struct item *push(struct text_capture *t, enum packet_kind kind, uint32_t number)
{
    struct item *item;

    if (t->queue_len == QUEUE_MAX)
        return NULL;
    item = &t->queue[t->queue_len++];
    *item = (struct item){.packet = {.kind = kind,
                                     .number = number,
                                     .is_text = true,
                                     .at_ns = t->clock.at_ns,
                                     .wall_ns = t->clock.wall_ns}};
    return item;
}

/* Gives a segment its connection and its content, the first of `len` bytes. */
static void fill(struct text_capture *t, struct item *item, const struct textseq_conn *c, int dir,
                 struct span content, uint32_t len)
{
    struct packet *p = &item->packet;

    p->from = c->ends[dir];
    p->to = c->ends[1 - dir];
    p->payload_len = len;
    p->ip_len = len + (p->from.addr.family == AF_INET6 ? 60 : 40);
    item->off = t->contents.len;
    if (content.len <= len && buf_append(&t->contents, content.ptr, content.len))
        item->len = content.len;
}

static void pop(struct text_capture *t, struct packet *out)
{
    struct item *item = &t->queue[t->queue_at];

    *out = item->packet;
    out->payload = (struct span){buf_span(&t->contents).ptr + item->off, item->len};
    if (item->left == 0) {
        t->queue_at++;
        return;
    }
    out->payload_len = item->left < PIECE ? item->left : PIECE;
    item->left -= out->payload_len;
    item->packet.seq += out->payload_len;
    if (item->left == 0)
        t->queue_at++;
}

/* --- what heads say --- */

static bool has_end(struct span bytes)
{
    return memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4) != NULL ||
           (bytes.len >= 2 && memcmp(bytes.ptr, "\r\n", 2) == 0);
}

/* Whether bytes that no head shows follow this answer as its body (RFC 9112 6.3). */
static bool has_body(const struct textseq_conn *c, const struct texthead *h)
{
    if (h->kind == TEXTHEAD_REQUEST)
        return h->length > 0;
    return h->length > 0 && h->status >= 200 && h->status != 204 && h->status != 304 &&
           !c->asked_head && !(c->asked_connect && h->status < 300);
}

/* Learns from a segment's content. */
static struct texthead note_content(struct textseq_conn *c, int dir, struct span content)
{
    struct textseq_side *s = &c->sides[dir];
    struct texthead h = texthead_read(content);

    if (h.kind == TEXTHEAD_NONE) {
        if (s->in_head && content.len > 0)
            s->in_head = !has_end(content);
        return h;
    }
    s->http = true;
    s->in_head = !has_end(content);
    if (h.kind == TEXTHEAD_REQUEST) {
        if (c->opener < 0)
            c->opener = dir;
        c->asked_connect = h.is_connect;
        c->asked_head = h.is_head;
    } else if (c->asked_connect && h.status >= 200 && h.status < 300) {
        c->is_tunnel = true;
        c->sides[0].http = c->sides[1].http = false;
    }
    return h;
}

/* A body was promised, no line shows it, and what follows tells that it was there. */
static void push_body(struct text_capture *t, struct textseq_conn *c, int dir, uint32_t number)
{
    struct textseq_side *s = &c->sides[dir];
    uint32_t len = (uint32_t)s->promised;
    struct item *item = len > 0 ? push(t, PACKET_TCP, number) : NULL;

    s->promised = 0;
    if (!item)
        return;
    textseq_follow(c, dir, len, &item->packet);
    fill(t, item, c, dir, (struct span){"", 0}, len);
    item->left = len;
}

/* A head without a line of its own becomes a packet. */
static void push_head(struct text_capture *t, struct textseq_conn *c, struct span head,
                      uint32_t number)
{
    struct texthead h = texthead_read(head);
    int opener = textseq_get_opener(c), dir = h.kind == TEXTHEAD_REQUEST ? opener : 1 - opener;
    struct item *item;

    push_body(t, c, 1 - dir, number);
    item = push(t, PACKET_TCP, number);
    if (!item)
        return;
    textseq_follow(c, dir, (uint32_t)head.len, &item->packet);
    fill(t, item, c, dir, head, (uint32_t)head.len);
    h = note_content(c, dir, head);
    c->sides[dir].promised = has_body(c, &h) && h.length <= BODY_MAX ? h.length : 0;
}

/* Heads that stood above the first packet go out before the first bytes, or the end. */
static void push_held(struct text_capture *t, struct textseq_conn *c)
{
    struct span bytes = buf_span(&t->held);

    for (unsigned i = 0; i < t->held_len; i++) {
        push_head(t, c, (struct span){bytes.ptr, t->held_lens[i]}, t->held_numbers[i]);
        bytes.ptr += t->held_lens[i];
    }
    empty(&t->held);
    t->held_len = 0;
}

/* --- heads --- */

/* Appends a line and its end to the head; false: it is too long. */
static bool add_line(struct buf *head, struct span line)
{
    return buf_append(head, line.ptr, line.len) && buf_append(head, "\r\n", 2);
}

/* A long field whose rest a mail program put on the next line. */
static bool is_wrapped(const struct buf *head, struct span line)
{
    struct span whole = buf_span(head);
    size_t last = 0;

    for (size_t i = 0; i + 2 < whole.len; i++)
        if (whole.ptr[i] == '\n')
            last = i + 1;
    return last > 0 && whole.len - last > WRAPPED_LEN && !texthead_is_remark(line);
}

static void add_rest(struct buf *head, struct span line)
{
    head->len -= 2;
    buf_append(head, " ", 1);
    if (!add_line(head, span_trim(line)))
        buf_append(head, "\r\n", 2);
}

/* Takes the head that begins here into t->head, without its empty line.  True: that stood there. */
static bool take_head(struct text_capture *t)
{
    struct span line;
    struct dumptext d;

    empty(&t->head);
    if (!textlines_peek(&t->lines, 0, &line))
        return false;
    texthead_parse_first(&line);
    add_line(&t->head, line);
    textlines_skip(&t->lines, 1);
    t->used++;
    for (unsigned i = 0; i < HEAD_LINES && textlines_peek(&t->lines, 0, &line); i++) {
        struct span first = line;

        if (texthead_is_blank(line)) {
            textlines_skip(&t->lines, 1);
            return true;
        }
        if (dumptext_parse(line, &d) || texthead_parse_first(&first) != TEXTHEAD_NONE)
            break;
        if (texthead_parse_field(&line)) {
            add_line(&t->head, line);
            t->used++;
            textlines_skip(&t->lines, 1);
        } else if (is_wrapped(&t->head, line)) {
            add_rest(&t->head, line);
            textlines_skip(&t->lines, 1);
        } else {
            leave_line(t);
        }
    }
    return false;
}

/* The connection that heads belong to, or NULL. */
static struct textseq_conn *find_last(struct text_capture *t)
{
    int dir;

    return t->has_last ? textseq_find(t->seq, &t->last[0], &t->last[1], &dir) : NULL;
}

static void read_bare_head(struct text_capture *t)
{
    uint32_t number = t->lines.number;
    struct textseq_conn *c = find_last(t);
    struct span head;

    take_head(t);
    buf_append(&t->head, "\r\n", 2);
    head = buf_span(&t->head);
    if (head.len == 2)
        return; /* it was too long for anything */
    if (c) {
        push_head(t, c, head, number);
    } else if (t->held_len < HELD_MAX && buf_append(&t->held, head.ptr, head.len)) {
        t->held_numbers[t->held_len] = number;
        t->held_lens[t->held_len++] = head.len;
    }
}

/* Makes the head in `b` the first of `len` bytes: complete where it can be, cut where it must. What
 * is missing goes into its last field as blanks, unless it may be a body. */
static void fit_head(struct buf *b, size_t len, bool ended, bool with_body)
{
    static const char blanks[] = "                                                                ";
    struct span first = buf_span(b);
    bool has_fields = span_find(first, '\n') + 1 < (long)first.len;

    if (!ended && (b->len + 2 == len || (b->len + 2 < len && has_fields)))
        ended = true;
    if (ended && !with_body && has_fields && b->len + 2 < len) {
        b->len -= 2;
        while (b->len + 4 < len) {
            size_t n = len - b->len - 4;

            if (!buf_append(b, blanks, n < sizeof blanks - 1 ? n : sizeof blanks - 1))
                break;
        }
        buf_append(b, "\r\n", 2);
    }
    if (ended)
        buf_append(b, "\r\n", 2);
    if (b->len > len)
        b->len = (uint32_t)len;
}

/* The head that stands below a line with bytes is their content, if it is one of its sender's. */
static bool attach_head(struct text_capture *t, const struct textseq_conn *c, int dir,
                        const struct dumptext *d)
{
    struct span line;
    struct texthead h;
    enum texthead_kind kind;
    bool ended;

    if (!textlines_peek(&t->lines, 0, &line))
        return false;
    kind = texthead_parse_first(&line);
    if (kind == TEXTHEAD_NONE || line.len + 2 > d->length || (c->is_tunnel && !d->is_http) ||
        (kind == TEXTHEAD_REQUEST) != (textseq_get_opener(c) == dir))
        return false;
    ended = take_head(t);
    h = texthead_read(buf_span(&t->head));
    fit_head(&t->head, d->length, ended, has_body(c, &h));
    return true;
}

/* --- a segment --- */

/* What the bytes themselves say is better than their line. */
static void read_packet_numbers(struct dumptext *d, const struct packet *p)
{
    d->flags = p->flags;
    d->has_flags = d->has_seq = d->has_win = d->has_length = true;
    d->has_end = false;
    d->has_ack = p->flags & PACKET_ACK;
    d->seq = p->seq;
    d->ack = p->ack;
    d->win = p->window;
    d->length = p->payload_len;
    d->ttl = p->ttl;
    d->has_ip_id = p->has_ip_id;
    d->ip_id = p->ip_id;
    d->options_cut = p->options_cut;
    d->mss = p->mss;
    d->has_scale = p->has_scale;
    d->scale = p->scale;
    d->sack_permitted = p->sack_permitted;
    d->has_times = p->has_times;
    d->time_value = p->time_value;
    d->time_echo = p->time_echo;
    d->sacks_len = p->sacks_len;
    memcpy(d->sacks, p->sacks, sizeof d->sacks);
}

/* The first line of HTTP that tcpdump prints behind the length, into t->head. */
static bool read_http_line(struct text_capture *t, const struct dumptext *d)
{
    struct span line = d->http;

    if (line.len == 0 || texthead_parse_first(&line) == TEXTHEAD_NONE)
        return false;
    empty(&t->head);
    add_line(&t->head, line);
    fit_head(&t->head, d->length, false, true);
    return true;
}

static enum textbytes_state state_of(const struct textseq_conn *c, int dir)
{
    const struct textseq_side *s = &c->sides[dir];

    return s->in_head                 ? TEXTBYTES_HEAD
           : s->http && !c->is_tunnel ? TEXTBYTES_BODY
                                      : TEXTBYTES_UNKNOWN;
}

/* The segment's bytes, as far as the text has them: hex, characters, a head below the line, its
 * first line behind it. */
static struct span take_content(struct text_capture *t, struct textseq_conn *c, int dir,
                                struct dumptext *d)
{
    struct span content = {"", 0};
    struct packet p;

    if (d->length > 0 && attach_head(t, c, dir, d))
        content = buf_span(&t->head);
    else if (read_http_line(t, d))
        content = buf_span(&t->head);
    if (textbytes_take_hex(&t->lines, &t->hex) > 0) {
        if (!textbytes_parse_hex(buf_span(&t->hex), d, &p))
            return content;
        read_packet_numbers(d, &p);
        return p.payload;
    }
    if (textbytes_has_ascii(&t->lines, d, &t->work)) {
        struct buf *out = &t->hex; /* emptied, and not needed any more */

        if (textbytes_take_ascii(&t->lines, d, &t->work, state_of(c, dir), out))
            content = buf_span(out);
    }
    return content;
}

static void copy_facts(const struct dumptext *d, struct packet *p)
{
    p->ttl = d->ttl;
    p->has_ip_id = d->has_ip_id;
    p->ip_id = d->ip_id;
    p->options_cut = d->options_cut;
    p->mss = d->flags & PACKET_SYN ? d->mss : 0;
    p->has_scale = d->flags & PACKET_SYN && d->has_scale;
    p->scale = p->has_scale ? d->scale : 0;
    p->sack_permitted = d->flags & PACKET_SYN && d->sack_permitted;
    p->has_times = d->has_times;
    p->time_value = d->time_value;
    p->time_echo = d->time_echo;
    if (d->ip_len > 0)
        p->ip_len = d->ip_len;
}

/* What came before this segment without a line of its own. */
static void push_unseen(struct text_capture *t, struct textseq_conn *c, int dir,
                        const struct dumptext *d, uint32_t number)
{
    struct textseq_side *s = &c->sides[dir];

    if (t->held_len > 0 && (d->length > 0 || d->flags & (PACKET_FIN | PACKET_RST)))
        push_held(t, c);
    if (d->length > 0) {
        s->promised = 0; /* its lines are here */
        push_body(t, c, 1 - dir, number);
    }
    /* a number that is too small for the body says that it was not sent whole */
    if (d->flags & PACKET_FIN && !(d->has_seq && d->seq < s->promised))
        push_body(t, c, dir, number);
}

static uint32_t length_of(const struct dumptext *d)
{
    uint32_t len = d->has_length ? d->length : d->has_end ? d->end - d->seq : 0;

    return len <= LENGTH_MAX ? len : 0;
}

static void read_segment(struct text_capture *t, struct dumptext *d, uint32_t number)
{
    struct endpoint from = textnames_get_end(&t->names, &d->from);
    struct endpoint to = textnames_get_end(&t->names, &d->to);
    uint16_t interface = textnames_get_interface(&t->names, d->interface);
    struct textseq_conn *c;
    struct item *item;
    struct span content;
    int dir;

    if (!d->has_flags)
        d->flags = PACKET_ACK; /* -q */
    d->length = length_of(d);
    d->has_length = true;
    c = textseq_open(t->seq, &from, &to, d, &dir);
    if (!c)
        return;
    content = take_content(t, c, dir, d);
    push_unseen(t, c, dir, d, number);
    item = push(t, PACKET_TCP, number);
    if (!item)
        return;
    textseq_place(c, dir, d, d->length, &item->packet);
    fill(t, item, c, dir, content, d->length);
    copy_facts(d, &item->packet);
    item->packet.interface = interface;
    note_content(c, dir, content);
    t->last[0] = from;
    t->last[1] = to;
    t->has_last = true;
}

/* --- a packet's line --- */

static struct span skip_quotes(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '>' || s.ptr[0] == '|'))
        s.ptr++, s.len--;
    return s;
}

/* Whether the line `next` may be the rest of the one that `d` was read from. */
static bool may_join(struct span next, const struct dumptext *d)
{
    struct dumptext other;
    uint32_t offset;
    uint8_t row[16];
    struct span first = next;

    if (texthead_is_blank(next) || texthead_is_remark(next) ||
        texthead_parse_first(&first) != TEXTHEAD_NONE || dumptext_parse_hex(next, &offset, row) > 0)
        return false;
    if (!dumptext_parse(next, &other))
        return true;
    return d->kind == DUMPTEXT_BEGUN && other.time_form == DUMPTEXT_TIME_NONE && !other.is_keyed;
}

/* "HTTP: CONNECT t.example:443" and the version on the next line. */
static bool misses_version(const struct dumptext *d, struct span next)
{
    struct span first = d->http;

    next = span_trim(skip_quotes(next));
    return d->is_http && first.len > 0 && texthead_parse_first(&first) == TEXTHEAD_NONE &&
           next.len == 8 && memcmp(next.ptr, "HTTP/1.", 7) == 0;
}

static bool is_joinable(const struct dumptext *d, struct span line)
{
    if (d->kind == DUMPTEXT_BEGUN)
        return true;
    return d->kind != DUMPTEXT_PACKET && !d->is_whole &&
           (line.len >= WRAPPED_LEN || (line.len > 0 && line.ptr[line.len - 1] == ','));
}

/* Reads the packet's line that begins `at` lines ahead, with those that belong to it, into t->line
 * (which *d borrows from); returns how many lines, 0: it is none. */
static unsigned read_line(struct text_capture *t, unsigned at, struct dumptext *d)
{
    struct span line, next;
    unsigned whole = 1, n = 1;
    size_t whole_len;

    empty(&t->line);
    if (!textlines_peek(&t->lines, at, &line) || !dumptext_parse(line, d) ||
        !buf_append(&t->line, line.ptr, line.len))
        return 0;
    whole_len = t->line.len;
    while (n < JOINED_LINES && textlines_peek(&t->lines, at + n, &next)) {
        if (!(is_joinable(d, buf_span(&t->line)) && may_join(next, d)) && !misses_version(d, next))
            break;
        next = span_trim(skip_quotes(next));
        if (!buf_append(&t->line, " ", 1) || !buf_append(&t->line, next.ptr, next.len) ||
            !dumptext_parse(buf_span(&t->line), d))
            break;
        n++;
        if (d->is_whole || d->kind == DUMPTEXT_PACKET) {
            whole = n;
            whole_len = t->line.len;
        }
    }
    t->line.len = (uint32_t)whole_len;
    dumptext_parse(buf_span(&t->line), d);
    return whole;
}

/* --- ICMP --- */

/* The packet that the error quotes, which -v prints below it.  False: it is not there. */
static bool take_quoted(struct text_capture *t, struct dumptext *d)
{
    struct span line;
    unsigned n;

    if (!textlines_peek(&t->lines, 0, &line) || line.len == 0 ||
        (line.ptr[0] != '\t' && line.ptr[0] != ' ' && line.ptr[0] != '>'))
        return false;
    if (!dumptext_parse(line, d) || d->time_form != DUMPTEXT_TIME_NONE || !d->is_verbose)
        return false;
    n = read_line(t, 0, d);
    textlines_skip(&t->lines, n);
    t->used += n;
    return d->kind == DUMPTEXT_TCP;
}

/* Fills in the packet that the error is about.  False: nobody knows which. */
static bool find_about(struct text_capture *t, const struct endpoint *to, struct dumptext *d,
                       struct packet *p)
{
    struct endpoint about = textnames_get_end(&t->names, &d->about);
    struct textseq_conn *c;
    struct dumptext quoted;
    int dir;

    if (take_quoted(t, &quoted)) {
        p->about_from = textnames_get_end(&t->names, &quoted.from);
        p->about_to = textnames_get_end(&t->names, &quoted.to);
        p->about_seq = quoted.seq;
        p->about_len = quoted.ip_len;
        c = textseq_find(t->seq, &p->about_from, &p->about_to, &dir);
        if (c && quoted.has_seq)
            p->about_seq = textseq_map(&c->sides[dir], quoted.seq);
        return true;
    }
    c = textseq_find_sender(t->seq, &to->addr, &about.addr, &dir);
    if (!c)
        c = textseq_find_sender(t->seq, &to->addr, &(struct addr){0}, &dir);
    if (!c)
        return false;
    p->about_from = c->ends[dir];
    p->about_to = c->ends[1 - dir];
    p->about_seq = c->sides[dir].last_len ? c->sides[dir].last_seq : c->sides[dir].base;
    p->about_len = c->sides[dir].last_len + (d->is_v6 ? 60 : 40);
    return true;
}

static void read_icmp(struct text_capture *t, struct dumptext *d, uint32_t number)
{
    struct endpoint from = textnames_get_end(&t->names, &d->from);
    struct endpoint to = textnames_get_end(&t->names, &d->to);
    struct item *item = push(t, PACKET_ICMP, number);
    struct packet *p;

    if (!item)
        return;
    p = &item->packet;
    p->from = from;
    p->to = to;
    p->ttl = d->ttl;
    p->is_v6 = d->is_v6;
    p->icmp_type = d->icmp_type;
    p->icmp_code = d->icmp_code;
    p->icmp_mtu = d->icmp_mtu;
    if (!find_about(t, &to, d, p))
        p->kind = PACKET_OTHER;
    textbytes_take_hex(&t->lines, &t->hex);
}

/* --- lines --- */

static void read_packet(struct text_capture *t)
{
    uint32_t number = t->lines.number;
    struct dumptext d;
    unsigned lines = read_line(t, 0, &d);

    if (lines == 0 || d.kind == DUMPTEXT_BEGUN || d.kind == DUMPTEXT_OTHER) {
        leave_line(t);
        return;
    }
    textlines_skip(&t->lines, lines);
    t->used += lines;
    textclock_add(&t->clock, &d);
    if (d.kind == DUMPTEXT_TCP)
        read_segment(t, &d, number);
    else if (d.kind == DUMPTEXT_ICMP)
        read_icmp(t, &d, number);
    else
        push(t, PACKET_OTHER, number);
}

/* What is ahead tells what the times are. */
static void look_ahead(struct text_capture *t)
{
    struct span line;
    struct dumptext d;

    t->looked = true;
    for (unsigned i = 0; i < LOOK_AHEAD && textlines_peek(&t->lines, i, &line); i++)
        if (dumptext_parse(line, &d))
            textclock_look(&t->clock, &d);
    textclock_settle(&t->clock);
}

/* A remark in brackets of several lines: how many, 0: none.  The bracket stands first, and closes
 * at the end of a line. */
static unsigned find_remark(struct text_capture *t)
{
    struct span line;
    char open = '\0', close = '\0';
    int depth = 0;

    for (unsigned i = 0; i < REMARK_LINES && textlines_peek(&t->lines, i, &line); i++) {
        line = span_trim(i == 0 ? skip_quotes(line) : line);
        if (i == 0) {
            open = line.len > 0 ? line.ptr[0] : '\0';
            close = open == '(' ? ')' : open == '[' ? ']' : '\0';
            if (close == '\0')
                return 0;
        }
        for (size_t k = 0; k < line.len; k++)
            depth += line.ptr[k] == open ? 1 : line.ptr[k] == close ? -1 : 0;
        if (depth <= 0)
            return i > 0 && line.len > 0 && line.ptr[line.len - 1] == close ? i + 1 : 0;
    }
    return 0;
}

/* Reads what comes next.  False: the text is over. */
static bool read_on(struct text_capture *t)
{
    struct span line;
    struct dumptext d;
    unsigned remark;

    if (!t->looked)
        look_ahead(t);
    if (!textlines_peek(&t->lines, 0, &line)) {
        struct textseq_conn *c = t->held_len > 0 ? find_last(t) : NULL;

        if (c)
            push_held(t, c);
        return c != NULL;
    }
    if (dumptext_parse(line, &d)) {
        read_packet(t);
    } else if (texthead_parse_first(&line) != TEXTHEAD_NONE) {
        read_bare_head(t);
    } else {
        remark = find_remark(t);
        do
            leave_line(t);
        while (remark-- > 1);
    }
    return true;
}

int text_next(struct text_capture *t, struct packet *out)
{
    while (t->queue_at == t->queue_len) {
        t->queue_at = t->queue_len = 0;
        empty(&t->contents);
        if (!read_on(t))
            return 0;
    }
    pop(t, out);
    return 1;
}

const char *text_find_name(const struct text_capture *t, const struct addr *a)
{
    return textnames_find(&t->names, a);
}

unsigned text_get_lines(const struct text_capture *t, unsigned *others)
{
    if (others)
        *others = t->others;
    return t->used;
}

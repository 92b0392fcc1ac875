/* Line after line: a packet's line with what belongs to it (its other half, its bytes, the head
 * that is its content), or a bare head, or something that says nothing.  Each makes packets, which
 * wait in a short queue; all that they show is in contents until the queue is empty. */
#include "capture/text.h"

#include <stdlib.h>

#include "capture/text_private.h"

enum {
    LOOK_AHEAD = 400,  /* lines, to find out what the times mean */
    REMARK_LINES = 20, /* of a remark in brackets */
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
    buf_init(&t->lined, 2 * TEXTBYTES_MAX + 1024);
    buf_init(&t->hex, TEXTBYTES_MAX);
    buf_init(&t->head, TEXT_HEAD_MAX);
    buf_init(&t->contents, TEXTBYTES_MAX + (TEXT_HELD_MAX + 1) * TEXT_HEAD_MAX);
    buf_init(&t->held, TEXT_HELD_MAX * TEXT_HEAD_MAX);
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
    buf_fini(&t->lined);
    buf_fini(&t->hex);
    buf_fini(&t->head);
    buf_fini(&t->contents);
    buf_fini(&t->held);
    free(t);
}

void text_leave_line(struct text_capture *t)
{
    struct span line;

    if (textlines_peek(&t->lines, 0, &line) && !texthead_is_blank(line))
        t->others++;
    textlines_skip(&t->lines, 1);
}

static void read_packet(struct text_capture *t)
{
    uint32_t number = textlines_get_number(&t->lines);
    struct dumptext d;
    unsigned lines = text_read_line(t, &d);

    if (lines == 0 || d.kind == DUMPTEXT_BEGUN || d.kind == DUMPTEXT_OTHER) {
        text_leave_line(t);
        return;
    }
    textlines_skip(&t->lines, lines);
    t->used += lines;
    textclock_add(&t->clock, &d);
    if (d.kind == DUMPTEXT_TCP)
        text_read_segment(t, &d, number);
    else if (d.kind == DUMPTEXT_ICMP)
        text_read_icmp(t, &d, number);
    else
        text_push(t, PACKET_OTHER, number);
}

/* A remark in brackets of several lines that begins `at` lines ahead: how many, 0: none.  The
 * bracket stands first, and closes at the end of a line. */
static unsigned find_remark(struct text_capture *t, unsigned at)
{
    struct span line;
    char open = '\0', close = '\0';
    int depth = 0;

    for (unsigned i = 0; i < REMARK_LINES && textlines_peek(&t->lines, at + i, &line); i++) {
        line = span_trim(i == 0 ? text_skip_quotes(line) : line);
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

/* What is ahead tells what the times are, and whether all heads stand behind connections that are
 * closed: then they are what was said on them, not what came after. */
static void look_ahead(struct text_capture *t)
{
    struct span line;
    struct dumptext d;
    unsigned head = 0; /* the first, + 1 */
    bool closed = false, behind = true;

    t->looked = true;
    for (unsigned i = 0; i < LOOK_AHEAD && textlines_peek(&t->lines, i, &line); i++) {
        if (dumptext_parse(line, &d)) {
            textclock_look(&t->clock, &d);
            closed |= d.flags & (PACKET_FIN | PACKET_RST);
            behind &= head == 0 && !d.is_http;
        } else if (head == 0 && texthead_parse_first(&line) != TEXTHEAD_NONE) {
            head = i + 1;
        } else {
            unsigned remark = find_remark(t, i);

            i += remark ? remark - 1 : 0;
        }
    }
    textclock_settle(&t->clock);
    if (head > 1 && closed && behind)
        textlines_move_to_front(&t->lines, head - 1);
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
        struct textseq_conn *c = t->held_len > 0 ? text_find_last(t) : NULL;

        if (c)
            text_push_held(t, c);
        return c != NULL;
    }
    if (dumptext_parse(line, &d)) {
        read_packet(t);
    } else if (texthead_parse_first(&line) != TEXTHEAD_NONE) {
        text_read_head(t);
    } else {
        remark = find_remark(t, 0);
        do
            text_leave_line(t);
        while (remark-- > 1);
    }
    return true;
}

int text_next(struct text_capture *t, struct packet *out)
{
    while (t->queue_at == t->queue_len) {
        t->queue_at = t->queue_len = 0;
        text_empty(&t->contents);
        if (!read_on(t))
            return 0;
    }
    text_pop(t, out);
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

#include "capture/text_private.h"

enum { HEAD_LINES = 200 };

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
    return last > 0 && whole.len - last > TEXT_WRAPPED_LEN && !texthead_is_remark(line);
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

    text_empty(&t->head);
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
            text_leave_line(t);
        }
    }
    return false;
}

struct textseq_conn *text_find_last(struct text_capture *t)
{
    int dir;

    return t->has_last ? textseq_find(t->seq, &t->last[0], &t->last[1], &dir) : NULL;
}

void text_read_head(struct text_capture *t)
{
    uint32_t number = textlines_get_number(&t->lines);
    struct textseq_conn *c = text_find_last(t);
    struct span head;

    take_head(t);
    buf_append(&t->head, "\r\n", 2);
    head = buf_span(&t->head);
    if (head.len == 2)
        return; /* it was too long for anything */
    if (c) {
        text_push_head(t, c, head, number);
    } else if (t->held_len < TEXT_HELD_MAX && buf_append(&t->held, head.ptr, head.len)) {
        t->held_numbers[t->held_len] = number;
        t->held_lens[t->held_len++] = head.len;
    }
}

void text_fit_head(struct buf *b, size_t len, bool ended, bool with_body)
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

bool text_attach_head(struct text_capture *t, const struct textseq_conn *c, int dir,
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
    text_fit_head(&t->head, d->length, ended, text_has_body(c, &h));
    return true;
}

bool text_read_http_line(struct text_capture *t, const struct dumptext *d)
{
    struct span line = d->http;

    if (line.len == 0 || texthead_parse_first(&line) == TEXTHEAD_NONE)
        return false;
    text_empty(&t->head);
    add_line(&t->head, line);
    text_fit_head(&t->head, d->length, false, true);
    return true;
}

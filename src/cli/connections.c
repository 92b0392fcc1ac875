#include "cli/connections.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "render/date.h"
#include "render/human.h"
#include "render/jsonw.h"
#include "render/say.h"

#define CELL_MAX 320 /* a process's name of 64 bytes, each as \xNN, and its number */

/* Figures of a connection, in the order of table and JSON; -1 is unknown. */
static const struct figure {
    const char *key, *title;
    size_t offset;    /* of an int64_t in struct sockets_entry */
    uint64_t unit_ns; /* of a time, 0: a plain number */
} figures[] = {
    {"rtt_us", "rtt", offsetof(struct sockets_entry, rtt_us), NS_PER_US},
    {"retransmissions", "retrans", offsetof(struct sockets_entry, retransmissions), 0},
    {"retransmitting", "pending", offsetof(struct sockets_entry, retransmitting), 0},
    {"mss", "mss", offsetof(struct sockets_entry, mss), 0},
    {"pmtu", "pmtu", offsetof(struct sockets_entry, pmtu), 0},
    {"unacked", "unacked", offsetof(struct sockets_entry, unacked), 0},
    {"send_queue", "send-q", offsetof(struct sockets_entry, send_queue), 0},
    {"receive_queue", "recv-q", offsetof(struct sockets_entry, receive_queue), 0},
    {"sent_ago_ms", "sent ago", offsetof(struct sockets_entry, sent_ago_ms), NS_PER_MS},
    {"received_ago_ms", "recv ago", offsetof(struct sockets_entry, received_ago_ms), NS_PER_MS},
    {"age_ms", "age", offsetof(struct sockets_entry, age_ms), NS_PER_MS},
};

static const char *const words[] = {"state", "local", "peer", "process"};

#define COLUMNS (ARRAY_LEN(words) + ARRAY_LEN(figures))

static int64_t get_figure(const struct sockets_entry *e, const struct figure *f)
{
    int64_t n;

    memcpy(&n, (const char *)e + f->offset, sizeof n);
    return n;
}

static void write_process(struct pen *p, const struct sockets_entry *e)
{
    if (e->pid == 0) {
        pen_char(p, '-');
        return;
    }
    escape_text(p, span_of(e->process));
    pen_char(p, '[');
    pen_u64(p, (uint64_t)e->pid);
    pen_char(p, ']');
}

static void write_figure(struct pen *p, int64_t n, uint64_t unit_ns)
{
    if (n < 0)
        pen_char(p, '-');
    else if (unit_ns > 0)
        human_duration(p, (uint64_t)n * unit_ns);
    else
        pen_u64(p, (uint64_t)n);
}

/* One cell; without a connection, its column's heading. */
static void write_cell(struct pen *p, const struct sockets_entry *e, size_t column)
{
    if (!e && column < ARRAY_LEN(words))
        pen_text(p, words[column]);
    else if (!e)
        pen_text(p, figures[column - ARRAY_LEN(words)].title);
    else if (column == 0)
        pen_text(p, sockets_state_name(e->state));
    else if (column == 1)
        human_endpoint(p, &e->local);
    else if (column == 2)
        human_endpoint(p, &e->peer);
    else if (column == 3)
        write_process(p, e);
    else {
        const struct figure *f = &figures[column - ARRAY_LEN(words)];
        write_figure(p, get_figure(e, f), f->unit_ns);
    }
}

static struct span make_cell(char memory[CELL_MAX], const struct sockets_entry *e, size_t column)
{
    struct pen p;

    pen_init_fixed(&p, memory, CELL_MAX);
    write_cell(&p, e, column);
    return (struct span){memory, pen_len(&p)};
}

static void widen(size_t widths[COLUMNS], const struct sockets_entry *e)
{
    char memory[CELL_MAX];

    for (size_t i = 0; i < COLUMNS; i++) {
        size_t n = say_columns(make_cell(memory, e, i));
        widths[i] = n > widths[i] ? n : widths[i];
    }
}

/* Words to the left, figures to the right, in a colour if there is one. */
static void write_row(struct pen *p, const size_t widths[COLUMNS], const struct sockets_entry *e,
                      const char *colour)
{
    char memory[CELL_MAX];

    pen_text(p, colour ? colour : "");
    for (size_t i = 0; i < COLUMNS; i++) {
        struct span cell = make_cell(memory, e, i);
        size_t fill = widths[i] - say_columns(cell);
        bool left = i < ARRAY_LEN(words);

        if (i > 0)
            pen_text(p, "  ");
        if (!left)
            pen_pad(p, ' ', fill);
        pen_span(p, cell);
        if (left)
            pen_pad(p, ' ', fill);
    }
    pen_text(p, colour ? "\x1b[0m\n" : "\n");
}

/* Why a "-" may stand where a process should. */
static void write_hidden(struct pen *p, const struct sockets *s)
{
    bool hidden = false;

    for (size_t i = 0; i < s->len; i++)
        hidden = hidden || (s->items[i].inode != 0 && s->items[i].pid == 0);
    if (hidden && geteuid() != 0)
        pen_text(p, "(the processes of other users are shown to root only)\n");
}

void connections_write_table(struct pen *p, const struct sockets *s, size_t rows, bool colour)
{
    size_t widths[COLUMNS] = {0}, shown = s->len < rows ? s->len : rows;

    widen(widths, NULL);
    for (size_t i = 0; i < shown; i++)
        widen(widths, &s->items[i]);
    write_row(p, widths, NULL, colour ? "\x1b[1m" : NULL);
    for (size_t i = 0; i < shown; i++)
        write_row(p, widths, &s->items[i],
                  colour && s->items[i].retransmitting > 0 ? "\x1b[33m" : NULL);
    if (shown < s->len) {
        pen_text(p, "… and ");
        pen_u64(p, s->len - shown);
        pen_text(p, " more\n");
    }
    write_hidden(p, s);
}

static void write_endpoint(struct jsonw *w, const char *key, const struct endpoint *e)
{
    char text[ENDPOINT_TEXT_MAX];

    endpoint_write(e, text);
    jsonw_member_text(w, key, text);
}

static void write_object(struct pen *p, const struct sockets_entry *e, const char *time)
{
    struct jsonw w = {.pen = p};

    jsonw_open(&w, '{');
    jsonw_member_text(&w, "time", time);
    jsonw_member_text(&w, "state", sockets_state_name(e->state));
    write_endpoint(&w, "local", &e->local);
    write_endpoint(&w, "peer", &e->peer);
    jsonw_member_text(&w, "process", e->pid ? e->process : NULL);
    jsonw_key(&w, "pid");
    if (e->pid)
        jsonw_u64(&w, (uint64_t)e->pid);
    else
        jsonw_null(&w);
    jsonw_member_u64(&w, "uid", e->uid);
    for (size_t i = 0; i < ARRAY_LEN(figures); i++) {
        int64_t n = get_figure(e, &figures[i]);

        jsonw_key(&w, figures[i].key);
        if (n < 0)
            jsonw_null(&w);
        else
            jsonw_u64(&w, (uint64_t)n);
    }
    jsonw_close(&w, '}');
    pen_char(p, '\n');
}

void connections_write_json(struct pen *p, const struct sockets *s, uint64_t wall_ns)
{
    char time[40];
    struct pen date;

    pen_init_fixed(&date, time, sizeof time - 1);
    date_write_rfc3339(&date, wall_ns);
    *date.at = '\0';
    for (size_t i = 0; i < s->len; i++)
        write_object(p, &s->items[i], time);
}

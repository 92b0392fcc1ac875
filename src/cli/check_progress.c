#include "cli/check_progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "render/human.h"

#define REDRAW_NS (100 * NS_PER_MS)
#define LINE_MAX_LEN 256
#define BAR_MAX 40 /* columns between the brackets */
#define BAR_MIN 8  /* less shows nothing */
#define LEFT_MAX_S (100 * 3600)
#define NEW_PART 0.2 /* of what was just measured, in the rate */

/* ---- the line */

static void write_figures(struct pen *p, uint64_t bytes, uint64_t total, double rate)
{
    human_bytes(p, bytes);
    if (total > 0) {
        pen_text(p, " of ");
        human_bytes(p, total);
    }
    if (rate < 1)
        return;
    pen_text(p, ", ");
    human_bytes(p, (uint64_t)rate);
    pen_text(p, "/s");
    if (total > bytes && (double)(total - bytes) / rate < LEFT_MAX_S) {
        pen_text(p, ", ");
        human_duration(p, (uint64_t)((double)(total - bytes) / rate) * NS_PER_S);
        pen_text(p, " left");
    }
}

static void write_bar(struct pen *p, uint64_t bytes, uint64_t total, unsigned width)
{
    unsigned filled = (unsigned)((double)bytes / (double)total * width);

    pen_char(p, '[');
    pen_pad(p, '#', filled);
    pen_pad(p, ' ', width - filled);
    pen_text(p, "] ");
}

void check_progress_write(struct pen *pen, uint64_t bytes, uint64_t total, double rate,
                          unsigned columns)
{
    char memory[LINE_MAX_LEN];
    struct pen figures;
    size_t used;

    if (total < bytes)
        total = 0; /* more than was announced: nothing is known */
    pen_init_fixed(&figures, memory, sizeof memory);
    write_figures(&figures, bytes, total, rate);
    used = pen_len(&figures) + (total ? 5 : 0);
    if (total) {
        pen_digits(pen, (uint64_t)((double)bytes / (double)total * 100), 3, ' ');
        pen_char(pen, '%');
        if (columns >= 5 && used <= columns)
            pen_char(pen, ' ');
        if (used + BAR_MIN + 3 <= columns) {
            unsigned room = columns - (unsigned)used - 3;

            write_bar(pen, bytes, total, room < BAR_MAX ? room : BAR_MAX);
        }
    }
    if (used <= columns)
        pen_bytes(pen, memory, pen_len(&figures));
}

/* ---- on the screen */

static unsigned columns_of(int fd)
{
    struct winsize size = {0};

    ioctl(fd, TIOCGWINSZ, &size);
    return size.ws_col > 1 ? size.ws_col - 1u : 79; /* the last column would wrap */
}

static void measure(struct check_progress *p, uint64_t bytes, uint64_t now_ns)
{
    double seconds = (double)(now_ns - p->drawn_ns) / 1e9, now;

    if (p->drawn_ns > 0 && bytes >= p->bytes && seconds > 0) {
        now = (double)(bytes - p->bytes) / seconds;
        p->rate = p->rate > 0 ? p->rate * (1 - NEW_PART) + now * NEW_PART : now;
    } else {
        p->rate = 0; /* the first look, or another try that begins anew */
    }
    p->bytes = bytes;
    p->drawn_ns = now_ns;
}

void check_progress_update(struct check_progress *p, uint64_t bytes, uint64_t total,
                           uint64_t now_ns)
{
    char line[LINE_MAX_LEN];
    struct pen pen;

    if (!p->on || (p->drawn_ns > 0 && now_ns - p->drawn_ns < REDRAW_NS))
        return;
    measure(p, bytes, now_ns);
    pen_init_fixed(&pen, line, sizeof line);
    check_progress_write(&pen, bytes, total, p->rate, columns_of(STDERR_FILENO));
    fprintf(stderr, "\r%.*s\x1b[K", (int)pen_len(&pen), line);
    fflush(stderr);
    p->shown = true;
}

void check_progress_clear(struct check_progress *p)
{
    if (p->shown)
        fputs("\r\x1b[K", stderr);
    fflush(stderr);
    p->shown = false;
}

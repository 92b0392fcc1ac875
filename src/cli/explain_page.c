#include "cli/explain_page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/series.h"
#include "render/html.h"

#define PIECE_MAX (16u << 20)
#define OPEN_MAX 3 /* flows that are unfolded at once */

/* ---- the file */

static mode_t ordinary_mode(void)
{
    mode_t mask = umask(0);

    umask(mask);
    return 0666 & ~mask;
}

/* A file that is no regular one (a pipe, a terminal) is written in place. */
static bool is_special(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static bool open_beside(struct explain_page *page, const char *path)
{
    int fd;

    page->path = realpath(path, NULL); /* of a symbolic link the file that it leads to */
    if (!page->path)
        page->path = strdup(path);
    if (!page->path || asprintf(&page->beside, "%s.XXXXXX", page->path) < 0) {
        page->beside = NULL;
        errno = ENOMEM;
        return false;
    }
    fd = mkostemp(page->beside, O_CLOEXEC);
    if (fd < 0) {
        free(page->beside); /* it was not made */
        page->beside = NULL;
        return false;
    }
    page->file = fdopen(fd, "w");
    if (!page->file)
        close(fd);
    return page->file && fchmod(fd, ordinary_mode()) == 0;
}

bool explain_page_open(struct explain_page *page, const char *path, struct err *err)
{
    bool ok = true;

    *page = (struct explain_page){0};
    if (strcmp(path, "-") == 0)
        page->file = stdout;
    else if (is_special(path))
        ok = (page->file = fopen(path, "we")) != NULL;
    else
        ok = open_beside(page, path);
    if (!ok)
        err_set(err, "cannot write %s: %s", path, strerror(errno));
    return ok;
}

static bool put_in_place(struct explain_page *page, struct err *err)
{
    bool ok = fflush(page->file) == 0 && !ferror(page->file);

    if (page->file == stdout)
        return true; /* main says what is wrong with it */
    if (page->beside)
        ok = ok && fsync(fileno(page->file)) == 0;
    ok &= fclose(page->file) == 0;
    page->file = NULL;
    if (ok && page->beside)
        ok = rename(page->beside, page->path) == 0;
    if (!ok) {
        err_set(err, "cannot write %s: %s", page->path ? page->path : "the page", strerror(errno));
        return false;
    }
    free(page->beside);
    page->beside = NULL;
    return true;
}

void explain_page_close(struct explain_page *page)
{
    if (page->file && page->file != stdout)
        fclose(page->file);
    if (page->beside)
        unlink(page->beside);
    free(page->beside);
    free(page->path);
    *page = (struct explain_page){0};
}

/* ---- what stands in it */

static bool write_piece(struct explain_page *page, struct buf *b, bool made)
{
    struct span s = buf_span(b);
    bool ok = made && fwrite(s.ptr, 1, s.len, page->file) == s.len;

    buf_consume(b, s.len);
    return ok;
}

/* A capture's series as the page's points; heap, NULL: out of memory. */
static struct svg_point *convert(const struct series *s)
{
    static const unsigned char marks[] = {
        [SERIES_DATA] = SVG_DATA,     [SERIES_RETRANSMITTED] = SVG_RETRANSMITTED,
        [SERIES_CLOSED] = SVG_CLOSED, [SERIES_OPENED] = SVG_OPENED,
        [SERIES_FIN] = SVG_FIN,       [SERIES_RST] = SVG_RST};
    struct svg_point *points = calloc(s->len ? s->len : 1, sizeof *points);

    for (uint32_t i = 0; points && i < s->len; i++)
        points[i] = (struct svg_point){.at_us = s->points[i].at_us,
                                       .bytes = (uint64_t)s->points[i].bytes_kb * s->unit,
                                       .is_down = s->points[i].dir != 0,
                                       .mark = marks[s->points[i].mark]};
    return points;
}

static bool write_flow(struct explain_page *page, struct buf *b, const struct kept *k, bool is_open)
{
    struct svg_point *points = k->plot ? convert(k->plot) : NULL;
    struct svg_plot plot = {.points = points,
                            .len = points ? k->plot->len : 0,
                            .end_us = k->flow.duration_ns / NS_PER_US};
    bool ok = write_piece(page, b, html_flow(b, &k->flow, plot.len > 0 ? &plot : NULL, is_open));

    free(points);
    return ok;
}

bool explain_page_write(struct explain_page *page, const struct explain_page_facts *facts,
                        struct err *err)
{
    const struct explain_keep *keep = facts->keep;
    const struct html_page head = {
        .packets = facts->seen->packets,
        .tcp = facts->seen->tcp,
        .is_text = facts->seen->is_text,
        .first_ns = facts->seen->first_ns,
        .last_ns = facts->seen->last_ns,
        .names = facts->names,
        .names_len = facts->names_len,
        .interface = facts->interface,
        .flows = keep->flows,
        .failed = keep->failed,
        .superseded = keep->superseded,
        .verdicts = keep->verdicts,
        .warned = keep->warned,
        .trouble = facts->trouble,
        .shown = keep->len,
    };
    struct buf b;
    bool ok;

    buf_init(&b, PIECE_MAX);
    ok = write_piece(page, &b, html_begin(&b, &head));
    for (unsigned i = 0; ok && i < keep->len; i++)
        ok = write_flow(page, &b, keep->items[i],
                        i < OPEN_MAX && (rank_is_failure(&keep->items[i]->flow) || keep->len == 1));
    ok = ok && write_piece(page, &b, html_end(&b));
    buf_fini(&b);
    if (!ok && page->file != stdout) {
        err_set(err, "cannot write the page: %s", strerror(errno ? errno : ENOMEM));
        return false;
    }
    return put_in_place(page, err);
}

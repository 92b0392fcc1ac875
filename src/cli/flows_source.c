#include "cli/flows_source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/flow_line.h"

#define PAGE 200 /* flows an answer, as the interface allows */
#define ANSWER_MAX (16u << 20)
#define URL_MAX (16u << 10)
#define FAILURES_MAX 20 /* one after the other, without a file */

/* ---- which of both */

static bool open_file(struct flows_source *s, enum fault *fault, struct err *err)
{
    s->browse = browse_open(s->path, fault, err);
    s->version = -1;
    stat(s->path, &s->known);
    return s->browse != NULL;
}

/* Whether a proxy runs that writes this very history, or any one, and answers. */
static bool find_proxy(struct flows_source *s, bool any)
{
    struct control_instance instance;
    struct err err = {""};

    control_find(s->socket);
    switch (control_learn(s->socket, &instance, &err)) {
    case CONTROL_OK:
        if (!any || !*instance.history)
            return control_is_same_file(s->path, instance.history);
        snprintf(s->path, sizeof s->path, "%s", instance.history);
        return true;
    case CONTROL_NOBODY:
        break;
    case CONTROL_DENIED:
        s->denied = err;
        break;
    case CONTROL_FAILED:
        fprintf(stderr, "viaduct flows: %s; the history file is read instead\n", err.text);
        break;
    }
    return false;
}

bool flows_source_open(struct flows_source *s, const char *path, bool any, enum fault *fault,
                       struct err *err)
{
    *s = (struct flows_source){0};
    snprintf(s->path, sizeof s->path, "%s", path);
    buf_init(&s->answer, ANSWER_MAX);
    s->asks = find_proxy(s, any);
    if (s->asks || open_file(s, fault, err))
        return true;
    if (*s->denied.text && *fault == FAULT_DENIED) {
        struct err file = *err;

        err_set(err, "%.400s; and %.500s", file.text, s->denied.text);
    }
    return false;
}

void flows_source_close(struct flows_source *s)
{
    browse_close(s->browse);
    buf_fini(&s->answer);
    *s = (struct flows_source){0};
}

/* ---- asking the proxy */

static bool add_number(struct buf *url, const char *name, uint64_t n)
{
    return n == 0 || buf_printf(url, "&%s=%" PRIu64, name, n);
}

static bool add_text(struct buf *url, const char *name, const char *text)
{
    return !text || control_add_argument(url, false, name, span_of(text));
}

static bool add_verdicts(struct buf *url, const struct browse_query *q)
{
    bool ok = !q->verdicts || buf_printf(url, "&verdict=");

    for (unsigned i = 0; i < q->verdicts_len && ok; i++)
        ok = buf_printf(url, "%s%s", i ? "," : "", q->verdicts[i]);
    return ok;
}

/* What the options of the command can ask for. */
static bool write_url(struct buf *url, const struct browse_query *q, bool oldest, uint64_t limit)
{
    return buf_printf(url, "/api/v1/flows?lines=1&limit=%" PRIu64 "%s%s", limit,
                      oldest ? "&order=oldest" : "", q->failed ? "&failed=1" : "") &&
           add_number(url, "since", q->since_us) &&
           add_number(url, "before", (uint64_t)q->before) &&
           add_number(url, "after", (uint64_t)q->after) && add_text(url, "client", q->client) &&
           add_text(url, "target", q->target) && add_verdicts(url, q);
}

/* One answer: whom its rows go to, and what it said. */
struct page {
    browse_fn fn; /* NULL: nobody */
    void *arg;
    bool enough;
    unsigned rows; /* that were taken */
    int64_t next;  /* more is behind this one; never without a row */
    uint64_t lost;
    char why[128];
    bool has_end;
    bool is_other; /* the history is in another file than at the last answer: no row was taken */
};

/* The line behind the rows, which is looked at first: it says of which file they are. */
static bool take_end(struct flows_source *s, struct page *p, struct err *err)
{
    struct span bytes = buf_span(&s->answer), line;
    struct flow_line l;
    const char *cut;

    if (bytes.len && bytes.ptr[bytes.len - 1] == '\n')
        bytes.len--;
    line = bytes;
    cut = memrchr(bytes.ptr, '\n', bytes.len);
    if (cut)
        line = (struct span){cut + 1, (size_t)(bytes.ptr + bytes.len - cut - 1)};
    if (!flow_line_read(&l, line, err))
        return false;
    if (l.is_end) {
        p->next = l.next;
        p->lost = l.lost;
        p->is_other = *s->file && strcmp(s->file, l.file) != 0;
        s->last = l.last;
        snprintf(s->file, sizeof s->file, "%s", l.file);
        snprintf(p->why, sizeof p->why, "%s", l.why);
    } else {
        err_set(err, "the answer at the control socket has no end");
    }
    p->has_end = l.is_end;
    flow_line_fini(&l);
    return p->has_end;
}

/* Hands out the rows. */
static bool take_rows(struct flows_source *s, struct page *p, struct err *err)
{
    struct span rest = buf_span(&s->answer);
    bool is_end = false;

    while (rest.len && !is_end && !p->enough) {
        struct flow_line l;

        if (!flow_line_read(&l, span_cut(&rest, '\n'), err))
            return false;
        is_end = l.is_end;
        p->rows += !is_end;
        p->enough = !is_end && !p->fn(p->arg, &l.row);
        flow_line_fini(&l);
    }
    if (p->rows || !p->next)
        return true;
    err_set(err, "the answer at the control socket makes no sense");
    return false;
}

static bool take_lines(struct flows_source *s, struct page *p, struct err *err)
{
    return take_end(s, p, err) && (!p->fn || p->is_other || take_rows(s, p, err));
}

static enum control_result ask(struct flows_source *s, struct buf *url, struct page *p,
                               struct err *err)
{
    struct control_request r = {"GET", "", {"", 0}};
    enum control_result result;

    *p = (struct page){.fn = p->fn, .arg = p->arg};
    buf_consume(&s->answer, s->answer.len);
    if (!buf_append(url, "", 1)) {
        err_set(err, "out of memory");
        return CONTROL_FAILED;
    }
    r.path = buf_span(url).ptr;
    result = control_ask(s->socket, &r, &s->answer, err);
    if (result == CONTROL_OK && !take_lines(s, p, err))
        result = CONTROL_FAILED;
    return result;
}

/* One page; its query may have become too long. */
static enum control_result ask_page(struct flows_source *s, const struct browse_query *q,
                                    bool oldest, uint64_t limit, struct page *p, struct err *err)
{
    enum control_result result = CONTROL_FAILED;
    struct buf url;

    buf_init(&url, URL_MAX);
    if (write_url(&url, q, oldest, limit))
        result = ask(s, &url, p, err);
    else
        err_set(err, "the question is too long");
    buf_fini(&url);
    return result;
}

bool flows_source_find(struct flows_source *s, const struct browse_query *q, uint64_t most,
                       browse_fn fn, void *arg, struct err *err)
{
    struct browse_query page_of = *q;
    struct page p = {.fn = fn, .arg = arg, .next = 1};

    if (!s->asks)
        return browse_find(s->browse, q, fn, arg, err);
    *s->file = '\0'; /* whichever it is by now */
    while (p.next && !p.enough) {
        if (ask_page(s, &page_of, false, most && most < PAGE ? most : PAGE, &p, err) != CONTROL_OK)
            return false;
        if (p.is_other) {
            err_set(err, "the history was replaced while it was read");
            return false;
        }
        if (p.next && page_of.before && p.next >= page_of.before) {
            err_set(err, "the answer at the control socket makes no sense");
            return false;
        }
        page_of.before = p.next;
    }
    return true;
}

bool flows_source_get(struct flows_source *s, const char *digits, browse_fn fn, void *arg,
                      struct err *err)
{
    struct page p = {.fn = fn, .arg = arg};
    struct buf url;
    bool ok;

    if (!s->asks)
        return browse_get(s->browse, span_of(digits), fn, arg, err);
    buf_init(&url, URL_MAX);
    ok =
        buf_printf(&url, "/api/v1/flows/%s?lines=1", digits) && ask(s, &url, &p, err) == CONTROL_OK;
    buf_fini(&url);
    return ok;
}

bool flows_source_get_last(struct flows_source *s, int64_t *last, struct err *err)
{
    struct browse_query none = {0};
    struct page p = {0};

    if (s->asks && ask_page(s, &none, false, 0, &p, err) != CONTROL_OK)
        return false;
    *last = s->asks ? s->last : browse_get_last(s->browse);
    return true;
}

uint64_t flows_source_count_lost(struct flows_source *s, uint64_t since_us, char *why, size_t size)
{
    struct buf url;
    struct page p = {0};
    struct err err;

    if (!s->asks)
        return browse_count_lost(s->browse, since_us, why, size);
    buf_init(&url, URL_MAX);
    if (buf_printf(&url, "/api/v1/flows?lines=1&limit=0&lost_since=%" PRIu64, since_us))
        ask(s, &url, &p, &err);
    snprintf(why, size, "%s", p.why);
    buf_fini(&url);
    return p.lost;
}

/* ---- following */

struct watcher {
    browse_fn fn;
    void *arg;
    int64_t newest;
};

static bool watch(void *arg, const struct browse_row *row)
{
    struct watcher *w = arg;

    w->newest = row->seq;
    return w->fn(w->arg, row);
}

/* It ended, or is about to: its last flows are in the file.  Where there is none, a new one may be
 * on its way. */
static bool leave_proxy(struct flows_source *s, enum control_result result, struct err *err)
{
    enum fault fault;
    struct err why;

    if (open_file(s, &fault, &why)) {
        s->asks = false;
        if (result != CONTROL_NOBODY)
            fprintf(stderr, "viaduct flows: %s; the history file is read instead\n", err->text);
        return true;
    }
    return fault == FAULT_MISSING && ++s->failures < FAILURES_MAX;
}

static bool follow_proxy(struct flows_source *s, struct browse_query *q, struct watcher *w,
                         struct err *err)
{
    struct page p = {.fn = watch, .arg = w, .next = 1};

    while (p.next && !p.enough) {
        enum control_result result = ask_page(s, q, true, PAGE, &p, err);

        if (result != CONTROL_OK)
            return leave_proxy(s, result, err);
        s->failures = 0;
        if (p.is_other) { /* from its front, when it is looked at next */
            q->after = 0;
            return true;
        }
        q->after = !p.next && s->last > q->after ? s->last : q->after;
        q->after = w->newest > q->after ? w->newest : q->after;
    }
    return true;
}

/* Opens the file that took the place of the one that is open.  Where it is not there yet, or not
 * written yet, the old one stays. */
static void open_again(struct flows_source *s, struct browse_query *q)
{
    struct stat found;
    enum fault fault;
    struct browse *fresh;
    struct err err;

    if (stat(s->path, &found) != 0 ||
        (found.st_dev == s->known.st_dev && found.st_ino == s->known.st_ino) ||
        !(fresh = browse_open(s->path, &fault, &err)))
        return;
    browse_close(s->browse);
    s->browse = fresh;
    s->known = found;
    s->version = -1;
    q->after = 0;
}

static bool follow_file(struct flows_source *s, struct browse_query *q, struct watcher *w,
                        struct err *err)
{
    int64_t now, last;

    open_again(s, q);
    now = browse_get_version(s->browse);
    if (now == s->version)
        return true;
    last = browse_get_last(s->browse);
    if (!browse_follow(s->browse, q, watch, w, err))
        return false;
    q->after = last > q->after ? last : q->after;
    q->after = w->newest > q->after ? w->newest : q->after;
    s->version = now;
    return true;
}

bool flows_source_follow(struct flows_source *s, struct browse_query *q, browse_fn fn, void *arg,
                         struct err *err)
{
    struct watcher w = {fn, arg, 0};

    return s->asks ? follow_proxy(s, q, &w, err) : follow_file(s, q, &w, err);
}

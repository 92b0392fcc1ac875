#include "console/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/span.h"
#include "render/date.h"
#include "render/jsonw.h"

#define TAIL_MAX (256 * 1024)
#define WHAT_MAX 2048
#define LINE_MAX_BYTES (6 * (WHAT_MAX + 256) + 128) /* where each byte is \u00XX */

struct audit {
    char *path;
    bool failed; /* told already */
};

struct audit *audit_new(const char *path)
{
    struct audit *a = calloc(1, sizeof *a);

    if (a)
        a->path = strdup(path);
    if (a && !a->path) {
        free(a);
        a = NULL;
    }
    return a;
}

void audit_free(struct audit *a)
{
    if (a)
        free(a->path);
    free(a);
}

/* What stands at the end is the front of a line only, whose rest did not come to the disk. */
static bool ends_torn(int fd)
{
    struct stat st;
    char last = '\n';

    return fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
           last != '\n';
}

/* One write: lines of two processes do not mix.  `line` begins with a line's end, which is left
 * out where none is wanted. */
static void append(struct audit *a, const char *line, size_t len)
{
    int fd = open(a->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    size_t skip = fd >= 0 && ends_torn(fd) ? 0 : 1;
    bool ok = fd >= 0 && write(fd, line + skip, len - skip) == (ssize_t)(len - skip);

    if (!ok && !a->failed)
        log_warning("audit: cannot write %s: %s", a->path, strerror(errno));
    a->failed = !ok;
    if (fd >= 0)
        close(fd);
}

void audit_say(struct audit *a, const char *who, const char *what)
{
    char line[LINE_MAX_BYTES];
    struct pen pen;
    struct jsonw w = {.pen = &pen};

    log_info("audit: %s: %s", who, what);
    pen_init_fixed(&pen, line, sizeof line);
    pen_char(&pen, '\n');
    jsonw_open(&w, '{');
    jsonw_key(&w, "time");
    pen_char(&pen, '"');
    date_write_rfc3339(&pen, clock_wall_ns());
    pen_char(&pen, '"');
    w.comma = true;
    jsonw_member_text(&w, "who", who);
    jsonw_member_text(&w, "what", what);
    jsonw_close(&w, '}');
    pen_char(&pen, '\n');
    if (!pen.full)
        append(a, line, pen_len(&pen));
}

void audit_add(struct audit *a, const char *who, const char *fmt, va_list ap)
{
    char what[WHAT_MAX];

    vsnprintf(what, sizeof what, fmt, ap);
    audit_say(a, who, what);
}

/* Where the last `most` lines begin. */
static size_t last_lines(const char *text, size_t len, unsigned most)
{
    size_t at = len;

    while (at > 0) {
        at--;
        if (text[at] == '\n' && at + 1 < len && most-- == 1)
            return at + 1;
    }
    return 0;
}

static bool is_entry(struct span line)
{
    json_t *root = json_loadb(line.ptr, line.len, 0, NULL);
    bool ok = json_is_object(root);

    json_decref(root);
    return ok;
}

static bool add_lines(struct span text, struct buf *out)
{
    bool first = true, ok = buf_append(out, "[", 1);

    while (ok && text.len) {
        struct span line = span_cut(&text, '\n');

        if (!is_entry(line))
            continue; /* the front of what was cut, or not ours */
        ok = (first || buf_append(out, ",", 1)) && buf_append(out, line.ptr, line.len);
        first = false;
    }
    return ok && buf_append(out, "]", 1);
}

bool audit_read(struct audit *a, unsigned most, struct buf *out)
{
    char *text = malloc(TAIL_MAX);
    int fd = open(a->path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t n = 0;
    size_t from;
    bool ok;

    if (text && fd >= 0 && fstat(fd, &st) == 0)
        n = pread(fd, text, TAIL_MAX, st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0);
    if (fd >= 0)
        close(fd);
    from = n > 0 ? last_lines(text, (size_t)n, most) : 0;
    ok = text && add_lines((struct span){text + from, n > 0 ? (size_t)n - from : 0}, out);
    free(text);
    return ok;
}

#include "policy/listfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BAD_NAMED 10 /* bad lines that are told one by one */
#define BAD_SHOWN 40 /* bytes of a bad line that are shown */
#define READ_STEP                                                                                  \
    65536 /* room that is always left for the next read, so that a growing file ends */

struct problems {
    char text[sizeof((struct err *)0)->text];
    size_t len;
    unsigned count;
};

/* Appends `path:line: "text": why`, hostile bytes shown as \xNN. */
static void problems_add(struct problems *p, const char *path, unsigned line, struct span text,
                         const char *why)
{
    char shown[4 * BAD_SHOWN + 1];
    size_t at = 0;

    if (++p->count > BAD_NAMED)
        return;
    for (size_t i = 0; i < text.len && i < BAD_SHOWN; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

        at += (size_t)snprintf(shown + at, sizeof shown - at, plain ? "%c" : "\\x%02x", c);
    }
    int n = snprintf(p->text + p->len, sizeof p->text - p->len, "%s%s:%u: \"%.*s%s\": %s",
                     p->len ? "; " : "", path, line, (int)at, shown,
                     text.len > BAD_SHOWN ? "…" : "", why);
    p->len += (size_t)n < sizeof p->text - p->len ? (size_t)n : sizeof p->text - p->len - 1;
}

static void problems_tell(const struct problems *p, struct err *err)
{
    if (p->count <= BAD_NAMED)
        err_set(err, "%s", p->text);
    else
        err_set(err, "%u bad lines: %s; …", p->count, p->text);
}

/* A name, or an address or network: these end in a digit and have no letters but after a colon. */
static bool add_item(struct listfile *l, struct span item, const char **why)
{
    char last = item.ptr[item.len - 1];
    bool network = memchr(item.ptr, '/', item.len) || memchr(item.ptr, ':', item.len);
    struct cidr c;

    if (!network && !(last >= '0' && last <= '9'))
        return domains_add(&l->names, item, why);
    if (!cidr_parse(item, &c, why))
        return network ? false : domains_add(&l->names, item, why);
    if (cidr_add(&l->networks, &c))
        return true;
    *why = "out of memory";
    return false;
}

static struct span clean_line(struct span line)
{
    line = span_cut(&line, '#');
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return span_trim(line);
}

static void add_lines(struct listfile *l, struct span text, const char *path, struct problems *bad)
{
    static const struct span mark = SPAN_INIT("\xef\xbb\xbf"); /* an editor's UTF-8 mark */

    if (text.len >= mark.len && memcmp(text.ptr, mark.ptr, mark.len) == 0) {
        text.ptr += mark.len;
        text.len -= mark.len;
    }
    for (unsigned line = 1; text.len > 0; line++) {
        struct span item = clean_line(span_cut(&text, '\n'));
        const char *why;

        if (item.len > 0 && !add_item(l, item, &why))
            problems_add(bad, path, line, item, why);
    }
}

struct listfile *listfile_parse(struct span text, const char *path, struct err *err)
{
    struct listfile *l = calloc(1, sizeof *l);
    struct problems bad = {0};

    if (!l || !(l->path = strdup(path)))
        goto no_memory;
    atomic_init(&l->refs, 1);
    add_lines(l, text, path, &bad);
    if (bad.count > 0) {
        problems_tell(&bad, err);
        listfile_unref(l);
        return NULL;
    }
    cidr_seal(&l->networks);
    if (domains_seal(&l->names))
        return l;
    listfile_unref(l);
    l = NULL;
no_memory:
    err_set(err, "%s: out of memory", path);
    free(l);
    return NULL;
}

/* The whole file, to be freed; NULL with errno. */
static char *read_all(int fd, size_t hint, size_t *len)
{
    size_t cap = hint + READ_STEP;
    char *text = malloc(cap);

    for (*len = 0; text;) {
        if (cap - *len < READ_STEP) {
            char *more = realloc(text, cap *= 2);

            if (!more)
                break;
            text = more;
        }
        ssize_t n = read(fd, text + *len, cap - *len);
        if (n == 0)
            return text;
        if (n < 0 && errno != EINTR)
            break;
        *len += n > 0 ? (size_t)n : 0;
    }
    free(text);
    return NULL;
}

static bool is_same(const struct listfile *l, const char *path, const struct listfile_stamp *s)
{
    return l && strcmp(l->path, path) == 0 && l->stamp.device == s->device &&
           l->stamp.inode == s->inode && l->stamp.size == s->size &&
           l->stamp.mtime.tv_sec == s->mtime.tv_sec && l->stamp.mtime.tv_nsec == s->mtime.tv_nsec;
}

struct listfile *listfile_load(const char *path, struct listfile *previous, struct err *err)
{
    struct listfile *l = NULL;
    char *text = NULL;
    size_t len;
    struct stat st;

    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold up a reload */
    if (fd < 0 || fstat(fd, &st) < 0) {
        err_set(err, "cannot open %s: %s", path, strerror(errno));
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        err_set(err, "%s is not a regular file", path);
        goto out;
    }
    struct listfile_stamp stamp = {st.st_dev, st.st_ino, st.st_size, st.st_mtim};
    if (is_same(previous, path, &stamp)) {
        l = listfile_ref(previous);
        goto out;
    }
    text = read_all(fd, (size_t)st.st_size, &len);
    if (!text) {
        err_set(err, "cannot read %s: %s", path, strerror(errno));
        goto out;
    }
    l = listfile_parse((struct span){text, len}, path, err);
    if (l)
        l->stamp = stamp;
out:
    free(text);
    if (fd >= 0)
        close(fd);
    return l;
}

struct listfile *listfile_ref(struct listfile *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void listfile_unref(struct listfile *l)
{
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) > 1)
        return;
    domains_fini(&l->names);
    cidr_fini(&l->networks);
    free(l->path);
    free(l);
}

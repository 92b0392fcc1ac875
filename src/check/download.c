#include "check/download.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "wire/range.h"

/* ---- the file */

static const char *name_of(const struct download *d)
{
    return strcmp(d->path, "-") == 0 ? "standard output" : d->path;
}

/* What an earlier command has left: how much, and of what.  The attribute is taken for no more
 * than a text from outside. */
static void take_earlier(struct download *d, uint64_t size)
{
    ssize_t n = fgetxattr(d->fd, DOWNLOAD_ATTRIBUTE, d->validator, sizeof d->validator - 1);

    d->base = d->kept = size;
    d->validator[n > 0 ? n : 0] = '\0';
    if (!range_is_validator(span_of(d->validator)))
        d->validator[0] = '\0';
}

static void keep_validator(struct download *d, struct span validator)
{
    if (validator.len >= sizeof d->validator)
        validator.len = 0;
    memcpy(d->validator, validator.ptr, validator.len);
    d->validator[validator.len] = '\0';
    if (d->is_stream)
        return;
    if (validator.len == 0) /* not there, or not kept at all: a plain Range then */
        fremovexattr(d->fd, DOWNLOAD_ATTRIBUTE);
    else
        fsetxattr(d->fd, DOWNLOAD_ATTRIBUTE, validator.ptr, validator.len, 0);
}

bool download_open(struct download *d, const char *path, bool resume, struct err *err)
{
    struct stat st;

    *d = (struct download){.path = path, .fd = STDOUT_FILENO, .total = RANGE_UNKNOWN};
    if (strcmp(path, "-") != 0)
        d->fd = open(path, O_WRONLY | O_CLOEXEC);
    if (d->fd < 0 && errno == ENOENT) {
        d->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        d->created = d->fd >= 0;
    }
    if (d->fd < 0 || fstat(d->fd, &st) < 0) {
        err_set(err, "%s: %s", name_of(d), strerror(errno));
        return false;
    }
    d->is_stream = d->fd == STDOUT_FILENO || !S_ISREG(st.st_mode);
    if (resume && !d->is_stream && st.st_size > 0)
        take_earlier(d, (uint64_t)st.st_size);
    return true;
}

/* ---- what is asked, and what is answered */

size_t download_write_fields(const struct download *d, char *out)
{
    int n = 0;

    if (d->base > 0)
        n = snprintf(out, DOWNLOAD_FIELDS_MAX, "Range: bytes=%llu-\r\n%s%s%s",
                     (unsigned long long)d->base, *d->validator ? "If-Range: " : "", d->validator,
                     *d->validator ? "\r\n" : "");
    assert(n >= 0 && n < DOWNLOAD_FIELDS_MAX);
    return (size_t)n;
}

static struct span find(const struct http1_head *h, struct span name)
{
    for (unsigned i = 0; i < h->fields_len; i++)
        if (span_equal_nocase(h->fields[i].name, name))
            return h->fields[i].value;
    return (struct span){"", 0};
}

static struct span validator_of(const struct http1_head *h)
{
    return range_find_validator(find(h, SPAN_LIT("etag")), find(h, SPAN_LIT("last-modified")),
                                find(h, SPAN_LIT("date")));
}

/* Whether what comes has the bytes that are there already.  Of an earlier command's file only the
 * validator tells; two tries of one command lie so close together that without one the length is
 * enough. */
static bool is_same(const struct download *d, struct span validator, uint64_t total)
{
    if (!span_equal(validator, span_of(d->validator)))
        return false;
    return d->begun ? d->total == total : d->base > 0 && validator.len > 0;
}

/* The whole of it comes, from its first byte. */
static enum download_answer take_whole(struct download *d, const struct http1_head *h, char *what)
{
    struct span validator = validator_of(h);
    uint64_t total = h->has_length ? h->length : RANGE_UNKNOWN;
    bool same = is_same(d, validator, total);

    if (d->base > 0)
        snprintf(what, DOWNLOAD_WHAT_MAX,
                 "%s begins anew: the target was asked to go on at byte %llu and sends the whole, "
                 "%s",
                 name_of(d), (unsigned long long)d->base,
                 !*d->validator || same ? "as one does that knows no ranges"
                                        : "which is another version by now");
    if (!same && d->is_stream && d->kept > 0) {
        snprintf(what, DOWNLOAD_WHAT_MAX,
                 "the second try is of another version: nothing of it goes to %s", name_of(d));
        d->muted = true;
        return DOWNLOAD_SAVES;
    }
    if (!same) {
        if (!d->is_stream && ftruncate(d->fd, 0) < 0)
            d->fault = errno;
        d->kept = 0;
    }
    d->base = d->at = 0;
    d->total = total;
    d->begun = true;
    keep_validator(d, validator);
    return DOWNLOAD_SAVES;
}

/* Why a part cannot be put behind what is there; false when it can. */
static bool is_wrong_part(const struct download *d, const struct http1_head *h,
                          const struct range_content *r, bool parsed, char *what)
{
    struct span validator = validator_of(h);
    const char *fault = NULL;

    if (!parsed || !r->satisfied)
        fault = "without saying which in a Content-Range of its own";
    else if (r->first != d->base)
        fault = "from another byte";
    else if (r->total != RANGE_UNKNOWN && r->last + 1 != r->total)
        fault = "and not up to the end";
    else if (h->has_length && h->length != r->last - r->first + 1)
        fault = "with another Content-Length";
    else if (d->begun && r->total != d->total)
        fault = "of another length than in the first try";
    else if (*d->validator && validator.len > 0 && !span_equal(validator, span_of(d->validator)))
        fault = "of another version, though If-Range forbids it";
    if (fault)
        snprintf(what, DOWNLOAD_WHAT_MAX, "bytes from %llu on were asked for, a part comes %s",
                 (unsigned long long)d->base, fault);
    return fault != NULL;
}

static enum download_answer take_part(struct download *d, const struct http1_head *h, char *what)
{
    struct range_content r;
    bool parsed = range_parse_content(find(h, SPAN_LIT("content-range")), &r);

    if (is_wrong_part(d, h, &r, parsed, what))
        return DOWNLOAD_WRONG;
    if (d->base > 0)
        snprintf(what, DOWNLOAD_WHAT_MAX, "%s goes on at byte %llu", name_of(d),
                 (unsigned long long)d->base);
    d->at = d->base;
    d->total = r.total;
    d->begun = true;
    if (!*d->validator)
        keep_validator(d, validator_of(h));
    return DOWNLOAD_SAVES;
}

/* No byte is behind those that were asked behind. */
static enum download_answer take_unsatisfied(struct download *d, const struct http1_head *h,
                                             char *what)
{
    struct range_content r;

    if (!range_parse_content(find(h, SPAN_LIT("content-range")), &r) || r.satisfied)
        return DOWNLOAD_ELSEWHERE;
    if (r.total != d->base) {
        snprintf(what, DOWNLOAD_WHAT_MAX,
                 "%s has %llu bytes and the target's has %llu: without -C - it begins anew",
                 name_of(d), (unsigned long long)d->base, (unsigned long long)r.total);
        return DOWNLOAD_ELSEWHERE;
    }
    snprintf(what, DOWNLOAD_WHAT_MAX, "%s is complete: it has all of the %llu bytes", name_of(d),
             (unsigned long long)d->base);
    d->total = r.total;
    d->begun = d->whole = true;
    return DOWNLOAD_COMPLETE;
}

enum download_answer download_take_head(struct download *d, const struct http1_head *h, char *what)
{
    *what = '\0';
    d->muted = false;
    if (h->status == 416 && d->base > 0)
        return take_unsatisfied(d, h, what);
    if (h->status >= 300) {
        if (h->status < 400)
            snprintf(what, DOWNLOAD_WHAT_MAX, "a redirect is not saved");
        return DOWNLOAD_ELSEWHERE;
    }
    return h->status == 206 ? take_part(d, h, what) : take_whole(d, h, what);
}

/* ---- bytes */

/* One write: what it took, or -errno. */
static ssize_t write_some(struct download *d, struct span bytes)
{
    ssize_t n = d->is_stream ? write(d->fd, bytes.ptr, bytes.len)
                             : pwrite(d->fd, bytes.ptr, bytes.len, (off_t)d->at);

    if (n >= 0)
        return n;
    if (errno == EAGAIN) /* standard output may be shared with who made it so */
        poll(&(struct pollfd){.fd = d->fd, .events = POLLOUT}, 1, -1);
    return errno == EINTR || errno == EAGAIN ? 0 : -errno;
}

/* What a stream has already is stepped over. */
static void skip_sent(struct download *d, struct span *bytes)
{
    uint64_t sent = d->kept > d->at ? d->kept - d->at : 0;
    size_t n = sent < bytes->len ? (size_t)sent : bytes->len;

    d->at += n;
    *bytes = (struct span){bytes->ptr + n, bytes->len - n};
}

bool download_write(struct download *d, struct span bytes)
{
    if (d->muted)
        return true;
    if (d->is_stream)
        skip_sent(d, &bytes);
    while (bytes.len > 0 && !d->fault) {
        ssize_t n = write_some(d, bytes);

        if (n < 0) {
            d->fault = (int)-n;
            break;
        }
        d->at += (uint64_t)n;
        if (d->at > d->kept)
            d->kept = d->at;
        bytes = (struct span){bytes.ptr + n, bytes.len - (size_t)n};
    }
    return d->fault == 0;
}

void download_end(struct download *d)
{
    if (d->muted || d->fault)
        return;
    if (!d->is_stream && d->kept > d->at && ftruncate(d->fd, (off_t)d->at) < 0)
        d->fault = errno;
    d->kept = d->at;
    d->whole = d->fault == 0;
}

/* Only what this command made, and only while it is what the name means. */
static void remove_made(const struct download *d)
{
    struct stat opened, named;

    if (fstat(d->fd, &opened) == 0 && lstat(d->path, &named) == 0 && S_ISREG(named.st_mode) &&
        opened.st_dev == named.st_dev && opened.st_ino == named.st_ino && opened.st_size == 0)
        unlink(d->path);
}

bool download_close(struct download *d, struct err *err)
{
    if (!d->path || d->fd < 0)
        return true;
    if (d->created && !d->begun)
        remove_made(d);
    if (d->fd != STDOUT_FILENO && close(d->fd) < 0 && !d->fault) /* NFS and quotas tell late */
        d->fault = errno;
    d->fd = -1;
    if (d->muted)
        err_set(err, "%s: has %llu bytes of a version that was changed before the second try",
                name_of(d), (unsigned long long)d->kept);
    else if (d->fault)
        err_set(err, "%s: %s after %llu bytes", name_of(d), strerror(d->fault),
                (unsigned long long)d->kept);
    return d->fault == 0 && !d->muted;
}

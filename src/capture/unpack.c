#include "capture/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#include "base/nearest.h"

#define PACKED_SIZE (256u << 10)
#define LINE_MAX_BYTES (64u << 10)
#define NAMES_MAX 2000 /* of a folder, that are looked at for one that is nearly right */

/* --- opening --------------------------------------------------------------------------------- */

/* " (did you mean …?)" with a name of the folder in which `path` is not, or "". */
static void write_nearest(const char *path, char hint[NEAREST_HINT_MAX])
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? span_dup((struct span){path, (size_t)(slash - path) + 1}) : NULL;
    char **names = calloc(NAMES_MAX, sizeof *names);
    DIR *dir = opendir(folder ? folder : ".");
    unsigned n = 0;

    hint[0] = '\0';
    for (struct dirent *e; dir && names && n < NAMES_MAX && (e = readdir(dir));)
        if (e->d_name[0] != '.' && (names[n] = span_dup(span_of(e->d_name))))
            n++;
    if (names)
        nearest_write_hint(span_of(slash ? slash + 1 : path), (const char *const *)names, n, hint);
    while (n > 0)
        free(names[--n]);
    if (dir)
        closedir(dir);
    free(names);
    free(folder);
}

static bool open_file(struct unpack *u, const char *path, struct err *err)
{
    char hint[NEAREST_HINT_MAX] = "";
    struct stat st;

    u->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (u->fd < 0) {
        int e = errno;

        if (e == ENOENT)
            write_nearest(path, hint);
        err_set(err, "%s: %s%s", path, strerror(e), hint);
        return false;
    }
    u->is_open = true;
    if (fstat(u->fd, &st) == 0) {
        u->is_regular = S_ISREG(st.st_mode) && u->fd != STDIN_FILENO;
        if (S_ISDIR(st.st_mode)) {
            err_set(err, "%s: is a directory, not a capture (its files have to be named: %s/*)",
                    path, path);
            return false;
        }
    }
    posix_fadvise(u->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return true;
}

/* --- reading --------------------------------------------------------------------------------- */

/* Bytes as they are in the file; 0 at its end, or where reading failed. */
static size_t read_raw(struct unpack *u, char *out, size_t cap)
{
    for (;;) {
        ssize_t n = read(u->fd, out, cap);

        if (n >= 0)
            return (size_t)n;
        if (errno == EINTR && !(u->stop && *u->stop))
            continue;
        if (errno != EINTR)
            u->error = -errno;
        return 0;
    }
}

/* More compressed bytes behind those that are left; false: there are none. */
static bool refill(struct unpack *u)
{
    if (u->packed_begin < u->packed_end)
        return true;
    u->packed_begin = 0;
    u->packed_end = read_raw(u, u->packed, PACKED_SIZE);
    return u->packed_end > 0;
}

/* The compressed bytes are over, or cannot be read: nothing more comes. */
static size_t end_packed(struct unpack *u, const char *trouble)
{
    u->is_over = true;
    if (u->error == 0)
        u->trouble = trouble;
    return 0;
}

/* A gzip file may be several, one behind the other; what is no gzip behind one is left, as gzip
 * does. */
static bool has_next_member(struct unpack *u)
{
    return refill(u) && (uint8_t)u->packed[u->packed_begin] == 0x1f &&
           inflateReset(u->library) == Z_OK;
}

static size_t read_gzip(struct unpack *u, char *out, size_t cap)
{
    z_stream *z = u->library;

    for (;;) {
        if (!u->frame_open && !has_next_member(u))
            return end_packed(u, NULL);
        u->frame_open = true;
        if (!refill(u))
            return end_packed(u, "its compressed data ends early");
        z->next_in = (Bytef *)u->packed + u->packed_begin;
        z->avail_in = (uInt)(u->packed_end - u->packed_begin);
        z->next_out = (Bytef *)out;
        z->avail_out = (uInt)cap;
        int got = inflate(z, Z_NO_FLUSH);

        u->packed_begin = u->packed_end - z->avail_in;
        if (got == Z_STREAM_END)
            u->frame_open = false;
        else if (got != Z_OK && got != Z_BUF_ERROR)
            end_packed(u, got == Z_MEM_ERROR ? "memory is out" : "its compressed data is damaged");
        if (z->avail_out < cap || u->is_over)
            return cap - z->avail_out;
    }
}

static size_t read_zstd(struct unpack *u, char *out, size_t cap)
{
    for (;;) {
        ZSTD_outBuffer to = {out, cap, 0};

        refill(u); /* without more, it may still have bytes that had no room */
        ZSTD_inBuffer from = {u->packed + u->packed_begin, u->packed_end - u->packed_begin, 0};
        bool is_last = from.size == 0;

        if (is_last && !u->frame_open)
            return end_packed(u, NULL);
        size_t got = ZSTD_decompressStream(u->library, &to, &from);

        u->packed_begin += from.pos;
        if (ZSTD_isError(got))
            end_packed(u, strstr(ZSTD_getErrorName(got), "memory")
                              ? "its compression wants too much memory (zstd -dc --long=31 FILE | "
                                "viaduct explain - may read it)"
                              : "its compressed data is damaged");
        u->frame_open = got != 0;
        if (to.pos > 0 || u->is_over)
            return to.pos;
        if (is_last && u->frame_open)
            return end_packed(u, "its compressed data ends early");
    }
}

static size_t read_more(struct unpack *u, char *out, size_t cap)
{
    size_t n = 0;

    switch (u->how) {
    case UNPACK_PLAIN:
        n = read_raw(u, out, cap);
        u->is_over = n == 0;
        break;
    case UNPACK_GZIP:
        n = read_gzip(u, out, cap);
        break;
    case UNPACK_ZSTD:
        n = read_zstd(u, out, cap);
        break;
    }
    return n;
}

/* Room for `n` bytes in a row from `begin` on: what is there moves to the front. */
static bool make_room(struct unpack *u, size_t n)
{
    if (n > u->cap) {
        size_t cap = n < UNPACK_MAX / 2 ? n * 2 : UNPACK_MAX;
        char *buf = realloc(u->buf, cap);

        if (!buf) {
            u->error = -ENOMEM;
            return false;
        }
        u->buf = buf;
        u->cap = cap;
    }
    memmove(u->buf, u->buf + u->begin, u->end - u->begin);
    u->end -= u->begin;
    u->begin = 0;
    return true;
}

const char *unpack_fill(struct unpack *u, size_t n)
{
    if (n > UNPACK_MAX || u->is_over || !make_room(u, n))
        return NULL;
    while (u->end < n && !u->is_over)
        u->end += read_more(u, u->buf + u->end, u->cap - u->end);
    return u->end >= n ? u->buf : NULL;
}

/* --- what it is ------------------------------------------------------------------------------ */

/* RFC 8878 3.1: a frame of data, or one that is stepped over. */
static bool is_zstd(const uint8_t *p)
{
    static const uint8_t frame[4] = {0x28, 0xb5, 0x2f, 0xfd}, skipped[3] = {0x2a, 0x4d, 0x18};

    return memcmp(p, frame, 4) == 0 || (p[0] >> 4 == 5 && memcmp(p + 1, skipped, 3) == 0);
}

static bool start_gzip(struct unpack *u)
{
    z_stream *z = calloc(1, sizeof *z);

    u->library = z;
    if (!z || inflateInit2(z, MAX_WBITS + 16) != Z_OK)
        return false;
    u->how = UNPACK_GZIP;
    return true;
}

static bool start_zstd(struct unpack *u)
{
    u->library = ZSTD_createDStream();
    if (!u->library)
        return false;
    u->how = UNPACK_ZSTD;
    return true;
}

/* What was read so far becomes compressed bytes. */
static bool start_unpacking(struct unpack *u, bool gzip)
{
    size_t len = u->end - u->begin;

    u->packed = malloc(len > PACKED_SIZE ? len : PACKED_SIZE);
    if (!u->packed || !(gzip ? start_gzip(u) : start_zstd(u)))
        return false;
    memcpy(u->packed, u->buf + u->begin, len);
    u->packed_end = len;
    u->begin = u->end = 0;
    u->is_over = false;
    u->frame_open = true;
    return true;
}

bool unpack_open(struct unpack *u, const char *path, size_t size, const volatile sig_atomic_t *stop,
                 struct err *err)
{
    const uint8_t *magic;

    *u = (struct unpack){.stop = stop};
    if (!open_file(u, path, err))
        return false;
    u->cap = size < UNPACK_MAX ? size : UNPACK_MAX;
    u->buf = malloc(u->cap);
    if (!u->buf) {
        err_set(err, "%s: memory is out", path);
        return false;
    }
    magic = (const uint8_t *)unpack_peek(u, 4);
    if (u->error) {
        err_set(err, "%s: %s", path, strerror(-u->error));
        return false;
    }
    if (!magic)
        return true;
    bool gzip = magic[0] == 0x1f && magic[1] == 0x8b && magic[2] == 8;

    if ((gzip || is_zstd(magic)) && !start_unpacking(u, gzip)) {
        err_set(err, "%s: memory is out", path);
        return false;
    }
    return true;
}

void unpack_fini(struct unpack *u)
{
    if (u->how == UNPACK_GZIP)
        inflateEnd(u->library);
    if (u->how == UNPACK_ZSTD)
        ZSTD_freeDStream(u->library);
    else
        free(u->library);
    if (u->is_open && u->fd != STDIN_FILENO)
        close(u->fd);
    free(u->packed);
    free(u->buf);
    *u = (struct unpack){0};
}

/* --- other ways to take bytes ---------------------------------------------------------------- */

bool unpack_skip(struct unpack *u, uint64_t n)
{
    for (;;) {
        size_t have = u->end - u->begin, step = n < have ? (size_t)n : have;

        unpack_take(u, step);
        n -= step;
        if (n == 0)
            return true;
        if (!unpack_peek(u, 1))
            return false;
    }
}

bool unpack_line(struct unpack *u, struct span *line)
{
    size_t seen = 0;

    for (;;) {
        const char *p = unpack_peek(u, seen + 1), *end;
        size_t have = u->end - u->begin;

        if (have == 0)
            return false;
        p = u->buf + u->begin;
        end = memchr(p + seen, '\n', have - seen);
        seen = have;
        if (!end && have < LINE_MAX_BYTES && !u->is_over)
            continue;
        size_t len = end ? (size_t)(end - p) : have;

        if (len > LINE_MAX_BYTES) {
            len = LINE_MAX_BYTES;
            end = NULL;
        }
        unpack_take(u, end ? len + 1 : len);
        *line = (struct span){p, len > 0 && end && p[len - 1] == '\r' ? len - 1 : len};
        return true;
    }
}

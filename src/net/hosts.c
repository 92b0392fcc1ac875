#include "net/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"

/* One name of one line; a name that stands in several lines has several rows. */
struct hosts_row {
    uint32_t name_off; /* into the text */
    uint32_t next;     /* row number + 1 in the same bucket, in the file's order; 0: none */
    uint8_t name_len;
    struct addr addr;
};

enum { NAME_MAX_LEN = 253 };

void hosts_init(struct hosts *h, const char *path)
{
    *h = (struct hosts){.path = path};
}

static void drop_rows(struct hosts *h)
{
    free(h->text);
    free(h->rows);
    free(h->buckets);
    h->text = NULL;
    h->rows = NULL;
    h->buckets = NULL;
    h->rows_len = h->rows_cap = h->mask = 0;
}

void hosts_fini(struct hosts *h)
{
    drop_rows(h);
    h->look_ns = 0;
    h->stamp = (struct hosts_stamp){0};
}

static bool add_row(struct hosts *h, struct span name, const struct addr *a)
{
    if (h->rows_len == h->rows_cap) {
        uint32_t cap = h->rows_cap ? h->rows_cap * 2 : 16;
        struct hosts_row *rows = reallocarray(h->rows, cap, sizeof *rows);

        if (!rows)
            return false;
        h->rows = rows;
        h->rows_cap = cap;
    }
    h->rows[h->rows_len++] = (struct hosts_row){
        .name_off = (uint32_t)(name.ptr - h->text), .name_len = (uint8_t)name.len, .addr = *a};
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span take_word(struct span *line)
{
    struct span word;

    while (line->len && is_blank(line->ptr[0]))
        line->ptr++, line->len--;
    word = (struct span){line->ptr, 0};
    while (line->len && !is_blank(line->ptr[0]))
        line->ptr++, line->len--, word.len++;
    return word;
}

/* One line: an address and its names.  A line whose address does not parse (also one with a zone)
 * is skipped, as libc does. */
static bool add_line(struct hosts *h, struct span line)
{
    struct span word;
    struct addr a;

    line = span_cut(&line, '#');
    word = take_word(&line);
    if (!word.len || !addr_parse(word, &a))
        return true;
    for (word = take_word(&line); word.len; word = take_word(&line)) {
        if (word.ptr[word.len - 1] == '.')
            word.len--;
        if (word.len && word.len <= NAME_MAX_LEN && !add_row(h, word, &a))
            return false;
    }
    return true;
}

static uint32_t bucket_of(const struct hosts *h, struct span name)
{
    return (uint32_t)hash_bytes(name.ptr, name.len) & h->mask;
}

/* Chains the rows from the last to the first, so that a bucket lists them in the file's order. */
static bool index_rows(struct hosts *h)
{
    uint32_t size = 16;

    while (size < h->rows_len)
        size *= 2;
    h->buckets = calloc(size, sizeof *h->buckets);
    if (!h->buckets)
        return false;
    h->mask = size - 1;
    for (uint32_t i = h->rows_len; i > 0; i--) {
        struct hosts_row *row = &h->rows[i - 1];
        uint32_t *bucket =
            &h->buckets[bucket_of(h, (struct span){h->text + row->name_off, row->name_len})];

        row->next = *bucket;
        *bucket = i;
    }
    return true;
}

static bool parse_text(struct hosts *h, size_t len)
{
    struct span rest = {h->text, len};

    for (size_t i = 0; i < len; i++)
        h->text[i] = span_lower(h->text[i]);
    while (rest.len)
        if (!add_line(h, span_cut(&rest, '\n')))
            return false;
    return index_rows(h);
}

/* The file's bytes into h->text; their number, or -1.  A file that grows meanwhile is read as far
 * as it was. */
static ssize_t read_text(struct hosts *h, int fd, size_t size)
{
    size_t len = 0;

    h->text = malloc(size + 1);
    while (h->text && len < size) {
        ssize_t n = read(fd, h->text + len, size - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return h->text ? (ssize_t)len : -1;
}

static struct hosts_stamp stamp_of(const struct stat *st)
{
    return (struct hosts_stamp){
        .changed_ns = (uint64_t)st->st_ctim.tv_sec * NS_PER_S + (uint64_t)st->st_ctim.tv_nsec,
        .inode = st->st_ino,
        .size = (uint64_t)st->st_size,
    };
}

/* Reads the file anew; what fails leaves it empty. */
static void load(struct hosts *h)
{
    struct stat st;
    ssize_t len = -1;
    int fd = open(h->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    drop_rows(h);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)HOSTS_FILE_MAX) {
        h->stamp = stamp_of(&st);
        len = read_text(h, fd, (size_t)st.st_size);
    }
    if (len < 0 || !parse_text(h, (size_t)len))
        drop_rows(h);
    close(fd);
}

static void follow(struct hosts *h, uint64_t now_ns)
{
    struct stat st;
    struct hosts_stamp seen = {0};

    if (!h->path || now_ns < h->look_ns)
        return;
    h->look_ns = now_ns + NS_PER_S;
    if (stat(h->path, &st) == 0)
        seen = stamp_of(&st);
    if (seen.changed_ns == h->stamp.changed_ns && seen.inode == h->stamp.inode &&
        seen.size == h->stamp.size)
        return;
    h->stamp = seen;
    load(h);
}

static bool has_address(const struct addr *list, unsigned len, const struct addr *a)
{
    for (unsigned i = 0; i < len; i++)
        if (addr_is_equal(&list[i], a))
            return true;
    return false;
}

unsigned hosts_find(struct hosts *h, struct span name, uint64_t now_ns, struct addr *out,
                    unsigned max)
{
    unsigned len = 0;

    follow(h, now_ns);
    if (!h->buckets)
        return 0;
    for (uint32_t i = h->buckets[bucket_of(h, name)]; i && len < max; i = h->rows[i - 1].next) {
        const struct hosts_row *row = &h->rows[i - 1];

        if (span_equal((struct span){h->text + row->name_off, row->name_len}, name) &&
            !has_address(out, len, &row->addr))
            out[len++] = row->addr;
    }
    return len;
}

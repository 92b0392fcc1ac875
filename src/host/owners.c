#include "host/owners.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"

/* The connections with an inode, ordered by it. */
struct wanted {
    struct sockets_entry **items;
    size_t len, left; /* left: without a process */
};

static int compare(const void *a, const void *b)
{
    const struct sockets_entry *const *x = a, *const *y = b;

    return ((*x)->inode > (*y)->inode) - ((*x)->inode < (*y)->inode);
}

static struct sockets_entry *find(const struct wanted *w, uint32_t inode)
{
    struct sockets_entry key = {.inode = inode}, *pointer = &key;
    struct sockets_entry **found = bsearch(&pointer, w->items, w->len, sizeof *w->items, compare);

    return found ? *found : NULL;
}

/* The number of "socket:[12345]", 0 for any other link. */
static uint32_t read_inode(int folder, const char *name)
{
    static const char head[] = "socket:[";
    const size_t head_len = sizeof head - 1;
    char link[64];
    ssize_t len = readlinkat(folder, name, link, sizeof link);
    uint64_t n = 0;

    if (len <= (ssize_t)head_len || memcmp(link, head, head_len) != 0 || link[len - 1] != ']')
        return 0;
    struct span digits = {link + head_len, (size_t)len - head_len - 1};
    return num_parse_u64(digits, UINT32_MAX, &n) ? (uint32_t)n : 0;
}

/* The process's name, without the newline that the kernel adds; it may hold any other byte. */
static void read_name(int proc, const char *pid, char *out, size_t size)
{
    char path[32];
    ssize_t len = 0;

    snprintf(path, sizeof path, "%.16s/comm", pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = read(fd, out, size - 1);
        close(fd);
    }
    if (len > 0 && out[len - 1] == '\n')
        len--;
    out[len > 0 ? len : 0] = '\0';
}

static DIR *open_folder(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (fd >= 0 && !d)
        close(fd);
    return d;
}

static void look_into(struct wanted *w, int proc, const char *pid_text, int32_t pid)
{
    char path[32];
    struct dirent *entry;

    snprintf(path, sizeof path, "%.16s/fd", pid_text);
    DIR *d = open_folder(proc, path);
    while (d && w->left > 0 && (entry = readdir(d))) {
        uint32_t inode = read_inode(dirfd(d), entry->d_name);
        struct sockets_entry *e = inode ? find(w, inode) : NULL;

        if (!e || e->pid != 0)
            continue;
        e->pid = pid;
        read_name(proc, pid_text, e->process, sizeof e->process);
        w->left--;
    }
    if (d)
        closedir(d);
}

static void look_everywhere(struct wanted *w)
{
    DIR *proc = open_folder(AT_FDCWD, "/proc");
    struct dirent *entry;

    while (proc && w->left > 0 && (entry = readdir(proc))) {
        uint64_t pid;

        if (num_parse_u64(span_of(entry->d_name), INT32_MAX, &pid) && pid > 0)
            look_into(w, dirfd(proc), entry->d_name, (int32_t)pid);
    }
    if (proc)
        closedir(proc);
}

void owners_find(struct sockets *s)
{
    struct wanted w = {.items = s->len ? calloc(s->len, sizeof(struct sockets_entry *)) : NULL};

    if (!w.items)
        return;
    for (size_t i = 0; i < s->len; i++) {
        if (s->items[i].inode != 0)
            w.items[w.len++] = &s->items[i];
    }
    w.left = w.len;
    qsort(w.items, w.len, sizeof *w.items, compare);
    look_everywhere(&w);
    free(w.items);
}

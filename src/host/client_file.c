#include "host/client_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/client_text.h"

/* The root of an image is the root of its links, too. */
static int open_inside(const char *root, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    int top, fd;

    if (strcmp(root, "/") == 0)
        return open(path, O_PATH | O_CLOEXEC);
    top = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return -1;
    fd = (int)syscall(SYS_openat2, top, path, &how, sizeof(how));
    close(top);
    return fd;
}

/* Where a descriptor's file lies. */
static bool locate(int fd, char real[PATH_MAX])
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, real, PATH_MAX - 1);
    if (n > 0)
        real[n] = '\0';
    return n > 0;
}

/* Finds f->real: the longest part of the path that exists, resolved, and behind it what does not.
 */
static bool resolve(struct client_file *f, const char *root, const char *path, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path), used;
    struct stat st;
    int fd;

    snprintf(part, sizeof(part), "%s", path);
    while ((fd = open_inside(root, part)) < 0 && errno == ENOENT && len > 1) {
        while (len > 1 && part[len - 1] != '/')
            len--;
        len -= len > 1; /* the slash */
        part[len] = '\0';
        f->folders++;
    }
    if (fd < 0 || !locate(fd, f->real)) {
        err_set(err, "%s: %s", f->name, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(fd);
    f->exists = f->folders == 0;
    f->folders -= !f->exists; /* the file itself is none */
    used = strlen(f->real);
    if (used + strlen(path + len) + 2 > PATH_MAX) {
        err_set(err, "%s: the path is too long", f->name);
        return false;
    }
    if (!f->exists) {
        const char *rest = path + len + (path[len] == '/');
        size_t first = strcspn(rest, "/");

        if (used > 0 && f->real[used - 1] != '/')
            f->real[used++] = '/';
        snprintf(f->real + used, PATH_MAX - used, "%.*s", (int)first, rest);
        if (lstat(f->real, &st) == 0) {
            err_set(err, "%s: is a link to nothing", f->real);
            return false;
        }
        snprintf(f->real + used, PATH_MAX - used, "%s", rest);
    }
    return true;
}

static bool read_text(struct client_file *f, int fd, struct err *err)
{
    if (fstat(fd, &f->st) != 0 || !S_ISREG(f->st.st_mode)) {
        err_set(err, "%s: is no regular file", f->name);
        return false;
    }
    for (;;) {
        char *room = buf_reserve(&f->text, 65536);
        ssize_t n = room ? read(fd, room, 65536) : 0;

        if (!room || f->text.len + (size_t)n > CLIENT_FILE_MAX) {
            err_set(err, "%s: is larger than 4 MiB", f->name);
            return false;
        }
        if (n < 0) {
            err_set(err, "%s: cannot be read: %s", f->name, strerror(errno));
            return false;
        }
        if (n == 0)
            return true;
        buf_commit(&f->text, (size_t)n);
    }
}

bool client_file_read(struct client_file *f, const char *root, const char *path, struct err *err)
{
    bool ok;
    int fd;

    f->folders = 0;
    f->exists = false;
    f->st = (struct stat){0};
    buf_init(&f->text, CLIENT_FILE_MAX + 65536);
    if (snprintf(f->name, sizeof(f->name), "%s%s", strcmp(root, "/") == 0 ? "" : root, path) >=
        PATH_MAX) {
        err_set(err, "%.200s…: the path is too long", path);
        return false;
    }
    if (!resolve(f, root, path, err))
        return false;
    if (!f->exists)
        return true;
    fd = open(f->real, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) {
        err_set(err, "%s: cannot be read: %s", f->name, strerror(errno));
        return false;
    }
    ok = read_text(f, fd, err);
    close(fd);
    return ok;
}

/* Cuts the last part off a path. */
static void go_up(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash)
        slash[slash == path] = '\0';
}

static void remove_folders(const char *file, unsigned n)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s", file);
    while (n-- > 0) {
        go_up(path);
        if (rmdir(path) != 0)
            return;
    }
}

static bool make_folders(const struct client_file *f, struct err *err)
{
    char path[PATH_MAX];

    for (unsigned i = f->folders; i > 0; i--) {
        snprintf(path, sizeof(path), "%s", f->real);
        for (unsigned up = 0; up < i; up++)
            go_up(path);
        if (mkdir(path, 0755) != 0 && errno != EEXIST) {
            err_set(err, "%s: cannot be made: %s", path, strerror(errno));
            return false;
        }
    }
    return true;
}

static bool sync_folder(const char *file)
{
    char path[PATH_MAX];
    bool ok;
    int fd;

    snprintf(path, sizeof(path), "%s", file);
    go_up(path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool fill(const struct client_file *f, int fd, struct span text, unsigned mode)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);

        if (n < 0)
            return false;
        text = (struct span){text.ptr + n, text.len - (size_t)n};
    }
    return (!f->exists || fchown(fd, f->st.st_uid, f->st.st_gid) == 0) && fchmod(fd, mode) == 0 &&
           fsync(fd) == 0;
}

/* Whether the file is still the one that was read. */
static bool is_same(const struct client_file *f)
{
    struct stat st;

    if (lstat(f->real, &st) != 0)
        return !f->exists && (errno == ENOENT || errno == ENOTDIR);
    return f->exists && st.st_ino == f->st.st_ino && st.st_size == f->st.st_size &&
           st.st_mtim.tv_sec == f->st.st_mtim.tv_sec && st.st_mtim.tv_nsec == f->st.st_mtim.tv_nsec;
}

static bool replace(struct client_file *f, struct span text, unsigned mode, struct err *err)
{
    char path[PATH_MAX + 16];
    int fd;

    snprintf(path, sizeof(path), "%s.viaduct-XXXXXX", f->real);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) {
        err_set(err, "%s: cannot be written: %s", f->name, strerror(errno));
        return false;
    }
    if (!fill(f, fd, text, mode))
        err_set(err, "%s: cannot be written: %s", f->name, strerror(errno));
    else if (!is_same(f))
        err_set(err, "%s: somebody changed it just now: try again", f->name);
    else if (rename(path, f->real) != 0 || !sync_folder(f->real))
        err_set(err, "%s: cannot be replaced: %s", f->name, strerror(errno));
    else {
        close(fd);
        return true;
    }
    close(fd);
    unlink(path);
    return false;
}

bool client_file_write(struct client_file *f, struct span text, unsigned mode, struct err *err)
{
    if (make_folders(f, err) && replace(f, text, mode, err))
        return true;
    remove_folders(f->real, f->folders);
    return false;
}

bool client_file_delete(struct client_file *f, unsigned folders, struct err *err)
{
    if (!is_same(f) || unlink(f->real) != 0) {
        err_set(err, "%s: cannot be taken away: %s", f->name,
                is_same(f) ? strerror(errno) : "somebody changed it just now");
        return false;
    }
    sync_folder(f->real);
    remove_folders(f->real, folders);
    return true;
}

bool client_file_exists(const char *root, const char *path)
{
    int fd = open_inside(root, path);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

char **client_file_list(const char *root, const char *path, const char *suffix, unsigned *n)
{
    char real[PATH_MAX], **names = NULL;
    struct dirent **list = NULL;
    int fd = open_inside(root, path);
    int len = fd >= 0 && locate(fd, real) ? scandir(real, &list, NULL, compare_names) : -1;

    *n = 0;
    if (fd >= 0)
        close(fd);
    if (len > 0)
        names = calloc((size_t)len, sizeof(*names));
    for (int i = 0; i < len; i++) {
        struct span name = span_of(list[i]->d_name);

        if (names && *name.ptr != '.' && span_ends_with(name, span_of(suffix)) &&
            (names[*n] = span_dup(name)))
            ++*n;
        free(list[i]);
    }
    free(list);
    return names;
}

void client_file_fini(struct client_file *f)
{
    client_wipe(&f->text);
}

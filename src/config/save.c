#include "config/save.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether the lock file is still the one at its path: who held it before takes it away. */
static bool is_current(const struct save *s)
{
    struct stat mine, there;

    return fstat(s->lock_fd, &mine) == 0 && stat(s->lock, &there) == 0 &&
           mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static bool lock(struct save *s, struct err *err)
{
    for (;;) {
        s->lock_fd = open(s->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (s->lock_fd < 0) {
            err_set(err, "cannot make %s: %s", s->lock, strerror(errno));
            return false;
        }
        while (flock(s->lock_fd, LOCK_EX) != 0) {
            if (errno == EINTR)
                continue;
            err_set(err, "cannot lock %s: %s", s->lock, strerror(errno));
            return false;
        }
        if (is_current(s))
            return true;
        close(s->lock_fd);
        s->lock_fd = -1;
    }
}

static bool read_all(struct save *s, int fd, size_t max, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > max) {
        err_set(err, "%s: not a regular file of at most %zu bytes", s->path, max);
        return false;
    }
    s->uid = st.st_uid;
    s->gid = st.st_gid;
    s->text = malloc((size_t)st.st_size + 1);
    while (s->text && s->len < (size_t)st.st_size) {
        ssize_t n = read(fd, s->text + s->len, (size_t)st.st_size - s->len);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            err_set(err, "cannot read %s: %s", s->path, n ? strerror(errno) : "it became shorter");
            return false;
        }
        s->len += n > 0 ? (size_t)n : 0;
    }
    if (!s->text)
        err_set(err, "%s: out of memory", s->path);
    return s->text != NULL;
}

static bool read_file(struct save *s, size_t max, struct err *err)
{
    int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    s->is_new = fd < 0 && errno == ENOENT;
    if (s->is_new) {
        s->text = calloc(1, 1);
        if (!s->text)
            err_set(err, "out of memory");
        return s->text != NULL;
    }
    if (fd < 0) {
        err_set(err, "cannot open %s: %s", s->path, strerror(errno));
        return false;
    }
    bool ok = read_all(s, fd, max, err);
    close(fd);
    return ok;
}

bool save_begin(struct save *s, const char *path, size_t max, struct err *err)
{
    *s = (struct save){.lock_fd = -1};
    s->path = realpath(path, NULL);
    if (!s->path)
        s->path = strdup(path);
    if (!s->path || asprintf(&s->lock, "%s.lock", s->path) < 0) {
        s->lock = NULL;
        err_set(err, "out of memory");
        return false;
    }
    return lock(s, err) && read_file(s, max, err);
}

bool save_read(struct save *s, const char *path, size_t max, struct err *err)
{
    *s = (struct save){.lock_fd = -1, .path = strdup(path)};
    if (!s->path || !read_file(s, max, err)) {
        save_end(s);
        return false;
    }
    if (!s->is_new)
        return true;
    err_set(err, "cannot open %s: %s", path, strerror(ENOENT));
    save_end(s);
    return false;
}

static bool write_all(int fd, struct span text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);

        if (n < 0 && errno != EINTR)
            return false;
        text.ptr += n > 0 ? n : 0;
        text.len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static bool sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    free(copy);
    return ok;
}

/* Root gives the file to whom it belongs; others make what is theirs anyway. */
static bool give(int fd, uid_t uid, gid_t gid)
{
    return geteuid() != 0 || fchown(fd, uid, gid) == 0;
}

static bool replace(struct save *s, struct span text, uid_t uid, gid_t gid, struct err *err)
{
    char *fresh = NULL;

    if (asprintf(&fresh, "%s.XXXXXX", s->path) < 0) {
        err_set(err, "out of memory");
        return false;
    }
    int fd = mkostemp(fresh, O_CLOEXEC); /* 0600 */
    bool made = fd >= 0;
    bool ok = made && give(fd, uid, gid) && write_all(fd, text) && fsync(fd) == 0;
    int saved = errno;
    if (made && close(fd) != 0 && ok) {
        saved = errno;
        ok = false;
    }
    if (ok && rename(fresh, s->path) != 0) {
        saved = errno;
        ok = false;
    }
    if (!ok) {
        err_set(err, "cannot write %s: %s; it stands as it was", s->path, strerror(saved));
        if (made)
            unlink(fresh);
    } else if (!sync_folder(s->path)) {
        err_set(err, "%s is written, but its folder could not be synchronised: %s", s->path,
                strerror(errno));
        ok = false;
    }
    free(fresh);
    return ok;
}

bool save_write(struct save *s, struct span text, uid_t owner, gid_t group, struct err *err)
{
    sigset_t all, old;

    sigfillset(&all); /* no file is left beside it by a key pressed now */
    sigprocmask(SIG_BLOCK, &all, &old);
    bool ours = s->is_new || s->uid == 0; /* root's own, mode 0600: the proxy could not read it */
    bool ok = replace(s, text, ours ? owner : s->uid, ours ? group : s->gid, err);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return ok;
}

void save_end(struct save *s)
{
    if (s->lock_fd >= 0) {
        unlink(s->lock);
        close(s->lock_fd);
    }
    if (s->text)
        explicit_bzero(s->text, s->len);
    free(s->text);
    free(s->lock);
    free(s->path);
    *s = (struct save){.lock_fd = -1};
}

void save_find_owner(const struct config *c, uid_t *uid, gid_t *gid)
{
    const struct passwd *user = getpwnam(c->user);

    if (!user && !c->user_given)
        user = getpwnam("nobody");
    *uid = user ? user->pw_uid : geteuid();
    *gid = user ? user->pw_gid : getegid();
}

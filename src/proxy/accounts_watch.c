#include "proxy/accounts_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/log.h"
#include "config/accounts_file.h"

/* Not IN_CREATE: a file that was just made is empty, and IN_CLOSE_WRITE follows. */
#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR)

void accounts_watch_init(struct accounts_watch *w)
{
    *w = (struct accounts_watch){.fd = -1};
}

void accounts_watch_fini(struct accounts_watch *w)
{
    if (w->fd >= 0)
        close(w->fd);
    accounts_watch_init(w);
}

static bool watch_folder(const struct accounts_watch *w, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash > path ? (size_t)(slash - path) : 1) : strdup(".");
    bool ok = folder && inotify_add_watch(w->fd, folder, EVENTS) >= 0;

    if (!ok)
        log_warning("%s: changes cannot be followed (%s); SIGHUP reads it again", path,
                    strerror(errno));
    free(folder);
    return ok;
}

/* Adding a folder again changes nothing. */
static void watch_folders(const struct accounts_watch *w)
{
    char *real = w->fd >= 0 ? realpath(w->path, NULL) : NULL;

    if (w->fd >= 0 && watch_folder(w, w->path) && real)
        watch_folder(w, real);
    free(real);
}

void accounts_watch_set(struct accounts_watch *w, const char *path)
{
    bool same = w->path && strcmp(w->path, path) == 0;

    w->path = path;
    if (same)
        return;
    if (w->fd >= 0)
        close(w->fd);
    w->seen = (struct stat){0};
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0)
        log_warning("%s: changes cannot be followed (%s); SIGHUP reads it again", path,
                    strerror(errno));
    watch_folders(w);
}

static struct accounts *make_empty(void)
{
    struct accounts *s = accounts_new();

    if (s && accounts_seal(s))
        return s;
    accounts_unref(s);
    return NULL;
}

struct accounts *accounts_watch_load(struct accounts_watch *w, bool absent_is_empty)
{
    struct config_report report = {0};
    struct accounts *s = NULL;

    watch_folders(w); /* before it is read: what happens meanwhile is not missed */
    if (stat(w->path, &w->seen) < 0) {
        int err = errno;

        w->seen = (struct stat){0};
        if (err == ENOENT && absent_is_empty) {
            log_warning("%s is not there: nobody can log in until `viaduct account add` makes it",
                        w->path);
            return make_empty();
        }
    }
    s = accounts_file_load(w->path, &report);
    for (unsigned i = 0; i < report.len; i++) {
        if (report.items[i].warning)
            log_warning("%s", report.items[i].text);
        else
            log_error("%s", report.items[i].text);
    }
    config_report_fini(&report);
    return s;
}

void accounts_watch_forget(struct accounts_watch *w)
{
    w->seen = (struct stat){0};
}

bool accounts_watch_is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

bool accounts_watch_has_changed(struct accounts_watch *w)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    struct stat now = {0};

    while (read(w->fd, events, sizeof events) > 0)
        continue;
    if (stat(w->path, &now) < 0)
        now = (struct stat){0};
    return !accounts_watch_is_same(&now, &w->seen);
}

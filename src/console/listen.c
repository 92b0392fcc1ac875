#include "console/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PEM_MAX (1024 * 1024)
#define BACKLOG 128

static char *read_file(const char *path, struct err *err)
{
    FILE *f = fopen(path, "re");
    char *text = malloc(PEM_MAX + 1);
    size_t n = 0;

    if (!f)
        err_set(err, "cannot open %s: %s", path, strerror(errno));
    else if (text)
        n = fread(text, 1, PEM_MAX, f);
    if (f && n == 0)
        err_set(err, "%s is empty, or cannot be read", path);
    if (f)
        fclose(f);
    if (n == 0) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

bool listen_load_tls(const struct config_console *c, struct listen_tls *out, struct err *err)
{
    if (!c->tls_certificate)
        return true;
    out->certificate = read_file(c->tls_certificate, err);
    out->key = out->certificate ? read_file(c->tls_key, err) : NULL;
    if (out->key)
        return true;
    listen_free_tls(out);
    return false;
}

void listen_free_tls(struct listen_tls *t)
{
    free(t->certificate);
    if (t->key)
        explicit_bzero(t->key, strlen(t->key));
    free(t->key);
    *t = (struct listen_tls){0};
}

int listen_tcp(const struct endpoint *at, struct err *err)
{
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(at, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    char text[ENDPOINT_TEXT_MAX];

    endpoint_write(at, text);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    err_set(err, "cannot listen on %s: %s", text, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

void listen_path_beside(const char *path, const char *name, char *out, size_t cap)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    snprintf(out, cap, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path ? path : "", name);
}

/* A folder of ours alone: one in /tmp may be somebody else's trap. */
static bool make_folder(const char *path, struct err *err)
{
    char folder[108];
    struct stat st;

    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (mkdir(folder, 0750) == 0)
        return true;
    if (errno != EEXIST) {
        err_set(err, "cannot make %s: %s", folder, strerror(errno));
        return false;
    }
    if (lstat(folder, &st) == 0 && S_ISDIR(st.st_mode) &&
        (st.st_uid == geteuid() || st.st_uid == 0))
        return true;
    err_set(err, "%s is not a folder of ours", folder);
    return false;
}

static bool is_served(const struct sockaddr_un *sa)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served = fd >= 0 && connect(fd, (const struct sockaddr *)sa, sizeof *sa) == 0;

    if (fd >= 0)
        close(fd);
    return served;
}

int listen_control(const char *path, struct err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    mode_t before;
    int fd, bound;

    if (strlen(path) >= sizeof sa.sun_path || !strchr(path, '/')) {
        err_set(err, "%s: too long for a socket's name, or no path", path);
        return -1;
    }
    memcpy(sa.sun_path, path, strlen(path));
    if (!make_folder(path, err))
        return -1;
    if (is_served(&sa)) {
        err_set(err, "%s is another proxy's", path);
        return -1;
    }
    unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    before = umask(0117);
    bound = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&sa, sizeof sa);
    umask(before);
    if (bound == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    err_set(err, "cannot listen on %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The whole call has one deadline, so a socket that says a byte now and then gains nothing. */
#include "cli/control.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "cli/answer.h"
#include "cli/harmless.h"
#include "config/config.h"

#define WAIT_NS (5 * NS_PER_S)
#define AGAIN_MS 20 /* until a full queue of callers is tried again */
#define INSTANCE_MAX (64u << 10)
#define SERVICE_SOCKET "/run/viaduct/control.sock"

/* ---- where */

void control_find(char path[CONTROL_PATH_MAX])
{
    struct config_report report = {0};
    struct config *c = config_load_main(NULL, &report); /* the place hangs on the account alone */
    const char *own = c && c->control ? c->control : "";

    if (access(own, F_OK) < 0 && errno == ENOENT && getenv("RUNTIME_DIRECTORY") == NULL &&
        (access(SERVICE_SOCKET, F_OK) == 0 || errno == EACCES))
        own = SERVICE_SOCKET;
    if ((size_t)snprintf(path, CONTROL_PATH_MAX, "%s", own) >= CONTROL_PATH_MAX)
        *path = '\0';
    config_report_fini(&report);
    config_unref(c);
}

bool control_is_same_file(const char *file, const char *real)
{
    char *own = realpath(file, NULL);
    bool same = *real && strcmp(own ? own : file, real) == 0;

    free(own);
    return same;
}

/* A folder that anybody could have made there first, in /tmp, has to be ours or root's. */
static bool is_trap(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[CONTROL_PATH_MAX], above[CONTROL_PATH_MAX + 4];
    struct stat st, up;

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 0, path);
    snprintf(above, sizeof above, "%s/..", folder);
    return *folder && lstat(folder, &st) == 0 && st.st_uid != geteuid() && st.st_uid != 0 &&
           stat(above, &up) == 0 && (up.st_mode & S_IWOTH);
}

/* ---- what is said of a refusal */

/* Who may: the owner and the group of the socket, or of the folder that hides it. */
static void say_denied(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char folder[CONTROL_PATH_MAX];
    struct group *group;
    struct stat st;

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 0, path);
    if (stat(path, &st) < 0 && stat(folder, &st) < 0) {
        err_set(err, "may not ask the proxy at %s: %s (try sudo)", path, strerror(EACCES));
        return;
    }
    group = getgrgid(st.st_gid);
    if (group && st.st_gid != 0)
        err_set(err,
                "may not ask the proxy at %s: root may (sudo), and members of the group %s "
                "(usermod -aG %s NAME)",
                path, group->gr_name, group->gr_name);
    else
        err_set(err, "may not ask the proxy at %s: root may (sudo)", path);
}

/* ---- the call */

static void say_late(struct err *err)
{
    err_set(err, "the proxy does not answer at the control socket within %d s",
            (int)(WAIT_NS / NS_PER_S));
}

/* Waits until the socket is ready; false with *err: the time is over. */
static bool wait_for(int fd, short events, uint64_t until_ns, struct err *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        uint64_t now_ns = clock_mono_ns();

        if (now_ns >= until_ns) {
            say_late(err);
            return false;
        }
        if (poll(&p, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1) > 0)
            return true;
    }
}

static void say_unreachable(const char *path, int error, enum control_result *result,
                            struct err *err)
{
    if (error == EACCES || error == EPERM) {
        *result = CONTROL_DENIED;
        say_denied(path, err);
    } else if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) {
        *result = CONTROL_NOBODY;
        err_set(err, "no proxy is running here (%s)", path);
    } else {
        err_set(err, "%s: %s", path, strerror(error));
    }
}

/* The socket of one that answers calls; -1 with *err and *result. */
static int join(const char *path, uint64_t until_ns, enum control_result *result, struct err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(sa.sun_path, path, strlen(path));
    *result = CONTROL_FAILED;
    while (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) < 0) {
        if (errno != EAGAIN) {
            say_unreachable(path, errno, result, err);
            close(fd);
            return -1;
        }
        if (clock_mono_ns() >= until_ns) {
            say_late(err);
            close(fd);
            return -1;
        }
        poll(NULL, 0, AGAIN_MS); /* its queue is full: a UNIX socket cannot be waited for */
    }
    if (fd < 0)
        err_set(err, "cannot make a socket: %s", strerror(errno));
    return fd;
}

static bool send_all(int fd, struct span bytes, uint64_t until_ns, struct err *err)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            err_set(err, "the control socket takes no request: %s", strerror(errno));
            return false;
        }
        if (n > 0)
            bytes = (struct span){bytes.ptr + n, bytes.len - (size_t)n};
        else if (!wait_for(fd, POLLOUT, until_ns, err))
            return false;
    }
    return true;
}

/* Reads until the answer is whole. */
static bool read_answer(int fd, struct answer *a, uint64_t until_ns, struct err *err)
{
    static char bytes[65536];

    for (;;) {
        enum parse found;
        ssize_t n;

        if (!wait_for(fd, POLLIN, until_ns, err))
            return false;
        n = read(fd, bytes, sizeof bytes);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n < 0) {
            err_set(err, "the control socket: %s", strerror(errno));
            return false;
        }
        if (n == 0)
            return answer_finish(a, err);
        found = answer_take(a, (struct span){bytes, (size_t)n}, err);
        explicit_bzero(bytes, (size_t)n);
        if (found != PARSE_MORE)
            return found == PARSE_OK;
    }
}

/* What a problem says to people, harmless. */
static void take_message(const struct answer *a, struct err *err)
{
    struct span body = buf_span(a->out);
    json_t *root = json_loadb(body.ptr, body.len, 0, NULL);
    const char *message = json_string_value(json_object_get(root, "message"));
    char text[512];

    if (message && *message)
        err_set(err, "the proxy says: %s", harmless_write(message, text, sizeof text));
    else
        err_set(err, "the proxy says no (status %u)", a->status);
    json_decref(root);
}

static enum control_result judge(const struct answer *a, struct err *err)
{
    if (a->status / 100 == 2)
        return CONTROL_OK;
    take_message(a, err);
    return a->status == 401 || a->status == 403 ? CONTROL_DENIED : CONTROL_FAILED;
}

static bool write_request(const struct control_request *r, struct buf *out)
{
    return buf_printf(out,
                      "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                      "%sContent-Length: %zu\r\n\r\n",
                      r->method, r->path, r->body.len ? "Content-Type: application/json\r\n" : "",
                      r->body.len) &&
           buf_append(out, r->body.ptr, r->body.len);
}

static enum http1_method method_of(const char *name)
{
    return strcmp(name, "GET") == 0    ? METHOD_GET
           : strcmp(name, "POST") == 0 ? METHOD_POST
                                       : METHOD_OTHER;
}

enum control_result control_ask(const char *path, const struct control_request *r, struct buf *out,
                                struct err *err)
{
    uint64_t until_ns = clock_mono_ns() + WAIT_NS;
    enum control_result result;
    static struct answer a; /* 5 KiB of a head */
    struct buf request;
    int fd;

    if (!*path) {
        err_set(err, "the control socket has no name that a socket can have");
        return CONTROL_FAILED;
    }
    if (is_trap(path)) {
        err_set(err, "%s lies in a folder of somebody else", path);
        return CONTROL_FAILED;
    }
    fd = join(path, until_ns, &result, err);
    if (fd < 0)
        return result;
    answer_init(&a, out, method_of(r->method));
    buf_init(&request, 1u << 20);
    if (!write_request(r, &request))
        err_set(err, "the request is too long");
    else if (send_all(fd, buf_span(&request), until_ns, err) && read_answer(fd, &a, until_ns, err))
        result = judge(&a, err);
    buf_fini(&request);
    answer_fini(&a);
    close(fd);
    return result;
}

/* ---- which proxy */

static bool take_path(const json_t *root, const char *key, char out[4096])
{
    const json_t *value = json_object_get(root, key);
    const char *text = json_string_value(value);

    return value && (json_is_null(value) || text) &&
           (size_t)snprintf(out, 4096, "%s", text ? text : "") < 4096;
}

enum control_result control_learn(const char *path, struct control_instance *out, struct err *err)
{
    struct control_request r = {"GET", "/api/v1/instance", {"", 0}};
    enum control_result result;
    struct buf answer;
    json_t *root;

    *out = (struct control_instance){0};
    buf_init(&answer, INSTANCE_MAX);
    result = control_ask(path, &r, &answer, err);
    if (result == CONTROL_OK) {
        root = json_loadb(buf_span(&answer).ptr, answer.len, JSON_REJECT_DUPLICATES, NULL);
        if (!take_path(root, "config", out->config) || !take_path(root, "history", out->history) ||
            !take_path(root, "accounts", out->accounts)) {
            err_set(err, "the answer at the control socket makes no sense");
            result = CONTROL_FAILED;
        }
        json_decref(root);
    }
    buf_fini(&answer);
    return result;
}

/* ---- arguments */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~", c));
}

bool control_add_argument(struct buf *path, bool first, const char *name, struct span value)
{
    bool ok = buf_printf(path, "%c%s=", first ? '?' : '&', name);

    for (size_t i = 0; i < value.len && ok; i++)
        ok = is_plain(value.ptr[i])
                 ? buf_append(path, &value.ptr[i], 1)
                 : buf_printf(path, "%%%02X", (unsigned)(unsigned char)value.ptr[i]);
    return ok;
}

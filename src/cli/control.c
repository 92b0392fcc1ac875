#include "cli/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "wire/http1.h"

#define WAIT_S 10

static int join(const struct config *c, struct err *err)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    const struct timeval wait = {.tv_sec = WAIT_S};
    int fd;

    if (!c->control || strlen(c->control) >= sizeof sa.sun_path) {
        err_set(err, "the control socket has no name that a socket can have");
        return -1;
    }
    memcpy(sa.sun_path, c->control, strlen(c->control));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
        connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    if (errno == ENOENT || errno == ECONNREFUSED)
        err_set(err, "no proxy is running here (%s)", c->control);
    else
        err_set(err, "%s: %s", c->control, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The whole stream; the request asked for the connection to be closed behind the answer. */
static bool read_all(int fd, struct buf *out, struct err *err)
{
    for (;;) {
        char *room = buf_reserve(out, 65536);
        ssize_t n = room ? read(fd, room, 65536) : -1;

        if (n == 0)
            return true;
        if (n < 0 && room && errno == EINTR)
            continue;
        if (n < 0) {
            err_set(err, "the proxy's answer: %s", room ? strerror(errno) : "longer than is taken");
            return false;
        }
        buf_commit(out, (size_t)n);
    }
}

/* What a problem says to people. */
static void take_message(struct span body, struct err *err)
{
    json_t *root = json_loadb(body.ptr, body.len, 0, NULL);
    const char *message = json_string_value(json_object_get(root, "message"));

    err_set(err, "the proxy says: %s", message ? message : "no, and not why");
    json_decref(root);
}

static enum control_result take_answer(struct buf *out, struct err *err)
{
    static struct http1_head head;

    http1_head_reset(&head);
    if (http1_parse_response(buf_span(out), &head) != PARSE_OK) {
        err_set(err, "who listens at the control socket speaks no HTTP");
        return CONTROL_FAILED;
    }
    buf_consume(out, head.head_len);
    if (head.status / 100 == 2)
        return CONTROL_OK;
    take_message(buf_span(out), err);
    return CONTROL_FAILED;
}

enum control_result control_ask(const struct config *c, const char *method, const char *path,
                                struct buf *out, struct err *err)
{
    char request[1024];
    int n = snprintf(request, sizeof request,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     "Content-Length: 0\r\n\r\n",
                     method, path);
    int fd = join(c, err);
    enum control_result result = CONTROL_FAILED;

    if (fd < 0)
        return CONTROL_NOBODY;
    if (n < 0 || (size_t)n >= sizeof request || write(fd, request, (size_t)n) != n)
        err_set(err, "the control socket takes no request");
    else if (read_all(fd, out, err))
        result = take_answer(out, err);
    close(fd);
    return result;
}

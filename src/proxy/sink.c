#include "proxy/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "render/render.h"

#define WAIT_MS 500 /* at a full pipe, until it is asked again whether to go on waiting */

static sink_render_fn choose_format(const struct config *c)
{
    if (c->log_to == LOG_TO_OFF)
        return NULL;
    switch (c->log_format) {
    case LOG_FORMAT_JSON:
        return render_json;
    case LOG_FORMAT_TEXT:
        return render_text;
    case LOG_FORMAT_SQUID:
        return render_squid;
    case LOG_FORMAT_AUTO:
        break;
    }
    return c->log_to == LOG_TO_STDOUT && isatty(STDOUT_FILENO) ? render_text : render_json;
}

/* Takes over an open descriptor in place of the one before. */
static void set_fd(struct sink *s, int fd)
{
    struct stat st = {0};

    if (s->fd > STDERR_FILENO)
        close(s->fd);
    fstat(fd, &st);
    s->fd = fd;
    s->is_sock = S_ISSOCK(st.st_mode);
    s->waits = s->is_sock || S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode);
    s->is_torn = false;
}

bool sink_reopen(struct sink *s, struct err *err)
{
    int fd;

    if (s->to != LOG_TO_FILE)
        return true;
    /* Not blocking: a named pipe without a reader is an error, not a proxy that does not start. */
    fd = open(s->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (fd < 0) {
        err_set(err, "cannot open %s: %s", s->path, strerror(errno));
        return false;
    }
    set_fd(s, fd);
    return true;
}

struct sink *sink_new(const struct config *c, struct err *err)
{
    struct sink *s = calloc(1, sizeof *s);
    bool ok = s && (c->log_to != LOG_TO_FILE || (s->path = strdup(c->log_file)));

    if (!ok) {
        err_set(err, "out of memory");
    } else {
        s->fd = -1;
        s->to = c->log_to;
        s->render = choose_format(c);
        if (s->to == LOG_TO_STDOUT)
            set_fd(s, STDOUT_FILENO);
        if (s->to == LOG_TO_SYSLOG)
            openlog("viaduct", LOG_PID | LOG_NDELAY, LOG_DAEMON);
        ok = sink_reopen(s, err);
    }
    if (!ok) {
        sink_free(s);
        return NULL;
    }
    return s;
}

void sink_free(struct sink *s)
{
    if (!s)
        return;
    if (s->fd > STDERR_FILENO)
        close(s->fd);
    free(s->path);
    free(s);
}

static void write_syslog(struct span rest)
{
    while (rest.len > 0) {
        struct span line = span_cut(&rest, '\n');

        syslog(LOG_INFO, "%.*s", (int)line.len, line.ptr);
    }
}

/* One write that does not wait in the kernel: a pipe that poll calls writable takes PIPE_BUF bytes.
 */
static ssize_t write_some(struct sink *s, const char *bytes, size_t len)
{
    ssize_t n;

    do {
        if (s->is_sock)
            n = send(s->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        else
            n = write(s->fd, bytes, s->waits && len > PIPE_BUF ? PIPE_BUF : len);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* False: it could not take more, and nobody wants to wait longer. */
static bool wait_writable(struct sink *s, sink_wait_fn wait, void *arg)
{
    struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};

    for (int ms = 0; poll(&pfd, 1, ms) <= 0; ms = WAIT_MS)
        if (!wait(arg))
            return false;
    return true;
}

size_t sink_write(struct sink *s, struct span lines, sink_wait_fn wait, void *arg, int *error)
{
    size_t done = 0;

    *error = 0;
    if (s->to == LOG_TO_SYSLOG) {
        write_syslog(lines);
        return lines.len;
    }
    while (done < lines.len) {
        ssize_t n;

        if (s->waits && !wait_writable(s, wait, arg)) {
            *error = EAGAIN;
            break;
        }
        if (s->is_torn && done == 0 && write_some(s, "\n", 1) == 1)
            s->is_torn = false;
        n = write_some(s, lines.ptr + done, lines.len - done);
        if (n < 0 && errno == EAGAIN && s->waits)
            continue;
        if (n < 0) {
            *error = errno;
            break;
        }
        done += (size_t)n;
    }
    if (done > 0)
        s->is_torn = lines.ptr[done - 1] != '\n';
    return done;
}

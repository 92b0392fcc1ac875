/* From a request of libmicrohttpd's to its answer: collected, admitted, handled whole; and the
 * streams of events, whose answers do not end. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "console/internal.h"
#include "console/routes.h"
#include "console/static.h"

#define STREAMS_MAX 64
#define STREAM_BYTES (4u << 20) /* of events that a client has not taken */

static enum MHD_Result send_reply(struct request *r, struct reply *reply);

/* --- answers ---------------------------------------------------------------------------------- */

static enum MHD_Result answer_bytes(struct MHD_Connection *connection, const struct reply *reply,
                                    struct MHD_Response *response)
{
    enum MHD_Result result;

    guard_add_fields(response, reply);
    result = MHD_queue_response(connection, (unsigned)reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static ssize_t read_stream(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct stream *s = cls;
    size_t n = s->out.len < max ? s->out.len : max;

    (void)pos;
    if (n == 0 && s->over)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (n == 0 && !s->suspended) {
        s->suspended = true;
        MHD_suspend_connection(s->connection);
        return 0;
    }
    memcpy(buf, buf_span(&s->out).ptr, n);
    buf_consume(&s->out, n);
    return (ssize_t)n;
}

static void free_stream(void *cls)
{
    struct stream *s = cls, **at = &s->console->streams;

    while (*at && *at != s)
        at = &(*at)->next;
    if (*at) {
        *at = s->next;
        s->console->streams_len--;
    }
    if (s->events.free)
        s->events.free(s->events.owner);
    buf_fini(&s->out);
    free(s);
}

static enum MHD_Result answer_stream(struct request *r, struct reply *reply)
{
    struct console *c = r->console;
    struct stream *s = calloc(1, sizeof *s);
    struct MHD_Response *response;

    if (!s || c->streams_len >= STREAMS_MAX) {
        if (reply->stream->free)
            reply->stream->free(reply->stream->owner);
        free(s);
        reply->stream = NULL;
        reply_problem(reply, 503, "too-many-streams", NULL, "%d pages follow events already",
                      STREAMS_MAX);
        return send_reply(r, reply);
    }
    s->console = c;
    s->events = *reply->stream;
    s->connection = r->connection;
    if (r->session)
        memcpy(s->csrf, r->session->csrf, sizeof s->csrf);
    buf_init(&s->out, STREAM_BYTES);
    s->over = !s->events.tick(s->events.owner, &s->out, c->now_ns);
    s->next = c->streams;
    c->streams = s;
    c->streams_len++;
    crowd_set_following(r->guest);
    reply->type = "text/event-stream";
    response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, s, free_stream);
    if (!response) {
        free_stream(s);
        return MHD_NO;
    }
    return answer_bytes(r->connection, reply, response);
}

/* Its body is copied or static. */
static enum MHD_Result send_reply(struct request *r, struct reply *reply)
{
    struct span body = reply->fixed.ptr ? reply->fixed : buf_span(&reply->body);
    struct MHD_Response *response;

    if (reply->stream)
        return answer_stream(r, reply);
    response = MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr,
                                               reply->fixed.ptr ? MHD_RESPMEM_PERSISTENT
                                                                : MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    return answer_bytes(r->connection, reply, response);
}

void exchange_resume(struct stream *s)
{
    if (!s->suspended)
        return;
    s->suspended = false;
    MHD_resume_connection(s->connection);
}

/* --- requests --------------------------------------------------------------------------------- */

static void free_reply(struct reply *reply)
{
    buf_wipe(&reply->body);
    buf_fini(&reply->body);
    free(reply->cookie);
    free(reply->location);
    free(reply->disposition);
    free(reply->allow);
}

static void free_request(struct request *r)
{
    if (!r)
        return;
    buf_wipe(&r->body); /* it may have a password in it */
    buf_fini(&r->body);
    for (unsigned i = 0; i < REQUEST_PARTS; i++)
        free(r->parts[i]);
    if (r->upload_fd >= 0)
        close(r->upload_fd);
    free(r);
}

/* CONSOLE_METHODS: none of ours. */
static enum console_method find_method(const char *name, bool *head_only)
{
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE"};

    *head_only = strcmp(name, "HEAD") == 0;
    if (*head_only)
        return CONSOLE_GET;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum console_method)i;
    return CONSOLE_METHODS;
}

/* Finds out what is asked, by whom, and whether he may; false: *reply says no. */
static bool receive(struct request *r, const char *method, struct reply *reply)
{
    char allow[64];

    r->method = find_method(method, &r->head_only);
    if (!guard_admit(&r->console->guard, r, reply))
        return false;
    r->route = routes_find(r, allow, sizeof allow);
    if (!r->route) {
        if (r->method == CONSOLE_GET && static_find(r, reply))
            return false; /* answered */
        if (*allow || static_has(r)) {
            reply->allow = strdup(*allow ? allow : "GET, HEAD");
            reply_problem(reply, 405, "method-not-allowed", NULL, "%s is not for %s", method,
                          r->path);
        } else {
            reply_problem(reply, 404, "not-found", NULL, "nothing is at %s", r->path);
        }
        return false;
    }
    if (!guard_allow(&r->console->guard, r, reply)) {
        r->route = NULL; /* whatever still comes, nothing handles it */
        return false;
    }
    if (r->route->upload)
        crowd_set_uploading(r->guest);
    buf_init(&r->body, r->route->body_max);
    return true;
}

static struct crowd_guest *guest_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

static struct request *begin_request(struct console *c, struct MHD_Connection *connection,
                                     const char *path, bool local)
{
    struct request *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->console = c;
    r->connection = connection;
    r->guest = guest_of(connection);
    r->path = path;
    r->local = local;
    r->upload_fd = -1;
    return r;
}

/* A refusal at the head: the body that follows is not read, so the connection ends. */
static enum MHD_Result refuse(struct request *r, struct reply *reply)
{
    enum MHD_Result result = send_reply(r, reply);

    free_reply(reply);
    return result;
}

static enum MHD_Result handle(struct console *c, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *upload, size_t *upload_len,
                              void **state, bool local)
{
    struct request *r = *state;
    struct reply reply = {.status = 200};
    enum MHD_Result result;

    if (!r) {
        r = begin_request(c, connection, url, local);
        if (!r)
            return MHD_NO;
        *state = r;
        return receive(r, method, &reply) ? MHD_YES : refuse(r, &reply);
    }
    if (!r->route)
        return MHD_YES; /* refused already */
    if (*upload_len) {
        struct span bytes = {upload, *upload_len};

        *upload_len = 0;
        return guard_take_body(r, bytes) ? MHD_YES : MHD_NO;
    }
    crowd_set_served(r->guest, c->now_ns);
    if (r->too_large)
        reply_problem(&reply, 413, "too-large", NULL, "at most %u bytes are taken",
                      r->route->body_max);
    else if (r->is_broken)
        reply_out_of_memory(&reply);
    else
        r->route->handle(r, &reply);
    result = send_reply(r, &reply);
    free_reply(&reply);
    return result;
}

enum MHD_Result exchange_serve_web(void *cls, struct MHD_Connection *connection, const char *url,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_len, void **state)
{
    (void)version;
    return handle(cls, connection, url, method, upload, upload_len, state, false);
}

enum MHD_Result exchange_serve_control(void *cls, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *upload, size_t *upload_len, void **state)
{
    (void)version;
    return handle(cls, connection, url, method, upload, upload_len, state, true);
}

void exchange_complete(void *cls, struct MHD_Connection *connection, void **state,
                       enum MHD_RequestTerminationCode code)
{
    const struct console *c = cls;

    (void)code;
    crowd_set_asking(guest_of(connection), c->now_ns);
    free_request(*state);
    *state = NULL;
}

static void note_connection(struct console *c, struct crowd *crowd,
                            struct MHD_Connection *connection, void **context,
                            enum MHD_ConnectionNotificationCode code)
{
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        crowd_remove(crowd, *context);
        *context = NULL;
        return;
    }
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *context = info ? crowd_add(crowd, info->connect_fd, c->now_ns) : NULL;
}

void exchange_note_web(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code)
{
    struct console *c = cls;

    note_connection(c, &c->guests, connection, context, code);
}

void exchange_note_control(void *cls, struct MHD_Connection *connection, void **context,
                           enum MHD_ConnectionNotificationCode code)
{
    struct console *c = cls;

    note_connection(c, &c->local_guests, connection, context, code);
}

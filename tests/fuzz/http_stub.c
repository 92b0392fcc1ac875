#include "http_stub.h"

#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "console/internal.h"
#include "console/routes.h"

#define FIELDS_MAX 32
#define STREAM_READS 3
#define STREAM_BLOCK 16384

struct pair {
    const char *name, *value;
};

struct MHD_Connection {
    enum stub_who who;
    const char *method, *path;
    struct pair fields[FIELDS_MAX + 4], arguments[FIELDS_MAX], cookies[FIELDS_MAX + 1];
    unsigned fields_len, arguments_len, cookies_len;
    char host[32], cookie[GUARD_COOKIE_MAX];
    struct span body;
    struct stub_answer *answer;
};

struct MHD_Response {
    char *body;
    size_t len;
    MHD_ContentReaderCallback read; /* of a stream; NULL */
    MHD_ContentReaderFreeCallback end;
    void *owner;
    char type[64];
    bool strict; /* it has the fields that keep browsers so */
};

struct MHD_Daemon {
    MHD_AccessHandlerCallback handle;
    void *owner;
    MHD_RequestCompletedCallback completed;
    void *completed_owner;
    bool local;
};

static struct MHD_Daemon daemons[2];
static unsigned daemons_len;
static int inet_fd = -1, unix_fd[2] = {-1, -1};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static void (*waiting)(void *arg); /* to be done by the console's thread */
static void *waiting_arg;

/* --- a request out of text -------------------------------------------------------------------- */

static int hex_of(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* In place, as libmicrohttpd does. */
static void unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (*s == '%' && hex_of(s[1]) >= 0 && hex_of(s[2]) >= 0) {
            *to++ = (char)(hex_of(s[1]) << 4 | hex_of(s[2]));
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

static void add(struct pair *all, unsigned *len, const char *name, const char *value)
{
    if (*len < FIELDS_MAX)
        all[(*len)++] = (struct pair){name, value};
}

static void split_arguments(struct MHD_Connection *c, char *query)
{
    for (char *one; (one = strsep(&query, "&"));) {
        char *value = one;
        char *name = strsep(&value, "=");

        for (char *plus = value; plus && (plus = strchr(plus, '+'));)
            *plus = ' ';
        unescape(name);
        if (value)
            unescape(value);
        add(c->arguments, &c->arguments_len, name, value);
    }
}

/* Cuts its text up, where the field's value is not wanted any more. */
static void split_cookies(struct MHD_Connection *c, char *value)
{
    for (char *one; (one = strsep(&value, ";"));) {
        char *text = one + strspn(one, " ");
        char *name = strsep(&text, "=");

        if (text)
            add(c->cookies, &c->cookies_len, name, text);
    }
}

static void split_head(struct MHD_Connection *c, char *head)
{
    char *line = strsep(&head, "\n"), *who = strsep(&line, " "), *method = strsep(&line, " ");
    char *path = line ? line : who + strlen(who), *query = strchr(path, '?');

    c->who = strcmp(who, "local") == 0 ? STUB_LOCAL
             : strcmp(who, "web") == 0 ? STUB_NOBODY
                                       : STUB_ADMIN;
    c->method = method ? method : "GET";
    c->path = path;
    if (query) {
        *query = '\0';
        split_arguments(c, query + 1);
    }
    unescape(path);
    for (char *field; (field = strsep(&head, "\n"));) {
        char *value = field;
        char *name = strsep(&value, ":");

        if (!value)
            continue;
        value += strspn(value, " ");
        add(c->fields, &c->fields_len, name, value);
        if (strcasecmp(name, "Cookie") == 0)
            split_cookies(c, value);
    }
}

static const char *find_pair(const struct pair *all, unsigned len, const char *name, bool nocase)
{
    for (unsigned i = 0; i < len; i++)
        if ((nocase ? strcasecmp : strcmp)(all[i].name, name) == 0)
            return all[i].value;
    return NULL;
}

/* What a browser of the administrator would send along, where the text does not say otherwise. */
static void add_defaults(struct MHD_Connection *c, const struct stub_session *s)
{
    snprintf(c->host, sizeof c->host, "localhost:%u", s->port);
    if (!find_pair(c->fields, c->fields_len, "Host", true))
        c->fields[c->fields_len++] = (struct pair){"Host", c->host};
    if (c->who != STUB_ADMIN)
        return;
    c->fields[c->fields_len++] = (struct pair){"X-CSRF-Token", s->csrf};
    guard_write_cookie(&(struct guard){.at = {.port = s->port}}, c->cookie);
    c->cookies[c->cookies_len++] = (struct pair){c->cookie, s->cookie};
}

/* --- what the console calls ------------------------------------------------------------------- */

const char *MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind,
                                        const char *key)
{
    if (kind == MHD_GET_ARGUMENT_KIND)
        return find_pair(c->arguments, c->arguments_len, key, false);
    if (kind == MHD_COOKIE_KIND)
        return find_pair(c->cookies, c->cookies_len, key, false);
    return find_pair(c->fields, c->fields_len, key, true);
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *c,
                                                        enum MHD_ConnectionInfoType type, ...)
{
    static struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = 4711};
    static union MHD_ConnectionInfo fd, address, nothing;

    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd.connect_fd = c->who == STUB_LOCAL ? unix_fd[0] : inet_fd;
    address.client_addr = (struct sockaddr *)&peer;
    if (type == MHD_CONNECTION_INFO_CONNECTION_FD)
        return &fd;
    return type == MHD_CONNECTION_INFO_CLIENT_ADDRESS ? &address : &nothing;
}

const union MHD_DaemonInfo *MHD_get_daemon_info(struct MHD_Daemon *d, enum MHD_DaemonInfoType type,
                                                ...)
{
    return NULL;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t len, void *bytes,
                                                     enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *r = calloc(1, sizeof *r);

    r->body = malloc(len ? len : 1);
    memcpy(r->body, bytes ? bytes : "", len);
    r->len = len;
    return r;
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block,
                                                       MHD_ContentReaderCallback reader,
                                                       void *owner,
                                                       MHD_ContentReaderFreeCallback end)
{
    struct MHD_Response *r = calloc(1, sizeof *r);

    *r = (struct MHD_Response){.read = reader, .end = end, .owner = owner};
    r->body = malloc(STREAM_READS * STREAM_BLOCK);
    return r;
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *r, const char *name, const char *value)
{
    assert(*name && !strpbrk(name, "\r\n: ") && !strpbrk(value, "\r\n"));
    if (strcmp(name, "Content-Type") == 0)
        snprintf(r->type, sizeof r->type, "%s", value);
    if (strcmp(name, "Content-Security-Policy") == 0)
        r->strict = true;
    return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *r)
{
    if (r->end)
        r->end(r->owner);
    free(r->body);
    free(r);
}

/* The client of a stream reads what is there, and leaves. */
static void read_some(struct MHD_Response *r)
{
    for (unsigned i = 0; i < STREAM_READS; i++) {
        ssize_t n = r->read(r->owner, r->len, r->body + r->len, STREAM_BLOCK);

        if (n <= 0)
            break;
        r->len += (size_t)n;
    }
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *c, unsigned status,
                                   struct MHD_Response *r)
{
    struct stub_answer *a = c->answer;

    assert(r->strict && *r->type && status >= 200 && status < 600 && a->status == 0);
    if (r->read)
        read_some(r);
    a->status = (int)status;
    memcpy(a->type, r->type, sizeof a->type);
    a->body = malloc(r->len ? r->len : 1);
    memcpy(a->body, r->body, r->len);
    a->len = r->len;
    return MHD_YES;
}

void MHD_suspend_connection(struct MHD_Connection *c)
{
}

void MHD_resume_connection(struct MHD_Connection *c)
{
}

/* --- daemons ---------------------------------------------------------------------------------- */

static void open_descriptors(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    inet_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (inet_fd < 0 || bind(inet_fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, unix_fd) != 0)
        abort();
}

/* Of the options only who is told of a request's end. */
static void read_options(struct MHD_Daemon *d, va_list ap)
{
    for (enum MHD_OPTION o; (o = va_arg(ap, enum MHD_OPTION)) != MHD_OPTION_END;) {
        switch ((int)o) {
        case MHD_OPTION_NOTIFY_COMPLETED:
            d->completed = va_arg(ap, MHD_RequestCompletedCallback);
            d->completed_owner = va_arg(ap, void *);
            break;
        case MHD_OPTION_EXTERNAL_LOGGER:
        case MHD_OPTION_NOTIFY_CONNECTION:
            va_arg(ap, void *);
            va_arg(ap, void *);
            break;
        case MHD_OPTION_CONNECTION_MEMORY_LIMIT:
            va_arg(ap, size_t);
            break;
        case MHD_OPTION_ARRAY:
            va_arg(ap, void *);
            break;
        default:
            va_arg(ap, unsigned);
        }
    }
}

struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept,
                                    void *accept_owner, MHD_AccessHandlerCallback handle,
                                    void *owner, ...)
{
    struct MHD_Daemon *d = &daemons[daemons_len];
    va_list ap;

    assert(daemons_len < 2);
    *d = (struct MHD_Daemon){.handle = handle, .owner = owner, .local = daemons_len == 1};
    daemons_len++;
    va_start(ap, owner);
    read_options(d, ap);
    va_end(ap);
    if (inet_fd < 0)
        open_descriptors();
    return d;
}

void MHD_stop_daemon(struct MHD_Daemon *d)
{
}

enum MHD_Result MHD_get_timeout(struct MHD_Daemon *d, MHD_UNSIGNED_LONG_LONG *ms)
{
    *ms = 0;
    return MHD_YES;
}

static void handle(struct MHD_Connection *c)
{
    struct MHD_Daemon *d = &daemons[c->who == STUB_LOCAL];
    const struct request *r;
    void *state = NULL;
    size_t none = 0;
    enum MHD_Result ok =
        d->handle(d->owner, c, c->path, c->method, "HTTP/1.1", NULL, &none, &state);

    r = state;
    for (size_t at = 0; ok == MHD_YES && c->answer->status == 0 && at < c->body.len;) {
        size_t n = at ? c->body.len - at : c->body.len / 2 + 1, left = n;

        ok =
            d->handle(d->owner, c, c->path, c->method, "HTTP/1.1", c->body.ptr + at, &left, &state);
        at += n;
    }
    if (ok == MHD_YES && c->answer->status == 0) {
        c->answer->route = r->too_large || r->is_broken ? NULL : r->route;
        ok = d->handle(d->owner, c, c->path, c->method, "HTTP/1.1", NULL, &none, &state);
    }
    assert(ok == MHD_NO || c->answer->status != 0);
    d->completed(d->completed_owner, c, &state, MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

/* The web daemon's turn is everybody's. */
enum MHD_Result MHD_run(struct MHD_Daemon *d)
{
    if (d->local)
        return MHD_YES;
    pthread_mutex_lock(&lock);
    while (!waiting)
        pthread_cond_wait(&changed, &lock);
    waiting(waiting_arg);
    waiting = NULL;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return MHD_YES;
}

/* --- for the target --------------------------------------------------------------------------- */

/* Where the body begins: behind the first empty line. */
static size_t find_body(const char *text)
{
    const char *end = strstr(text, "\n\n");

    return end ? (size_t)(end - text) + 2 : strlen(text);
}

void stub_ask(struct span text, const struct stub_session *s, struct stub_answer *out)
{
    struct MHD_Connection c = {.answer = out};
    char *copy = span_dup(text);
    size_t at = find_body(copy);

    *out = (struct stub_answer){0};
    c.body = (struct span){text.ptr + at, text.len - at}; /* NULs and all */
    copy[at > 1 && at < text.len ? at - 2 : at] = '\0';
    split_head(&c, copy);
    add_defaults(&c, s);
    handle(&c);
    free(copy);
}

void stub_run(void (*work)(void *arg), void *arg)
{
    pthread_mutex_lock(&lock);
    waiting = work;
    waiting_arg = arg;
    pthread_cond_broadcast(&changed);
    while (waiting)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

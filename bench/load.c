/*
 * load - origin server and load generator for explicit HTTP proxies.
 *
 *   load origin   --port P [--addr A]
 *   load relay    --port P --target H:P [--buffer N | --splice]  the floor: a bare TCP relay
 *   load tunnels  W1  short CONNECT tunnels
 *   load stream   W2  bulk transfer in N tunnels (--upload for the other way)
 *   load forward  W3  plain-HTTP absolute-form GETs (--new-conn: one per connection)
 *   load idle     W4  N held tunnels, then latency of fresh ones
 *   load pingpong W5  small request/response inside established tunnels
 *
 * One thread, one epoll set, no allocation per operation.  The origin speaks
 * HTTP/1.1 (GET /bytes/N) and, on the same port, three raw services chosen by
 * the first line of the connection:
 *   "Q a b\n"  every a bytes received (this line included) are answered by b
 *   "D n\n"    n bytes are sent (0: without end)
 *   "U n\n"    one byte is sent for every n bytes received after the line
 *   "S\n"      answers how many bytes all "U" connections have received so far
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PATTERN (256u * 1024)
#define SINK (1024u * 1024)
#define HEADMAX 4096
#define NEVENTS 256
#define UPLOAD_UNIT (1u << 20)

static unsigned char pattern[PATTERN]; /* byte at stream position p is pattern[p % PATTERN] */
static char iobuf[SINK];
static int ep;

static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("load: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void fill_pattern(void)
{
    uint32_t x = 2463534242u;
    for (size_t i = 0; i < PATTERN; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        pattern[i] = (unsigned char)(x >> 24);
    }
}

static bool same_as_pattern(const char *p, size_t n, uint64_t pos)
{
    while (n) {
        size_t off = (size_t)(pos % PATTERN), k = n < PATTERN - off ? n : PATTERN - off;
        if (memcmp(p, pattern + off, k) != 0)
            return false;
        p += k;
        n -= k;
        pos += k;
    }
    return true;
}

static void raise_nofile(void)
{
    struct rlimit r = {1048576, 1048576};
    if (setrlimit(RLIMIT_NOFILE, &r) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

static void watch(int op, int fd, uint32_t events, void *ptr)
{
    struct epoll_event e = {.events = events, .data.ptr = ptr};
    if (epoll_ctl(ep, op, fd, &e) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

static void nodelay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void parse_addr(const char *s, struct sockaddr_in *a)
{
    char host[256];
    const char *colon = strrchr(s, ':');
    if (!colon || (size_t)(colon - s) >= sizeof host)
        die("bad address %s (want HOST:PORT)", s);
    memcpy(host, s, (size_t)(colon - s));
    host[colon - s] = 0;
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    if (inet_pton(AF_INET, host, &a->sin_addr) == 1)
        return;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *res;
    if (getaddrinfo(host, NULL, &hints, &res) != 0)
        die("cannot resolve %s", host);
    a->sin_addr = ((struct sockaddr_in *)(void *)res->ai_addr)->sin_addr;
    freeaddrinfo(res);
}

/* ------------------------------------------------------------ histogram */

#define SUB 7 /* 128 linear steps in each power of two: under 1 % error */
struct hist {
    uint64_t n, max, sum;
    uint64_t bucket[64 << SUB];
};

static void hist_add(struct hist *h, uint64_t v)
{
    unsigned idx = (unsigned)v;
    if (v >> SUB) {
        unsigned e = 63u - (unsigned)__builtin_clzll(v) - SUB;
        idx = ((e + 1) << SUB) | (unsigned)((v >> e) & ((1u << SUB) - 1));
    }
    h->bucket[idx]++;
    h->n++;
    h->sum += v;
    if (v > h->max)
        h->max = v;
}

static double hist_us(const struct hist *h, double q)
{
    if (!h->n)
        return 0;
    uint64_t want = (uint64_t)(q * (double)h->n), seen = 0;
    if (want >= h->n)
        return (double)h->max / 1e3;
    for (unsigned i = 0; i < (64u << SUB); i++) {
        seen += h->bucket[i];
        if (seen <= want)
            continue;
        if (i < (1u << SUB))
            return i / 1e3;
        unsigned e = (i >> SUB) - 1;
        uint64_t base = (uint64_t)((1u << SUB) | (i & ((1u << SUB) - 1))) << e;
        return (double)(base + (((uint64_t)1 << e) >> 1)) / 1e3;
    }
    return (double)h->max / 1e3;
}

/* --------------------------------------------------------------- origin */

enum { O_NEW, O_HTTP, O_ASK, O_DOWN, O_UP, O_LISTEN };

struct oconn {
    int fd;
    uint8_t kind;
    bool writing, last;
    uint32_t ask, answer, ack;
    uint64_t have, pending, pos;
    char *part; /* an incomplete request head */
    uint32_t npart;
    struct oconn *next;
};

static struct oconn *ofree;
static uint64_t uploaded;
static char http_date[64];

static struct oconn *oconn_new(int fd)
{
    struct oconn *c = ofree;
    if (c)
        ofree = c->next;
    else if (!(c = malloc(sizeof *c)))
        die("out of memory");
    *c = (struct oconn){.fd = fd};
    return c;
}

static void oconn_close(struct oconn *c)
{
    close(c->fd);
    free(c->part);
    c->next = ofree;
    ofree = c;
}

static void oconn_want(struct oconn *c, bool out)
{
    if (c->writing == out)
        return;
    c->writing = out;
    watch(EPOLL_CTL_MOD, c->fd, out ? EPOLLOUT : EPOLLIN, c);
}

/* Sends what is pending of the pattern.  False: the connection is gone. */
static bool oconn_flush(struct oconn *c)
{
    for (int i = 0; i < 8 && c->pending; i++) {
        size_t off = (size_t)(c->pos % PATTERN), n = PATTERN - off;
        if (n > c->pending)
            n = (size_t)c->pending;
        ssize_t w = send(c->fd, pattern + off, n, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno == EAGAIN)
                break;
            oconn_close(c);
            return false;
        }
        c->pos += (uint64_t)w;
        c->pending -= (uint64_t)w;
        if ((size_t)w < n)
            break;
    }
    if (!c->pending && c->last) {
        oconn_close(c);
        return false;
    }
    oconn_want(c, c->pending > 0);
    return true;
}

static bool has_token(const char *head, const char *end, const char *name, const char *token)
{
    size_t ln = strlen(name), lt = strlen(token);
    for (const char *p = head; p && p < end;
         p = memchr(p, '\n', (size_t)(end - p)), p = p ? p + 1 : p) {
        if ((size_t)(end - p) <= ln || strncasecmp(p, name, ln) != 0 || p[ln] != ':')
            continue;
        const char *eol = memchr(p, '\r', (size_t)(end - p));
        for (const char *q = p + ln + 1; eol && q + lt <= eol; q++)
            if (strncasecmp(q, token, lt) == 0)
                return true;
    }
    return false;
}

/* Answers one request head; returns false when the connection is gone. */
static bool http_answer(struct oconn *c, const char *head, const char *end)
{
    char out[512];
    unsigned long long n = 0;
    const char *eol = memchr(head, '\r', (size_t)(end - head));
    const char *path = memchr(head, '/', (size_t)(end - head));
    bool found = path && path < eol && sscanf(path, "/bytes/%llu", &n) == 1;
    bool old = eol && eol - head >= 8 && memcmp(eol - 8, "HTTP/1.0", 8) == 0;
    bool shut = has_token(head, end, "Connection", "close") ||
                (old && !has_token(head, end, "Connection", "keep-alive"));
    if (!found)
        n = 0;
    int len =
        snprintf(out, sizeof out,
                 "HTTP/1.1 %s\r\nDate: %s\r\nServer: origin\r\n"
                 "Content-Type: application/octet-stream\r\nCache-Control: no-store\r\n"
                 "Content-Length: %llu\r\nConnection: %s\r\n\r\n",
                 found ? "200 OK" : "404 Not Found", http_date, n, shut ? "close" : "keep-alive");
    size_t body = n < PATTERN ? (size_t)n : PATTERN;
    struct iovec iov[2] = {{out, (size_t)len}, {pattern, body}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t w = sendmsg(c->fd, &m, MSG_NOSIGNAL);
    if (w < len) {
        oconn_close(c);
        return false;
    }
    c->pos = (uint64_t)(w - len);
    c->pending = n - c->pos;
    c->last = shut;
    if (!c->pending && !shut)
        return true;
    return oconn_flush(c);
}

static void oconn_http(struct oconn *c, char *buf, size_t n)
{
    char *p = buf, *end = buf + n, *stop;
    while (!c->pending && (stop = memmem(p, (size_t)(end - p), "\r\n\r\n", 4))) {
        stop += 4;
        if (!http_answer(c, p, stop))
            return;
        p = stop;
    }
    c->npart = (uint32_t)(end - p);
    if (c->npart) {
        if (c->npart > 65536 || !(c->part = malloc(c->npart))) {
            oconn_close(c);
            return;
        }
        memcpy(c->part, p, c->npart);
    }
}

static void oconn_read(struct oconn *c)
{
    size_t had = c->npart;
    if (had) {
        memcpy(iobuf, c->part, had);
        free(c->part);
        c->part = NULL;
        c->npart = 0;
    }
    ssize_t n = recv(c->fd, iobuf + had, SINK - had, c->kind == O_UP ? MSG_TRUNC : 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        oconn_close(c);
        return;
    }
    size_t len = had + (size_t)n;
    if (c->kind == O_NEW) {
        char *eol = memchr(iobuf, '\n', len);
        if (!eol) {
            if (len > 8192 || !(c->part = malloc(len))) {
                oconn_close(c);
                return;
            }
            memcpy(c->part, iobuf, len);
            c->npart = (uint32_t)len;
            return;
        }
        unsigned long long a = 0, b = 0;
        if (sscanf(iobuf, "Q %llu %llu\n", &a, &b) == 2 && a && b <= PATTERN) {
            c->kind = O_ASK;
            c->ask = (uint32_t)a;
            c->answer = (uint32_t)b;
        } else if (sscanf(iobuf, "D %llu\n", &a) == 1) {
            c->kind = O_DOWN;
            c->pending = a ? a : UINT64_MAX;
            oconn_flush(c);
            return;
        } else if (len == 2 && iobuf[0] == 'S') {
            char line[32];
            int k = snprintf(line, sizeof line, "%llu\n", (unsigned long long)uploaded);
            (void)!send(c->fd, line, (size_t)k, MSG_NOSIGNAL);
            oconn_close(c);
            return;
        } else if (sscanf(iobuf, "U %llu\n", &a) == 1 && a) {
            c->kind = O_UP;
            c->ack = (uint32_t)a;
            len -= (size_t)(eol + 1 - iobuf);
        } else {
            c->kind = O_HTTP;
        }
    }
    switch (c->kind) {
    case O_HTTP:
        oconn_http(c, iobuf, len);
        return;
    case O_ASK:
        for (c->have += len; c->have >= c->ask; c->have -= c->ask)
            if (send(c->fd, pattern, c->answer, MSG_NOSIGNAL) != (ssize_t)c->answer) {
                oconn_close(c);
                return;
            }
        return;
    case O_UP:
        uploaded += len;
        for (c->have += len; c->have >= c->ack; c->have -= c->ack)
            if (send(c->fd, pattern, 1, MSG_NOSIGNAL) != 1) {
                oconn_close(c);
                return;
            }
        return;
    default: /* O_DOWN: what the peer says is of no interest */
        return;
    }
}

static _Noreturn void origin(const char *addr, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, addr, &a.sin_addr) != 1)
        die("bad --addr %s", addr);
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(l, (struct sockaddr *)&a, sizeof a) < 0 || listen(l, 65535) < 0)
        die("listen on %s:%d: %s", addr, port, strerror(errno));
    struct oconn lc = {.fd = l, .kind = O_LISTEN};
    watch(EPOLL_CTL_ADD, l, EPOLLIN, &lc);
    struct epoll_event ev[NEVENTS];
    time_t stamp = 0;
    for (;;) {
        int n = epoll_wait(ep, ev, NEVENTS, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait: %s", strerror(errno));
        time_t t = time(NULL);
        if (t != stamp) {
            struct tm tm;
            stamp = t;
            strftime(http_date, sizeof http_date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
        }
        for (int i = 0; i < n; i++) {
            struct oconn *c = ev[i].data.ptr;
            if (c->kind == O_LISTEN) {
                for (int k = 0; k < 64; k++) {
                    int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                    if (fd < 0)
                        break;
                    nodelay(fd);
                    watch(EPOLL_CTL_ADD, fd, EPOLLIN, oconn_new(fd));
                }
            } else if (ev[i].events & EPOLLOUT) {
                if (oconn_flush(c) && !c->pending && c->npart && c->kind == O_HTTP) {
                    size_t k = c->npart;
                    memcpy(iobuf, c->part, k);
                    free(c->part);
                    c->part = NULL;
                    c->npart = 0;
                    oconn_http(c, iobuf, k);
                }
            } else {
                oconn_read(c);
            }
        }
    }
}

/* ---------------------------------------------------------------- relay
 * A bare TCP relay, as the floor under any proxy: no parsing, no policy, no
 * timeouts.  Every side owns what is on its way to the other one. */

struct side {
    int fd;
    bool reading, writing, connecting, eof, shut;
    char *buf; /* or, when splicing, a pipe */
    int pipe[2];
    size_t off, len;
    struct side *other, *next;
};

static size_t relay_buffer = 65536;
static bool relay_splice;
static char *spare_buf;
static struct side *sfree, *sdead;
static int pipe_pool[1024][2];
static unsigned npipes;

static struct side *side_new(int fd)
{
    struct side *s = sfree;
    if (s)
        sfree = s->next;
    else if (!(s = malloc(sizeof *s)))
        die("out of memory");
    *s = (struct side){.fd = fd, .pipe = {-1, -1}};
    return s;
}

static void pipe_put(struct side *s)
{
    if (s->pipe[0] < 0)
        return;
    if (!s->len && npipes < 1024) {
        memcpy(pipe_pool[npipes++], s->pipe, sizeof s->pipe);
    } else {
        close(s->pipe[0]);
        close(s->pipe[1]);
    }
    s->pipe[0] = -1;
}

static void pair_close(struct side *s)
{
    struct side *both[2] = {s, s->other};
    for (int i = 0; i < 2; i++) {
        close(both[i]->fd);
        both[i]->fd = -1;
        free(both[i]->buf);
        both[i]->buf = NULL;
        pipe_put(both[i]);
        both[i]->next = sdead; /* an event of this turn may still point here */
        sdead = both[i];
    }
}

static void side_want(struct side *s, bool in, bool out)
{
    if (s->reading == in && s->writing == out)
        return;
    s->reading = in;
    s->writing = out;
    watch(EPOLL_CTL_MOD, s->fd, (in ? EPOLLIN : 0) | (out ? EPOLLOUT : 0), s);
}

/* Hands on what s has read.  False: the pair is gone. */
static bool side_push(struct side *s)
{
    struct side *d = s->other;
    while (s->len) {
        ssize_t w = relay_splice ? splice(s->pipe[0], NULL, d->fd, NULL, s->len,
                                          SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
                                 : send(d->fd, s->buf + s->off, s->len, MSG_NOSIGNAL);
        if (w <= 0) {
            if (w < 0 && errno == EAGAIN)
                break;
            pair_close(s);
            return false;
        }
        s->off += (size_t)w;
        s->len -= (size_t)w;
    }
    if (!s->len) {
        if (s->buf && !spare_buf) {
            spare_buf = s->buf;
            s->buf = NULL;
        } else if (s->buf) {
            free(s->buf);
            s->buf = NULL;
        }
        pipe_put(s);
        if (s->eof && !s->shut) {
            s->shut = true;
            shutdown(d->fd, SHUT_WR);
            if (d->shut) {
                pair_close(s);
                return false;
            }
        }
    }
    side_want(s, !s->len && !s->eof, s->writing);
    side_want(d, d->reading, s->len > 0);
    return true;
}

static void side_pull(struct side *s)
{
    ssize_t n;
    if (relay_splice) {
        if (s->pipe[0] < 0 && npipes) {
            memcpy(s->pipe, pipe_pool[--npipes], sizeof s->pipe);
        } else if (s->pipe[0] < 0) {
            if (pipe2(s->pipe, O_NONBLOCK | O_CLOEXEC) < 0)
                die("pipe: %s", strerror(errno));
            fcntl(s->pipe[0], F_SETPIPE_SZ, (int)relay_buffer);
        }
        n = splice(s->fd, NULL, s->pipe[1], NULL, relay_buffer, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    } else {
        if (!spare_buf && !(spare_buf = malloc(relay_buffer)))
            die("out of memory");
        n = recv(s->fd, spare_buf, relay_buffer, 0);
        if (n > 0) {
            s->buf = spare_buf;
            spare_buf = NULL;
        }
    }
    if (n < 0) {
        if (errno != EAGAIN)
            pair_close(s);
        else
            pipe_put(s);
        return;
    }
    if (n == 0)
        s->eof = true;
    s->off = 0;
    s->len = (size_t)n;
    side_push(s);
}

static void relay_accept(int l, const struct sockaddr_in *to, unsigned *turn)
{
    for (int k = 0; k < 64; k++) {
        int a = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (a < 0)
            return;
        int b = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        struct sockaddr_in t = *to;
        t.sin_addr.s_addr = htonl(ntohl(t.sin_addr.s_addr) + (*turn)++ % 8);
        nodelay(a);
        nodelay(b);
        if (b < 0 || (connect(b, (struct sockaddr *)&t, sizeof t) < 0 && errno != EINPROGRESS)) {
            close(a);
            close(b);
            continue;
        }
        struct side *x = side_new(a), *y = side_new(b);
        x->other = y;
        y->other = x;
        y->connecting = y->writing = true;
        watch(EPOLL_CTL_ADD, b, EPOLLOUT, y);
        watch(EPOLL_CTL_ADD, a, 0, x);
    }
}

static _Noreturn void relay(int port, const struct sockaddr_in *to)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    unsigned turn = 0;
    mallopt(M_MMAP_THRESHOLD, 1 << 24); /* buffers come from the heap, and stay there */
    mallopt(M_TRIM_THRESHOLD, 1 << 28);
    setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(l, (struct sockaddr *)&a, sizeof a) < 0 || listen(l, 4096) < 0)
        die("listen on port %d: %s", port, strerror(errno));
    watch(EPOLL_CTL_ADD, l, EPOLLIN, NULL);
    struct epoll_event ev[NEVENTS];
    for (;;) {
        int n = epoll_wait(ep, ev, NEVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct side *s = ev[i].data.ptr;
            uint32_t e = ev[i].events;
            if (!s) {
                relay_accept(l, to, &turn);
                continue;
            }
            if (s->fd < 0)
                continue;
            if (e & EPOLLERR) {
                pair_close(s);
                continue;
            }
            if (s->connecting) {
                s->connecting = false;
                side_want(s, true, false);
                side_want(s->other, true, false);
                continue;
            }
            if ((e & EPOLLOUT) && s->writing && !side_push(s->other))
                continue;
            if (s->fd >= 0 && s->reading && (e & (EPOLLIN | EPOLLHUP)))
                side_pull(s);
        }
        while (sdead) {
            struct side *s = sdead;
            sdead = s->next;
            s->next = sfree;
            sfree = s;
        }
    }
}

/* --------------------------------------------------------------- client */

enum mode { TUNNELS, STREAM, FORWARD, IDLE, PINGPONG };
enum via { VIA_HTTP, VIA_SOCKS5, VIA_RELAY, VIA_DIRECT };
enum state { FREE, CONNECTING, SOCKS_HELLO, SOCKS_REPLY, HEAD, OPEN, HELD };
enum error { E_CONNECT, E_STATUS, E_EOF, E_IO, E_TIMEOUT, E_DATA, NERRORS };
static const char *const error_name[NERRORS] = {"connect", "status",  "eof",
                                                "io",      "timeout", "data"};

struct conn {
    int fd;
    uint8_t state;
    bool polled, writing, chunked, started, reused, shut;
    uint32_t seq, nhead;
    uint64_t t0, got, need, pos;
    char *head; /* an incomplete response head */
};

struct request {
    char *text;
    size_t len;
    char ha2[64];            /* Digest: H(method:uri) */
    char *nc, *response;     /* Digest: where the count and the proof stand in the text */
    struct sockaddr_in addr; /* --direct */
};

static struct {
    enum mode mode;
    enum via via;
    struct sockaddr_in proxy;
    unsigned conc, inflight, sources, targets, expect;
    double seconds, hold, timeout;
    uint64_t bytes, size, ask, answer;
    bool json, upload, verify, newconn;
} o = {.conc = 64,
       .sources = 8,
       .targets = 1,
       .inflight = 256,
       .expect = 200,
       .seconds = 5,
       .hold = 6,
       .timeout = 10,
       .size = 1024,
       .ask = 100,
       .answer = 1024};

static struct request *requests;
static unsigned nrequests;
static struct conn *conns;
static struct hist lat, lat_open; /* whole operation; TCP connect to "200" */
static uint64_t ops, bytes_moved, opens, reconnects, t_begin, t_end, t_stop;
static uint64_t errors[NERRORS];
static unsigned n_open, n_done, n_failed, n_lost, last_status;
static uint64_t seq;
static bool stopping, probing;
static struct { /* --digest */
    const char *nonce;
    char ha1[64];
    uint32_t nc;
} digest;
static unsigned first_retry; /* slots waiting for a new start after an error */
static char ask_text[65536];

static void start(struct conn *c);

static void drop(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = FREE;
    c->polled = c->writing = false;
    c->nhead = 0;
    free(c->head);
    c->head = NULL;
}

static void fail(struct conn *c, enum error e)
{
    bool held = c->state == HELD;
    drop(c);
    if (stopping)
        return;
    errors[e]++;
    if (held)
        n_lost++;
    else if (o.mode == IDLE && !probing)
        n_failed++;
    else if (o.mode == STREAM || o.mode == PINGPONG)
        n_failed++;
    else
        first_retry = 1;
}

static bool put(struct conn *c, const void *p, size_t n)
{
    ssize_t w = send(c->fd, p, n, MSG_NOSIGNAL);
    if (w == (ssize_t)n)
        return true;
    fail(c, E_IO);
    return false;
}

static void arm(struct conn *c, uint32_t events)
{
    watch(c->polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, events, c);
    c->polled = true;
}

static void upload_more(struct conn *c)
{
    for (int i = 0; i < 8; i++) {
        size_t off = (size_t)(c->pos % PATTERN);
        ssize_t w = send(c->fd, pattern + off, PATTERN - off, MSG_NOSIGNAL);
        if (w < 0) {
            if (errno != EAGAIN)
                fail(c, E_IO);
            return;
        }
        c->pos += (uint64_t)w;
    }
}

static void ask(struct conn *c)
{
    c->got = 0;
    put(c, ask_text, o.ask);
}

/* The tunnel (or the bare connection) stands. */
static void opened(struct conn *c)
{
    uint64_t t = now_ns();
    hist_add(&lat_open, t - c->t0);
    opens++;
    c->state = OPEN;
    c->got = 0;
    switch (o.mode) {
    case TUNNELS:
    case IDLE:
        ask(c);
        break;
    case FORWARD:
        break;
    case STREAM:
    case PINGPONG: /* all begin together, in begin_all() */
        n_open++;
        break;
    }
}

/* Bytes that have reached the origin; asked on a connection past the proxy,
 * since a proxy may starve one direction of a tunnel for the other. */
static uint64_t upload_count(void)
{
    char b[32] = "";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in *a = &requests[0].addr;
    if (connect(fd, (const struct sockaddr *)a, sizeof *a) < 0 ||
        send(fd, "S\n", 2, MSG_NOSIGNAL) != 2 || recv(fd, b, sizeof b - 1, 0) <= 0)
        die("the target does not say how much it has received");
    close(fd);
    return strtoull(b, NULL, 10);
}

static uint64_t uploaded_before;

static void begin_all(void)
{
    if (o.upload)
        uploaded_before = upload_count();
    t_begin = now_ns();
    t_stop = o.seconds > 0 ? t_begin + (uint64_t)(o.seconds * 1e9) : UINT64_MAX;
    for (unsigned i = 0; i < o.conc; i++) {
        struct conn *c = &conns[i];
        if (c->state != OPEN)
            continue;
        c->t0 = t_begin;
        c->started = true;
        if (o.mode == PINGPONG) {
            ask(c);
            continue;
        }
        char line[64];
        int n = o.upload ? snprintf(line, sizeof line, "U %u\n", UPLOAD_UNIT)
                         : snprintf(line, sizeof line, "D %llu\n", (unsigned long long)o.bytes);
        if (put(c, line, (size_t)n) && o.upload) {
            arm(c, EPOLLIN | EPOLLOUT);
            c->writing = true;
        }
    }
}

static void finish_op(struct conn *c, uint64_t t)
{
    hist_add(&lat, t - c->t0);
    ops++;
}

static void sha256_hex(const char *text, size_t len, char out[64])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[32];
    SHA256((const unsigned char *)text, len, sum);
    for (int i = 0; i < 32; i++) {
        out[2 * i] = digits[sum[i] >> 4];
        out[2 * i + 1] = digits[sum[i] & 15];
    }
}

/* Digest: each request has its own count and proof. */
static void sign(struct request *r)
{
    char text[512], nc[9];
    if (!digest.nonce)
        return;
    snprintf(nc, sizeof nc, "%08x", ++digest.nc);
    int n = snprintf(text, sizeof text, "%.64s:%s:%s:load:auth:%.64s", digest.ha1, digest.nonce, nc,
                     r->ha2);
    memcpy(r->nc, nc, 8);
    sha256_hex(text, (size_t)n, r->response);
}

static bool send_get(struct conn *c)
{
    struct request *r = &requests[c->seq % nrequests];
    sign(r);
    c->state = HEAD;
    c->got = 0;
    return put(c, r->text, r->len);
}

/* Sends what opens the exchange on a fresh TCP connection. */
static bool greet(struct conn *c)
{
    struct request *r = &requests[c->seq % nrequests];
    sign(r);
    if (o.mode == FORWARD) {
        ssize_t w = send(c->fd, r->text, r->len, MSG_NOSIGNAL);
        if (w == (ssize_t)r->len) {
            hist_add(&lat_open, now_ns() - c->t0);
            opens++;
            c->state = HEAD;
            return true;
        }
    } else if (o.via == VIA_HTTP) {
        ssize_t w = send(c->fd, r->text, r->len, MSG_NOSIGNAL);
        if (w == (ssize_t)r->len) {
            c->state = HEAD;
            return true;
        }
    } else if (o.via == VIA_SOCKS5) {
        if (send(c->fd, "\5\1\0", 3, MSG_NOSIGNAL) == 3) {
            c->state = SOCKS_HELLO;
            return true;
        }
    } else if (c->state == CONNECTING && c->polled) { /* writable: it is connected */
        opened(c);
        return c->fd >= 0;
    } else {
        struct tcp_info ti;
        socklen_t len = sizeof ti;
        if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &ti, &len) == 0 &&
            ti.tcpi_state == TCP_ESTABLISHED) {
            opened(c);
            return c->fd >= 0;
        }
        errno = EAGAIN;
    }
    if (errno == EAGAIN || errno == ENOTCONN)
        return true; /* still connecting */
    fail(c, E_CONNECT);
    return false;
}

static void start(struct conn *c)
{
    c->seq = (uint32_t)seq++;
    c->t0 = now_ns();
    c->got = c->pos = 0;
    c->started = c->chunked = c->reused = c->shut = false;
    c->state = CONNECTING;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    nodelay(c->fd);
    const struct sockaddr_in *to =
        o.via == VIA_DIRECT ? &requests[c->seq % nrequests].addr : &o.proxy;
    if (o.sources > 1) {
        int on = 1;
        struct sockaddr_in from = {.sin_family = AF_INET,
                                   .sin_addr.s_addr =
                                       htonl(0x7f000101u + c->seq / nrequests % o.sources)};
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
            die("bind: %s", strerror(errno));
    }
    if (connect(c->fd, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS) {
        fail(c, E_CONNECT);
        return;
    }
    if (!greet(c) || c->fd < 0)
        return;
    arm(c, c->state == CONNECTING ? EPOLLOUT : EPOLLIN);
}

static void again(struct conn *c)
{
    drop(c);
    if (!stopping)
        start(c);
}

/* Response to a GET: counts the body; true when the whole of it is there. */
static void forward_done(struct conn *c)
{
    finish_op(c, now_ns());
    bytes_moved += c->got;
    if (stopping) {
        drop(c);
    } else if (c->shut || o.newconn) {
        reconnects++;
        again(c);
    } else {
        c->t0 = now_ns();
        c->reused = true;
        c->seq = (uint32_t)seq++;
        send_get(c);
    }
}

static void forward_head(struct conn *c, const char *h, const char *end, const char *stop)
{
    unsigned status = 0;
    if (end - h < 12 || memcmp(h, "HTTP/1.", 7) != 0 ||
        (status = (unsigned)atoi(h + 9)) != o.expect) {
        last_status = status;
        fail(c, E_STATUS);
        return;
    }
    c->need = UINT64_MAX;
    c->chunked = false;
    c->shut = h[7] == '0';
    for (const char *p = memchr(h, '\n', (size_t)(end - h)); p && p + 1 < end;
         p = memchr(p + 1, '\n', (size_t)(end - p - 1))) {
        const char *l = p + 1;
        if (strncasecmp(l, "content-length:", 15) == 0)
            c->need = strtoull(l + 15, NULL, 10);
        else if (strncasecmp(l, "transfer-encoding:", 18) == 0)
            c->chunked = true;
        else if (strncasecmp(l, "connection:", 11) == 0 ||
                 strncasecmp(l, "proxy-connection:", 17) == 0) {
            const char *v = strchr(l, ':') + 1;
            v += strspn(v, " ");
            if (strncasecmp(v, "close", 5) == 0)
                c->shut = true;
            else if (strncasecmp(v, "keep-alive", 10) == 0)
                c->shut = false;
        }
    }
    if (c->chunked) { /* no peer does this with a Content-Length origin */
        fail(c, E_DATA);
        return;
    }
    c->state = OPEN;
    c->got = (uint64_t)(stop - end);
    if (c->got > c->need || (c->need != UINT64_MAX && c->need != o.size && o.expect == 200) ||
        (o.verify && !same_as_pattern(end, (size_t)c->got, 0)))
        fail(c, E_DATA);
    else if (c->got == c->need)
        forward_done(c);
}

static void on_head(struct conn *c)
{
    memcpy(iobuf, c->head ? c->head : "", c->nhead);
    ssize_t n = recv(c->fd, iobuf + c->nhead, SINK - c->nhead - 1, 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        if (o.mode == FORWARD && c->reused && !c->nhead) { /* closed between requests: legal */
            reconnects++;
            again(c);
            return;
        }
        fail(c, n == 0 ? E_EOF : E_IO);
        return;
    }
    size_t len = c->nhead + (size_t)n;
    iobuf[len] = 0;
    char *end = memmem(iobuf, len, "\r\n\r\n", 4);
    if (!end) {
        if (!c->head && !(c->head = malloc(HEADMAX)))
            die("out of memory");
        if (len > HEADMAX) {
            fail(c, E_STATUS);
            return;
        }
        memcpy(c->head, iobuf, len);
        c->nhead = (uint32_t)len;
        return;
    }
    c->nhead = 0;
    end += 4;
    if (o.mode == FORWARD) {
        forward_head(c, iobuf, end, iobuf + len);
        return;
    }
    unsigned status = memcmp(iobuf, "HTTP/1.", 7) == 0 ? (unsigned)atoi(iobuf + 9) : 0;
    if (status != o.expect) {
        last_status = status;
        fail(c, E_STATUS);
    } else if (status != 200) { /* an expected refusal is the whole operation */
        finish_op(c, now_ns());
        again(c);
    } else if (end != iobuf + len) {
        fail(c, E_DATA);
    } else {
        opened(c);
    }
}

static void on_socks(struct conn *c)
{
    ssize_t n = recv(c->fd, iobuf, 512, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            fail(c, n == 0 ? E_EOF : E_IO);
        return;
    }
    if (c->state == SOCKS_HELLO) {
        unsigned char q[10] = {5, 1, 0, 1};
        const struct sockaddr_in *a = &requests[c->seq % nrequests].addr;
        if (n != 2 || iobuf[0] != 5 || iobuf[1] != 0) {
            fail(c, E_STATUS);
            return;
        }
        memcpy(q + 4, &a->sin_addr, 4);
        memcpy(q + 8, &a->sin_port, 2);
        c->state = SOCKS_REPLY;
        put(c, q, sizeof q);
    } else if (n != 10 || iobuf[1] != 0) {
        last_status = (unsigned char)iobuf[1];
        fail(c, E_STATUS);
    } else {
        opened(c);
    }
}

static void on_open(struct conn *c, uint32_t events)
{
    if (c->writing && (events & EPOLLOUT)) {
        upload_more(c);
        if (c->fd < 0)
            return;
        if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
            return;
    }
    bool look = o.verify || o.mode == PINGPONG || o.mode == TUNNELS || o.mode == IDLE;
    ssize_t n = recv(c->fd, iobuf, SINK, look || o.upload ? 0 : MSG_TRUNC);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        if (o.mode == FORWARD && n == 0 && c->need == UINT64_MAX) {
            c->shut = true;
            if (c->got == o.size)
                forward_done(c);
            else
                fail(c, E_DATA);
            return;
        }
        fail(c, n == 0 ? E_EOF : E_IO);
        return;
    }
    if (o.verify && !o.upload && !same_as_pattern(iobuf, (size_t)n, c->got)) {
        fail(c, E_DATA);
        return;
    }
    c->got += (uint64_t)n;
    switch (o.mode) {
    case TUNNELS:
        if (c->got < o.answer)
            return;
        if (c->got > o.answer) {
            fail(c, E_DATA);
            return;
        }
        finish_op(c, now_ns());
        again(c);
        return;
    case IDLE:
        if (c->got < o.answer)
            return;
        if (probing) {
            finish_op(c, now_ns());
            drop(c);
        } else {
            c->state = HELD;
            n_open++;
        }
        return;
    case PINGPONG:
        if (c->got < o.answer)
            return;
        uint64_t t = now_ns();
        finish_op(c, t);
        if (!stopping) {
            c->t0 = t;
            ask(c);
        }
        return;
    case STREAM:
        if (o.upload) {
            if (!o.bytes || c->got * UPLOAD_UNIT < o.bytes)
                return;
        } else {
            bytes_moved += (uint64_t)n;
            if (!o.bytes || c->got < o.bytes)
                return;
        }
        n_done++;
        drop(c);
        return;
    case FORWARD:
        if (c->got > c->need)
            fail(c, E_DATA);
        else if (c->got == c->need)
            forward_done(c);
        return;
    }
}

static void on_event(struct conn *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    switch (c->state) {
    case CONNECTING:
        if (events & (EPOLLERR | EPOLLHUP)) {
            fail(c, E_CONNECT);
            return;
        }
        if (greet(c) && c->fd >= 0 && c->state != CONNECTING)
            arm(c, EPOLLIN);
        return;
    case HEAD:
        on_head(c);
        return;
    case SOCKS_HELLO:
    case SOCKS_REPLY:
        on_socks(c);
        return;
    case OPEN:
        on_open(c, events);
        return;
    case HELD: { /* nothing is expected here but the end */
        char b;
        ssize_t n = recv(c->fd, &b, 1, 0);
        if (n > 0)
            fail(c, E_DATA);
        else if (n == 0 || errno != EAGAIN)
            fail(c, E_EOF);
        return;
    }
    default:
        return;
    }
}

static uint64_t next_tick;

/* Waits at most until `until`; every 10 ms it looks after errors and timeouts. */
static void turn(uint64_t until)
{
    struct epoll_event ev[NEVENTS];
    uint64_t t = now_ns();
    int ms = until > t ? (int)((until - t) / 1000000) : 0;
    if (ms > 10)
        ms = 10;
    int n = epoll_wait(ep, ev, NEVENTS, ms);
    if (n < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        on_event(ev[i].data.ptr, ev[i].events);
    t = now_ns();
    if (t < next_tick)
        return;
    next_tick = t + 10000000;
    static unsigned tick;
    if (!first_retry && ++tick % 50 != 0)
        return;
    first_retry = 0;
    for (unsigned i = 0; i < o.conc; i++) {
        struct conn *c = &conns[i];
        bool waits = c->state != FREE && c->state != HELD && !(o.mode == STREAM && c->started);
        if (waits && t > c->t0 && (double)(t - c->t0) > o.timeout * 1e9 &&
            !(o.mode == PINGPONG && !c->started && c->state == OPEN))
            fail(c, E_TIMEOUT);
        else if (c->state == FREE && !stopping && (o.mode == TUNNELS || o.mode == FORWARD))
            start(c);
    }
}

static void run_closed_loop(void)
{
    t_begin = now_ns();
    t_stop = t_begin + (uint64_t)(o.seconds * 1e9);
    for (unsigned i = 0; i < o.conc; i++)
        start(&conns[i]);
    while (now_ns() < t_stop)
        turn(t_stop);
    stopping = true;
    t_end = now_ns();
}

static void run_established(void)
{
    for (unsigned i = 0; i < o.conc; i++)
        start(&conns[i]);
    while (n_open + n_failed < o.conc)
        turn(UINT64_MAX);
    begin_all();
    while (now_ns() < t_stop && n_done + n_failed < o.conc)
        turn(t_stop);
    stopping = true;
    t_end = now_ns();
    if (o.upload)
        bytes_moved = upload_count() - uploaded_before;
    if (o.mode == STREAM && o.bytes && n_done < o.conc && o.seconds <= 0)
        errors[E_TIMEOUT] += o.conc - n_done - n_failed;
}

static struct {
    double open_s, quiet_s;
    unsigned alive, opened, dead;
} idle;

static void run_idle(void)
{
    unsigned made = 0, n = o.conc;
    uint64_t t0 = now_ns(), last = t0;
    unsigned seen = 0;
    while (n_open + n_failed < n) {
        while (made < n && made - n_open - n_failed < o.inflight)
            start(&conns[made++]);
        turn(UINT64_MAX);
        if (n_open + n_failed != seen) {
            seen = n_open + n_failed;
            last = now_ns();
        } else if (now_ns() - last > (uint64_t)(o.timeout * 2e9)) {
            break;
        }
        if (n_failed > 2000 && n_failed > n_open) /* it will not get better */
            break;
    }
    idle.open_s = (double)(now_ns() - t0) / 1e9;
    idle.opened = n_open;
    fprintf(stderr, "held %u\n", n_open);
    fflush(stderr);
    uint64_t t = now_ns() + (uint64_t)(o.hold * 0.5e9);
    while (now_ns() < t)
        turn(t);
    memset(&lat, 0, sizeof lat);
    memset(&lat_open, 0, sizeof lat_open);
    fprintf(stderr, "probe\n");
    fflush(stderr);
    probing = true;
    struct conn *c = &conns[n]; /* the spare slot: fresh tunnels, one after the other */
    t_begin = now_ns();
    t_stop = t_begin + (uint64_t)(o.hold * 0.5e9);
    while (now_ns() < t_stop) {
        start(c);
        uint64_t limit = now_ns() + (uint64_t)(o.timeout * 1e9);
        while (c->fd >= 0 && now_ns() < limit)
            turn(limit);
        if (c->fd >= 0)
            fail(c, E_TIMEOUT);
    }
    t_end = now_ns();
    probing = false;
    /* every held tunnel must still carry a request */
    idle.dead = n_lost;
    unsigned want = 0, lost = n_lost;
    n_open = 0;
    n_failed = 0;
    for (unsigned i = 0; i < n; i++)
        if (conns[i].state == HELD) {
            conns[i].state = OPEN;
            conns[i].t0 = now_ns();
            ask(&conns[i]);
            want++;
            if (i % 64 == 0)
                turn(0);
        }
    while (n_open + n_failed + (n_lost - lost) < want)
        turn(UINT64_MAX);
    idle.alive = n_open;
    stopping = true;
}

/* --------------------------------------------------------------- report */

static double cpu_seconds(void)
{
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return (double)r.ru_utime.tv_sec + (double)r.ru_stime.tv_sec +
           ((double)r.ru_utime.tv_usec + (double)r.ru_stime.tv_usec) / 1e6;
}

static int report(void)
{
    static const char *const names[] = {"tunnels", "stream", "forward", "idle", "pingpong"};
    double secs = (double)(t_end - t_begin) / 1e9;
    uint64_t bad = 0;
    for (int i = 0; i < NERRORS; i++)
        bad += errors[i];
    if (o.json) {
        printf("{\"mode\":\"%s\",\"seconds\":%.4f,\"ops\":%llu,\"rate\":%.2f,\"bytes\":%llu,"
               "\"gbps\":%.4f,"
               "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,"
               "\"open_p50_us\":%.1f,\"open_p99_us\":%.1f,\"opens\":%llu,\"reconnects\":%llu,\"cpu_"
               "s\":%.4f,",
               names[o.mode], secs, (unsigned long long)ops, (double)ops / secs,
               (unsigned long long)bytes_moved, (double)bytes_moved * 8 / secs / 1e9,
               hist_us(&lat, .5), hist_us(&lat, .99), hist_us(&lat, .999), (double)lat.max / 1e3,
               hist_us(&lat_open, .5), hist_us(&lat_open, .99), (unsigned long long)opens,
               (unsigned long long)reconnects, cpu_seconds());
        if (o.mode == IDLE)
            printf("\"open\":%u,\"alive\":%u,\"open_seconds\":%.3f,", idle.opened, idle.alive,
                   idle.open_s);
        printf("\"errors\":%llu,\"last_status\":%u,\"error_kinds\":{", (unsigned long long)bad,
               last_status);
        for (int i = 0; i < NERRORS; i++)
            printf("%s\"%s\":%llu", i ? "," : "", error_name[i], (unsigned long long)errors[i]);
        puts("}}");
    } else {
        printf("%s: ", names[o.mode]);
        if (o.mode == STREAM)
            printf("%.2f Gbit/s (%.3f GB in %.2f s)", (double)bytes_moved * 8 / secs / 1e9,
                   (double)bytes_moved / 1e9, secs);
        else if (o.mode == IDLE)
            printf("%u open in %.2f s, %u alive at the end; fresh tunnels", idle.opened,
                   idle.open_s, idle.alive);
        else
            printf("%.0f/s (%llu in %.2f s)", (double)ops / secs, (unsigned long long)ops, secs);
        if (o.mode != STREAM)
            printf(" p50 %.0f us p99 %.0f us p99.9 %.0f us", hist_us(&lat, .5), hist_us(&lat, .99),
                   hist_us(&lat, .999));
        if (o.mode == FORWARD)
            printf(" reconnects %llu", (unsigned long long)reconnects);
        printf(" errors %llu", (unsigned long long)bad);
        for (int i = 0; i < NERRORS; i++)
            if (errors[i])
                printf(" %s:%llu", error_name[i], (unsigned long long)errors[i]);
        printf(" cpu %.2f s\n", cpu_seconds());
    }
    return bad ? 1 : 0;
}

static const char *base64(const char *s)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static char out[1024];
    size_t n = strlen(s), k = 0;
    if (n > 700)
        die("--user is too long");
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)s[i] << 16;
        if (i + 1 < n)
            v |= (unsigned)(unsigned char)s[i + 1] << 8;
        if (i + 2 < n)
            v |= (unsigned)(unsigned char)s[i + 2];
        out[k++] = abc[v >> 18];
        out[k++] = abc[v >> 12 & 63];
        out[k++] = i + 1 < n ? abc[v >> 6 & 63] : '=';
        out[k++] = i + 2 < n ? abc[v & 63] : '=';
    }
    out[k] = 0;
    return out;
}

/* One request text for every target; CONNECT or GET, through a proxy or not. */
static void add_request(const char *authority, const struct sockaddr_in *a, const char *auth)
{
    struct request *r;
    requests = realloc(requests, (nrequests + 1) * sizeof *requests);
    if (!requests)
        die("out of memory");
    r = &requests[nrequests++];
    r->addr = *a;
    int n;
    char uri[600], own[1200];
    if (digest.nonce) {
        if (o.mode == FORWARD)
            snprintf(uri, sizeof uri, "http://%.500s/bytes/%llu", authority,
                     (unsigned long long)o.size);
        else
            snprintf(uri, sizeof uri, "%.500s", authority);
        int len = snprintf(own, sizeof own, "%s:%s", o.mode == FORWARD ? "GET" : "CONNECT", uri);
        sha256_hex(own, (size_t)len, r->ha2);
        snprintf(own, sizeof own, "%suri=\"%s\", nc=00000000, response=\"%064d\"\r\n", auth, uri,
                 0);
        auth = own;
    }
    if (o.mode == FORWARD)
        n = asprintf(&r->text,
                     "GET %s%s/bytes/%llu HTTP/1.1\r\nHost: %s\r\nUser-Agent: load/1\r\nAccept: "
                     "*/*\r\n%s%s\r\n",
                     o.via == VIA_HTTP ? "http://" : "", o.via == VIA_HTTP ? authority : "",
                     (unsigned long long)o.size, authority, auth,
                     o.newconn ? "Connection: close\r\n" : "");
    else
        n = asprintf(&r->text, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load/1\r\n%s\r\n",
                     authority, authority, auth);
    if (n < 0)
        die("out of memory");
    r->len = (size_t)n;
    if (digest.nonce) {
        r->nc = strstr(r->text, " nc=") + 4;
        r->response = strstr(r->text, " response=\"") + 11;
    }
}

static void usage(void)
{
    fputs("usage: load origin --port P [--addr A]\n"
          "       load relay --port P --target H:P [--buffer N] [--splice]\n"
          "       load tunnels|stream|forward|idle|pingpong --proxy H:P --target H:P [options]\n"
          "  how to get there  --direct (no proxy)  --relay (a TCP relay: no CONNECT)  --socks5\n"
          "  tunnels   --concurrency C --seconds S [--ask 100 --answer 1024]\n"
          "  stream    --tunnels N [--bytes B per tunnel, --seconds 0] [--seconds S] [--upload]\n"
          "  forward   --connections C --seconds S --size N [--new-conn]\n"
          "  idle      --tunnels N --hold S [--inflight 256]\n"
          "  pingpong  --tunnels N --seconds S [--ask 64 --answer 64]\n"
          "  common    --user U:P [--digest NONCE --realm R]  --targets K (K consecutive "
          "addresses)  --hosts FILE (H:P lines)\n"
          "            --sources K (client addresses)  --expect STATUS  --timeout S  --verify  "
          "--json\n",
          stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    const char *proxy = NULL, *target = NULL, *user = NULL, *realm = "viaduct", *addr = "0.0.0.0",
               *hosts = NULL;
    int port = 0;
    if (argc < 2)
        usage();
    raise_nofile();
    signal(SIGPIPE, SIG_IGN);
    fill_pattern();
    ep = epoll_create1(EPOLL_CLOEXEC);
    const char *m = argv[1];
    bool serve = strcmp(m, "origin") == 0, relaying = strcmp(m, "relay") == 0;
    if (strcmp(m, "tunnels") == 0)
        o.mode = TUNNELS;
    else if (strcmp(m, "stream") == 0)
        o.mode = STREAM, o.conc = 4;
    else if (strcmp(m, "forward") == 0)
        o.mode = FORWARD;
    else if (strcmp(m, "idle") == 0)
        o.mode = IDLE, o.conc = 1000, o.ask = o.answer = 32;
    else if (strcmp(m, "pingpong") == 0)
        o.mode = PINGPONG, o.conc = 1, o.ask = o.answer = 64;
    else if (!serve && !relaying)
        usage();
    bool seconds_set = false;
    for (int i = 2; i < argc; i++) {
        const char *k = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(k, "--direct") == 0)
            o.via = VIA_DIRECT;
        else if (strcmp(k, "--relay") == 0)
            o.via = VIA_RELAY;
        else if (strcmp(k, "--socks5") == 0)
            o.via = VIA_SOCKS5;
        else if (strcmp(k, "--json") == 0)
            o.json = true;
        else if (strcmp(k, "--upload") == 0)
            o.upload = true;
        else if (strcmp(k, "--verify") == 0)
            o.verify = true;
        else if (strcmp(k, "--new-conn") == 0)
            o.newconn = true;
        else if (strcmp(k, "--splice") == 0)
            relay_splice = true;
        else if (!v)
            usage();
        else {
            i++;
            if (strcmp(k, "--proxy") == 0)
                proxy = v;
            else if (strcmp(k, "--target") == 0)
                target = v;
            else if (strcmp(k, "--hosts") == 0)
                hosts = v;
            else if (strcmp(k, "--user") == 0)
                user = v;
            else if (strcmp(k, "--digest") == 0)
                digest.nonce = v;
            else if (strcmp(k, "--realm") == 0)
                realm = v;
            else if (strcmp(k, "--addr") == 0)
                addr = v;
            else if (strcmp(k, "--port") == 0)
                port = atoi(v);
            else if (strcmp(k, "--concurrency") == 0 || strcmp(k, "--tunnels") == 0 ||
                     strcmp(k, "--connections") == 0)
                o.conc = (unsigned)atoi(v);
            else if (strcmp(k, "--buffer") == 0)
                relay_buffer = strtoull(v, NULL, 10);
            else if (strcmp(k, "--inflight") == 0)
                o.inflight = (unsigned)atoi(v);
            else if (strcmp(k, "--seconds") == 0)
                o.seconds = atof(v), seconds_set = true;
            else if (strcmp(k, "--hold") == 0)
                o.hold = atof(v);
            else if (strcmp(k, "--timeout") == 0)
                o.timeout = atof(v);
            else if (strcmp(k, "--bytes") == 0)
                o.bytes = strtoull(v, NULL, 10);
            else if (strcmp(k, "--size") == 0)
                o.size = strtoull(v, NULL, 10);
            else if (strcmp(k, "--ask") == 0)
                o.ask = strtoull(v, NULL, 10);
            else if (strcmp(k, "--answer") == 0)
                o.answer = strtoull(v, NULL, 10);
            else if (strcmp(k, "--sources") == 0)
                o.sources = (unsigned)atoi(v);
            else if (strcmp(k, "--targets") == 0)
                o.targets = (unsigned)atoi(v);
            else if (strcmp(k, "--expect") == 0)
                o.expect = (unsigned)atoi(v);
            else
                usage();
        }
    }
    if (serve)
        origin(addr, port);
    struct sockaddr_in to;
    if (relaying && target && relay_buffer) {
        parse_addr(target, &to);
        relay(port, &to);
    }
    if (!target || (!proxy && o.via != VIA_DIRECT) || !o.conc || !o.targets || !o.inflight)
        usage();
    if (o.bytes && !seconds_set)
        o.seconds = 0;
    if (o.ask < 24 || o.ask > sizeof ask_text || o.answer < 1 || o.answer > PATTERN)
        die("--ask must be 24..65536, --answer 1..262144");
    memset(ask_text, ' ', sizeof ask_text);
    memcpy(ask_text, "Q ", 2);
    int n = snprintf(ask_text, sizeof ask_text, "Q %llu %llu", (unsigned long long)o.ask,
                     (unsigned long long)o.answer);
    ask_text[n] = '\n';
    char auth[1200] = "", line[600];
    if (user && digest.nonce) {
        const char *colon = strchr(user, ':');
        n = snprintf(auth, sizeof auth, "%.*s:%.100s%.100s", colon ? (int)(colon - user) : 0, user,
                     realm, colon ? colon : ":");
        sha256_hex(auth, (size_t)n, digest.ha1);
        snprintf(
            auth, sizeof auth,
            "Proxy-Authorization: Digest username=\"%.*s\", realm=\"%.100s\", nonce=\"%.100s\", "
            "algorithm=SHA-256, qop=auth, cnonce=\"load\", ",
            colon ? (int)(colon - user) : 0, user, realm, digest.nonce);
    } else if (user)
        snprintf(auth, sizeof auth, "Proxy-Authorization: Basic %s\r\n", base64(user));
    if (proxy)
        parse_addr(proxy, &o.proxy);
    parse_addr(target, &to);
    if (hosts) {
        FILE *f = fopen(hosts, "r");
        if (!f)
            die("%s: %s", hosts, strerror(errno));
        while (fgets(line, sizeof line, f)) {
            line[strcspn(line, "\r\n")] = 0;
            if (*line)
                add_request(line, &to, auth);
        }
        fclose(f);
    } else if (o.targets == 1) {
        add_request(target, &to, auth);
    } else {
        for (unsigned i = 0; i < o.targets; i++) {
            struct sockaddr_in a = to;
            char ip[INET_ADDRSTRLEN];
            a.sin_addr.s_addr = htonl(ntohl(to.sin_addr.s_addr) + i);
            inet_ntop(AF_INET, &a.sin_addr, ip, sizeof ip);
            snprintf(line, sizeof line, "%s:%u", ip, ntohs(to.sin_port));
            add_request(line, &a, auth);
        }
    }
    if (!nrequests)
        die("no target");
    conns = calloc(o.conc + 1, sizeof *conns);
    if (!conns)
        die("out of memory");
    for (unsigned i = 0; i <= o.conc; i++)
        conns[i].fd = -1;
    if (o.mode == IDLE)
        run_idle();
    else if (o.mode == STREAM || o.mode == PINGPONG)
        run_established();
    else
        run_closed_loop();
    return report();
}

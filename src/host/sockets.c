#include "host/sockets.h"

#include <assert.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"

/* A dump's datagrams are at most 32 KiB, whatever the reader's memory. */
#define DATAGRAM_MAX 65536

/* What is live: not what listens, has no peer any more, or only keeps its ports from being reused.
 */
#define STATES_WANTED                                                                              \
    ((1u << SOCKETS_STATE_COUNT) - 2 - (1u << SOCKETS_LISTEN) - (1u << SOCKETS_CLOSED) -           \
     (1u << SOCKETS_TIME_WAIT))

/* Whether tcp_info, of which the kernel gave `len` bytes, has `member`: it grew over the years. */
#define HAS(len, member)                                                                           \
    ((len) >= offsetof(struct tcp_info, member) + sizeof(((struct tcp_info *)0)->member))

static const char *const state_names[] = {
    [SOCKETS_OTHER] = "other",           [SOCKETS_ESTABLISHED] = "established",
    [SOCKETS_SYN_SENT] = "syn-sent",     [SOCKETS_SYN_RECEIVED] = "syn-received",
    [SOCKETS_FIN_WAIT_1] = "fin-wait-1", [SOCKETS_FIN_WAIT_2] = "fin-wait-2",
    [SOCKETS_TIME_WAIT] = "time-wait",   [SOCKETS_CLOSED] = "closed",
    [SOCKETS_CLOSE_WAIT] = "close-wait", [SOCKETS_LAST_ACK] = "last-ack",
    [SOCKETS_LISTEN] = "listen",         [SOCKETS_CLOSING] = "closing",
};
static_assert(ARRAY_LEN(state_names) == SOCKETS_STATE_COUNT, "a state has no name");

const char *sockets_state_name(enum sockets_state state)
{
    assert(state < SOCKETS_STATE_COUNT);
    return state_names[state];
}

void sockets_fini(struct sockets *s)
{
    free(s->items);
    *s = (struct sockets){0};
}

static struct sockets_entry *add(struct sockets *s)
{
    if (s->len == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct sockets_entry *items = reallocarray(s->items, cap, sizeof *items);

        if (!items)
            return NULL;
        s->items = items;
        s->cap = cap;
    }
    return &s->items[s->len++];
}

/* One end, from the kernel's form: IPv4 of a dual-stack socket becomes IPv4. */
static struct endpoint read_endpoint(const struct inet_diag_msg *m, const __be32 ip[4], __be16 port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = port};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = port};
    struct endpoint e;

    if (m->idiag_family == AF_INET) {
        memcpy(&v4.sin_addr, ip, sizeof v4.sin_addr);
        endpoint_from_sockaddr(&e, (struct sockaddr *)&v4);
        return e;
    }
    memcpy(&v6.sin6_addr, ip, sizeof v6.sin6_addr);
    if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr))
        v6.sin6_scope_id = m->id.idiag_if;
    endpoint_from_sockaddr(&e, (struct sockaddr *)&v6);
    return e;
}

/* Bytes under way: what is queued and was sent.  bytes_acked counts SYN and FIN and cannot tell;
 * the queue holds the FIN alone until it is acknowledged. */
static int64_t count_unacked(const struct sockets_entry *e, const struct tcp_info *ti)
{
    bool fin = e->state == SOCKETS_FIN_WAIT_1 || e->state == SOCKETS_LAST_ACK ||
               e->state == SOCKETS_CLOSING;
    int64_t not_sent = ti->tcpi_notsent_bytes;

    if (ti->tcpi_bytes_sent == 0)
        return 0;
    if (not_sent == 0 && fin)
        not_sent = 1;
    return e->send_queue > not_sent ? e->send_queue - not_sent : 0;
}

/* The times of the last bytes begin as the time of the handshake. */
static void read_times(struct sockets_entry *e, const struct tcp_info *ti)
{
    if (e->state == SOCKETS_SYN_SENT || e->state == SOCKETS_SYN_RECEIVED)
        return;
    if (ti->tcpi_bytes_sent > 0)
        e->sent_ago_ms = ti->tcpi_last_data_sent;
    else
        e->age_ms = ti->tcpi_last_data_sent;
    if (ti->tcpi_bytes_received > 0)
        e->received_ago_ms = ti->tcpi_last_data_recv;
    else
        e->age_ms = ti->tcpi_last_data_recv;
}

static void read_info(struct sockets_entry *e, struct span value)
{
    struct tcp_info ti = {0};
    size_t len = value.len < sizeof ti ? value.len : sizeof ti;

    if (len > 0)
        memcpy(&ti, value.ptr, len);
    if (!HAS(len, tcpi_total_retrans))
        return;
    e->rtt_us = ti.tcpi_rtt > 0 ? (int64_t)ti.tcpi_rtt : -1;
    e->retransmissions = ti.tcpi_total_retrans;
    e->retransmitting = ti.tcpi_retrans;
    e->mss = ti.tcpi_snd_mss;
    e->pmtu = ti.tcpi_pmtu;
    if (!HAS(len, tcpi_bytes_sent))
        return;
    e->unacked = count_unacked(e, &ti);
    read_times(e, &ti);
}

/* Attributes of a connection (struct rtattr each); false when one is longer than what is there. */
static bool read_attributes(struct sockets_entry *e, struct span rest)
{
    struct rtattr a;

    while (rest.len >= sizeof a) {
        memcpy(&a, rest.ptr, sizeof a);
        if (a.rta_len < sizeof a || a.rta_len > rest.len)
            return false;
        if (a.rta_type == INET_DIAG_INFO)
            read_info(e, (struct span){rest.ptr + sizeof a, a.rta_len - sizeof a});
        size_t step = RTA_ALIGN(a.rta_len) < rest.len ? RTA_ALIGN(a.rta_len) : rest.len;
        rest = (struct span){rest.ptr + step, rest.len - step};
    }
    return true;
}

static int read_connection(struct sockets *s, struct span body)
{
    struct inet_diag_msg m;

    if (body.len < sizeof m)
        return -EBADMSG;
    memcpy(&m, body.ptr, sizeof m);
    if (m.idiag_family != AF_INET && m.idiag_family != AF_INET6)
        return -EBADMSG;
    struct sockets_entry e = {
        .local = read_endpoint(&m, m.id.idiag_src, m.id.idiag_sport),
        .peer = read_endpoint(&m, m.id.idiag_dst, m.id.idiag_dport),
        .state = m.idiag_state < SOCKETS_STATE_COUNT ? m.idiag_state : SOCKETS_OTHER,
        .uid = m.idiag_uid,
        .inode = m.idiag_inode,
        .rtt_us = -1,
        .retransmissions = -1,
        .retransmitting = -1,
        .mss = -1,
        .pmtu = -1,
        .unacked = -1,
        .send_queue = m.idiag_wqueue,
        .receive_queue = m.idiag_rqueue,
        .sent_ago_ms = -1,
        .received_ago_ms = -1,
        .age_ms = -1,
    };
    if (!read_attributes(&e, (struct span){body.ptr + sizeof m, body.len - sizeof m}))
        return -EBADMSG;
    struct sockets_entry *slot = add(s);
    if (!slot)
        return -ENOMEM;
    *slot = e;
    return 1;
}

/* NLMSG_ERROR and NLMSG_DONE begin with a negative errno; DONE of old kernels may have none. */
static int read_error(struct span body)
{
    int error = 0;

    if (body.len >= sizeof error)
        memcpy(&error, body.ptr, sizeof error);
    return error < 0 && error > -4096 ? error : 0;
}

static int read_message(struct sockets *s, uint16_t type, struct span body)
{
    int error = read_error(body);

    if (type == SOCK_DIAG_BY_FAMILY)
        return read_connection(s, body);
    if (type == NLMSG_DONE)
        return error;
    if (type == NLMSG_ERROR)
        return error ? error : -EBADMSG; /* an acknowledgement was not asked for */
    return type == NLMSG_NOOP ? 1 : -EBADMSG;
}

int sockets_parse(struct sockets *s, struct span datagram)
{
    struct nlmsghdr h;

    while (datagram.len >= sizeof h) {
        memcpy(&h, datagram.ptr, sizeof h);
        if (h.nlmsg_len < sizeof h || h.nlmsg_len > datagram.len)
            return -EBADMSG;
        int more = read_message(s, h.nlmsg_type,
                                (struct span){datagram.ptr + sizeof h, h.nlmsg_len - sizeof h});
        if (more <= 0)
            return more;
        size_t step = NLMSG_ALIGN((size_t)h.nlmsg_len);
        step = step < datagram.len ? step : datagram.len;
        datagram = (struct span){datagram.ptr + step, datagram.len - step};
    }
    return datagram.len == 0 ? 1 : -EBADMSG;
}

static int ask(int fd, uint8_t family)
{
    struct {
        struct nlmsghdr h;
        struct inet_diag_req_v2 q;
    } request = {
        .h = {.nlmsg_len = sizeof request,
              .nlmsg_type = SOCK_DIAG_BY_FAMILY,
              .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .q = {.sdiag_family = family,
              .sdiag_protocol = IPPROTO_TCP,
              .idiag_ext = 1 << (INET_DIAG_INFO - 1),
              .idiag_states = STATES_WANTED},
    };
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    return sendto(fd, &request, sizeof request, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0
               ? -errno
               : 0;
}

/* The next datagram that the kernel itself sent. */
static ssize_t receive(int fd, char *memory, size_t size)
{
    struct sockaddr_nl from;

    for (;;) {
        struct iovec part = {memory, size};
        struct msghdr m = {
            .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1};
        ssize_t n = recvmsg(fd, &m, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (m.msg_flags & MSG_TRUNC)
            return -EMSGSIZE;
        if (from.nl_pid == 0)
            return n;
    }
}

/* Adds all connections of one family.  0 or -errno. */
static int dump(struct sockets *s, int fd, char *memory, uint8_t family)
{
    int more = ask(fd, family);

    if (more < 0)
        return more;
    do {
        ssize_t n = receive(fd, memory, DATAGRAM_MAX);
        more = n < 0 ? (int)n : sockets_parse(s, (struct span){memory, (size_t)n});
    } while (more > 0);
    return more;
}

static void keep_only(struct sockets *s, sockets_keep_fn keep, const void *context)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->len; i++) {
        if (keep(&s->items[i], context))
            s->items[kept++] = s->items[i];
    }
    s->len = kept;
}

static int compare_endpoints(const struct endpoint *a, const struct endpoint *b)
{
    if (a->addr.family != b->addr.family)
        return a->addr.family < b->addr.family ? -1 : 1;
    int order = memcmp(a->addr.bytes, b->addr.bytes, sizeof a->addr.bytes);
    return order ? order : (int)a->port - (int)b->port;
}

static int compare(const void *a, const void *b)
{
    const struct sockets_entry *x = a, *y = b;
    int order = compare_endpoints(&x->peer, &y->peer);

    return order ? order : compare_endpoints(&x->local, &y->local);
}

bool sockets_read(struct sockets *out, sockets_keep_fn keep, const void *context, struct err *err)
{
    struct sockets fresh = {0};
    char *memory = malloc(DATAGRAM_MAX);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    int failed = fd < 0 ? -errno : memory ? 0 : -ENOMEM;

    failed = failed ? failed : dump(&fresh, fd, memory, AF_INET);
    failed = failed ? failed : dump(&fresh, fd, memory, AF_INET6);
    if (failed == -ENOENT)
        err_set(err, "this kernel does not tell its TCP connections (tcp_diag is not there)");
    else if (failed)
        err_set(err, "cannot ask the kernel for its TCP connections: %s", strerror(-failed));
    if (fd >= 0)
        close(fd);
    free(memory);
    if (failed) {
        sockets_fini(&fresh);
        return false;
    }
    if (keep)
        keep_only(&fresh, keep, context);
    if (fresh.len > 0)
        qsort(fresh.items, fresh.len, sizeof *fresh.items, compare);
    sockets_fini(out);
    *out = fresh;
    return true;
}

#include "net/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096

#define TIMESTAMP_BYTES 12 /* with their padding (RFC 7323 A) */

static void set_int(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

/* What accepted connections take over from their listener. */
static void set_inherited(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int sock_listen(const struct endpoint *at, uint32_t mss, bool shared)
{
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(at, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err;

    if (fd < 0)
        return -errno;
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (shared)
        set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (sa.ss_family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set_inherited(fd);
    if (mss > 0)
        set_int(fd, IPPROTO_TCP, TCP_MAXSEG, (int)mss);
    if (bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    err = errno;
    close(fd);
    return -err;
}

int sock_probe_listen(struct endpoint *at)
{
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(at, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err = 0;

    if (fd < 0)
        return -errno;
    set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (sa.ss_family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0)
        err = -errno;
    else if (at->port == 0)
        sock_get_local(fd, at);
    close(fd);
    return err;
}

int sock_adopt_listener(int fd)
{
    struct endpoint at;
    int listens = 0;
    socklen_t len = sizeof listens;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
        return -errno;
    if (!listens || !sock_get_local(fd, &at) || !at.addr.family)
        return -EINVAL;
    set_inherited(fd);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    return 0;
}

int sock_accept(int fd, struct endpoint *client)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int got;

    do
        got = accept4(fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (got < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (got < 0)
        return -errno;
    endpoint_from_sockaddr(client, (struct sockaddr *)&sa);
    return got;
}

bool sock_has_client(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

int sock_connect(const struct endpoint *to, uint32_t mss)
{
    struct sockaddr_storage sa;
    socklen_t len = endpoint_to_sockaddr(to, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int err;

    if (fd < 0)
        return -errno;
    if (mss > 0)
        set_int(fd, IPPROTO_TCP, TCP_MAXSEG, (int)mss);
    if (connect(fd, (struct sockaddr *)&sa, len) == 0 || errno == EINPROGRESS)
        return fd;
    err = errno == EINVAL ? ENETUNREACH : errno; /* a link-local address without its zone */
    close(fd);
    return -err;
}

int sock_get_error(int fd)
{
    int err = 0;
    socklen_t len = sizeof err;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

ssize_t sock_read(int fd, void *out, size_t n)
{
    ssize_t got;

    do
        got = recv(fd, out, n, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

ssize_t sock_write(int fd, const void *bytes, size_t n)
{
    ssize_t put;

    do
        put = send(fd, bytes, n, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    return put < 0 ? -errno : put;
}

uint32_t sock_count_queued(int fd)
{
    int n = 0;

    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint32_t)n : 0;
}

void sock_shutdown(int fd)
{
    shutdown(fd, SHUT_WR);
}

void sock_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

void sock_set_nodelay(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

bool sock_get_local(int fd, struct endpoint *out)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;

    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return false;
    endpoint_from_sockaddr(out, (struct sockaddr *)&sa);
    return true;
}

/* Some of tcpi_state, as the kernel counts them: linux/tcp.h does not name them. */
enum { FIN_WAIT1 = 4, CLOSED = 7, LAST_ACK = 9, CLOSING = 11 };

/* While our FIN is on its way. */
static bool is_fin_unacked(uint8_t state)
{
    return state == FIN_WAIT1 || state == LAST_ACK || state == CLOSING;
}

/* bytes_sent less bytes_acked would miss a byte: on the end that dialled, bytes_acked counts the
 * SYN, and on both the FIN.  The queue knows: what is in it and was sent, but for an unacknowledged
 * FIN. */
static uint64_t count_unacked(int fd, const struct tcp_info *ti)
{
    uint64_t not_sent = ti->tcpi_notsent_bytes;
    uint32_t queued;

    /* the usual case costs no call; but a socket that was reset forgets its segments */
    if (ti->tcpi_unacked == 0 && not_sent == 0 && ti->tcpi_state != CLOSED)
        return 0;
    queued = ti->tcpi_bytes_sent > 0 ? sock_count_queued(fd) : 0;
    if (not_sent == 0 && is_fin_unacked(ti->tcpi_state))
        not_sent = 1;
    return queued > not_sent ? queued - not_sent : 0;
}

/* What the peer's closed window keeps here, but for a FIN behind it. */
static uint64_t count_unsent(const struct tcp_info *ti)
{
    uint64_t not_sent = ti->tcpi_notsent_bytes;

    return not_sent > 0 && is_fin_unacked(ti->tcpi_state) ? not_sent - 1 : not_sent;
}

bool sock_read_info(int fd, struct sock_info *out)
{
    struct tcp_info ti = {0};
    socklen_t len = sizeof ti;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len) < 0)
        return false;
    *out = (struct sock_info){
        .rtt_us = ti.tcpi_rtt,
        .retransmissions = ti.tcpi_total_retrans,
        .mss = ti.tcpi_snd_mss,
        .pmtu = ti.tcpi_pmtu,
        .unacked = count_unacked(fd, &ti),
        .unsent = count_unsent(&ti),
        .acked = ti.tcpi_bytes_acked,
        .zero_window = ti.tcpi_snd_wnd == 0,
        .backoffs = ti.tcpi_retransmits,
        .out_of_order = ti.tcpi_rcv_ooopack,
        .sacked = ti.tcpi_sacked,
        .timeout_ms = ti.tcpi_rto / 1000,
        .since_ack_ms = ti.tcpi_last_ack_recv,
        .received = ti.tcpi_bytes_received,
        .quiet_ms = ti.tcpi_last_data_recv,
        .advmss = ti.tcpi_advmss,
        .options = ti.tcpi_options & TCPI_OPT_TIMESTAMPS ? TIMESTAMP_BYTES : 0,
        .rcv_mss = ti.tcpi_rcv_mss,
    };
    return true;
}

#include "host/sockets.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "host/owners.h"

/* A datagram as the kernel writes it, made piece by piece. */
struct sample {
    _Alignas(8) char bytes[4096];
    size_t len, message; /* where the message that is being made begins */
};

static void put(struct sample *s, const void *bytes, size_t n)
{
    struct nlmsghdr h;

    memcpy(s->bytes + s->len, bytes, n);
    s->len += n;
    memcpy(&h, s->bytes + s->message, sizeof h);
    h.nlmsg_len = (uint32_t)(s->len - s->message);
    memcpy(s->bytes + s->message, &h, sizeof h);
}

static void begin(struct sample *s, uint16_t type)
{
    struct nlmsghdr h = {.nlmsg_type = type};

    s->message = s->len;
    memset(s->bytes + s->len, 0, sizeof h);
    put(s, &h, sizeof h);
}

static void put_attribute(struct sample *s, uint16_t type, const void *bytes, size_t n)
{
    struct rtattr a = {.rta_type = type, .rta_len = (uint16_t)(sizeof a + n)};

    put(s, &a, sizeof a);
    put(s, bytes, n);
}

static struct inet_diag_msg make_v4(uint8_t state)
{
    return (struct inet_diag_msg){
        .idiag_family = AF_INET,
        .idiag_state = state,
        .id = {.idiag_sport = htons(40000),
               .idiag_dport = htons(80),
               .idiag_src = {htonl(0x0a000001)},
               .idiag_dst = {htonl(0x0a0a0a01)}},
        .idiag_rqueue = 7,
        .idiag_wqueue = 5000,
        .idiag_uid = 33,
        .idiag_inode = 4711,
    };
}

static void put_connection(struct sample *s, const struct inet_diag_msg *m,
                           const struct tcp_info *ti, size_t ti_len)
{
    begin(s, SOCK_DIAG_BY_FAMILY);
    put(s, m, sizeof *m);
    put_attribute(s, INET_DIAG_MEMINFO, "0123456789abcdef", 16);
    if (ti)
        put_attribute(s, INET_DIAG_INFO, ti, ti_len);
}

static void put_done(struct sample *s)
{
    int error = 0;

    begin(s, NLMSG_DONE);
    put(s, &error, sizeof error);
}

static struct span span_of_sample(const struct sample *s)
{
    return (struct span){s->bytes, s->len};
}

static void assert_endpoint(const struct endpoint *e, const char *want)
{
    char text[ENDPOINT_TEXT_MAX];

    endpoint_write(e, text);
    assert_string_equal(text, want);
}

static void figures_are_read(void **state)
{
    struct tcp_info ti = {.tcpi_rtt = 412,
                          .tcpi_total_retrans = 9,
                          .tcpi_retrans = 2,
                          .tcpi_snd_mss = 1460,
                          .tcpi_pmtu = 1500,
                          .tcpi_notsent_bytes = 2000,
                          .tcpi_bytes_sent = 10000,
                          .tcpi_last_data_sent = 1500,
                          .tcpi_last_data_recv = 90000};
    struct inet_diag_msg m = make_v4(SOCKETS_ESTABLISHED);
    struct sample s = {0};
    struct sockets all = {0};

    (void)state;
    put_connection(&s, &m, &ti, sizeof ti);
    assert_int_equal(sockets_parse(&all, span_of_sample(&s)), 1);
    put_done(&s);
    assert_int_equal(sockets_parse(&all, span_of_sample(&s)), 0);
    assert_int_equal(all.len, 2);
    const struct sockets_entry *e = &all.items[1];
    assert_endpoint(&e->local, "10.0.0.1:40000");
    assert_endpoint(&e->peer, "10.10.10.1:80");
    assert_string_equal(sockets_state_name(e->state), "established");
    assert_int_equal(e->uid, 33);
    assert_int_equal(e->inode, 4711);
    assert_int_equal(e->rtt_us, 412);
    assert_int_equal(e->retransmissions, 9);
    assert_int_equal(e->retransmitting, 2);
    assert_int_equal(e->mss, 1460);
    assert_int_equal(e->pmtu, 1500);
    assert_int_equal(e->unacked, 3000);
    assert_int_equal(e->send_queue, 5000);
    assert_int_equal(e->receive_queue, 7);
    assert_int_equal(e->sent_ago_ms, 1500);
    assert_int_equal(e->received_ago_ms, -1); /* nothing came: so that time is the age */
    assert_int_equal(e->age_ms, 90000);
    sockets_fini(&all);
}

/* One connection of `state` whose tcp_info has `len` bytes. */
static struct sockets_entry parse_one(uint8_t state, uint32_t queue, const struct tcp_info *ti,
                                      size_t len)
{
    struct inet_diag_msg m = make_v4(state);
    struct sample s = {0};
    struct sockets all = {0};

    m.idiag_wqueue = queue;
    put_connection(&s, &m, ti, len);
    assert_int_equal(sockets_parse(&all, span_of_sample(&s)), 1);
    assert_int_equal(all.len, 1);
    struct sockets_entry e = all.items[0];
    sockets_fini(&all);
    return e;
}

static void what_is_not_told_is_unknown(void **state)
{
    struct tcp_info ti = {.tcpi_rtt = 5, .tcpi_bytes_sent = 10, .tcpi_bytes_received = 10};
    struct sockets_entry e = parse_one(SOCKETS_FIN_WAIT_2, 0, NULL, 0);

    (void)state;
    assert_int_equal(e.rtt_us, -1);
    assert_int_equal(e.unacked, -1);
    e = parse_one(SOCKETS_ESTABLISHED, 10, &ti, offsetof(struct tcp_info, tcpi_bytes_sent));
    assert_int_equal(e.rtt_us, 5); /* an old kernel's */
    assert_int_equal(e.unacked, -1);
    assert_int_equal(e.sent_ago_ms, -1);
    assert_int_equal(e.age_ms, -1);
    e = parse_one(SOCKETS_ESTABLISHED, 10, &ti, sizeof ti);
    assert_int_equal(e.sent_ago_ms, 0);
    assert_int_equal(e.age_ms, -1); /* bytes went both ways */
    ti = (struct tcp_info){.tcpi_last_data_sent = 4000000000};
    e = parse_one(SOCKETS_SYN_SENT, 1, &ti, sizeof ti);
    assert_int_equal(e.rtt_us, -1);
    assert_int_equal(e.age_ms, -1); /* there was no handshake to count from */
    assert_int_equal(parse_one(12, 0, NULL, 0).state, SOCKETS_OTHER);
    assert_int_equal(parse_one(255, 0, NULL, 0).state, SOCKETS_OTHER);
}

static void a_fin_is_no_byte(void **state)
{
    struct tcp_info ti = {.tcpi_bytes_sent = 100};

    (void)state;
    assert_int_equal(parse_one(SOCKETS_FIN_WAIT_1, 1, &ti, sizeof ti).unacked, 0);
    assert_int_equal(parse_one(SOCKETS_FIN_WAIT_1, 41, &ti, sizeof ti).unacked, 40);
    assert_int_equal(parse_one(SOCKETS_ESTABLISHED, 40, &ti, sizeof ti).unacked, 40);
    ti.tcpi_bytes_sent = 0;
    assert_int_equal(parse_one(SOCKETS_SYN_SENT, 1, &ti, sizeof ti).unacked, 0);
}

static void addresses_of_both_families(void **state)
{
    struct inet_diag_msg m = make_v4(SOCKETS_ESTABLISHED);
    struct sample s = {0};
    struct sockets all = {0};

    (void)state;
    m.idiag_family = AF_INET6;
    m.id.idiag_if = 3;
    memcpy(m.id.idiag_src, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    memcpy(m.id.idiag_dst, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16);
    put_connection(&s, &m, NULL, 0);
    assert_int_equal(sockets_parse(&all, span_of_sample(&s)), 1);
    assert_int_equal(all.items[0].local.scope, 3);
    assert_endpoint(&all.items[0].peer, "192.0.2.1:80");
    memcpy(m.id.idiag_dst, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    s.len = 0;
    put_connection(&s, &m, NULL, 0);
    assert_int_equal(sockets_parse(&all, span_of_sample(&s)), 1);
    assert_endpoint(&all.items[1].peer, "[2001:db8::1]:80");
    assert_int_equal(all.items[1].peer.scope, 0); /* a zone is of link-local addresses only */
    sockets_fini(&all);
}

static void the_kernels_errors_come_back(void **state)
{
    static const struct {
        uint16_t type;
        int error, want;
    } cases[] = {
        {NLMSG_ERROR, -ENOENT, -ENOENT},
        {NLMSG_ERROR, 0, -EBADMSG},
        {NLMSG_ERROR, 5, -EBADMSG},
        {NLMSG_ERROR, INT32_MIN, -EBADMSG},
        {NLMSG_DONE, -EPERM, -EPERM},
        {NLMSG_DONE, 0, 0},
        {NLMSG_NOOP, 0, 1},
        {77, 0, -EBADMSG},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sample s = {0};
        struct sockets all = {0};

        begin(&s, cases[i].type);
        put(&s, &cases[i].error, sizeof(int));
        assert_int_equal(sockets_parse(&all, span_of_sample(&s)), cases[i].want);
        assert_int_equal(all.len, 0);
    }
}

/* Cut anywhere, from memory of just that size: refused or, between two messages, to be continued.
 */
static void a_cut_datagram_is_refused(void **state)
{
    struct inet_diag_msg m = make_v4(SOCKETS_ESTABLISHED);
    struct tcp_info ti = {.tcpi_rtt = 1};
    struct sample s = {0};

    (void)state;
    put_connection(&s, &m, &ti, sizeof ti);
    size_t first = s.len;
    put_connection(&s, &m, &ti, sizeof ti);
    for (size_t len = 0; len < s.len; len++) {
        struct sockets all = {0};
        char *copy = malloc(len + 1);

        memcpy(copy + 1, s.bytes, len);
        int got = sockets_parse(&all, (struct span){copy + 1, len});
        assert_int_equal(got, len == 0 || len == first ? 1 : -EBADMSG);
        assert_int_equal(all.len, len >= first ? 1 : 0);
        sockets_fini(&all);
        free(copy);
    }
}

static void an_attribute_stays_in_its_message(void **state)
{
    static const uint16_t lengths[] = {0, 3, 9, UINT16_MAX};
    struct inet_diag_msg m = make_v4(SOCKETS_ESTABLISHED);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct rtattr a = {.rta_type = INET_DIAG_INFO, .rta_len = lengths[i]};
        struct sample s = {0};
        struct sockets all = {0};

        begin(&s, SOCK_DIAG_BY_FAMILY);
        put(&s, &m, sizeof m);
        put(&s, &a, sizeof a);
        put(&s, "\1\2\3\4", 4);
        assert_int_equal(sockets_parse(&all, span_of_sample(&s)), -EBADMSG);
        assert_int_equal(all.len, 0);
        sockets_fini(&all);
    }
}

/* A real pair on loopback: `keep` picks it, and this very process holds it. */
static bool has_port(const struct sockets_entry *e, const void *context)
{
    const uint16_t *port = context;

    return e->peer.port == *port;
}

static void a_real_connection_is_found_with_its_process(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockets all = {0};
    struct err err = {0};

    (void)state;
    assert_return_code(bind(listener, (struct sockaddr *)&at, sizeof at), errno);
    assert_return_code(listen(listener, 1), errno);
    assert_return_code(getsockname(listener, (struct sockaddr *)&at, &len), errno);
    uint16_t port = ntohs(at.sin_port);
    assert_true(sockets_read(&all, has_port, &port, &err));
    assert_int_equal(all.len, 0); /* who listens has no connection */
    assert_return_code(connect(client, (struct sockaddr *)&at, sizeof at), errno);
    assert_true(sockets_read(&all, has_port, &port, &err));
    assert_int_equal(all.len, 1);
    assert_int_equal(all.items[0].state, SOCKETS_ESTABLISHED);
    assert_true(all.items[0].age_ms >= 0 && all.items[0].age_ms < 60000);
    assert_int_equal(all.items[0].pid, 0);
    owners_find(&all);
    assert_int_equal(all.items[0].pid, getpid());
    assert_non_null(strstr("host_sockets_test", all.items[0].process));
    close(client);
    close(listener);
    sockets_fini(&all);
    sockets_fini(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_read),
        cmocka_unit_test(what_is_not_told_is_unknown),
        cmocka_unit_test(a_fin_is_no_byte),
        cmocka_unit_test(addresses_of_both_families),
        cmocka_unit_test(the_kernels_errors_come_back),
        cmocka_unit_test(a_cut_datagram_is_refused),
        cmocka_unit_test(an_attribute_stays_in_its_message),
        cmocka_unit_test(a_real_connection_is_found_with_its_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

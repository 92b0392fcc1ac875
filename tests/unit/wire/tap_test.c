/* Packets are checked by a reader of this file's own, and by tcpdump. */
#include "wire/tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"

#include "capture.h"

enum { F = 1, S = 2, R = 4, P = 8, A = 16 };

static struct capture file;
static struct pcapng out;
static struct tap tap;

struct packet {
    bool near; /* sent by the end that opened */
    uint32_t seq, ack;
    unsigned flags, mss; /* mss: of a SYN */
    struct span data;
};

/* The Internet checksum over bytes with a right one among them is 0. */
static unsigned checksum(const uint8_t *pseudo, size_t pseudo_len, struct span bytes)
{
    uint32_t total = 0;

    for (size_t i = 0; i < pseudo_len; i++)
        total += i % 2 ? pseudo[i] : (uint32_t)pseudo[i] << 8;
    for (size_t i = 0; i < bytes.len; i++)
        total += i % 2 ? (uint8_t)bytes.ptr[i] : (uint32_t)(uint8_t)bytes.ptr[i] << 8;
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return ~total & 0xffff;
}

static uint32_t be(const char *at, unsigned n)
{
    uint32_t v = 0;

    for (unsigned i = 0; i < n; i++)
        v = v << 8 | (uint8_t)at[i];
    return v;
}

/* Takes the IP header off, and checks it and the transport's checksum. */
static struct span take_ip(struct span ip)
{
    bool v4 = (uint8_t)ip.ptr[0] >> 4 == 4;
    size_t head = v4 ? 20 : 40, from = v4 ? 12 : 8, addresses = v4 ? 8 : 32;
    struct span tcp = {ip.ptr + head, ip.len - head};
    uint8_t pseudo[40];

    if (v4) {
        assert_int_equal(be(ip.ptr + 2, 2), ip.len);
        assert_int_equal(checksum(NULL, 0, (struct span){ip.ptr, 20}), 0);
        assert_int_equal(ip.ptr[9], 6);
    } else {
        assert_int_equal(be(ip.ptr + 4, 2), tcp.len);
        assert_int_equal(ip.ptr[6], 6);
    }
    memcpy(pseudo, ip.ptr + from, addresses);
    memcpy(pseudo + addresses, (uint8_t[]){0, 6, (uint8_t)(tcp.len >> 8), (uint8_t)tcp.len}, 4);
    assert_int_equal(checksum(pseudo, addresses + 4, tcp), 0);
    return tcp;
}

/* The next packet of the file; false at its end. */
static bool next(size_t *at, struct packet *p)
{
    struct span body, tcp;
    uint32_t type;
    size_t head;

    do
        if (!capture_next(&file, at, &type, &body))
            return false;
    while (type != 6);
    tcp = take_ip((struct span){body.ptr + 20, capture_u32(body.ptr + 12)});
    head = (size_t)((uint8_t)tcp.ptr[12] >> 4) * 4;
    *p = (struct packet){.near = be(tcp.ptr, 2) == tap.ends[TAP_NEAR].port,
                         .seq = be(tcp.ptr + 4, 4),
                         .ack = be(tcp.ptr + 8, 4),
                         .flags = (uint8_t)tcp.ptr[13],
                         .mss = head == 28 ? be(tcp.ptr + 22, 2) : 0,
                         .data = {tcp.ptr + head, tcp.len - head}};
    return true;
}

static void begin(const char *near, const char *far, unsigned mss)
{
    struct pcapng_options o = {
        .sink = capture_sink, .owner = &file, .wall_ns = 1795410000000000000};
    struct endpoint a, b;

    file.len = 0;
    assert_true(pcapng_open(&out, &o));
    assert_true(endpoint_parse(span_of(near), &a) && endpoint_parse(span_of(far), &b));
    tap_open(&tap, &out, &a, &b, (uint16_t)mss, 0);
}

/* All packets so far in short: "> S 0+0", sequence and acknowledgement as from the first byte of
 * each side. */
static void shows(const char *want)
{
    static char got[8192];
    uint32_t first[2] = {0, 0};
    struct packet p;
    size_t at = 0, n = 0;

    while (next(&at, &p)) {
        if (p.flags & S)
            first[!p.near] = p.seq;
        n +=
            (size_t)snprintf(got + n, sizeof got - n, "%s%s%s%s%s %u", p.near ? ">" : "<",
                             p.flags & S ? "S" : "", p.flags & F ? "F" : "", p.flags & R ? "R" : "",
                             p.flags & P ? "P" : "", p.seq - first[!p.near]);
        if (p.flags & A)
            n += (size_t)snprintf(got + n, sizeof got - n, "/%u", p.ack - first[p.near]);
        if (p.data.len > 0)
            n += (size_t)snprintf(got + n, sizeof got - n, " %zu", p.data.len);
        n += (size_t)snprintf(got + n, sizeof got - n, ", ");
    }
    got[n > 2 ? n - 2 : 0] = '\0';
    if (strcmp(got, want) != 0)
        fail_msg("%s\nnot %s", got, want);
}

static void a_connection_from_syn_to_fin(void **state)
{
    (void)state;
    begin("192.0.2.1:40000", "192.0.2.2:3128", 1000);
    tap_established(&tap, 10);
    tap_data(&tap, 20, TAP_NEAR, SPAN_LIT("hello"));
    tap_data(&tap, 30, TAP_FAR, SPAN_LIT("you"));
    tap_close(&tap, 40, TAP_FAR, false);
    tap_close(&tap, 50, TAP_NEAR, false);
    shows(">S 0, <S 0/1, > 1/1, >P 1/1 5, <P 1/6 3, > 6/4, <F 4/6, > 6/5, >F 6/5, < 5/7");
}

static void who_closes_first_does_not_matter(void **state)
{
    (void)state;
    begin("[2001:db8::1]:40000", "[2001:db8::2]:443", 0);
    tap_established(&tap, 10);
    tap_close(&tap, 40, TAP_NEAR, false);
    tap_data(&tap, 20, TAP_NEAR, SPAN_LIT("too late"));
    tap_data(&tap, 41, TAP_FAR, SPAN_LIT("abc"));
    tap_close(&tap, 50, TAP_FAR, false);
    tap_close(&tap, 60, TAP_FAR, true); /* it is over */
    shows(">S 0, <S 0/1, > 1/1, >F 1/1, <P 1/2 3, > 2/4, <F 4/2, > 2/5");
}

static void endings_without_a_handshake(void **state)
{
    (void)state;
    begin("127.0.0.1:1", "127.0.0.1:2", 0);
    tap_data(&tap, 1, TAP_NEAR, SPAN_LIT("too early"));
    tap_close(&tap, 2, TAP_NEAR, false);
    shows(">S 0");
    tap_refused(&tap, 3);
    tap_established(&tap, 4);
    tap_data(&tap, 5, TAP_NEAR, SPAN_LIT("too late"));
    shows(">S 0, <R 0/1");
}

static void a_reset_ends_all(void **state)
{
    (void)state;
    begin("127.0.0.1:1", "127.0.0.1:2", 0);
    tap_established(&tap, 1);
    tap_data(&tap, 2, TAP_NEAR, SPAN_LIT("abc"));
    tap_close(&tap, 3, TAP_FAR, true);
    tap_close(&tap, 4, TAP_NEAR, false);
    tap_data(&tap, 5, TAP_NEAR, SPAN_LIT("abc"));
    shows(">S 0, <S 0/1, > 1/1, >P 1/1 3, <R 1/4");
}

/* What nobody answered stays unacknowledged, unless the caller knows better. */
static void acknowledgements_are_not_made_up(void **state)
{
    (void)state;
    begin("127.0.0.1:1", "127.0.0.1:2", 0);
    tap_established(&tap, 1);
    tap_data(&tap, 2, TAP_NEAR, SPAN_LIT("abc"));
    shows(">S 0, <S 0/1, > 1/1, >P 1/1 3");
    tap_ack(&tap, 3, TAP_FAR);
    tap_ack(&tap, 3, TAP_FAR);
    shows(">S 0, <S 0/1, > 1/1, >P 1/1 3, < 1/4");
}

static void other_families_are_not_drawn(void **state)
{
    (void)state;
    begin("127.0.0.1:1", "[::1]:2", 0);
    tap_established(&tap, 1);
    tap_data(&tap, 2, TAP_NEAR, SPAN_LIT("abc"));
    tap_refused(&tap, 3);
    tap_close(&tap, 4, TAP_FAR, true);
    shows("");
}

static void what_never_began_is_not_drawn(void **state)
{
    struct tap none = {.out = NULL};

    (void)state;
    tap_established(&none, 1);
    tap_refused(&none, 2);
    tap_data(&none, 3, TAP_NEAR, SPAN_LIT("abc"));
    tap_ack(&none, 4, TAP_FAR);
    tap_close(&none, 5, TAP_FAR, true);
    assert_null(none.out);
    assert_false(none.established);
}

static void the_segment_size_is_kept(void **state)
{
    static const struct {
        const char *near, *far;
        unsigned mss, want;
    } cases[] = {{"127.0.0.1:1", "127.0.0.1:2", 0, 1460},
                 {"[::1]:1", "[::1]:2", 0, 1440},
                 {"127.0.0.1:1", "127.0.0.1:2", 536, 536},
                 {"127.0.0.1:1", "127.0.0.1:2", 65535, 65495},
                 {"[::1]:1", "[::1]:2", 65535, 65495}};
    static char text[200001];

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct packet p;
        size_t at = 0, got = 0;

        begin(cases[i].near, cases[i].far, cases[i].mss);
        tap_established(&tap, 1);
        tap_data(&tap, 2, TAP_FAR, (struct span){text, sizeof text});
        while (next(&at, &p)) {
            assert_true(p.data.len <= cases[i].want && (p.mss == 0 || p.mss == cases[i].want));
            assert_memory_equal(p.data.ptr, text + got, p.data.len);
            got += p.data.len;
        }
        assert_int_equal(got, sizeof text);
    }
}

/* Sequence numbers go round after 4 GiB. */
static void numbers_wrap(void **state)
{
    (void)state;
    begin("127.0.0.1:1", "127.0.0.1:2", 0);
    tap_established(&tap, 1);
    tap.next[TAP_FAR] = UINT32_MAX - 1;
    tap_data(&tap, 2, TAP_FAR, SPAN_LIT("abcd"));
    assert_int_equal(tap.next[TAP_FAR], 2);
    assert_int_equal(tap.acked[TAP_NEAR], 2);
}

static void tcpdump_reads_it(void **state)
{
    char path[] = "/tmp/viaduct-tap-XXXXXX", command[128], line[1024];
    unsigned packets = 0, right = 0;
    int fd = mkstemp(path);
    FILE *f;

    (void)state;
    begin("192.0.2.1:40000", "192.0.2.2:3128", 100);
    tap_established(&tap, 1000);
    assert_true(pcapng_secrets(&out, SPAN_LIT("CLIENT_RANDOM 00 11\n")));
    tap_data(&tap, 2000, TAP_NEAR, SPAN_LIT("CONNECT a.test:443 HTTP/1.1\r\n\r\n"));
    tap_data(&tap, 3000, TAP_FAR, (struct span){file.bytes, 333});
    tap_close(&tap, 4000, TAP_FAR, false);
    tap_close(&tap, 5000, TAP_NEAR, true);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file.bytes, file.len), (ssize_t)file.len);
    close(fd);
    snprintf(command, sizeof command, "tcpdump -nn -vv --nano -r - <%s 2>&1", path);
    f = popen(command, "re"); /* by stdin: it may give up root's rights before it opens files */
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        packets += strstr(line, "IP (tos") != NULL;
        right += strstr(line, "(correct)") != NULL;
        if (strstr(line, "incorrect") || strstr(line, "bad ") || strstr(line, "truncated"))
            fail_msg("%s", line);
    }
    assert_int_equal(pclose(f), 0);
    unlink(path);
    assert_int_equal(packets, 12);
    assert_int_equal(right, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_from_syn_to_fin),
        cmocka_unit_test(who_closes_first_does_not_matter),
        cmocka_unit_test(endings_without_a_handshake),
        cmocka_unit_test(a_reset_ends_all),
        cmocka_unit_test(acknowledgements_are_not_made_up),
        cmocka_unit_test(other_families_are_not_drawn),
        cmocka_unit_test(what_never_began_is_not_drawn),
        cmocka_unit_test(the_segment_size_is_kept),
        cmocka_unit_test(numbers_wrap),
        cmocka_unit_test(tcpdump_reads_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

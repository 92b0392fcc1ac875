#include "wire/pcapng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

#include "capture.h"

enum { SECTION = 0x0a0d0d0a, INTERFACE = 1, PACKET = 6, SECRETS = 10 };

static struct capture file;

static struct pcapng_options options(void)
{
    file.len = file.cap = 0;
    return (struct pcapng_options){.sink = capture_sink,
                                   .owner = &file,
                                   .application = "viaduct 1",
                                   .mono_ns = 5000,
                                   .wall_ns = 1795410000123456789};
}

/* The types of all blocks, a letter each. */
static const char *types(void)
{
    static char letters[64];
    struct span body;
    uint32_t type;
    size_t at = 0, n = 0;

    while (n < sizeof letters - 1 && capture_next(&file, &at, &type, &body))
        letters[n++] = type == SECTION     ? 'S'
                       : type == INTERFACE ? 'I'
                       : type == PACKET    ? 'p'
                       : type == SECRETS   ? 'k'
                                           : '?';
    letters[n] = '\0';
    return letters;
}

static struct span block(unsigned index)
{
    struct span body = {NULL, 0};
    uint32_t type;
    size_t at = 0;

    for (unsigned i = 0; i <= index; i++)
        assert_true(capture_next(&file, &at, &type, &body));
    return body;
}

static bool packet(struct pcapng *p, const char *text)
{
    return pcapng_packet(p, 5000, &(struct span){text, strlen(text)}, 1, NULL);
}

static void headers_say_what_it_is(void **state)
{
    struct pcapng_options o = options();
    struct pcapng p;
    struct span body;

    (void)state;
    o.snaplen = 96;
    assert_true(pcapng_open(&p, &o));
    assert_string_equal(types(), "SI");
    body = block(0);
    assert_int_equal(capture_u32(body.ptr), 0x1a2b3c4d);
    assert_int_equal(capture_u16(body.ptr + 4), 1);
    assert_int_equal(capture_u16(body.ptr + 6), 0);
    assert_memory_equal(body.ptr + 8, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_int_equal(capture_u16(body.ptr + 16), 4); /* shb_userappl */
    assert_int_equal(capture_u16(body.ptr + 18), 9);
    assert_memory_equal(body.ptr + 20, "viaduct 1\0\0\0\0\0\0\0", 16);
    body = block(1);
    assert_int_equal(capture_u16(body.ptr), 101);
    assert_int_equal(capture_u32(body.ptr + 4), 96);
    assert_int_equal(capture_u16(body.ptr + 8), 9); /* if_tsresol */
    assert_memory_equal(body.ptr + 10, "\x01\x00\x09\x00\x00\x00\x00\x00\x00\x00", 10);
}

static void packets_have_time_length_and_comment(void **state)
{
    static const struct span parts[] = {SPAN_INIT("head"), SPAN_INIT(""), SPAN_INIT("tail!")};
    struct pcapng_options o = options();
    struct pcapng p;
    struct span body;
    uint64_t time;

    (void)state;
    assert_true(pcapng_open(&p, &o));
    assert_true(pcapng_packet(&p, 5042, parts, ARRAY_LEN(parts), "why"));
    body = block(2);
    time = (uint64_t)capture_u32(body.ptr + 4) << 32 | capture_u32(body.ptr + 8);
    assert_int_equal(time, 1795410000123456831);
    assert_int_equal(capture_u32(body.ptr + 12), 9);
    assert_int_equal(capture_u32(body.ptr + 16), 9);
    assert_memory_equal(body.ptr + 20, "headtail!\0\0\0", 12);
    assert_memory_equal(body.ptr + 32, "\x01\x00\x03\x00why\0\0\0\0\0", 12);
    assert_int_equal(body.len, 44);
    assert_true(pcapng_packet(&p, 4000, parts, 1, NULL)); /* before the moment of both clocks */
    body = block(3);
    time = (uint64_t)capture_u32(body.ptr + 4) << 32 | capture_u32(body.ptr + 8);
    assert_int_equal(time, 1795410000123455789);
    assert_int_equal(p.packets, 2);
}

static void long_packets_are_cut(void **state)
{
    static const struct span parts[] = {SPAN_INIT("head"), SPAN_INIT("0123456789")};
    struct pcapng_options o = options();
    struct pcapng p;
    struct span body;

    (void)state;
    o.snaplen = 7;
    assert_true(pcapng_open(&p, &o));
    assert_true(pcapng_packet(&p, 5000, parts, 2, NULL));
    body = block(2);
    assert_int_equal(capture_u32(body.ptr + 12), 7);
    assert_int_equal(capture_u32(body.ptr + 16), 14);
    assert_memory_equal(body.ptr + 20, "head012\0", 8);
    assert_int_equal(body.len, 28);
}

static void secrets_go_ahead_of_what_is_held(void **state)
{
    struct pcapng_options o = options();
    struct pcapng p;
    char hold[256];
    struct span body;

    (void)state;
    o.hold = hold;
    o.hold_cap = sizeof hold;
    assert_true(pcapng_open(&p, &o));
    packet(&p, "one");
    pcapng_hold(&p);
    packet(&p, "two");
    pcapng_hold(&p);
    packet(&p, "three");
    assert_string_equal(types(), "SIp");
    assert_true(pcapng_secrets(&p, SPAN_LIT("CLIENT_RANDOM 00 11\n")));
    assert_string_equal(types(), "SIpk");
    body = block(3);
    assert_int_equal(capture_u32(body.ptr), 0x544c534b);
    assert_int_equal(capture_u32(body.ptr + 4), 20);
    assert_memory_equal(body.ptr + 8, "CLIENT_RANDOM 00 11\n", 20);
    assert_true(pcapng_release(&p));
    assert_string_equal(types(), "SIpk");
    assert_true(pcapng_release(&p));
    assert_string_equal(types(), "SIpkpp");
    packet(&p, "four");
    assert_string_equal(types(), "SIpkppp");
    assert_memory_equal(block(4).ptr + 20, "two", 3);
}

/* Order is kept, and nothing is lost, when what is held outgrows its memory or has none. */
static void a_full_hold_is_written(void **state)
{
    struct pcapng_options o = options();
    struct pcapng p;
    char hold[80], text[200];

    (void)state;
    o.hold = hold;
    o.hold_cap = sizeof hold;
    assert_true(pcapng_open(&p, &o));
    pcapng_hold(&p);
    packet(&p, "one");
    packet(&p, "two");
    assert_string_equal(types(), "SI");
    packet(&p, "three"); /* does not fit beside them */
    assert_string_equal(types(), "SIpp");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    packet(&p, text);
    assert_string_equal(types(), "SIpppp");
    assert_memory_equal(block(4).ptr + 20, "three", 5);
    assert_true(pcapng_release(&p));
    assert_string_equal(types(), "SIpppp");

    o = options();
    assert_true(pcapng_open(&p, &o)); /* no memory at all */
    pcapng_hold(&p);
    packet(&p, "one");
    assert_string_equal(types(), "SIp");
}

static void a_sink_that_refuses_is_asked_no_more(void **state)
{
    struct pcapng_options o = options();
    struct pcapng p;
    size_t len;

    (void)state;
    file.cap = 20;
    assert_false(pcapng_open(&p, &o));
    o = options();
    assert_true(pcapng_open(&p, &o));
    len = file.len;
    file.cap = len + 30;
    assert_false(packet(&p, "12345678"));
    file.cap = 0;
    len = file.len;
    assert_false(packet(&p, "x"));
    assert_false(pcapng_secrets(&p, SPAN_LIT("x")));
    assert_false(pcapng_flush(&p));
    assert_int_equal(file.len, len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_say_what_it_is),
        cmocka_unit_test(packets_have_time_length_and_comment),
        cmocka_unit_test(long_packets_are_cut),
        cmocka_unit_test(secrets_go_ahead_of_what_is_held),
        cmocka_unit_test(a_full_hold_is_written),
        cmocka_unit_test(a_sink_that_refuses_is_asked_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* capture/ngfile: sections, interfaces and their clocks, every kind of packet block, secrets, drop
 * counts, and blocks whose lengths lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/ngfile.h"
#include "files.h"

#define HELLO SPAN_LIT("hello")

struct reader {
    struct unpack in;
    struct ngfile file;
    struct record record;
    struct err err;
    char secrets[300000];
    size_t secrets_len;
};

static struct reader r;
static struct image f;

static void take_secrets(void *owner, struct span lines)
{
    assert_ptr_equal(owner, &r);
    assert_true(lines.len <= sizeof r.secrets - r.secrets_len);
    memcpy(r.secrets + r.secrets_len, lines.ptr, lines.len);
    r.secrets_len += lines.len;
}

static void reader_open(size_t len)
{
    memset(&r, 0, sizeof r);
    assert_true(unpack_open(&r.in, image_path_of(&f, len), 4096, NULL, &r.err));
    ngfile_init(&r.file, take_secrets, &r);
}

static void reader_close(void)
{
    ngfile_fini(&r.file);
    unpack_fini(&r.in);
}

static enum record_next next(void)
{
    return ngfile_next(&r.file, &r.in, &r.record, &r.err);
}

static int begin_little(void **state)
{
    image_init(&f, false);
    image_section(&f);
    return 0;
}

static int begin_big(void **state)
{
    image_init(&f, true);
    image_section(&f);
    return 0;
}

static int end(void **state)
{
    reader_close();
    image_fini(&f);
    return 0;
}

static void every_interface_has_its_link_and_clock(void **state)
{
    static const struct {
        uint8_t tsresol;
        int64_t offset;
        uint64_t ticks, want_ns;
    } cases[] = {
        {0, 0, 1700000000123456, 1700000000123456000}, /* none said: microseconds */
        {9, 0, 1700000000123456789, 1700000000123456789},
        {3, 0, 1700000000123, 1700000000123000000},
        {12, 0, 1700000000123456789, 1700000000123456},
        {0x80 | 10, 0, 1024 * 5 + 512, 5500000000},
        {0x80 | 32, 0, 1700000000ull << 32 | 0x80000000, 1700000000500000000},
        {0x80 | 63, 0, 1ull << 62, 500000000},
        {0x80 | 64, 0, UINT64_MAX, 0},
        {0x7f, 0, UINT64_MAX, 0},
        {6, 1600000000, 1000000, 1600000001000000000},
        {6, -5, 6000000, 1000000000},
        {6, -7, 6000000, 0},
        {6, INT64_MIN, 6000000, 0},
        {6, INT64_MAX, 6000000, UINT64_MAX / 2},
        {1, 0, UINT64_MAX, UINT64_MAX / 2},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        image_interface(&f, (uint16_t)(100 + i), 65535, cases[i].tsresol, cases[i].offset);
    for (unsigned i = ARRAY_LEN(cases); i-- > 0;)
        image_packet(&f, i, cases[i].ticks, HELLO, 1500, 0);
    reader_open(f.len);
    for (unsigned i = ARRAY_LEN(cases); i-- > 0;) {
        assert_int_equal(next(), RECORD_OK);
        assert_true(span_equal(r.record.bytes, HELLO));
        assert_int_equal(r.record.wire_len, 1500);
        assert_int_equal(r.record.linktype, 100 + i);
        assert_int_equal(r.record.interface, i);
        if (r.record.wall_ns != cases[i].want_ns)
            fail_msg("%u: %llu", i, (unsigned long long)r.record.wall_ns);
    }
    assert_int_equal(next(), RECORD_END);
}

static void sections_begin_anew(void **state)
{
    image_interface(&f, 1, 0, 0, 0);
    image_interface(&f, 101, 0, 0, 0);
    image_packet(&f, 1, 1000000, HELLO, 5, 0);
    f.is_swapped = !f.is_swapped; /* as of another machine */
    image_section(&f);
    image_packet(&f, 0, 2000000, HELLO, 5, 0); /* before its interface: nobody knows what it is */
    image_interface(&f, 113, 0, 9, 0);
    image_packet(&f, 0, 2000000000, HELLO, 5, 0);
    reader_open(f.len);
    assert_int_equal(next(), RECORD_OK);
    assert_true(r.record.linktype == 101 && r.record.interface == 1);
    assert_int_equal(next(), RECORD_OK);
    assert_int_equal(r.record.linktype, RECORD_NO_LINK);
    assert_int_equal(next(), RECORD_OK);
    assert_true(r.record.linktype == 113 && r.record.interface == 2);
    assert_int_equal(r.record.wall_ns, 2 * NS_PER_S);
    assert_int_equal(next(), RECORD_END);
}

static void old_and_simple_packets_are_read(void **state)
{
    size_t at;

    image_interface(&f, 1, 3, 0, 0);
    image_interface(&f, 101, 0, 0, 0);
    at = image_begin(&f, 2); /* the obsolete block: interface and drops have 16 bits */
    image_u16(&f, 1);
    image_u16(&f, 65535);
    image_u32(&f, 0);
    image_u32(&f, 3000000);
    image_u32(&f, 5);
    image_u32(&f, 9);
    image_put(&f, "hello", 5);
    image_end(&f, at);
    at = image_begin(&f, 3); /* simple: bytes as the interface's snaplen lets, no time */
    image_u32(&f, 1500);
    image_put(&f, "hel", 3);
    image_end(&f, at);
    at = image_begin(&f, 3);
    image_u32(&f, 2);
    image_put(&f, "he", 2);
    image_end(&f, at);
    at = image_begin(&f, 9); /* a journal's entry counts as a frame */
    image_put(&f, "A=B\n", 4);
    image_end(&f, at);
    reader_open(f.len);
    assert_int_equal(next(), RECORD_OK);
    assert_true(span_equal(r.record.bytes, HELLO) && r.record.wire_len == 9);
    assert_true(r.record.linktype == 101 && r.record.wall_ns == 3 * NS_PER_S);
    assert_int_equal(next(), RECORD_OK);
    assert_true(span_equal(r.record.bytes, SPAN_LIT("hel")) && r.record.wire_len == 1500);
    assert_true(r.record.linktype == 1 && r.record.wall_ns == 3 * NS_PER_S);
    assert_int_equal(next(), RECORD_OK);
    assert_true(span_equal(r.record.bytes, SPAN_LIT("he")) && r.record.wire_len == 2);
    assert_int_equal(next(), RECORD_OK);
    assert_int_equal(r.record.linktype, RECORD_NO_LINK);
    assert_int_equal(next(), RECORD_END);
}

static void put_block(uint32_t type, size_t len)
{
    size_t at = image_begin(&f, type);

    assert_true(len <= IMAGE_MAX - f.len - 64);
    memset(f.bytes + f.len, 'b', len);
    f.len += len;
    image_end(&f, at);
}

static void other_blocks_are_stepped_over(void **state)
{
    image_interface(&f, 1, 0, 0, 0);
    put_block(4, 100); /* names */
    put_block(0x80001234, 0);
    put_block(0xbad, 3000000); /* custom, a frame without content: more than is ever held */
    put_block(0x40000bad, 8);
    image_packet(&f, 0, 0, HELLO, 5, 0);
    reader_open(f.len);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(next(), RECORD_OK);
        assert_true(r.record.bytes.len == 0 && r.record.linktype == RECORD_NO_LINK);
    }
    assert_int_equal(next(), RECORD_OK);
    assert_true(span_equal(r.record.bytes, HELLO));
    assert_int_equal(next(), RECORD_END);
}

static void secrets_are_handed_on(void **state)
{
    size_t at = image_begin(&f, 10);

    image_u32(&f, 0x544c534b);
    image_u32(&f, 200001);
    memset(f.bytes + f.len, 's', 200001);
    f.len += 200001;
    image_end(&f, at);
    at = image_begin(&f, 10); /* of another protocol */
    image_u32(&f, 0x57474b4c);
    image_u32(&f, 4);
    image_put(&f, "no!\n", 4);
    image_end(&f, at);
    at = image_begin(&f, 10); /* more than its block has */
    image_u32(&f, 0x544c534b);
    image_u32(&f, 400);
    image_put(&f, "no!\n", 4);
    image_end(&f, at);
    image_interface(&f, 1, 0, 0, 0);
    image_packet(&f, 0, 0, HELLO, 5, 0);
    reader_open(f.len);
    assert_int_equal(next(), RECORD_OK);
    assert_true(span_equal(r.record.bytes, HELLO));
    assert_int_equal(r.secrets_len, 200002);
    for (size_t i = 0; i < 200001; i++)
        assert_int_equal(r.secrets[i], 's');
    assert_int_equal(r.secrets[200001], '\n'); /* which the block had not */
}

static void put_statistics(uint32_t interface, uint64_t by_interface, uint64_t by_system)
{
    size_t at = image_begin(&f, 5);

    image_u32(&f, interface);
    image_u64(&f, 0);
    image_option_u64(&f, 4, 1000);
    image_option_u64(&f, 5, by_interface);
    image_option_u64(&f, 7, by_system);
    image_u32(&f, 0);
    image_end(&f, at);
}

static void drops_are_added_up(void **state)
{
    image_interface(&f, 1, 0, 0, 0);
    image_interface(&f, 1, 0, 0, 0);
    put_statistics(0, 1, 2);
    put_statistics(0, 10, 20); /* totals: instead of those before */
    put_statistics(1, 300, 0);
    put_statistics(2, 5000, 0); /* of no interface */
    image_packet(&f, 0, 0, HELLO, 5, 4);
    image_section(&f);
    image_interface(&f, 1, 0, 0, 0);
    put_statistics(0, 1000, 0);
    reader_open(f.len);
    assert_int_equal(next(), RECORD_OK);
    assert_int_equal(ngfile_get_dropped(&r.file), 334);
    assert_int_equal(next(), RECORD_END);
    assert_int_equal(ngfile_get_dropped(&r.file), 1334);
}

static void a_file_may_end_anywhere(void **state)
{
    size_t behind[3];

    image_interface(&f, 1, 0, 0, 0);
    behind[0] = f.len;
    image_packet(&f, 0, 0, HELLO, 5, 0);
    behind[1] = f.len;
    put_block(4, 20);
    behind[2] = f.len;
    for (size_t len = 4; len <= f.len; len++) {
        enum record_next got;
        unsigned n = 0;

        reader_open(len);
        while ((got = next()) == RECORD_OK)
            n++;
        assert_int_equal(n, len >= behind[1]);
        assert_int_equal(got, len == 28 || len == behind[0] || len == behind[1] || len == behind[2]
                                  ? RECORD_END
                                  : RECORD_CUT);
        reader_close();
    }
}

static void lying_lengths_end_the_file(void **state)
{
    static const struct {
        uint32_t at, value; /* in a packet's block of 40 bytes */
        const char *want;
    } cases[] = {
        {4, 8, "a block claims 8 bytes"},
        {4, 41, "a block claims 41 bytes"},
        {4, 0xfffffffc, "a block claims 4294967292 bytes"},
        {20, 9, "it claims more bytes than its block has"},
        {20, 0xffffffff, "it claims more bytes than its block has"},
        {36, 44, "a block has two different lengths"},
    };
    size_t begin;

    image_interface(&f, 1, 0, 0, 0);
    begin = f.len;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        f.len = begin;
        image_packet(&f, 0, 0, HELLO, 5, 0);
        assert_int_equal(f.len - begin, 40);
        f.len = begin + cases[i].at;
        image_u32(&f, cases[i].value);
        reader_open(begin + 40);
        assert_int_equal(next(), RECORD_BAD);
        assert_string_equal(r.err.text, cases[i].want);
        reader_close();
    }
    f.len = 8;
    image_u32(&f, 0);
    reader_open(begin + 40);
    assert_int_equal(next(), RECORD_BAD);
    assert_string_equal(r.err.text, "a section has no byte order");
}

#define LITTLE(t)                                                                                  \
    {                                                                                              \
#t ", this order", t, begin_little, end, NULL                                              \
    }
#define BIG(t)                                                                                     \
    {                                                                                              \
#t ", the other order", t, begin_big, end, NULL                                            \
    }
#define BOTH(t) LITTLE(t), BIG(t)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(every_interface_has_its_link_and_clock),
        BOTH(sections_begin_anew),
        BOTH(old_and_simple_packets_are_read),
        BOTH(other_blocks_are_stepped_over),
        BOTH(secrets_are_handed_on),
        BOTH(drops_are_added_up),
        BOTH(a_file_may_end_anywhere),
        BOTH(lying_lengths_end_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* capture/pcapfile: all kinds of heads, and files that end early or lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/pcapfile.h"
#include "files.h"

#define US 0xa1b2c3d4
#define NS 0xa1b23c4d
#define MODIFIED 0xa1b2cd34

struct reader {
    struct unpack in;
    struct pcapfile file;
    struct record record;
    struct err err;
};

static bool reader_open(struct reader *r, const char *path)
{
    *r = (struct reader){.err = {""}};
    assert_true(unpack_open(&r->in, path, 4096, NULL, &r->err));
    return pcapfile_open(&r->file, &r->in, &r->err);
}

static enum record_next next(struct reader *r)
{
    return pcapfile_next(&r->file, &r->in, &r->record, &r->err);
}

static void both_byte_orders_and_units_are_read(void **state)
{
    static const struct {
        uint32_t magic, unit_ns;
    } kinds[] = {{US, 1000}, {NS, 1}, {MODIFIED, 1000}};

    (void)state;
    for (unsigned i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
        struct image f;
        struct reader r;

        image_init(&f, i & 1);
        image_pcap(&f, kinds[i / 2].magic, 0x30000071); /* above the link type: an FCS's length */
        image_u32(&f, 1700000000);
        image_u32(&f, 999999);
        image_u32(&f, 5);
        image_u32(&f, 1500);
        if (kinds[i / 2].magic == MODIFIED)
            image_u64(&f, 1);
        image_put(&f, "hello", 5);
        assert_true(reader_open(&r, image_path(&f)));
        assert_int_equal(next(&r), RECORD_OK);
        assert_true(span_equal(r.record.bytes, SPAN_LIT("hello")));
        assert_int_equal(r.record.wire_len, 1500);
        assert_int_equal(r.record.linktype, 0x71);
        assert_int_equal(r.record.wall_ns,
                         1700000000 * NS_PER_S + 999999ull * kinds[i / 2].unit_ns);
        assert_int_equal(next(&r), RECORD_END);
        assert_int_equal(next(&r), RECORD_END);
        unpack_fini(&r.in);
        image_fini(&f);
    }
}

/* More than the buffer holds: packets of all sizes, each whole and in order. */
static void packets_cross_the_buffer(void **state)
{
    static char bytes[70000];
    struct image f;
    struct reader r;

    (void)state;
    memset(bytes, 'p', sizeof bytes);
    image_init(&f, false);
    image_pcap(&f, US, 1);
    for (unsigned i = 0; i < 40; i++)
        image_pcap_packet(&f, i, 0, (struct span){bytes, i * 1771u}, 70000);
    assert_true(reader_open(&r, image_path(&f)));
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(next(&r), RECORD_OK);
        assert_int_equal(r.record.wall_ns, i * NS_PER_S);
        assert_int_equal(r.record.bytes.len, i * 1771);
        assert_memory_equal(r.record.bytes.ptr, bytes, r.record.bytes.len);
    }
    assert_int_equal(next(&r), RECORD_END);
    unpack_fini(&r.in);
    image_fini(&f);
}

static void a_file_may_end_anywhere(void **state)
{
    struct image f;

    (void)state;
    image_init(&f, true);
    image_pcap(&f, US, 1);
    image_pcap_packet(&f, 1, 1, SPAN_LIT("one"), 3);
    image_pcap_packet(&f, 2, 2, SPAN_LIT("two"), 3);
    for (size_t len = 1; len <= f.len; len++) {
        struct reader r;
        unsigned n = 0;
        enum record_next got;

        if (reader_open(&r, image_path_of(&f, len))) {
            while ((got = next(&r)) == RECORD_OK)
                n++;
            assert_int_equal(n, (len - 24) / 19);
            assert_int_equal(got, (len - 24) % 19 ? RECORD_CUT : RECORD_END);
        } else {
            assert_true(len < 24);
            assert_string_equal(r.err.text, "ends within its header");
        }
        unpack_fini(&r.in);
    }
    image_fini(&f);
}

static void lies_are_not_believed(void **state)
{
    struct image f;
    struct reader r;

    (void)state;
    image_init(&f, false);
    image_pcap(&f, US, 1);
    memset(f.bytes + 16, 0, 4);                                 /* a snaplen of 0 */
    image_pcap_packet(&f, 1, 4294967295, SPAN_LIT("hello"), 2); /* more than was on the wire */
    image_u64(&f, 0);
    image_u32(&f, 0x80000000);
    image_u32(&f, 60);
    assert_true(reader_open(&r, image_path(&f)));
    assert_int_equal(next(&r), RECORD_OK);
    assert_int_equal(r.record.wire_len, 5);
    assert_int_equal(r.record.wall_ns, NS_PER_S + 4294967295000);
    assert_int_equal(next(&r), RECORD_BAD);
    assert_string_equal(r.err.text, "it claims 2147483648 bytes");
    unpack_fini(&r.in);
    image_fini(&f);
}

static void other_versions_are_refused(void **state)
{
    struct image f;
    struct reader r;

    (void)state;
    for (int swapped = 0; swapped < 2; swapped++) {
        image_init(&f, swapped);
        image_u32(&f, US);
        image_u16(&f, 3);
        image_u16(&f, 4);
        image_put(&f, "0123456789abcdef", 16);
        assert_false(reader_open(&r, image_path(&f)));
        assert_string_equal(r.err.text, "is a pcap file of version 3, only 2 is known");
        unpack_fini(&r.in);
        image_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_byte_orders_and_units_are_read),
        cmocka_unit_test(packets_cross_the_buffer),
        cmocka_unit_test(a_file_may_end_anywhere),
        cmocka_unit_test(lies_are_not_believed),
        cmocka_unit_test(other_versions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "render/pen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/util.h"
#include "render/date.h"
#include "render/human.h"
#include "sample.h"

static void figures_are_aligned(void **state)
{
    char memory[128];
    struct pen p;

    (void)state;
    pen_init_fixed(&p, memory, sizeof memory - 1);
    pen_u64(&p, 0);
    pen_char(&p, ' ');
    pen_u64(&p, UINT64_MAX);
    pen_char(&p, '|');
    pen_digits(&p, 7, 3, ' ');
    pen_digits(&p, 12345, 3, '0');
    pen_char(&p, '|');
    pen_milli(&p, 812045, 9);
    pen_milli(&p, 5, 0);
    pen_char(&p, '|');
    pen_hex(&p, 0xabc);
    *p.at = '\0';
    assert_string_equal(memory, "0 18446744073709551615|  712345|  812.0450.005|0000000000000abc");
}

static void a_full_pen_stays_full(void **state)
{
    char memory[4] = "";
    struct pen p;

    (void)state;
    pen_init_fixed(&p, memory, sizeof memory);
    pen_text(&p, "ab");
    pen_text(&p, "cde");
    assert_true(p.full);
    pen_char(&p, 'x'); /* would fit, but the text would have a hole */
    assert_int_equal(pen_len(&p), 2);
}

static void a_draft_is_added_whole_or_not_at_all(void **state)
{
    struct buf out;
    struct pen p;

    (void)state;
    buf_init(&out, 5000);
    assert_true(buf_append(&out, "12", 2));
    pen_init_draft(&p, &out);
    pen_pad(&p, 'a', 4998);
    assert_true(pen_end_draft(&p, &out));
    assert_int_equal(out.len, 5000);
    pen_init_draft(&p, &out);
    pen_char(&p, 'b');
    assert_false(pen_end_draft(&p, &out));
    assert_int_equal(out.len, 5000);
    buf_fini(&out);
}

static void dates_are_written_as_each_reader_wants(void **state)
{
    static const struct {
        void (*write)(struct pen *, uint64_t);
        uint64_t wall_ns;
        const char *want;
    } cases[] = {
        {date_write_rfc3339, 0, "1970-01-01T00:00:00.000000Z"},
        {date_write_rfc3339, 1, "1970-01-01T00:00:00.000000Z"},
        {date_write_rfc3339, SAMPLE_WALL_NS, "2026-11-23T05:00:00.123456Z"},
        {date_write_rfc3339, SAMPLE_WALL_NS + NS_PER_S, "2026-11-23T05:00:01.123456Z"},
        {date_write_rfc3339, 951782400 * NS_PER_S - 1, "2000-02-28T23:59:59.999999Z"},
        {date_write_http, SAMPLE_WALL_NS, "Mon, 23 Nov 2026 05:00:00 GMT"},
        {date_write_http, 0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {date_write_local, SAMPLE_WALL_NS, "2026-11-23 05:00:00.123"},
    };
    char memory[64];
    struct pen p;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        pen_init_fixed(&p, memory, sizeof memory - 1);
        cases[i].write(&p, cases[i].wall_ns);
        *p.at = '\0';
        assert_string_equal(memory, cases[i].want);
    }
}

static void people_get_figures_they_can_read(void **state)
{
    static const struct {
        void (*write)(struct pen *, uint64_t);
        uint64_t n;
        const char *want;
    } cases[] = {
        {human_bytes, 0, "0 B"},
        {human_bytes, 1023, "1023 B"},
        {human_bytes, 1024, "1.0 KiB"},
        {human_bytes, 1048575, "1023.9 KiB"},
        {human_bytes, 1048576, "1.0 MiB"},
        {human_bytes, 5ull << 40, "5.0 TiB"},
        {human_bytes, UINT64_MAX, "16777215.9 TiB"},
        {human_duration, 79999, "79 us"},
        {human_duration, 4210000, "4.2 ms"},
        {human_duration, 12345 * NS_PER_MS, "12.3 s"},
        {human_duration, 60 * NS_PER_S, "0:01:00"},
        {human_duration, 90061 * NS_PER_S, "25:01:01"},
    };
    char memory[64];
    struct pen p;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        pen_init_fixed(&p, memory, sizeof memory - 1);
        cases[i].write(&p, cases[i].n);
        *p.at = '\0';
        assert_string_equal(memory, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_aligned),
        cmocka_unit_test(a_full_pen_stays_full),
        cmocka_unit_test(a_draft_is_added_whole_or_not_at_all),
        cmocka_unit_test(dates_are_written_as_each_reader_wants),
        cmocka_unit_test(people_get_figures_they_can_read),
    };

    return cmocka_run_group_tests(tests, sample_setup, NULL);
}

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/dial.h"

/* Addresses by letters: capitals are IPv6, small ones IPv4; the letter is the last byte. */
static unsigned make(const char *letters, struct addr *out)
{
    unsigned n = 0;

    for (; letters[n]; n++) {
        bool six = letters[n] < 'a';

        out[n] = (struct addr){.family = six ? AF_INET6 : AF_INET};
        out[n].bytes[six ? 15 : 3] = (uint8_t)letters[n];
    }
    return n;
}

static char letter_of(const struct addr *a)
{
    return (char)a->bytes[a->family == AF_INET6 ? 15 : 3];
}

static void begin(struct dial *d, const char *letters)
{
    struct addr addrs[32];

    dial_init(d, addrs, make(letters, addrs));
}

static void families_take_turns(void **state)
{
    static const struct {
        const char *given, *order;
    } rows[] = {
        {"", ""},
        {"a", "a"},
        {"A", "A"},
        {"abc", "abc"},
        {"ABcd", "AcBd"},
        {"abCD", "aCbD"},
        {"AcBd", "AcBd"},
        {"ABCd", "AdBC"},
        {"aBCD", "aBCD"},
        {"ABCdefgh", "AdBeCfgh"},
        {"ABCDEFGHijklmnopqrst", "AiBjCkDlEmFnGoHp"}, /* sixteen are kept */
        {"abcdefghijklmnopQ", "abcdefghijklmnop"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char order[DIAL_ADDRS_MAX + 1] = "";
        struct dial d;

        begin(&d, rows[i].given);
        for (unsigned k = 0; k < d.len; k++)
            order[k] = letter_of(&d.tries[k].addr);
        assert_string_equal(order, rows[i].order);
    }
}

/* A story of one dial.  "+N": N ms later; "n": the next one is tried, "-": none is to be tried now;
 * "0E": try 0 fails with the errno of that letter, "0.": it is through. */
static int errno_of(char c)
{
    switch (c) {
    case 'R':
        return ECONNREFUSED;
    case 'T':
        return ETIMEDOUT;
    case 'N':
        return ENETUNREACH;
    case 'H':
        return EHOSTUNREACH;
    case 'P':
        return EACCES;
    default:
        return 0;
    }
}

static void tell(struct dial *d, const char *story)
{
    uint64_t now = 1000000;
    int tried = 0;

    for (const char *p = story; *p; p++) {
        if (*p == '+') {
            uint64_t ms = 0;

            for (; p[1] >= '0' && p[1] <= '9'; p++)
                ms = ms * 10 + (uint64_t)(p[1] - '0');
            now += ms * 1000000;
        } else if (*p == 'n') {
            assert_int_equal(dial_next(d, now), tried);
            assert_int_equal(d->tries[tried].state, DIAL_TRYING);
            assert_int_equal(d->tries[tried++].start_ns, now);
        } else if (*p == '-') {
            assert_int_equal(dial_next(d, now), -1);
        } else if (*p != ' ') {
            unsigned i = (unsigned)(*p++ - '0');

            dial_end(d, i, errno_of(*p), now);
            assert_int_equal(d->tries[i].state, *p == '.' ? DIAL_DONE : DIAL_FAILED);
            assert_int_equal(d->tries[i].end_ns, now);
        }
    }
}

static void tries_begin_when_it_is_time(void **state)
{
    static const struct {
        const char *addrs, *story;
        bool over;
        int worst;
    } rows[] = {
        {"", "-", true, 0},
        {"a", "n- +60000 -", false, 0},
        {"a", "n +1 0R -", true, ECONNREFUSED},
        {"aB", "n +249 - +1 n- +9999 -", false, 0},
        {"aB", "n +5 0R n-", false, ECONNREFUSED},           /* a failure: the next at once */
        {"aBc", "n +250 n +100 0R n-", false, ECONNREFUSED}, /* though another is under way */
        {"aBc", "n +250 n +249 - +1 n-", false, 0},
        {"aBc", "n +250 n +20 1. -", false, 0},
        {"aB", "n 0T n 1N -", true, ETIMEDOUT},
        {"aB", "n 0N n 1T", true, ETIMEDOUT},
        {"aB", "n 0H n 1R", true, ECONNREFUSED},
        {"aB", "n 0R n 1T", true, ECONNREFUSED},
        {"aB", "n 0T n 1R", true, ECONNREFUSED},
        {"aB", "n 0P n 1N", true, ENETUNREACH},
        {"aB", "n 0N n 1H", true, ENETUNREACH}, /* as good as each other: the first */
        {"aB", "n 0P n 1P", true, EACCES},
        {"aBc", "n 0R n 1R", false, ECONNREFUSED}, /* one is left */
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct dial d;

        begin(&d, rows[i].addrs);
        tell(&d, rows[i].story);
        assert_int_equal(dial_is_over(&d), rows[i].over);
        assert_int_equal(dial_worst(&d), rows[i].worst);
    }
}

static void the_owner_is_told_when_to_come_back(void **state)
{
    struct dial d;

    (void)state;
    begin(&d, "aBc");
    assert_int_equal(d.next_ns, UINT64_MAX);
    dial_next(&d, 7);
    assert_int_equal(d.next_ns, 7 + DIAL_DELAY_NS);
    dial_end(&d, 0, ECONNREFUSED, 9);
    assert_int_equal(d.next_ns, 9);
    dial_next(&d, 10);
    assert_int_equal(d.next_ns, 10 + DIAL_DELAY_NS);
    dial_next(&d, 10 + DIAL_DELAY_NS);
    assert_int_equal(d.next_ns, UINT64_MAX); /* the last one has as long as it likes */
    dial_end(&d, 1, ETIMEDOUT, 20 + DIAL_DELAY_NS);
    assert_int_equal(d.next_ns, UINT64_MAX);
    assert_int_equal(d.trying, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(tries_begin_when_it_is_time),
        cmocka_unit_test(the_owner_is_told_when_to_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "policy/classes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/util.h"

static struct addr address(const char *text)
{
    struct addr a;

    assert_true(addr_parse(span_of(text), &a));
    return a;
}

static void every_form_has_its_classes(void **state)
{
    static const struct {
        const char *text;
        unsigned wide, narrow;
    } cases[] = {
        {"127.0.0.1", CLASS_LOOPBACK, CLASS_LOOPBACK},
        {"127.255.255.255", CLASS_LOOPBACK, CLASS_LOOPBACK},
        {"0.0.0.0", CLASS_LOOPBACK, CLASS_LOOPBACK},
        {"0.1.2.3", CLASS_LOOPBACK, CLASS_LOOPBACK},
        {"::1", CLASS_LOOPBACK, CLASS_LOOPBACK},
        {"::", CLASS_LOOPBACK, CLASS_LOOPBACK},
        {"169.254.169.254", CLASS_LINK_LOCAL, CLASS_LINK_LOCAL},
        {"fe80::1", CLASS_LINK_LOCAL, CLASS_LINK_LOCAL},
        {"febf::1", CLASS_LINK_LOCAL, CLASS_LINK_LOCAL},
        {"fec0::1", 0, 0},
        {"10.0.0.1", CLASS_PRIVATE, CLASS_PRIVATE},
        {"172.16.0.0", CLASS_PRIVATE, CLASS_PRIVATE},
        {"172.31.255.255", CLASS_PRIVATE, CLASS_PRIVATE},
        {"172.32.0.0", 0, 0},
        {"172.15.255.255", 0, 0},
        {"192.168.1.1", CLASS_PRIVATE, CLASS_PRIVATE},
        {"100.64.0.1", CLASS_PRIVATE, CLASS_PRIVATE},
        {"100.127.255.255", CLASS_PRIVATE, CLASS_PRIVATE},
        {"100.128.0.0", 0, 0},
        {"100.63.255.255", 0, 0},
        {"fc00::1", CLASS_PRIVATE, CLASS_PRIVATE},
        {"fdff::1", CLASS_PRIVATE, CLASS_PRIVATE},
        {"224.0.0.1", CLASS_MULTICAST, CLASS_MULTICAST},
        {"240.0.0.1", CLASS_MULTICAST, CLASS_MULTICAST},
        {"255.255.255.255", CLASS_MULTICAST, CLASS_MULTICAST},
        {"ff02::1", CLASS_MULTICAST, CLASS_MULTICAST},
        {"192.0.2.1", 0, 0},
        {"2001:db8::1", 0, 0},
        {"::ffff:127.0.0.1", CLASS_LOOPBACK, CLASS_LOOPBACK},
        {"::ffff:10.1.2.3", CLASS_PRIVATE, CLASS_PRIVATE},
        {"::ffff:192.0.2.1", 0, 0},
        {"64:ff9b::7f00:1", CLASS_LOOPBACK, CLASS_LOOPBACK}, /* NAT64 */
        {"64:ff9b::a9fe:a9fe", CLASS_LINK_LOCAL, CLASS_LINK_LOCAL},
        {"64:ff9b::c000:201", 0, 0},
        {"2002:7f00:1::", CLASS_LOOPBACK, 0}, /* 6to4 */
        {"2002:a01:203::5", CLASS_PRIVATE, 0},
        {"2002:c000:201::", 0, 0},
        {"2001:0:c000:201:0:0:80ff:fffe", CLASS_LOOPBACK, 0}, /* Teredo: client 127.0.0.1 */
        {"2001:0:a00:1:0:0:3fff:fdfe", CLASS_PRIVATE, 0},     /* Teredo: server 10.0.0.1 */
        {"2001:0:c000:201:0:0:3fff:fdfe", 0, 0},
        {"::127.0.0.1", CLASS_LOOPBACK, 0}, /* IPv4-compatible */
        {"::10.0.0.1", CLASS_PRIVATE, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct addr a = address(cases[i].text);
        struct classes_forms f;

        classes_forms_of(&a, &f);
        if (f.wide != cases[i].wide || f.narrow != cases[i].narrow)
            fail_msg("%s: wide %u, narrow %u", cases[i].text, f.wide, f.narrow);
        assert_int_equal(access_classify(&a), cases[i].wide);
    }
    assert_int_equal(access_classify(&(struct addr){0}), 0);
}

static void own_addresses_are_loopback(void **state)
{
    static const char *const forms[] = {"203.0.113.9", "::ffff:203.0.113.9", "64:ff9b::cb00:7109",
                                        "2002:cb00:7109::1", "2001:db8::9"};
    struct addr list[] = {address("2001:db8::9"), address("203.0.113.9"), address("10.0.0.1")};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct addr a = address(forms[i]);

        assert_int_equal(access_classify(&a), 0);
        access_set_own_addresses(list, ARRAY_LEN(list));
        assert_int_equal(access_classify(&a), CLASS_LOOPBACK);
        access_set_own_addresses(NULL, 0);
    }
    access_set_own_addresses(list, ARRAY_LEN(list));
    assert_int_equal(access_classify(&list[2]), CLASS_LOOPBACK | CLASS_PRIVATE);
    assert_int_equal(access_classify(&(struct addr){.family = AF_INET, .bytes = {203, 0, 113, 10}}),
                     0);
    access_set_own_addresses(NULL, 0);
}

/* One address is in both lists that the writer alternates between: a reader always finds it. */
static atomic_bool writing;

static void *alternate(void *arg)
{
    struct addr one[] = {address("203.0.113.9")};
    struct addr two[] = {address("198.51.100.1"), address("203.0.113.9"), address("2001:db8::1")};

    for (int i = 0; i < 20000; i++)
        access_set_own_addresses(i & 1 ? one : two, i & 1 ? ARRAY_LEN(one) : ARRAY_LEN(two));
    atomic_store(&writing, false);
    return arg;
}

static void readers_see_the_old_or_the_new(void **state)
{
    struct addr a = address("203.0.113.9");
    pthread_t writer;

    (void)state;
    access_set_own_addresses(&a, 1);
    atomic_store(&writing, true);
    assert_int_equal(pthread_create(&writer, NULL, alternate, NULL), 0);
    while (atomic_load(&writing))
        if (access_classify(&a) != CLASS_LOOPBACK)
            fail_msg("a torn list was seen");
    pthread_join(writer, NULL);
    access_set_own_addresses(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_has_its_classes),
        cmocka_unit_test(own_addresses_are_loopback),
        cmocka_unit_test(readers_see_the_old_or_the_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

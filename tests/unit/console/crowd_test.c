/* Who is connected, who makes room, and whose time is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "console/crowd.h"

#define GUESTS 5

struct guest {
    int fds[2];
    struct crowd_guest *at;
};

static void come(struct crowd *c, struct guest *g, uint64_t now_s)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, g->fds), 0);
    g->at = crowd_add(c, g->fds[0], now_s * NS_PER_S);
    assert_non_null(g->at);
}

static bool is_hung_up_on(const struct guest *g)
{
    char byte;
    ssize_t n = recv(g->fds[1], &byte, 1, MSG_DONTWAIT);

    return n == 0;
}

static void leave(struct crowd *c, struct guest *g)
{
    crowd_remove(c, g->at);
    close(g->fds[0]);
    close(g->fds[1]);
}

static void who_waits_longest_makes_room(void **state)
{
    struct crowd c = {.room = 3};
    struct guest g[GUESTS];

    (void)state;
    come(&c, &g[0], 1);
    come(&c, &g[1], 2);
    come(&c, &g[2], 3);
    crowd_set_served(g[0].at, 1 * NS_PER_S);
    crowd_set_following(g[0].at);
    come(&c, &g[3], 4);
    assert_false(is_hung_up_on(&g[0])); /* it follows events */
    assert_true(is_hung_up_on(&g[1]));
    crowd_set_uploading(g[2].at);
    come(&c, &g[4], 5); /* the one that is gone counts until it is closed */
    assert_false(is_hung_up_on(&g[2]));
    assert_true(is_hung_up_on(&g[3]));
    assert_false(is_hung_up_on(&g[4]));
    assert_int_equal(c.len, 5);
    for (unsigned i = 0; i < GUESTS; i++)
        leave(&c, &g[i]);
    assert_int_equal(c.len, 0);
    assert_null(c.first);
}

static void a_request_that_does_not_get_whole_has_its_time(void **state)
{
    struct crowd c = {.room = 10};
    struct guest asking, uploading, served, again;

    (void)state;
    come(&c, &asking, 100);
    come(&c, &uploading, 100);
    come(&c, &served, 100);
    come(&c, &again, 100);
    crowd_set_uploading(uploading.at);
    crowd_set_served(served.at, 105 * NS_PER_S);
    crowd_set_served(again.at, 105 * NS_PER_S);
    crowd_set_asking(again.at, 110 * NS_PER_S);
    crowd_tick(&c, (100 + CROWD_PATIENCE_S) * NS_PER_S - 1);
    assert_false(is_hung_up_on(&asking));
    crowd_tick(&c, (100 + CROWD_PATIENCE_S) * NS_PER_S);
    assert_true(is_hung_up_on(&asking)); /* whatever bytes came meanwhile */
    assert_false(is_hung_up_on(&again));
    crowd_set_asking(asking.at, 131 * NS_PER_S); /* too late */
    crowd_set_served(asking.at, 131 * NS_PER_S);
    assert_int_equal(asking.at->state, CROWD_GONE);
    crowd_tick(&c, (110 + CROWD_PATIENCE_S) * NS_PER_S);
    assert_true(is_hung_up_on(&again));
    assert_false(is_hung_up_on(&uploading));
    crowd_tick(&c, (100 + CROWD_LONG_S) * NS_PER_S);
    assert_true(is_hung_up_on(&uploading));
    assert_false(is_hung_up_on(&served));
    crowd_tick(&c, (105 + CROWD_LONG_S) * NS_PER_S);
    assert_true(is_hung_up_on(&served)); /* however it takes its answer */
    leave(&c, &asking);
    leave(&c, &uploading);
    leave(&c, &served);
    leave(&c, &again);
}

static void who_does_not_take_its_answer_makes_room(void **state)
{
    struct crowd c = {.room = 3};
    struct guest g[GUESTS];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        come(&c, &g[i], 1);
        crowd_set_served(g[i].at, (3 - i) * NS_PER_S);
    }
    crowd_set_following(g[2].at);
    come(&c, &g[3], 4);
    assert_true(is_hung_up_on(&g[1])); /* of those that are served the oldest */
    come(&c, &g[4], 5);
    assert_true(is_hung_up_on(&g[0]));
    assert_false(is_hung_up_on(&g[2]));
    assert_false(is_hung_up_on(&g[3]));
    for (unsigned i = 0; i < GUESTS; i++)
        leave(&c, &g[i]);
}

static void nobody_is_no_guest(void **state)
{
    struct crowd c = {.room = 1};

    (void)state;
    crowd_remove(&c, NULL);
    crowd_set_asking(NULL, 1);
    crowd_set_served(NULL, 1);
    crowd_set_following(NULL);
    crowd_set_uploading(NULL);
    crowd_tick(&c, 1);
    assert_int_equal(c.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_waits_longest_makes_room),
        cmocka_unit_test(a_request_that_does_not_get_whole_has_its_time),
        cmocka_unit_test(who_does_not_take_its_answer_makes_room),
        cmocka_unit_test(nobody_is_no_guest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

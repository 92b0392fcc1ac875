#include "flow/proxystatus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

static void equals(struct span got, const char *want)
{
    if (!span_equal(got, span_of(want)))
        fail_msg("\"%.*s\", not \"%s\"", (int)got.len, got.ptr ? got.ptr : "", want);
}

static void reads_members_in_order(void **state)
{
    struct span rest = SPAN_LIT("\"far, one\"; error=dns_error ;rcode=\"NXDOMAIN\", "
                                "near;next-hop=\"[::1]:80\"; received-status=502;x;"
                                "details=\"say \\\"no\\\", \\\\ and; go\",");
    struct proxystatus m;

    (void)state;
    assert_true(proxystatus_next(&rest, &m));
    equals(m.name, "far, one");
    equals(m.error, "dns_error");
    equals(m.rcode, "NXDOMAIN");
    assert_int_equal(m.received_status, 0);
    assert_true(proxystatus_next(&rest, &m));
    equals(m.name, "near");
    equals(m.error, "");
    equals(m.next_hop, "[::1]:80");
    equals(m.details, "say \\\"no\\\", \\\\ and; go");
    assert_int_equal(m.received_status, 502);
    assert_false(proxystatus_next(&rest, &m));
}

/* What is no structured field still gives what can be read of it, and comes to an end. */
static void bears_nonsense(void **state)
{
    static const struct {
        const char *value;
        unsigned members;
        const char *error; /* of the last */
    } cases[] = {
        {"", 0, NULL},
        {" , ,\t,", 0, NULL},
        {"a error=x, b;error=connection_refused", 2, "connection_refused"},
        {"a;error=\"never ends, b;error=y", 1, "never ends, b;error=y"},
        {"a;;=;error = loop", 1, "loop"},
        {"a;error=\"x\\", 1, "x\\"},
        {"(a b);error=q", 1, "q"},
        {"\"\"\"\";error=q", 1, "q"},
        {"a;received-status=1000000;received-status=-1", 1, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct span rest = span_of(cases[i].value);
        struct proxystatus m, last = {0};
        unsigned n = 0;

        for (; proxystatus_next(&rest, &m); n++)
            last = m;
        assert_int_equal(n, cases[i].members);
        assert_int_equal(last.received_status, 0);
        if (cases[i].error)
            equals(last.error, cases[i].error);
    }
}

static void types_mean_verdicts(void **state)
{
    static const struct {
        const char *error;
        unsigned status, received;
        enum verdict want;
    } cases[] = {
        {"dns_timeout", 504, 0, VERDICT_UPSTREAM_UNRESOLVED},
        {"Connection_Refused", 502, 0, VERDICT_UPSTREAM_REFUSED},
        {"destination_ip_prohibited", 502, 0, VERDICT_ACL_DENIED},
        {"tls_certificate_error", 502, 0, VERDICT_UPSTREAM_FAILED},
        {"http_response_body_size", 502, 0, VERDICT_SIZE_LIMIT},
        {"http_request_error", 400, 0, VERDICT_BAD_REQUEST},
        {"http_request_error", 408, 0, VERDICT_REQUEST_TIMEOUT},
        {"http_request_error", 429, 0, VERDICT_CLIENT_LIMIT},
        {"http_request_error", 407, 0, VERDICT_COUNT},
        {"http_request_denied", 403, 0, VERDICT_ACL_DENIED},
        {"http_request_denied", 407, 0, VERDICT_COUNT},
        {"proxy_configuration_error", 500, 0, VERDICT_PROXY_ERROR},
        {"proxy_configuration_error", 502, 407, VERDICT_PARENT_AUTH_FAILED},
        {"proxy_loop_detected", 502, 0, VERDICT_LOOP},
        {"no_such_error", 502, 0, VERDICT_COUNT},
        {"", 502, 0, VERDICT_COUNT},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct proxystatus m = {.error = span_of(cases[i].error),
                                .received_status = cases[i].received};

        assert_int_equal(proxystatus_verdict(&m, cases[i].status), cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_members_in_order),
        cmocka_unit_test(bears_nonsense),
        cmocka_unit_test(types_mean_verdicts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "flow/verdict.h"

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

/* The published table, in its order: names, statuses and errors are what scripts rely on. */
static const struct {
    const char *name;
    int status;
    const char *proxy_status;
} published[] = {
    {"ok", 200, NULL},
    {"target-error", 0, NULL},
    {"open", 0, NULL},
    {"proxy-unresolved", 0, NULL},
    {"proxy-unreachable", 0, NULL},
    {"proxy-refused", 0, NULL},
    {"proxy-silent", 0, NULL},
    {"not-a-proxy", 0, NULL},
    {"proxy-tls-failed", 0, NULL},
    {"bad-request", 400, "http_request_error"},
    {"request-timeout", 408, "http_request_error"},
    {"auth-required", 407, "http_request_denied"},
    {"auth-failed", 407, "http_request_denied"},
    {"auth-unsupported", 502, "proxy_configuration_error"},
    {"parent-auth-failed", 502, "proxy_configuration_error"},
    {"acl-denied", 403, "http_request_denied"},
    {"not-found", 404, NULL},
    {"proxy-error", 500, "proxy_internal_error"},
    {"loop", 502, "proxy_loop_detected"},
    {"upstream-unresolved", 502, "dns_error"},
    {"upstream-refused", 502, "connection_refused"},
    {"upstream-unreachable", 502, "destination_ip_unroutable"},
    {"upstream-failed", 502, "connection_terminated"},
    {"overloaded", 503, "connection_limit_reached"},
    {"client-limit", 429, "http_request_error"},
    {"upstream-timeout", 504, "connection_timeout"},
    {"tls-failed", 0, NULL},
    {"tls-untrusted", 0, NULL},
    {"tls-intercepted", 0, NULL},
    {"stalled", 0, NULL},
    {"incomplete", 0, NULL},
    {"size-limit", 403, "http_response_body_size"},
    {"sni-mismatch", 0, NULL},
    {"lifetime-limit", 0, NULL},
    {"reset-by-client", 0, NULL},
    {"reset-by-proxy", 0, NULL},
    {"reset-by-target", 0, NULL},
    {"mtu-blackhole", 0, NULL},
    {"client-gone", 0, NULL},
    {"draining", 503, "proxy_internal_response"},
};

static void table_is_the_published_one(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_LEN(published), VERDICT_COUNT);
    for (unsigned v = 0; v < VERDICT_COUNT; v++) {
        const struct verdict_info *row = verdict_get_info((enum verdict)v);

        assert_string_equal(row->name, published[v].name);
        assert_int_equal(row->status, published[v].status);
        if (published[v].proxy_status)
            assert_string_equal(row->proxy_status, published[v].proxy_status);
        else
            assert_null(row->proxy_status);
    }
}

/* RFC 9209 2.3, the whole registry. */
static bool is_registered(const char *error)
{
    static const char *const types[] = {
        "dns_timeout",
        "dns_error",
        "destination_not_found",
        "destination_unavailable",
        "destination_ip_prohibited",
        "destination_ip_unroutable",
        "connection_refused",
        "connection_terminated",
        "connection_timeout",
        "connection_read_timeout",
        "connection_write_timeout",
        "connection_limit_reached",
        "tls_protocol_error",
        "tls_certificate_error",
        "tls_alert_received",
        "http_request_error",
        "http_request_denied",
        "http_response_incomplete",
        "http_response_header_section_size",
        "http_response_header_size",
        "http_response_body_size",
        "http_response_trailer_section_size",
        "http_response_trailer_size",
        "http_response_transfer_coding",
        "http_response_content_coding",
        "http_response_timeout",
        "http_upgrade_failed",
        "http_protocol_error",
        "proxy_internal_response",
        "proxy_internal_error",
        "proxy_configuration_error",
        "proxy_loop_detected",
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i], error) == 0)
            return true;
    return false;
}

static bool ends_as_a_sentence(const char *text)
{
    return text[0] >= 'A' && text[0] <= 'Z' && text[strlen(text) - 1] == '.';
}

static void rows_are_sane(void **state)
{
    const unsigned all = SOURCE_BIT_SERVE | SOURCE_BIT_CHECK | SOURCE_BIT_EXPLAIN;

    (void)state;
    for (unsigned v = 0; v < VERDICT_COUNT; v++) {
        const struct verdict_info *row = verdict_get_info((enum verdict)v);

        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz-"), strlen(row->name));
        assert_true(row->status == 0 || row->status == 200 ||
                    (row->status >= 400 && row->status <= 504));
        if (row->proxy_status)
            assert_true(is_registered(row->proxy_status));
        assert_true(row->sources != 0 && (row->sources & ~all) == 0);
        assert_true(row->status == 0 || (row->sources & SOURCE_BIT_SERVE));
        assert_true(*row->meaning && row->meaning[strlen(row->meaning) - 1] != '.');
        assert_true(*row->how && row->how[strlen(row->how) - 1] != '.');
        assert_true(ends_as_a_sentence(row->cause));
        if (verdict_is_success((enum verdict)v))
            assert_string_equal(row->advice, "");
        else
            assert_true(ends_as_a_sentence(row->advice));
        assert_int_equal(row->blame == SIDE_NOBODY, verdict_is_success((enum verdict)v));
    }
}

static void names_are_found_again(void **state)
{
    (void)state;
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        assert_int_equal(verdict_find(span_of(published[v].name)), v);
    assert_int_equal(verdict_find(SPAN_LIT("acl-denie")), VERDICT_COUNT);
    assert_int_equal(verdict_find(SPAN_LIT("OK")), VERDICT_COUNT);
    assert_int_equal(verdict_find(SPAN_LIT("")), VERDICT_COUNT);
}

static void errno_maps_by_side(void **state)
{
    static const struct {
        enum side side;
        int err;
        enum verdict want;
    } cases[] = {
        {SIDE_TARGET, ECONNREFUSED, VERDICT_UPSTREAM_REFUSED},
        {SIDE_PARENT, ECONNREFUSED, VERDICT_UPSTREAM_REFUSED},
        {SIDE_TARGET, ENETUNREACH, VERDICT_UPSTREAM_UNREACHABLE},
        {SIDE_TARGET, EHOSTUNREACH, VERDICT_UPSTREAM_UNREACHABLE},
        {SIDE_TARGET, EAFNOSUPPORT, VERDICT_UPSTREAM_UNREACHABLE},
        {SIDE_TARGET, EACCES, VERDICT_UPSTREAM_UNREACHABLE},
        {SIDE_TARGET, ETIMEDOUT, VERDICT_UPSTREAM_TIMEOUT},
        {SIDE_TARGET, ECONNRESET, VERDICT_RESET_BY_TARGET},
        {SIDE_PARENT, EPIPE, VERDICT_RESET_BY_TARGET},
        {SIDE_TARGET, EMFILE, VERDICT_OVERLOADED},
        {SIDE_TARGET, EADDRNOTAVAIL, VERDICT_OVERLOADED},
        {SIDE_CLIENT, ECONNRESET, VERDICT_RESET_BY_CLIENT},
        {SIDE_CLIENT, EPIPE, VERDICT_RESET_BY_CLIENT},
        {SIDE_CLIENT, ETIMEDOUT, VERDICT_STALLED},
        {SIDE_CLIENT, EHOSTUNREACH, VERDICT_STALLED},
        {SIDE_CLIENT, ENFILE, VERDICT_OVERLOADED},
        {SIDE_CLIENT, ENOMEM, VERDICT_OVERLOADED},
        {SIDE_CLIENT, ENOBUFS, VERDICT_OVERLOADED},
        {SIDE_CLIENT, EBADF, VERDICT_PROXY_ERROR},
        {SIDE_CLIENT, ECONNREFUSED, VERDICT_PROXY_ERROR},
        {SIDE_TARGET, EINVAL, VERDICT_PROXY_ERROR},
        {SIDE_PROXY, EPIPE, VERDICT_PROXY_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(verdict_from_errno(cases[i].side, cases[i].err), cases[i].want);
    for (int side = 0; side < SIDE_COUNT; side++)
        for (int err = 1; err < 140; err++)
            assert_int_not_equal(verdict_from_errno((enum side)side, err), VERDICT_OK);
}

/* Under a locale that has other words for them, too. */
static void errno_has_an_english_text(void **state)
{
    (void)state;
    setenv("LANGUAGE", "ja", 1);
    setlocale(LC_ALL, "C.UTF-8");
    assert_string_equal(verdict_errno_text(EHOSTUNREACH), "No route to host");
    assert_string_equal(verdict_errno_text(ECONNREFUSED), "Connection refused");
    assert_string_equal(verdict_errno_text(-1), "an unknown error");
    assert_string_equal(verdict_errno_text(99999), "an unknown error");
    setlocale(LC_ALL, "C");
    unsetenv("LANGUAGE");
}

static void sides_and_certainties_have_names(void **state)
{
    (void)state;
    assert_string_equal(verdict_side_name(SIDE_NOBODY), "");
    assert_string_equal(verdict_side_name(SIDE_CLIENT), "client");
    assert_string_equal(verdict_side_name(SIDE_PROXY), "proxy");
    assert_string_equal(verdict_side_name(SIDE_PARENT), "parent");
    assert_string_equal(verdict_side_name(SIDE_TARGET), "target");
    assert_string_equal(verdict_side_name(SIDE_NETWORK), "network");
    assert_string_equal(verdict_certainty_name(CERTAINTY_SEEN), "seen");
    assert_string_equal(verdict_certainty_name(CERTAINTY_INFERRED), "inferred");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_the_published_one),
        cmocka_unit_test(rows_are_sane),
        cmocka_unit_test(names_are_found_again),
        cmocka_unit_test(errno_maps_by_side),
        cmocka_unit_test(errno_has_an_english_text),
        cmocka_unit_test(sides_and_certainties_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

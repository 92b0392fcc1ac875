#include "flow/manual.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/flow.h"

static void names_everything_once(void **state)
{
    char *text = NULL, item[64];
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    flow_print_manual(out);
    fclose(out);
    for (unsigned v = 0; v < VERDICT_COUNT; v++) {
        const char *at;

        snprintf(item, sizeof item, ".It Sy %s\n", verdict_get_info((enum verdict)v)->name);
        at = strstr(text, item);
        if (!at)
            fail_msg("%s", item);
        if (v != VERDICT_TLS_UNTRUSTED) /* a warning too */
            assert_null(strstr(at + 1, item));
    }
    for (unsigned w = 0; w < WARNING_COUNT; w++) {
        snprintf(item, sizeof item, ".It Sy %s\n", flow_warning_name((enum warning)w));
        assert_non_null(strstr(text, item));
    }
    for (unsigned p = 0; p < PHASE_COUNT; p++) {
        snprintf(item, sizeof item, ".It Sy %s\n", phase_name((enum phase)p));
        assert_non_null(strstr(text, item));
    }
    free(text);
}

/* Only where mandoc is at hand. */
static void mandoc_has_nothing_to_say(void **state)
{
    char line[256];
    FILE *page, *lint;

    (void)state;
    if (system("command -v mandoc >/dev/null") != 0)
        skip();
    page = fopen("verdicts-lint.7", "w");
    assert_non_null(page);
    fputs(".Dd November 23, 2026\n.Dt VIADUCT-VERDICTS 7\n.Os\n.Sh NAME\n.Nm viaduct-verdicts\n"
          ".Nd a frame\n.Sh DESCRIPTION\nA frame.\n.Pp\n",
          page);
    flow_print_manual(page);
    fclose(page);
    lint = popen("mandoc -T lint verdicts-lint.7", "r");
    assert_non_null(lint);
    if (fgets(line, sizeof line, lint))
        fail_msg("%s", line);
    assert_int_equal(pclose(lint), 0);
    remove("verdicts-lint.7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_everything_once),
        cmocka_unit_test(mandoc_has_nothing_to_say),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

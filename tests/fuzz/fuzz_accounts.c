/* An accounts file from outside: refused with a reason, or each account is found by its name; what
 * is edited reads again. */
#include <stdlib.h>
#include <string.h>

#include "config/accounts_file.h"
#include "fuzz.h"

static void edit(struct accounts *s, struct span text)
{
    struct config_report report = {0};
    struct buf out;

    buf_init(&out, ACCOUNTS_FILE_MAX);
    for (unsigned i = 0; i < accounts_count(s) && i < 4; i++) {
        const struct account *a = accounts_get(s, i);
        struct accounts *again;

        if (accounts_find(s, span_of(a->name)) != a || !accounts_file_replace(text, a, &out))
            abort();
        again = accounts_file_parse("f", buf_span(&out), &report);
        if (!again || accounts_count(again) != accounts_count(s))
            abort();
        accounts_unref(again);
        buf_consume(&out, out.len);
        if (!accounts_file_remove(text, span_of(a->name), &out))
            abort();
        again = accounts_file_parse("f", buf_span(&out), &report);
        if (!again || accounts_count(again) != accounts_count(s) - 1)
            abort();
        accounts_unref(again);
        buf_consume(&out, out.len);
    }
    buf_fini(&out);
    config_report_fini(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report = {0};
    struct span text = {(const char *)data, size};
    struct accounts *s = accounts_file_parse("f", text, &report);

    if (!s && (report.errors == 0 || report.len == 0))
        abort(); /* refused without a word */
    if (s)
        edit(s, text);
    accounts_unref(s);
    config_report_fini(&report);
    return 0;
}

/* An upstream.conf from outside: refused with a reason, or it can be edited, and what is edited
 * reads again as it was meant. */
#include <stdlib.h>
#include <string.h>

#include "config/upstream_file.h"
#include "fuzz.h"

static struct config *read_again(const struct buf *text)
{
    struct config_report report = {0};
    struct config *c = config_load_upstream("f", buf_span(text), &report);

    config_report_fini(&report);
    if (!c)
        abort(); /* an edit made a good file bad */
    return c;
}

/* Sets each field and takes it out again, one after the other. */
static void edit(struct span text, const struct config_upstream *now)
{
    static const char *const values[][2] = {{"PROXY_PASSWORD", "a\"#;{}\\"}, {"PROXY_USER", "u v"},
                                            {"NO_PROXY", "10.0.0.0/8"},      {"PROXY_TLS", "on"},
                                            {"SMART_LICENSING", "off"},      {"ENABLED", "off"}};

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        struct upstream_edit e = {values[i][0], &values[i][1], 1};
        struct buf set, out;
        struct config *c;

        buf_init(&set, UPSTREAM_FILE_MAX);
        buf_init(&out, UPSTREAM_FILE_MAX);
        if (!upstream_file_edit(text, &e, &set))
            abort();
        if (now->enabled || i == 5) { /* what is disabled may lack a host when it is enabled */
            c = read_again(&set);
            if ((i == 0 && strcmp(c->upstream.password, values[0][1]) != 0) ||
                (i == 1 && strcmp(c->upstream.user, values[1][1]) != 0))
                abort();
            config_unref(c);
        }
        e.len = 0;
        if (!upstream_file_edit(buf_span(&set), &e, &out))
            abort();
        if (now->enabled && i != 5)
            config_unref(read_again(&out));
        buf_fini(&set);
        buf_fini(&out);
    }
}

static void write_out(const struct config *c)
{
    struct buf text;

    buf_init(&text, 4 * UPSTREAM_FILE_MAX);
    if (!upstream_file_write(c, true, &text))
        abort();
    config_unref(read_again(&text));
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report = {0};
    struct span text = {(const char *)data, size};
    struct config *c = config_load_upstream("f", text, &report);

    if (!c && (report.errors == 0 || report.len == 0))
        abort(); /* refused without a word */
    if (c) {
        edit(text, &c->upstream);
        if (c->upstream.present)
            write_out(c);
    }
    config_unref(c);
    config_report_fini(&report);
    return 0;
}

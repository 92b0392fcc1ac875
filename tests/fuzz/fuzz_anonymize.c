/* Stand-ins: wherever a name stands between whatever bytes, nothing of it comes out, and the texts
 * end. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "flow/anonymize.h"
#include "fuzz.h"

#define CANARY "zqxcanary"

/* The bytes before `at`, the name, the bytes behind it; no NUL among them. */
static char *plant(const uint8_t *data, size_t size, size_t at)
{
    char *text = malloc(size + sizeof CANARY), *end = text;

    assert(text);
    for (size_t i = 0; i <= size; i++) {
        if (i == at) {
            memcpy(end, CANARY, sizeof CANARY - 1);
            end += sizeof CANARY - 1;
        }
        if (i < size && data[i])
            *end++ = (char)data[i];
    }
    *end = '\0';
    return text;
}

static void check(const char *text)
{
    assert(!text || !strcasestr(text, CANARY));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct anonymize *a = anonymize_new();
    char *text = plant(data, size, size > 0 ? data[0] * size / 256 : 0), *masked;
    struct flow f = {0};
    const char *note;

    assert(a);
    flow_begin(&f, SOURCE_EXPLAIN, 1, 0, 0);
    char **const fields[] = {&f.target, &f.parent, &f.method, &f.url, &f.user, &f.rule, &f.reason};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        flow_set_text(fields[i], text);
    for (unsigned kind = NOTE_EVIDENCE; kind <= NOTE_NAME; kind++)
        flow_note(&f, kind, kind == NOTE_NAME ? SIDE_CLIENT : 0, "%s", text);
    anonymize_flow(a, &f);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        check(*fields[i]);
    for (unsigned kind = NOTE_EVIDENCE; kind <= NOTE_NAME; kind++)
        for (uint32_t at = 0; (note = flow_next_note(&f, kind, NULL, &at));)
            check(note);
    masked = anonymize_text(a, text);
    assert(masked);
    check(masked);
    free(masked);
    free(text);
    flow_fini(&f);
    anonymize_free(a);
    return 0;
}

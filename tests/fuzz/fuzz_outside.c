/* Answers seen from outside: whatever comes, a verdict that can be seen from there, with texts that
 * end and evidence that says why. */
#include <assert.h>
#include <string.h>

#include "flow/greeting.h"
#include "flow/inspectors.h"
#include "flow/outside.h"
#include "flow/page.h"
#include "flow/proxystatus.h"
#include "fuzz.h"
#include "wire/http1.h"

static void check_members(struct span rest)
{
    struct proxystatus m;

    for (size_t before = rest.len + 1; proxystatus_next(&rest, &m); before = rest.len) {
        assert(rest.len < before && m.received_status < 1000);
        assert(proxystatus_verdict(&m, 403) <= VERDICT_COUNT);
    }
}

static void check_answer(const struct outside_answer *a)
{
    struct flow f = {0};
    struct outside_verdict v = outside_judge(a, &f);
    const struct verdict_info *info = verdict_get_info(v.verdict);

    assert(strlen(v.reason) < OUTSIDE_REASON_MAX);
    assert(v.by < SIDE_COUNT && info->name);
    if (v.verdict != VERDICT_OK)
        assert(flow_next_note(&f, NOTE_EVIDENCE, NULL, &(uint32_t){0}));
    flow_fini(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    unsigned kind = size > 0 ? data[size / 2] : 0;
    struct outside_answer a = {
        .asked = kind % 3, .by_name = kind & 4, .credentials_sent = kind & 8, .first = bytes};
    struct http1_head h;
    char name[GREETING_MAX], line[PAGE_LINE_MAX];

    http1_head_reset(&h);
    if (http1_parse_response(bytes, &h) == PARSE_OK) {
        a.is_http = true;
        a.status = h.status;
        a.reason = h.reason;
        a.body = (struct span){bytes.ptr + h.head_len, size - h.head_len};
        for (unsigned i = 0; i < h.fields_len; i++)
            outside_add_field(&a, h.fields[i].name, h.fields[i].value);
    }
    check_answer(&a);
    check_members(bytes);
    size_t len = greeting_write(bytes, name);
    assert(len == strlen(name) && len < GREETING_MAX);
    len = page_write(a.is_http ? a.body : bytes, line);
    assert(len == strlen(line) && len < PAGE_LINE_MAX);
    inspectors_find(bytes);
    return 0;
}

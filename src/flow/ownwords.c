#include "flow/ownwords.h"

#include "base/util.h"

#define PAGE_LOOK 4096 /* bytes of a page that are looked at */

/* A name that viaduct may give an answer of its own. */
static enum verdict find_answer(struct span name)
{
    enum verdict v = verdict_find(name);
    bool may = v < VERDICT_COUNT && (verdict_get_info(v)->sources & SOURCE_BIT_SERVE) &&
               !verdict_is_success(v) && v != VERDICT_TARGET_ERROR;

    return may ? v : VERDICT_COUNT;
}

enum verdict ownwords_read_phrase(struct span phrase, struct span *why)
{
    long open = span_find(phrase, '(');
    struct span rest, name;

    *why = (struct span){"", 0};
    if (open < 0 || phrase.ptr[phrase.len - 1] != ')')
        return VERDICT_COUNT;
    rest = (struct span){phrase.ptr + open + 1, phrase.len - (size_t)open - 2};
    name = span_cut(&rest, ':');
    *why = span_trim(rest);
    return find_answer(name);
}

enum verdict ownwords_read_page(struct span body)
{
    static const struct {
        struct span before;
        char end;
    } places[] = {{SPAN_INIT("{\"verdict\":\""), '"'},
                  {SPAN_INIT("<dt>verdict</dt><dd>"), '<'},
                  {SPAN_INIT(": "), '\n'}};
    struct span head = {body.ptr, body.len < PAGE_LOOK ? body.len : PAGE_LOOK};

    for (size_t i = 0; i < ARRAY_LEN(places) && head.len > 0; i++) {
        const char *at = memmem(head.ptr, head.len, places[i].before.ptr, places[i].before.len);
        struct span rest;

        if (!at)
            continue;
        at += places[i].before.len;
        rest = (struct span){at, head.len - (size_t)(at - head.ptr)};
        enum verdict v = find_answer(span_cut(&rest, places[i].end));
        if (v != VERDICT_COUNT)
            return v;
    }
    return VERDICT_COUNT;
}

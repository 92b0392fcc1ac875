/* What a client wants to read: media type and language of an answer (RFC 9110 12.5.1 and 12.5.4).
 */
#include "proxy/answer.h"

#include <assert.h>

#include "base/util.h"

#define FORMATS 3
#define QUALITY_MAX 1000u

static const struct {
    struct span name, any; /* as Accept names it, and all of its kind */
} types[] = {
    [ANSWER_TEXT] = {SPAN_INIT("text/plain"), SPAN_INIT("text/*")},
    [ANSWER_HTML] = {SPAN_INIT("text/html"), SPAN_INIT("text/*")},
    [ANSWER_JSON] = {SPAN_INIT("application/json"), SPAN_INIT("application/*")},
};
static_assert(ARRAY_LEN(types) == FORMATS, "a format has no row");

/* "1", "0.8", "0.123" in thousandths; 0 for anything else. */
static unsigned parse_quality(struct span s)
{
    unsigned quality, unit = 100;

    if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1') ||
        (s.len > 1 && s.ptr[1] != '.'))
        return 0;
    quality = s.ptr[0] == '1' ? QUALITY_MAX : 0;
    for (size_t i = 2; i < s.len; i++, unit /= 10) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return 0;
        quality += (unsigned)(s.ptr[i] - '0') * unit;
    }
    return quality <= QUALITY_MAX ? quality : 0;
}

/* Takes one item off a list field: what it names, and its quality. */
static struct span next_item(struct span *list, unsigned *quality)
{
    struct span params = span_cut(list, ','), name = span_trim(span_cut(&params, ';'));

    *quality = QUALITY_MAX;
    while (params.len > 0) {
        struct span value = span_cut(&params, ';'), key = span_trim(span_cut(&value, '='));

        if (span_equal_nocase(key, SPAN_LIT("q")))
            *quality = parse_quality(span_trim(value));
    }
    return name;
}

/* How exactly a range names a format; 0: not at all. */
static unsigned match_range(struct span range, enum answer_format format)
{
    if (span_equal_nocase(range, types[format].name))
        return 3;
    if (span_equal_nocase(range, types[format].any))
        return 2;
    return span_equal(range, SPAN_LIT("*/*"));
}

enum answer_format answer_pick_format(struct span accept)
{
    unsigned exact[FORMATS] = {0}, quality[FORMATS] = {0};
    enum answer_format best = ANSWER_TEXT;

    while (accept.len > 0) {
        unsigned q;
        struct span range = next_item(&accept, &q);

        for (unsigned i = 0; i < FORMATS; i++) {
            unsigned match = match_range(range, i);

            if (match > exact[i]) { /* the most exact range decides, wherever it stands */
                exact[i] = match;
                quality[i] = q;
            }
        }
    }
    for (unsigned i = 1; i < FORMATS; i++)
        if (quality[i] > quality[best] ||
            (quality[i] == quality[best] && quality[i] > 0 && exact[i] > exact[best]))
            best = i;
    return best;
}

/* The first of the languages of the highest quality counts; any language means English. */
bool answer_prefers_japanese(struct span accept_language)
{
    unsigned best = 0;
    bool japanese = false;

    while (accept_language.len > 0) {
        unsigned q;
        struct span tag = next_item(&accept_language, &q), primary = span_cut(&tag, '-');
        bool is_japanese = span_equal_nocase(primary, SPAN_LIT("ja"));
        bool is_english =
            span_equal_nocase(primary, SPAN_LIT("en")) || span_equal(primary, SPAN_LIT("*"));

        if ((is_japanese || is_english) && q > best) {
            best = q;
            japanese = is_japanese;
        }
    }
    return japanese;
}

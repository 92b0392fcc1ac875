/* store/terms: what is searched for, as anybody types it; and a flow whose names are the same text
 * is found by it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "store/terms.h"

static bool has(const struct terms *t, struct span wanted)
{
    struct span term;
    size_t at = 0;

    while (terms_next((struct span){t->bytes, t->len}, &at, &term))
        if (span_equal(term, wanted))
            return true;
    return false;
}

/* Each word of the text that is no beginning of words, as long as there was room for all. */
static void find_words(const struct terms *t, struct span text)
{
    char term[TERM_MAX];
    size_t len;
    bool prefix;

    while ((len = terms_next_word(&text, term, &prefix)) > 0) {
        assert(len <= TERM_MAX && term[0] == TERM_WORD);
        if (!prefix && t->len < TERMS_MAX - 2 * TERM_MAX)
            assert(has(t, (struct span){term, len}));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct terms t;
    struct flow f = {0};
    char *text = malloc(size + 1), one[TERM_MAX];
    struct span port;

    memcpy(text, data, size);
    text[size] = '\0';
    flow_begin(&f, SOURCE_SERVE, 1, 0, 1);
    flow_set_text(&f.target, text);
    flow_set_text(&f.user, text);
    flow_set_text(&f.rule, text);
    flow_end(&f, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, 2);
    terms_of_flow(&t, &f);
    assert(t.len <= TERMS_MAX);
    find_words(&t, span_of(f.user ? f.user : ""));
    terms_cut_host(span_of(text), &port);
    for (const char *kind = "bcdhiruvw"; *kind; kind++)
        assert(terms_write((enum term_kind) * kind, span_of(text), one) <= TERM_MAX);
    flow_fini(&f);
    free(text);
    return 0;
}

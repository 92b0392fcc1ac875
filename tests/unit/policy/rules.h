/* rules.h - builds a struct access from text, for tests: statements as in an access block, one a
 * line, words parted by single spaces, a rule as "deny [report] NAME [off] { to a b; port 80 }" on
 * one line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "policy/access_build.h"

#define RULES_WORDS_MAX 32

static inline unsigned rules_split(struct span text, struct span words[RULES_WORDS_MAX])
{
    unsigned n = 0;

    for (text = span_trim(text); text.len > 0 && n < RULES_WORDS_MAX;) {
        words[n] = span_cut(&text, ' ');
        n += words[n].len > 0;
    }
    return n;
}

static inline bool rules_take(struct span words[], unsigned *n, const char *word)
{
    if (*n == 0 || !span_equal(words[*n - 1], span_of(word)))
        return false;
    (*n)--;
    return true;
}

/* One rule; false with *err, and *bad as access_builder_add_term has it. */
static inline bool rules_add_rule(struct access_builder *b, struct span text, int line,
                                  unsigned *bad, struct err *err)
{
    struct span words[RULES_WORDS_MAX], head = span_cut(&text, '{'), body = span_cut(&text, '}');
    unsigned n = rules_split(head, words);
    bool off = rules_take(words, &n, "off");
    bool report = n == 3 && span_equal(words[1], SPAN_LIT("report"));
    struct access_build_rule *r = access_builder_add_rule(
        b, span_equal(words[0], SPAN_LIT("allow")), report, words[n - 1], off, "t.conf", line, err);

    while (r && body.len > 0) {
        n = rules_split(span_cut(&body, ';'), words);
        if (n > 0 && !access_builder_add_term(b, r, words, n, bad, err))
            return false;
    }
    return r != NULL;
}

static inline void rules_problem(void *arg, const char *file, int line, const char *text)
{
    err_set(arg, "%s:%d: %s", file, line, text);
}

/* NULL with *err.  `lists`: path of a file that all rules know as list "l", or NULL. */
static inline struct access *rules_build(const char *text, const char *list, struct err *err)
{
    struct access_builder *b = access_builder_new(NULL);
    struct span rest = span_of(text);
    struct access *a = NULL;
    unsigned bad;

    if (!b) {
        err_set(err, "out of memory");
        return NULL;
    }
    if (list && !access_builder_add_list(b, SPAN_LIT("l"), list, err))
        goto out;
    for (int line = 1; rest.len > 0; line++) {
        struct span rule = span_trim(span_cut(&rest, '\n'));

        if (rule.len > 0 && !rules_add_rule(b, rule, line, &bad, err))
            goto out;
    }
    a = access_builder_finish(b, true, false, rules_problem, err);
out:
    access_builder_free(b);
    return a;
}

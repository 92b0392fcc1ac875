#include "flow/words.h"

#include <libintl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "flow/flow.h"

static bool is_japanese(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0xe3) /* kana and kanji begin with such a byte in UTF-8 */
            return true;
    return false;
}

/* A verdict that comes without its line in po/ja.po fails here. */
static void every_verdict_speaks_japanese(void **state)
{
    (void)state;
    for (unsigned v = 0; v < VERDICT_COUNT; v++) {
        struct flow f = {.verdict = (uint8_t)v};
        const struct verdict_info *row = verdict_get_info((enum verdict)v);

        if (!is_japanese(flow_cause_in(&f, "ja")))
            fail_msg("no Japanese cause: %s", row->name);
        if (*row->advice && !is_japanese(flow_advice_in(&f, "ja")))
            fail_msg("no Japanese advice: %s", row->name);
        if (!*row->advice)
            assert_string_equal(flow_advice_in(&f, "ja"), "");
        assert_string_equal(flow_cause_in(&f, "en"), row->cause);
        assert_string_equal(flow_advice_in(&f, "en"), row->advice);
    }
}

/* What is told of a parent that cannot be reached; nothing of a target that it could not reach. */
static void the_parent_has_words_of_its_own(void **state)
{
    static const enum verdict verdicts[] = {VERDICT_UPSTREAM_UNRESOLVED, VERDICT_UPSTREAM_REFUSED,
                                            VERDICT_UPSTREAM_UNREACHABLE, VERDICT_UPSTREAM_FAILED,
                                            VERDICT_UPSTREAM_TIMEOUT};
    char parent[] = "p:1";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        struct flow f = {.verdict = (uint8_t)verdicts[i], .parent = parent};

        assert_null(strstr(flow_cause_in(&f, "en"), "parent"));
        f.status_sent = true;
        assert_non_null(strstr(flow_cause_in(&f, "en"), "parent"));
        assert_true(is_japanese(flow_cause_in(&f, "ja")));
        assert_true(is_japanese(flow_advice_in(&f, "ja")));
    }
}

static void tags_choose_the_language(void **state)
{
    static const struct {
        const char *tag;
        bool japanese;
    } cases[] = {
        {"ja", true},  {"ja-JP", true}, {"ja_JP.UTF-8", true}, {"ja.UTF-8", true}, {"ja:en", true},
        {"en", false}, {"", false},     {"jav", false},        {"j", false},       {"fr", false},
    };
    struct flow f = {.verdict = VERDICT_STALLED};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (is_japanese(flow_cause_in(&f, cases[i].tag)) != cases[i].japanese)
            fail_msg("\"%s\"", cases[i].tag);
}

static void set_or_unset(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

/* No Japanese locale needs to be installed for this. */
static void the_environment_chooses_the_language(void **state)
{
    static const struct {
        const char *language, *lc_all, *lc_messages, *lang;
        bool japanese;
    } cases[] = {
        {NULL, NULL, NULL, NULL, false},
        {NULL, NULL, NULL, "ja_JP.UTF-8", true},
        {NULL, NULL, "ja_JP.UTF-8", "en_US.UTF-8", true},
        {NULL, NULL, "en_US.UTF-8", "ja_JP.UTF-8", false},
        {NULL, "C", "ja_JP.UTF-8", "ja_JP.UTF-8", false},
        {NULL, "", "", "ja_JP.UTF-8", true},
        {"ja", NULL, NULL, "en_US.UTF-8", true},
        {"ja", NULL, NULL, "C", false},
        {"ja", NULL, NULL, NULL, false},
        {"en:ja", NULL, NULL, "ja_JP.UTF-8", false},
        {"fr:ja:en", NULL, NULL, "fr_FR.UTF-8", true},
        {"fr", NULL, NULL, "ja_JP.UTF-8", false},
        {"", NULL, NULL, "ja_JP.UTF-8", true},
    };
    struct flow f = {.verdict = VERDICT_ACL_DENIED};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        set_or_unset("LANGUAGE", cases[i].language);
        set_or_unset("LC_ALL", cases[i].lc_all);
        set_or_unset("LC_MESSAGES", cases[i].lc_messages);
        set_or_unset("LANG", cases[i].lang);
        if (is_japanese(flow_cause(&f)) != cases[i].japanese)
            fail_msg("case %zu: %s", i, flow_cause(&f));
        assert_int_equal(is_japanese(flow_advice(&f)), cases[i].japanese);
    }
}

/* The catalogue itself, by gettext(3): C.UTF-8 is the one locale that every machine has. */
static void the_catalogue_says_the_same(void **state)
{
    struct flow f = {.verdict = VERDICT_OK};

    (void)state;
    setenv("LC_ALL", "C.UTF-8", 1);
    setenv("LANGUAGE", "ja", 1);
    words_init();
    bindtextdomain("viaduct", VIADUCT_SOURCE_LOCALEDIR);
    for (unsigned v = 0; v < VERDICT_COUNT; v++) {
        const char *cause = verdict_get_info((enum verdict)v)->cause;

        assert_string_equal(dgettext("viaduct", cause), words_in(cause, "ja"));
        assert_string_equal(words_local(cause), words_in(cause, "ja"));
    }
    assert_string_equal(flow_advice(&f), ""); /* and not the catalogue's header */
}

static void unknown_texts_stay_as_they_are(void **state)
{
    (void)state;
    assert_string_equal(words_in("never translated", "ja"), "never translated");
    assert_string_equal(words_in("", "ja"), "");
    assert_string_equal(words_local(""), "");
}

/* Where no proxy was asked none is spoken of, in either language. */
static void a_direct_way_has_words_of_its_own(void **state)
{
    static const enum verdict verdicts[] = {
        VERDICT_ACL_DENIED,       VERDICT_UPSTREAM_UNRESOLVED, VERDICT_UPSTREAM_UNREACHABLE,
        VERDICT_UPSTREAM_TIMEOUT, VERDICT_TLS_FAILED,          VERDICT_TLS_INTERCEPTED,
        VERDICT_SIZE_LIMIT,       VERDICT_LIFETIME_LIMIT};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        struct flow f = {.source = SOURCE_CHECK, .verdict = (uint8_t)verdicts[i]};

        assert_null(strstr(flow_cause_in(&f, "en"), "proxy"));
        assert_null(strstr(flow_advice_in(&f, "en"), "the proxy"));
        assert_string_not_equal(flow_cause_in(&f, "ja"), flow_cause_in(&f, "en"));
        assert_string_not_equal(flow_advice_in(&f, "ja"), flow_advice_in(&f, "en"));
        f.proxy.addr.family = AF_INET;
        assert_string_equal(flow_advice_in(&f, "en"), verdict_get_info(verdicts[i])->advice);
        f.proxy.addr.family = 0;
        f.source = SOURCE_SERVE; /* its flows are at a proxy, wherever it listens */
        assert_string_equal(flow_advice_in(&f, "en"), verdict_get_info(verdicts[i])->advice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verdict_speaks_japanese),
        cmocka_unit_test(the_parent_has_words_of_its_own),
        cmocka_unit_test(a_direct_way_has_words_of_its_own),
        cmocka_unit_test(tags_choose_the_language),
        cmocka_unit_test(the_environment_chooses_the_language),
        cmocka_unit_test(the_catalogue_says_the_same),
        cmocka_unit_test(unknown_texts_stay_as_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

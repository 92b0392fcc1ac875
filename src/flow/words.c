#include "flow/words.h"

#include <libintl.h>
#include <locale.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define DOMAIN "viaduct"
#define KNOWN 64 /* a power of two */

struct pair {
    const char *msgid, *text;
};

struct language {
    const char *name;
    const struct pair *pairs; /* sorted by msgid */
    size_t len;
};

#include "words.inc" /* made by po/table.py: one array a language, and languages[] */

/* True when a tag or locale begins with the language `name` and nothing else. */
static bool is_language(const char *tag, const char *name)
{
    size_t len = strlen(name);

    return strncmp(tag, name, len) == 0 && (tag[len] == '\0' || strchr("_-.@:", tag[len]));
}

static int compare(const void *key, const void *pair)
{
    return strcmp(key, ((const struct pair *)pair)->msgid);
}

static bool is_settled; /* the environment is not going to change */

void words_init(void)
{
    setlocale(LC_MESSAGES, "");
    setlocale(LC_CTYPE, "");
    bindtextdomain(DOMAIN, VIADUCT_LOCALEDIR);
    bind_textdomain_codeset(DOMAIN, "UTF-8");
    is_settled = true;
}

const char *words_in(const char *msgid, const char *language)
{
    for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
        const struct language *l = &languages[i];
        const struct pair *hit = NULL;

        if (is_language(language, l->name))
            hit = bsearch(msgid, l->pairs, l->len, sizeof *l->pairs, compare);
        if (hit)
            return hit->text;
    }
    return msgid;
}

/* What names the locale for messages; "" when nothing does, or it is the C locale. */
static const char *locale_name(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_MESSAGES", "LANG"};

    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = getenv(variables[i]);

        if (value && *value)
            return strcmp(value, "C") == 0 || strcmp(value, "POSIX") == 0 ? "" : value;
    }
    return "";
}

/* In the first language of a LANGUAGE list that is spoken; English always is. */
static const char *in_first_of(const char *msgid, const char *list)
{
    for (const char *tag = list; tag; tag = strchr(tag, ':')) {
        const char *text;

        tag += *tag == ':';
        text = words_in(msgid, tag);
        if (text != msgid || is_language(tag, "en"))
            return text;
    }
    return msgid;
}

static const char *look_up(const char *msgid)
{
    const char *list = getenv("LANGUAGE");
    const char *locale, *text;

    text = dgettext(DOMAIN, msgid);
    if (text != msgid)
        return text;
    locale = locale_name();
    return in_first_of(msgid, *locale && list && *list ? list : locale);
}

/* A proxy says the same few sentences of each flow: what was found last is kept. */
const char *words_local(const char *msgid)
{
    static _Thread_local struct pair known[KNOWN];
    struct pair *last = &known[((uintptr_t)msgid >> 3) % KNOWN];

    if (!*msgid) /* gettext would answer with the catalogue's header */
        return msgid;
    if (!is_settled)
        return look_up(msgid);
    if (last->msgid != msgid)
        *last = (struct pair){msgid, look_up(msgid)};
    return last->text;
}

#include "policy/access_term.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/num.h"
#include "base/util.h"

enum keyword {
    KEYWORD_FROM,
    KEYWORD_TO,
    KEYWORD_PORT,
    KEYWORD_METHOD,
    KEYWORD_USER,
    KEYWORD_AUTHENTICATED,
    KEYWORD_HOURS,
    KEYWORD_SNI,
    KEYWORD_MAX_DOWNLOAD,
    KEYWORD_MAX_UPLOAD,
    KEYWORD_IDLE_TIMEOUT,
    KEYWORD_LIFETIME,
    KEYWORD_RATE,
    KEYWORD_COUNT,
};

static const struct access_keyword keywords[] = {
    [KEYWORD_FROM] = {"from", "ADDRESS|NETWORK|CLASS|list NAME…", "the client's address", true},
    [KEYWORD_TO] = {"to", "DOMAIN|ADDRESS|NETWORK|CLASS|any|list NAME…",
                    "the target: example.com, *.example.com (its subdomains), .example.com (both); "
                    "addresses are tested after the name is resolved",
                    true},
    [KEYWORD_PORT] = {"port", "PORT|FROM-TO…", "the target's port", true},
    [KEYWORD_METHOD] = {"method", "METHOD…", "the request's method", true},
    [KEYWORD_USER] = {"user", "NAME…", "who is logged in", true},
    [KEYWORD_AUTHENTICATED] = {"authenticated", "", "anybody who is logged in", true},
    [KEYWORD_HOURS] = {"hours", "[DAYS] HH:MM-HH:MM…",
                       "local time when the flow starts; may cross midnight", true},
    [KEYWORD_SNI] = {"sni", "off|report|match",
                     "the name in the ClientHello against the one in CONNECT", false},
    [KEYWORD_MAX_DOWNLOAD] = {"max-download", "SIZE", "bytes to the client a flow, 0: no limit",
                              false},
    [KEYWORD_MAX_UPLOAD] = {"max-upload", "SIZE", "bytes from the client a flow, 0: no limit",
                            false},
    [KEYWORD_IDLE_TIMEOUT] = {"idle-timeout", "DURATION", "of a tunnel or a transfer, 0: none",
                              false},
    [KEYWORD_LIFETIME] = {"lifetime", "DURATION", "of a flow, 0: none", false},
    [KEYWORD_RATE] = {"rate", "SIZE", "bytes a second, a flow and direction, 0: no limit", false},
};
static_assert(ARRAY_LEN(keywords) == KEYWORD_COUNT, "a keyword has no row");

static const struct {
    const char *name;
    enum access_class bit;
} classes[] = {
    {"loopback", CLASS_LOOPBACK},
    {"link-local", CLASS_LINK_LOCAL},
    {"private", CLASS_PRIVATE},
    {"multicast", CLASS_MULTICAST},
};

/* Reserved words among the places, for "did you mean". */
static const char *const place_words[] = {"loopback",  "link-local", "private",
                                          "multicast", "any",        "list"};

/* One statement of a rule on its way in. */
struct term {
    struct access_build_rule *rule;
    struct access_conditions *c;
    const struct span *words; /* behind the keyword and its `not` */
    unsigned n, bad;          /* bad: index in `words` */
    bool negated;
    struct err *err;
};

static bool no_memory(struct err *err)
{
    err_set(err, "out of memory");
    return false;
}

static bool word_is(struct span word, const char *text)
{
    return span_equal(word, span_of(text));
}

/* "what "word"" with a hint. */
static bool fail_near(struct err *err, const char *what, struct span word, const char *const *names,
                      unsigned n)
{
    char hint[NEAREST_HINT_MAX];

    nearest_write_hint(word, names, n, hint);
    err_set(err, "%s \"%.*s\"%s", what, (int)word.len, word.ptr, hint);
    return false;
}

static bool fail_word(const struct term *t, struct span word, const char *why)
{
    err_set(t->err, "\"%.*s\": %s", (int)word.len, word.ptr, why);
    return false;
}

/* from, to */

static bool places_add_list(struct term *t, struct conditions_places *p, struct span name)
{
    struct access_build_rule *r = t->rule;
    struct access_list_ref *refs = access_grow(r->refs, r->refs_len, sizeof *refs);

    if (!refs)
        return no_memory(t->err);
    r->refs = refs;
    refs[r->refs_len] = (struct access_list_ref){span_dup(name), p};
    return refs[r->refs_len++].name || no_memory(t->err);
}

static bool places_add_network(struct term *t, struct conditions_places *p, struct span word)
{
    struct cidr network;
    const char *why;

    if (!cidr_parse(word, &network, &why))
        return fail_word(t, word, why);
    return cidr_add(&p->networks, &network) || no_memory(t->err);
}

/* Whether the word is one of the reserved ones; then it is taken. */
static bool places_add_class(struct conditions_places *p, struct span word)
{
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        if (word_is(word, classes[i].name)) {
            p->classes |= classes[i].bit;
            return true;
        }
    }
    if (!word_is(word, "any"))
        return false;
    p->any = true;
    return true;
}

static bool places_add_name(struct term *t, struct conditions_places *p, struct span word)
{
    const char *why;

    if (span_find(word, '.') < 0 && nearest_find(word, place_words, ARRAY_LEN(place_words))) {
        fail_near(t->err, "unknown class", word, place_words, ARRAY_LEN(place_words));
        err_prefix(t->err,
                   "a name of one label so close to a class is written with a dot at its end");
        return false;
    }
    return domains_add(&p->names, word, &why) || fail_word(t, word, why);
}

static bool places_add_word(struct term *t, struct conditions_places *p, struct span word,
                            bool names)
{
    struct addr a;

    if (places_add_class(p, word))
        return true;
    if (span_find(word, '/') >= 0 || span_find(word, ':') >= 0 || addr_parse(word, &a))
        return places_add_network(t, p, word);
    if (names)
        return places_add_name(t, p, word);
    return fail_near(t->err, "neither an address, a network, a class nor a list:", word,
                     place_words, ARRAY_LEN(place_words));
}

static bool add_places(struct term *t, struct conditions_places *p, bool names)
{
    p->set = true;
    p->negated = t->negated;
    for (t->bad = 0; t->bad < t->n; t->bad++) {
        struct span word = t->words[t->bad];

        if (!word_is(word, "list")) {
            if (!places_add_word(t, p, word, names))
                return false;
            continue;
        }
        if (t->bad + 1 == t->n)
            return fail_word(t, word, "the list's name is missing");
        if (!places_add_list(t, p, t->words[++t->bad]))
            return false;
    }
    return true;
}

static bool add_from(struct term *t)
{
    return add_places(t, &t->c->from, false);
}

static bool add_to(struct term *t)
{
    return add_places(t, &t->c->to, true);
}

/* port, method, user, authenticated, hours */

static bool add_port(struct term *t)
{
    const char *why;

    t->c->ports = calloc(t->n, sizeof *t->c->ports);
    if (!t->c->ports)
        return no_memory(t->err);
    t->c->ports_len = t->n;
    t->c->ports_negated = t->negated;
    for (t->bad = 0; t->bad < t->n; t->bad++)
        if (!cidr_parse_ports(t->words[t->bad], &t->c->ports[t->bad], &why))
            return fail_word(t, t->words[t->bad], why);
    return true;
}

static bool copy_words(struct term *t, char ***out, unsigned *len)
{
    *out = calloc(t->n, sizeof **out);
    if (!*out)
        return no_memory(t->err);
    for (unsigned i = 0; i < t->n; i++) {
        (*out)[i] = span_dup(t->words[i]);
        if (!(*out)[i])
            return no_memory(t->err);
        *len = i + 1;
    }
    return true;
}

/* tchar of RFC 9110 5.6.2 */
static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool letter =
            (span_lower((char)c) >= 'a' && span_lower((char)c) <= 'z') || (c >= '0' && c <= '9');

        if (!letter && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.len > 0;
}

/* Methods are case-sensitive (RFC 9110 9.1): `connect` would silently match nothing. */
static bool add_method(struct term *t)
{
    static const char *const known[] = {"CONNECT", "GET",   "HEAD",    "POST", "PUT",
                                        "DELETE",  "PATCH", "OPTIONS", "TRACE"};

    for (t->bad = 0; t->bad < t->n; t->bad++) {
        struct span word = t->words[t->bad];

        if (!is_token(word))
            return fail_word(t, word, "no method has these characters");
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            if (span_equal_nocase(word, span_of(known[i])) && !word_is(word, known[i]))
                return fail_near(t->err, "unknown method", word, known, ARRAY_LEN(known));
    }
    t->c->methods_negated = t->negated;
    return copy_words(t, &t->c->methods, &t->c->methods_len);
}

static bool add_user(struct term *t)
{
    for (t->bad = 0; t->bad < t->n; t->bad++)
        if (t->words[t->bad].len == 0 || span_find(t->words[t->bad], ':') >= 0)
            return fail_word(t, t->words[t->bad], "a user name is not empty and has no colon");
    t->c->users_negated = t->negated;
    return copy_words(t, &t->c->users, &t->c->users_len);
}

static bool add_authenticated(struct term *t)
{
    t->c->authenticated = true;
    t->c->authenticated_negated = t->negated;
    return true;
}

static bool add_hours(struct term *t)
{
    t->c->hours = calloc(1, sizeof *t->c->hours);
    if (!t->c->hours)
        return no_memory(t->err);
    t->c->hours_negated = t->negated;
    return hours_add(t->c->hours, t->words, t->n, &t->bad, t->err);
}

/* The terms of an allow */

static bool add_sni(struct term *t)
{
    static const char *const modes[] = {
        [SNI_OFF] = "off", [SNI_REPORT] = "report", [SNI_MATCH] = "match"};

    for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
        if (word_is(t->words[0], modes[i])) {
            t->rule->rule.sni = (enum access_sni)i;
            return true;
        }
    }
    return fail_near(t->err, "sni is off, report or match, not", t->words[0], modes,
                     ARRAY_LEN(modes));
}

static bool add_size(struct term *t, uint64_t *out, enum flow_limit_bit bit)
{
    t->rule->rule.limits_set |= bit;
    return num_parse_size(t->words[0], INT64_MAX, out) ||
           fail_word(t, t->words[0], "a size is a number with k, m or g, as 20m");
}

static bool add_duration(struct term *t, uint64_t *out, enum flow_limit_bit bit)
{
    t->rule->rule.limits_set |= bit;
    return num_parse_duration(t->words[0], INT64_MAX, out) ||
           fail_word(t, t->words[0], "a duration is a number with ms, s, m, h or d, as 10m");
}

static bool add_max_download(struct term *t)
{
    return add_size(t, &t->rule->rule.limits.max_download, LIMIT_DOWNLOAD);
}

static bool add_max_upload(struct term *t)
{
    return add_size(t, &t->rule->rule.limits.max_upload, LIMIT_UPLOAD);
}

static bool add_idle_timeout(struct term *t)
{
    return add_duration(t, &t->rule->rule.limits.idle_ns, LIMIT_IDLE);
}

static bool add_lifetime(struct term *t)
{
    return add_duration(t, &t->rule->rule.limits.lifetime_ns, LIMIT_LIFETIME);
}

static bool add_rate(struct term *t)
{
    return add_size(t, &t->rule->rule.limits.rate, LIMIT_RATE);
}

static const struct {
    bool (*add)(struct term *t);
    unsigned least, most; /* words */
} handlers[] = {
    [KEYWORD_FROM] = {add_from, 1, UINT32_MAX},
    [KEYWORD_TO] = {add_to, 1, UINT32_MAX},
    [KEYWORD_PORT] = {add_port, 1, UINT32_MAX},
    [KEYWORD_METHOD] = {add_method, 1, UINT32_MAX},
    [KEYWORD_USER] = {add_user, 1, UINT32_MAX},
    [KEYWORD_AUTHENTICATED] = {add_authenticated, 0, 0},
    [KEYWORD_HOURS] = {add_hours, 1, UINT32_MAX},
    [KEYWORD_SNI] = {add_sni, 1, 1},
    [KEYWORD_MAX_DOWNLOAD] = {add_max_download, 1, 1},
    [KEYWORD_MAX_UPLOAD] = {add_max_upload, 1, 1},
    [KEYWORD_IDLE_TIMEOUT] = {add_idle_timeout, 1, 1},
    [KEYWORD_LIFETIME] = {add_lifetime, 1, 1},
    [KEYWORD_RATE] = {add_rate, 1, 1},
};
static_assert(ARRAY_LEN(handlers) == KEYWORD_COUNT, "a keyword has no handler");

static unsigned keyword_find(struct span word)
{
    unsigned i = 0;

    while (i < KEYWORD_COUNT && !word_is(word, keywords[i].name))
        i++;
    return i;
}

static bool fail_keyword(struct err *err, struct span word)
{
    const char *names[KEYWORD_COUNT];

    for (unsigned i = 0; i < KEYWORD_COUNT; i++)
        names[i] = keywords[i].name;
    return fail_near(err, "unknown condition", word, names, KEYWORD_COUNT);
}

/* What can be said against a statement before its words are looked at. */
static bool term_check(const struct term *t, enum keyword k)
{
    const struct access_keyword *key = &keywords[k];

    if (t->rule->keywords_seen & 1u << k)
        err_set(t->err, "%s stands twice in this rule", key->name);
    else if (!key->condition && !t->rule->rule.allow)
        err_set(t->err, "%s is a term of an allow: a deny has none", key->name);
    else if (t->negated && !key->condition)
        err_set(t->err, "%s cannot be negated", key->name);
    else if (t->n < handlers[k].least)
        err_set(t->err, "%s needs %s", key->name, key->takes);
    else if (t->n > handlers[k].most && handlers[k].most == 0)
        err_set(t->err, "%s takes no words", key->name);
    else if (t->n > handlers[k].most)
        err_set(t->err, "%s takes one word", key->name);
    else
        return true;
    return false;
}

bool access_term_add(struct access_build_rule *rule, const struct span *words, unsigned n,
                     unsigned *bad, struct err *err)
{
    unsigned k = keyword_find(words[0]);
    unsigned skip = n > 1 && word_is(words[1], "not") ? 2 : 1;
    struct term t = {rule, rule->rule.conditions, words + skip, n - skip, 0, skip == 2, err};

    *bad = 0;
    if (k == KEYWORD_COUNT)
        return fail_keyword(err, words[0]);
    if (!term_check(&t, (enum keyword)k))
        return false;
    rule->keywords_seen |= 1u << k;
    if (handlers[k].add(&t))
        return true;
    *bad = skip + (t.bad < t.n ? t.bad : 0);
    return false;
}

const struct access_keyword *access_term_keywords(unsigned *n)
{
    *n = KEYWORD_COUNT;
    return keywords;
}

bool access_term_needs_user(const struct access_build_rule *rule)
{
    return !rule->rule.report &&
           rule->keywords_seen & (1u << KEYWORD_USER | 1u << KEYWORD_AUTHENTICATED);
}

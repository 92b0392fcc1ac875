/* A word goes through if viaduct says it itself, or it is a figure; what is a known name, or looks
 * like an address, a host, a URL or a path, becomes the stand-in of its kind; anything else becomes
 * text-1 and so on.
 *
 * A user may be called "proxy": where a known name is a word of ours, it is only taken for the name
 * in the places where names stand (behind "user", "host" ..., before a port, between quotes). */
#include "flow/masked.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "vocabulary.inc" /* made by vocabulary.py: vocabulary[], sorted, in lower case */

#define WORD_MAX 64  /* longer ones are none of ours */
#define FIGURE_MAX 3 /* digits that a figure may have where somebody else speaks */

/* ---- kinds of words */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_word_byte(char c)
{
    return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_' ||
           (unsigned char)c >= 0x80;
}

static int compare_words(const void *key, const void *row)
{
    return strcmp(key, *(const char *const *)row);
}

static bool is_ours(struct span word)
{
    static const char *const dotted[] = {"viaduct.pcap", "capture.pcap", "tlsv1.0", "tlsv1.1",
                                         "tlsv1.2",      "tlsv1.3",      "http/1.1"};
    char lower[WORD_MAX + 1];

    if (word.len > WORD_MAX)
        return false;
    if (word.len == 1 && is_letter(word.ptr[0])) /* an option, a letter: no name */
        return true;
    for (size_t i = 0; i < word.len; i++)
        lower[i] = span_lower(word.ptr[i]);
    lower[word.len] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(dotted); i++)
        if (strcmp(lower, dotted[i]) == 0)
            return true;
    return bsearch(lower, vocabulary, ARRAY_LEN(vocabulary), sizeof vocabulary[0], compare_words);
}

/* Digits with at most one point inside, and a unit: "12", "3.210", "60s". */
static bool is_figure(struct span word, size_t digits_max)
{
    static const char *const units[] = {"", "s", "ms", "us", "ns", "B", "KiB", "MiB", "GiB"};
    size_t at = 0, points = 0;

    while (at < word.len && (is_digit(word.ptr[at]) || (at > 0 && word.ptr[at] == '.')))
        points += word.ptr[at++] == '.';
    if (at == 0 || points > 1 || at - points > digits_max)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (span_equal((struct span){word.ptr + at, word.len - at}, span_of(units[i])))
            return true;
    return false;
}

/* Labels with points between them, the last one of letters. */
static bool is_host_like(struct span word)
{
    size_t last = word.len;

    while (last > 0 && word.ptr[last - 1] != '.')
        last--;
    if (last < 2 || word.len - last < 2 || !is_letter(word.ptr[last]))
        return false;
    for (size_t i = 0; i < word.len; i++)
        if ((unsigned char)word.ptr[i] >= 0x80)
            return false;
    return true;
}

/* ---- writing */

static void put(struct masked *m, struct span s)
{
    m->ok = m->ok && buf_append(m->out, s.ptr, s.len);
}

static void put_standin(struct masked *m, enum standin_kind kind, struct span original)
{
    m->ok = m->ok && standin_write(m->out, kind, standin_get(m->standins, kind, original));
}

/* A host, whether address or name. */
void masked_put_host(struct masked *m, struct span host)
{
    char text[ENDPOINT_TEXT_MAX];
    struct addr a;

    if (addr_parse(host, &a)) {
        standin_replace_addr(m->standins, &a);
        put(m, (struct span){text, addr_write(&a, text)});
    } else if (host.len > 0) {
        put_standin(m, STANDIN_HOST, host);
    }
}

static bool is_port(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_digit(s.ptr[i]))
            return false;
    return s.len > 0 && s.len <= 5;
}

/* "host", "host:port", "[v6]:port"; a port that is a service's name stays if it is a word of ours.
 */
void masked_put_authority(struct masked *m, struct span s)
{
    struct span host = s, port = {0};
    size_t colon = s.len;

    while (colon > 0 && s.ptr[colon - 1] != ':' && s.ptr[colon - 1] != ']')
        colon--;
    if (colon > 0 && s.ptr[colon - 1] == ':') {
        host = (struct span){s.ptr, colon - 1};
        port = (struct span){s.ptr + colon, s.len - colon};
    }
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        put(m, SPAN_LIT("["));
        masked_put_host(m, (struct span){host.ptr + 1, host.len - 2});
        put(m, SPAN_LIT("]"));
    } else if (addr_parse(s, &(struct addr){0})) {
        masked_put_host(m, s);
        return;
    } else {
        masked_put_host(m, host);
    }
    if (is_port(port) || (port.len > 0 && is_ours(port))) {
        put(m, SPAN_LIT(":"));
        put(m, port);
    }
}

/* What stands behind the scheme's "://". */
static void put_url_rest(struct masked *m, struct span s)
{
    size_t end = 0, user = 0;

    while (end < s.len && !strchr("/?#", s.ptr[end]))
        end++;
    for (size_t i = 0; i < end; i++)
        if (s.ptr[i] == '@')
            user = i + 1;
    if (user > 0) { /* its password is not shown, not even as a stand-in */
        struct span name = {s.ptr, user - 1};

        put_standin(m, STANDIN_USER, span_cut(&name, ':'));
        put(m, SPAN_LIT("@"));
    }
    masked_put_authority(m, (struct span){s.ptr + user, end - user});
    s = (struct span){s.ptr + end, s.len - end};
    if (s.len > 1)
        put_standin(m, STANDIN_PATH, s);
    else
        put(m, s);
}

void masked_put_url(struct masked *m, struct span s)
{
    size_t scheme = 0;

    while (scheme + 3 <= s.len && memcmp(s.ptr + scheme, "://", 3) != 0)
        scheme++;
    if (scheme + 3 > s.len) { /* a path alone, or CONNECT's host and port */
        if (s.len > 1 && s.ptr[0] == '/')
            put_standin(m, STANDIN_PATH, s);
        else
            masked_put_authority(m, s);
        return;
    }
    if (is_ours((struct span){s.ptr, scheme}))
        put(m, (struct span){s.ptr, scheme});
    else
        put_standin(m, STANDIN_TEXT, (struct span){s.ptr, scheme});
    put(m, SPAN_LIT("://"));
    put_url_rest(m, (struct span){s.ptr + scheme + 3, s.len - scheme - 3});
}

/* ---- words of a text */

static struct span rest_of(const struct masked *m)
{
    return (struct span){m->text.ptr + m->at, m->text.len - m->at};
}

/* Where names stand. */
static bool is_name_place(const struct masked *m, size_t end)
{
    static const char *const before[] = {"host", "user", "name", "rule", "realm", "for"};
    const struct span t = m->text;

    if (m->is_quoted || m->is_said)
        return true;
    if (end + 1 < t.len && t.ptr[end] == ':' && is_digit(t.ptr[end + 1]))
        return true;
    if (m->at > 0 && (t.ptr[m->at - 1] == '@' || t.ptr[m->at - 1] == '/'))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(before); i++)
        if (span_equal_nocase(m->last, span_of(before[i])))
            return true;
    return false;
}

static const struct masked_known *find_known(const struct masked *m, struct span word)
{
    for (unsigned i = 0; i < m->known_len; i++)
        if (span_equal_nocase(m->known[i].text, word))
            return &m->known[i];
    return NULL;
}

/* "host.54000", as tcpdump writes a name and a port. */
static bool put_known_with_port(struct masked *m, struct span word)
{
    const struct masked_known *k;
    size_t dot = word.len;

    while (dot > 0 && is_digit(word.ptr[dot - 1]))
        dot--;
    if (dot < 2 || dot == word.len || word.ptr[dot - 1] != '.')
        return false;
    k = find_known(m, (struct span){word.ptr, dot - 1});
    if (!k || k->kind != STANDIN_HOST)
        return false;
    put_standin(m, STANDIN_HOST, k->text);
    put(m, (struct span){word.ptr + dot - 1, word.len - dot + 1});
    return true;
}

/* What stands behind "rule" is one's name, in "acl-denied: rule social", unless it goes on. */
static bool is_rule(const struct masked *m, struct span word)
{
    static const char *const ours[] = {"of", "or", "and", "with", "said", "lets", "needs", "that"};

    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (span_equal(word, span_of(ours[i])))
            return false;
    return span_equal(m->last, SPAN_LIT("rule"));
}

static void put_word(struct masked *m, struct span word)
{
    static const enum standin_kind kinds[] = {STANDIN_HOST, STANDIN_USER, STANDIN_RULE};
    const struct masked_known *k = find_known(m, word);
    bool is_foreign = m->is_quoted || m->is_said;
    uint32_t number;

    if (k && k->kind != STANDIN_COUNT && is_ours(word) && !is_name_place(m, m->at + word.len))
        k = NULL;
    if (k && k->kind != STANDIN_COUNT) {
        put_standin(m, k->kind, k->text);
        return;
    }
    if (is_rule(m, word)) {
        put_standin(m, STANDIN_RULE, word);
        return;
    }
    if (k || is_ours(word) || is_figure(word, is_foreign ? FIGURE_MAX : WORD_MAX)) {
        put(m, word);
        return;
    }
    if (put_known_with_port(m, word))
        return;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (standin_find(m->standins, kinds[i], word, &number)) {
            m->ok = m->ok && standin_write(m->out, kinds[i], number);
            return;
        }
    put_standin(m, is_host_like(word) ? STANDIN_HOST : STANDIN_TEXT, word);
}

/* The file's name that begins here. */
static bool take_original(struct masked *m)
{
    struct span rest = rest_of(m);

    for (unsigned i = 0; i < m->originals_len; i++) {
        size_t len = strlen(m->originals[i].original);

        if (len > rest.len || memcmp(rest.ptr, m->originals[i].original, len) != 0 ||
            (len < rest.len && is_word_byte(rest.ptr[len]) && rest.ptr[len] != '.'))
            continue;
        put(m, span_of(m->originals[i].stand_in));
        m->at += len;
        return true;
    }
    return false;
}

/* How far a URL or a path goes. */
static size_t url_len(struct span s)
{
    size_t len = 0;

    while (len < s.len && !strchr(" \t\r\n\"'<>()", s.ptr[len]))
        len++;
    while (len > 0 && strchr(".,;:", s.ptr[len - 1]))
        len--;
    return len;
}

static bool take_url(struct masked *m)
{
    struct span rest = rest_of(m);
    size_t scheme = 0, len;

    while (scheme < rest.len && (is_letter(rest.ptr[scheme]) || is_digit(rest.ptr[scheme])))
        scheme++;
    if (rest.ptr[0] != '/' &&
        (scheme == 0 || rest.len < scheme + 3 || memcmp(rest.ptr + scheme, "://", 3) != 0))
        return false;
    len = url_len(rest);
    if (len < 2)
        return false;
    masked_put_url(m, (struct span){rest.ptr, len});
    m->at += len;
    return true;
}

/* An IPv6 address, or a link layer's: hexadecimal digits with colons. */
static bool take_colons(struct masked *m)
{
    struct span rest = rest_of(m);
    size_t len = 0, colons = 0;
    struct addr a;

    while (len < rest.len &&
           (isxdigit((unsigned char)rest.ptr[len]) || rest.ptr[len] == ':' || rest.ptr[len] == '.'))
        colons += rest.ptr[len++] == ':';
    while (len > 0 && (rest.ptr[len - 1] == '.' ||
                       (rest.ptr[len - 1] == ':' && !addr_parse((struct span){rest.ptr, len}, &a))))
        colons -= rest.ptr[--len] == ':';
    if (colons < 2 || (len < rest.len && is_word_byte(rest.ptr[len]) && rest.ptr[len] != '.'))
        return false;
    if (addr_parse((struct span){rest.ptr, len}, &a))
        masked_put_host(m, (struct span){rest.ptr, len});
    else if (colons == 5 && len == 17)
        put_standin(m, STANDIN_TEXT, (struct span){rest.ptr, len});
    else
        return false;
    m->at += len;
    return true;
}

/* A dotted quad; tcpdump's has its port behind another point. */
static bool take_quad(struct masked *m)
{
    struct span rest = rest_of(m);
    size_t len = 0, dots = 0, quad = 0;

    for (; len < rest.len && (is_digit(rest.ptr[len]) || rest.ptr[len] == '.'); len++)
        if (rest.ptr[len] == '.' && ++dots == 4)
            quad = len;
    if (quad == 0)
        quad = len > 0 && rest.ptr[len - 1] == '.' ? len - 1 : len;
    if (dots < 3 || !addr_parse((struct span){rest.ptr, quad}, &(struct addr){0}))
        return false;
    masked_put_host(m, (struct span){rest.ptr, quad});
    m->at += quad;
    return true;
}

static void take_word(struct masked *m)
{
    struct span rest = rest_of(m);
    size_t len = 0;

    while (len < rest.len && is_word_byte(rest.ptr[len]))
        len++;
    while (len > 1 && strchr(".-_", rest.ptr[len - 1])) /* they belong to the sentence */
        len--;
    put_word(m, (struct span){rest.ptr, len});
    m->last = (struct span){rest.ptr, len};
    m->at += len;
}

static void take_other(struct masked *m)
{
    char c = m->text.ptr[m->at];

    put(m, (struct span){m->text.ptr + m->at, 1});
    m->at++;
    if (c == '"')
        m->is_quoted = !m->is_quoted;
    if (c == ':' && span_equal(m->last, SPAN_LIT("says")))
        m->is_said = true;
}

static void take_text(struct masked *m)
{
    while (m->ok && m->at < m->text.len) {
        char c = m->text.ptr[m->at];
        bool is_start = m->at == 0 || !is_word_byte(m->text.ptr[m->at - 1]);

        if (is_start && (take_original(m) || take_url(m) || take_colons(m) || take_quad(m)))
            continue;
        if (is_word_byte(c) && c != '-' && c != '.' && c != '_')
            take_word(m);
        else
            take_other(m);
    }
}

void masked_put_text(struct masked *m, struct span text)
{
    m->text = text;
    take_text(m);
}

void masked_put_user(struct masked *m, struct span text)
{
    put_standin(m, STANDIN_USER, text);
}

void masked_put_rule(struct masked *m, struct span text)
{
    put_standin(m, STANDIN_RULE, text);
}

void masked_put_issuer(struct masked *m, struct span text)
{
    put_standin(m, STANDIN_ISSUER, text);
}

/* A word of protocol, or a stand-in. */
void masked_put_token(struct masked *m, struct span text)
{
    if (is_ours(text) || span_equal(text, SPAN_LIT("h2")))
        put(m, text);
    else
        put_standin(m, STANDIN_TEXT, text);
}

bool masked_is_cipher(struct span text)
{
    bool known = false;

    for (size_t i = 0; i < text.len; i++) {
        struct span rest = {text.ptr + i, text.len - i};

        if (!is_letter(text.ptr[i]) && !is_digit(text.ptr[i]) && !strchr("_-", text.ptr[i]))
            return false;
        known |= span_begins_nocase(rest, SPAN_LIT("AES")) ||
                 span_begins_nocase(rest, SPAN_LIT("CHACHA20")) ||
                 span_begins_nocase(rest, SPAN_LIT("3DES"));
    }
    return known && text.len < WORD_MAX;
}

void masked_put_cipher(struct masked *m, struct span text)
{
    if (masked_is_cipher(text))
        put(m, text);
    else
        masked_put_token(m, text);
}

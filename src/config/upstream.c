#include "config/upstream.h"

#include <stdio.h>

#include "base/num.h"
#include "config/value.h"
#include "flow/words.h"
#include "policy/cidr.h"
#include "policy/parent.h"

#define NAME_MAX_LEN 253u
#define NAME_MAX_LICENSING 64u
#define LABEL_MAX_LEN 63u
#define FAULT_MAX 192 /* bytes of a rule with what was found */

static struct arena *arena_of(const struct setting *s)
{
    return &s->config->values->arena;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The first character that no label has, or -1. */
static long find_odd(struct span label)
{
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.ptr[i]) && label.ptr[i] != '-')
            return (long)i;
    return -1;
}

static bool is_digits(struct span label)
{
    for (size_t i = 0; i < label.len; i++)
        if (label.ptr[i] < '0' || label.ptr[i] > '9')
            return false;
    return true;
}

/* The rule that a label breaks, with what was found; NULL: none. */
static const char *find_label_fault(const struct config_report *r, struct span label,
                                    char out[FAULT_MAX])
{
    char shown[REPORT_WORD_MAX];
    long odd = find_odd(label);

    if (label.len == 0)
        return report_words(r,
                            N_("has an empty label: each between two dots has 1 to 63 characters"));
    if (label.len > LABEL_MAX_LEN) {
        snprintf(out, FAULT_MAX,
                 report_words(r, N_("a label has at most %u characters, found one of %zu")),
                 LABEL_MAX_LEN, label.len);
        return out;
    }
    if (odd < 0)
        return NULL;
    struct span found = {label.ptr + odd, 1};
    while (found.len < label.len - (size_t)odd && (found.ptr[found.len] & 0xc0) == 0x80)
        found.len++; /* the rest of a UTF-8 character */
    snprintf(out, FAULT_MAX,
             report_words(r, N_("a name has letters, digits, hyphens and dots only, found %s")),
             report_word(found, shown));
    return out;
}

/* The rule that the name breaks, or NULL.  RFC 952 and 1123 write host names so. */
static const char *find_name_fault(const struct config_report *r, struct span name,
                                   char out[FAULT_MAX])
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--; /* the root's dot */
    if (name.len == 0)
        return report_words(r, N_("is empty: must be an address or a name"));
    if (name.len > NAME_MAX_LEN) {
        snprintf(out, FAULT_MAX, report_words(r, N_("a name has at most %u characters, found %zu")),
                 NAME_MAX_LEN, name.len);
        return out;
    }
    for (struct span rest = name;;) {
        bool last = span_find(rest, '.') < 0;
        struct span label = span_cut(&rest, '.');
        const char *fault = find_label_fault(r, label, out);

        if (fault)
            return fault;
        if (last && is_digits(label))
            return report_words(r,
                                N_("not an IPv4 address, and no name ends in a label of digits"));
        if (last)
            return NULL;
    }
}

/* The inside of "[2001:db8::1]"; other texts as they are. */
static struct span strip_brackets(struct span text)
{
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
        return (struct span){text.ptr + 1, text.len - 2};
    return text;
}

static const char *find_host_fault(const struct config_report *r, struct span text,
                                   char out[FAULT_MAX])
{
    struct span bare = strip_brackets(text);
    struct addr addr;

    if (addr_parse(bare, &addr))
        return bare.len == text.len || addr.family == AF_INET6
                   ? NULL
                   : report_words(r, N_("brackets are for an IPv6 address only"));
    if (text.len > 0 && text.ptr[0] == '[')
        return report_words(
            r, N_("in brackets stands an IPv6 address and nothing else (the port is PROXY_PORT)"));
    if (span_find(text, ':') >= 0)
        return report_words(
            r, N_("not an IPv6 address, and a name has letters, digits, hyphens and dots only "
                  "(the port is PROXY_PORT)"));
    return find_name_fault(r, text, out);
}

/* An IPv6 address is kept without its brackets. */
bool upstream_host(const struct setting *s)
{
    struct span text = s->words[1].text;
    char what[FAULT_MAX];
    const char *fault = find_host_fault(s->report, text, what);

    if (fault)
        return value_bad(s, 1, NULL, "%s", fault);
    s->config->upstream.host = arena_text(arena_of(s), strip_brackets(text));
    return s->config->upstream.host != NULL;
}

bool upstream_port(const struct setting *s)
{
    uint64_t port;

    if (!num_parse_u64(s->words[1].text, UINT16_MAX, &port) || port == 0)
        return value_bad(s, 1, NULL, "%s",
                         report_words(s->report, N_("a port is a number from 1 to 65535")));
    s->config->upstream.port = (uint16_t)port;
    return true;
}

bool upstream_user(const struct setting *s)
{
    struct span text = s->words[1].text;

    if (span_find(text, ':') >= 0)
        return value_bad(
            s, 1, NULL,
            report_words(s->report, N_("a user name has no colon, found one at character %ld")),
            span_find(text, ':') + 1);
    return value_text(s);
}

/* The password itself is never part of a message. */
bool upstream_password(const struct setting *s)
{
    struct span text = s->words[1].text;
    const struct word *w = &s->words[1];

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        const char *found = c == ' '               ? N_("a space")
                            : c < ' ' || c == 0x7f ? N_("a control character")
                            : c >= 0x80            ? N_("a character outside ASCII")
                                                   : NULL;

        if (!found)
            continue;
        report_error(
            s->report, (struct place){s->file, w->line, w->column},
            report_words(s->report, N_("PROXY_PASSWORD: a password is of A-Z, a-z, 0-9 and the "
                                       "printable ASCII specials, found %s at byte %zu")),
            report_words(s->report, found), i + 1);
        return false;
    }
    s->config->upstream.password = arena_text(arena_of(s), text);
    return s->config->upstream.password != NULL;
}

static const char *find_exception_fault(const struct config_report *r, struct span text,
                                        char out[FAULT_MAX])
{
    struct span name = text, bare = strip_brackets(text);
    struct cidr network;
    const char *why;
    struct addr addr;

    if (addr_parse(bare, &addr))
        return find_host_fault(r, text, out);
    if (span_find(text, '/') >= 0 && cidr_parse(text, &network, &why))
        return NULL;
    if (span_find(text, ',') >= 0)
        return report_words(r, N_("spaces stand between the names, not commas"));
    if (span_find(text, '/') >= 0)
        return report_words(r, why);
    if (name.len > 2 && memcmp(name.ptr, "*.", 2) == 0)
        name = (struct span){text.ptr + 2, text.len - 2};
    else if (name.len > 1 && name.ptr[0] == '.')
        name = (struct span){text.ptr + 1, text.len - 1};
    return find_name_fault(r, name, out);
}

/* An IPv6 address is kept without its brackets, as PROXY_HOST is. */
bool upstream_no_proxy(const struct setting *s)
{
    struct config_upstream *u = &s->config->upstream;
    bool ok = true;

    u->no_proxy = arena_get(arena_of(s), (s->len - 1) * sizeof(*u->no_proxy));
    u->no_proxy_len = u->no_proxy ? s->len - 1 : 0;
    for (unsigned i = 0; i < u->no_proxy_len; i++) {
        char what[FAULT_MAX];
        const char *fault = find_exception_fault(s->report, s->words[i + 1].text, what);

        if (fault)
            ok = value_bad(s, i + 1, NULL, "%s", fault);
        u->no_proxy[i] = arena_text(arena_of(s), strip_brackets(s->words[i + 1].text));
    }
    return ok && u->no_proxy;
}

/* NO_PROXY as look-ups; what it says was checked word by word.  False when memory is out. */
static bool make_parent(struct config *c)
{
    const struct config_upstream *u = &c->upstream;
    const char *why;

    c->parent = parent_new(span_of(u->host), u->port);
    for (unsigned i = 0; c->parent && i < u->no_proxy_len; i++)
        if (!parent_add_exception(c->parent, span_of(u->no_proxy[i]), &why))
            return false;
    return c->parent && parent_seal(c->parent);
}

void upstream_finish(struct config *c, struct config_report *report)
{
    if (c->upstream.enabled && report->errors == 0 && !make_parent(c))
        report_error(report, (struct place){c->upstream_file, 0, 0}, "out of memory");
}

void upstream_check(struct config *c, struct place at, struct config_report *report)
{
    struct config_upstream *u = &c->upstream;
    struct addr addr;

    u->present = true;
    if (u->enabled && !values_get_line(c->values, SCOPE_UPSTREAM, "PROXY_HOST"))
        report_error(
            report, at, "%s",
            report_words(report, N_("PROXY_HOST is missing: the parent's address or name")));
    if (u->enabled && !values_get_line(c->values, SCOPE_UPSTREAM, "PROXY_PORT"))
        report_error(report, at, "%s",
                     report_words(report, N_("PROXY_PORT is missing: a number from 1 to 65535")));
    if (u->host && u->smart_licensing && strlen(u->host) > NAME_MAX_LICENSING &&
        !addr_parse(span_of(u->host), &addr)) {
        const struct config_value *host =
            &c->values->of[directive_index(directive_find(SCOPE_UPSTREAM, SPAN_LIT("PROXY_HOST")))];

        report_error(report, (struct place){at.file, host->line, host->column},
                     report_words(report, N_("PROXY_HOST: at most 64 characters when "
                                             "SMART_LICENSING is on, found %zu")),
                     strlen(u->host));
    }
    if (u->password && !u->user)
        report_warning(
            report, at, "%s",
            report_words(report, N_("PROXY_PASSWORD is not used: PROXY_USER is missing")));
    if (u->ca && !u->tls)
        report_warning(report, at, "%s",
                       report_words(report, N_("PROXY_CA is not used: PROXY_TLS is off")));
}

#include "config/value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/util.h"
#include "flow/words.h"

static struct arena *arena_of(const struct setting *s)
{
    return &s->config->values->arena;
}

static void *field_of(const struct setting *s)
{
    return (char *)s->object + s->what->field;
}

/* A value of upstream.conf for a message: without what stands before an @ and behind a user's
 * colon, where people write passwords, and without settings that a quote in the wrong place took
 * along. */
static const char *show_value(const struct setting *s, struct span text, char out[REPORT_WORD_MAX])
{
    bool is_user = strcmp(s->what->name, "PROXY_USER") == 0;
    char masked[REPORT_WORD_MAX];
    size_t from = 0, to = 0;

    if (s->what->scope != SCOPE_UPSTREAM)
        return report_word(text, out);
    for (size_t i = 0; i < text.len; i++)
        from = text.ptr[i] == '@' ? i : from;
    for (to = from; to < text.len && text.ptr[to] != ';' && !(is_user && text.ptr[to] == ':');)
        to++;
    if (from == 0 && to == text.len)
        return report_word(text, out);
    to += to < text.len;
    snprintf(masked, sizeof masked, "%s%.*s%s", from > 0 ? "…" : "", (int)(to - from),
             text.ptr + from, to < text.len ? "…" : "");
    return report_word(span_of(masked), out);
}

bool value_bad(const struct setting *s, unsigned i, const char *const *choices, const char *fmt,
               ...)
{
    const struct word *w = &s->words[i];
    char text[512], shown[REPORT_WORD_MAX], hint[REPORT_HINT_MAX] = "";
    unsigned n = 0;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    while (choices && choices[n])
        n++;
    if (choices)
        report_hint(w->text, choices, n, hint);
    report_error(s->report, (struct place){s->file, w->line, w->column}, "%s %s: %s%s",
                 s->what->name, show_value(s, w->text, shown), text, hint);
    return false;
}

int value_find_choice(const struct setting *s, unsigned i, const char *const *choices)
{
    char list[160] = "";
    int n = 0;

    for (; choices[n]; n++) {
        size_t used = strlen(list);

        if (span_equal(s->words[i].text, span_of(choices[n])))
            return n;
        snprintf(list + used, sizeof(list) - used, "%s%s",
                 n == 0           ? ""
                 : choices[n + 1] ? ", "
                                  : " or ",
                 choices[n]);
    }
    value_bad(s, i, choices, "must be %s", list);
    return -1;
}

/* The largest unit that divides n: 32k, 1d. */
static void write_scaled(uint64_t n, directive_fn kind, char out[32])
{
    static const struct unit {
        uint64_t of;
        const char *name;
    } plain[] = {{1, ""}},
      sizes[] = {{1ull << 30, "g"}, {1ull << 20, "m"}, {1ull << 10, "k"}, {1, ""}},
      times[] = {{86400 * NS_PER_S, "d"}, {3600 * NS_PER_S, "h"}, {60 * NS_PER_S, "m"},
                 {NS_PER_S, "s"},         {NS_PER_MS, "ms"},      {1, "ns"}};
    const struct unit *u = plain;

    if (kind == value_time)
        u = times;
    else if (kind == value_size || kind == value_size32)
        u = sizes;
    while (n % u->of != 0) /* the last one divides everything */
        u++;
    snprintf(out, 32, "%" PRIu64 "%s", n / u->of, u->name);
}

const char *value_write_bounds(const struct directive *d, char out[VALUE_BOUNDS_MAX])
{
    char low[32], high[32];

    write_scaled(d->min, d->apply, low);
    write_scaled(d->max, d->apply, high);
    snprintf(out, VALUE_BOUNDS_MAX, "%s to %s%s", low, high, d->zero ? ", or 0" : "");
    return out;
}

/* Checks what `parse` gave against the row's bounds. */
static bool is_within(const struct setting *s, bool parsed, uint64_t n, const char *kind)
{
    char bounds[VALUE_BOUNDS_MAX];

    if (!parsed)
        return value_bad(s, 1, NULL, "not %s", kind);
    if ((n == 0 && s->what->zero) || (n >= s->what->min && n <= s->what->max))
        return true;
    return value_bad(s, 1, NULL, "out of range, must be %s", value_write_bounds(s->what, bounds));
}

/* Digits too many for 64 bits are a number too: out of any range. */
static bool is_number(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return text.len > 0;
}

static struct span without_unit(struct span text)
{
    while (text.len > 0 && strchr("kKmMgGsShHdD", text.ptr[text.len - 1]) && text.ptr[text.len - 1])
        text.len--;
    return text;
}

static bool read_number(const struct setting *s, uint64_t *n)
{
    struct span text = s->words[1].text;
    bool parsed = num_parse_u64(text, UINT64_MAX, n);

    if (!parsed && is_number(text)) {
        parsed = true;
        *n = UINT64_MAX;
    }
    return is_within(s, parsed, *n, "a number");
}

static bool read_scaled(const struct setting *s, bool (*parse)(struct span, uint64_t, uint64_t *),
                        const char *kind, uint64_t *n)
{
    struct span text = s->words[1].text;
    bool parsed = parse(text, UINT64_MAX, n);
    uint64_t unit;

    if (!parsed && is_number(without_unit(text)) && text.len > 0) {
        struct span one = {text.ptr + without_unit(text).len - 1,
                           text.len - without_unit(text).len + 1};

        /* its unit is one that is known: then the number was what did not fit */
        parsed = parse(one, UINT64_MAX, &unit);
        *n = UINT64_MAX;
    }
    return is_within(s, parsed, *n, kind);
}

bool value_number(const struct setting *s)
{
    uint64_t n = 0;

    if (!read_number(s, &n))
        return false;
    *(uint32_t *)field_of(s) = (uint32_t)n;
    return true;
}

bool value_workers(const struct setting *s)
{
    if (!span_equal(s->words[1].text, SPAN_LIT("auto")))
        return value_number(s);
    *(uint32_t *)field_of(s) = 0;
    return true;
}

bool value_size(const struct setting *s)
{
    uint64_t n = 0;

    if (!read_scaled(s, num_parse_size, "a size (a number, then k, m or g)", &n))
        return false;
    *(uint64_t *)field_of(s) = n;
    return true;
}

bool value_size32(const struct setting *s)
{
    uint64_t n = 0;

    assert(s->what->max <= UINT32_MAX);
    if (!read_scaled(s, num_parse_size, "a size (a number, then k, m or g)", &n))
        return false;
    *(uint32_t *)field_of(s) = (uint32_t)n;
    return true;
}

bool value_time(const struct setting *s)
{
    uint64_t n = 0;

    if (!read_scaled(s, num_parse_duration, "a time (a number, then ms, s, m, h or d)", &n))
        return false;
    *(uint64_t *)field_of(s) = n;
    return true;
}

bool value_flag(const struct setting *s)
{
    static const char *const choices[] = {"off", "on", NULL};
    int found = value_find_choice(s, 1, choices);

    if (found < 0)
        return false;
    *(bool *)field_of(s) = found == 1;
    return true;
}

bool value_choice(const struct setting *s)
{
    int found = value_find_choice(s, 1, s->what->choices);

    if (found < 0)
        return false;
    memcpy(field_of(s), &found, sizeof(found)); /* enums of small values are as wide as an int */
    return true;
}

bool value_text(const struct setting *s)
{
    struct span text = s->words[1].text;

    if (text.len == 0)
        return value_bad(s, 1, NULL, "%s", report_words(s->report, N_("is empty")));
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return value_bad(s, 1, NULL, "%s",
                             report_words(s->report, N_("has a control character")));
    return (*(char **)field_of(s) = arena_text(arena_of(s), text)) != NULL;
}

char *value_resolve_path(struct arena *a, const char *file, struct span word)
{
    const char *slash = file ? strrchr(file, '/') : NULL;

    if (word.len > 0 && word.ptr[0] == '/')
        return arena_text(a, word);
    if (!file)
        return arena_printf(a, "/etc/viaduct/%.*s", (int)word.len, word.ptr);
    return arena_printf(a, "%.*s%.*s", slash ? (int)(slash + 1 - file) : 0, file, (int)word.len,
                        word.ptr);
}

bool value_path(const struct setting *s)
{
    struct span word = s->words[1].text;

    if (word.len == 0)
        return value_bad(s, 1, NULL, "is empty");
    const char *file = s->is_default && !s->config->path ? NULL : s->file;
    *(char **)field_of(s) = value_resolve_path(arena_of(s), file, word);
    return *(char **)field_of(s) != NULL;
}

/* The whole of `text` as ADDRESS:PORT, *:PORT or PORT.  Port 0: the kernel chooses one. */
static bool parse_listen(struct span text, struct endpoint *out)
{
    uint64_t port;

    *out = (struct endpoint){.addr = {.bytes = {127, 0, 0, 1}, .family = AF_INET}};
    if (text.len > 2 && memcmp(text.ptr, "*:", 2) == 0) {
        out->addr = (struct addr){.family = AF_INET};
        text.ptr += 2;
        text.len -= 2;
    } else if (span_find(text, ':') >= 0) {
        return endpoint_parse(text, out);
    }
    if (!num_parse_u64(text, UINT16_MAX, &port))
        return false;
    out->port = (uint16_t)port;
    return true;
}

#define LISTEN_FORMS "must be ADDRESS:PORT, [IPV6]:PORT, *:PORT or PORT, the port from %d to 65535"

static bool is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && addr_is_equal(&a->addr, &b->addr);
}

/* Adds the listener even where its address is wrong: its block is to be read in any case. */
bool value_listen(const struct setting *s)
{
    struct config *c = s->config;
    struct config_listener *grown =
        arena_grow(arena_of(s), c->listeners, c->listeners_len, sizeof(*grown));
    struct endpoint at;

    if (!grown)
        return false;
    c->listeners = grown;
    c->listeners[c->listeners_len++] =
        (struct config_listener){.file = s->file, .line = s->words[0].line};
    if (!parse_listen(s->words[1].text, &at))
        return value_bad(s, 1, NULL, LISTEN_FORMS, 0);
    for (unsigned i = 0; i + 1 < c->listeners_len; i++)
        if (at.port > 0 && is_same_endpoint(&c->listeners[i].at, &at))
            return value_bad(s, 1, NULL, "this address stands on line %d already",
                             c->listeners[i].line);
    c->listeners[c->listeners_len - 1].at = at;
    return true;
}

bool value_console_listen(const struct setting *s)
{
    struct endpoint *at = field_of(s);

    if (!parse_listen(s->words[1].text, at)) /* port 0: the kernel's choice, which the log tells */
        return value_bad(s, 1, NULL, LISTEN_FORMS, 0);
    return true;
}

bool value_console(const struct setting *s)
{
    bool off = s->len == 2 && span_equal(s->words[1].text, SPAN_LIT("off"));

    if (s->len == 2 && !off)
        return value_bad(s, 1, NULL, "console takes a block, or off");
    if (s->block == off) {
        report_error(s->report, (struct place){s->file, s->words[0].line, s->words[0].column},
                     off ? "console off takes no block" : "console needs a block { }, or off");
        return false;
    }
    s->config->console.on = !off;
    return true;
}

/* words[1..] as different members of `choices`, their indices into out[] in order. */
static bool read_choices(const struct setting *s, const char *const *choices, unsigned *out,
                         unsigned *out_len)
{
    unsigned seen = 0, n = 0;
    bool ok = true;

    for (unsigned i = 1; i < s->len; i++) {
        int found = value_find_choice(s, i, choices);

        if (found >= 0 && (seen & 1u << found))
            value_bad(s, i, NULL, "stands here twice");
        if (found < 0 || (seen & 1u << found)) {
            ok = false;
            continue;
        }
        seen |= 1u << found;
        out[n++] = (unsigned)found;
    }
    *out_len = n;
    return ok;
}

bool value_schemes(const struct setting *s)
{
    static const char *const choices[] = {"digest", "basic", NULL};
    struct config_authentication *a = &s->config->authentication;

    return read_choices(s, choices, a->schemes, &a->schemes_len);
}

bool value_algorithms(const struct setting *s)
{
    static const char *const choices[] = {"sha-256", "md5", "sha-512-256", NULL};
    struct config_authentication *a = &s->config->authentication;

    return read_choices(s, choices, a->algorithms, &a->algorithms_len);
}

/* "192.0.2.1", "2001:db8::1", or either with a port. */
static bool parse_server(struct span text, struct endpoint *out)
{
    *out = (struct endpoint){.port = 53};
    if (text.len > 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']') {
        text.ptr++;
        text.len -= 2;
    }
    return addr_parse(text, &out->addr) || (endpoint_parse(text, out) && out->port > 0);
}

bool value_servers(const struct setting *s)
{
    struct config *c = s->config;
    unsigned n = s->len - 1;

    c->servers = NULL;
    c->servers_len = 0;
    if (n == 1 && span_equal(s->words[1].text, SPAN_LIT("system")))
        return true;

    struct endpoint *servers = arena_get(arena_of(s), n * sizeof(*servers));
    bool ok = servers != NULL;
    for (unsigned i = 0; servers && i < n; i++)
        if (!parse_server(s->words[i + 1].text, &servers[i]))
            ok = value_bad(s, i + 1, NULL, "must be an address, ADDRESS:PORT, or system alone");
    c->servers = servers;
    c->servers_len = servers ? n : 0;
    return ok;
}

bool value_access_log(const struct setting *s)
{
    static const char *const places[] = {"stdout", "syslog", "off"};
    static const enum config_log_to values[] = {LOG_TO_STDOUT, LOG_TO_SYSLOG, LOG_TO_OFF};
    static const char *const formats[] = {"auto", "json", "text", "squid", NULL};
    struct config *c = s->config;

    int format = s->len == 3 ? value_find_choice(s, 2, formats) : LOG_FORMAT_AUTO;
    if (format < 0)
        return false;
    c->log_format = (enum config_log_format)format;
    c->log_file = NULL;
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        if (span_equal(s->words[1].text, span_of(places[i]))) {
            c->log_to = values[i];
            return true;
        }
    }
    c->log_to = LOG_TO_FILE;
    return value_path(s);
}

char *value_state_path(struct arena *a, const char *name)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    const char *given = getenv("STATE_DIRECTORY"); /* systemd.exec(5): a list, with colons */

    if (given && given[0] == '/')
        return arena_printf(a, "%.*s/%s", (int)strcspn(given, ":"), given, name);
    if (geteuid() == 0)
        return arena_printf(a, "/var/lib/viaduct/%s", name);
    if (state && state[0] == '/')
        return arena_printf(a, "%s/viaduct/%s", state, name);
    return arena_printf(a, "%s/.local/state/viaduct/%s", home ? home : "", name);
}

/* Of sockets that a restart makes anew. */
char *value_runtime_path(struct arena *a, const char *name)
{
    const char *given = getenv("RUNTIME_DIRECTORY"), *runtime = getenv("XDG_RUNTIME_DIR");

    if (given && given[0] == '/')
        return arena_printf(a, "%.*s/%s", (int)strcspn(given, ":"), given, name);
    if (geteuid() == 0)
        return arena_printf(a, "/run/viaduct/%s", name);
    if (runtime && runtime[0] == '/')
        return arena_printf(a, "%s/viaduct/%s", runtime, name);
    return arena_printf(a, "/tmp/viaduct-%u/%s", (unsigned)geteuid(), name);
}

bool value_admins(const struct setting *s)
{
    if (!s->is_default)
        return value_path(s);
    return (s->config->console.admins = value_state_path(arena_of(s), s->what->value)) != NULL;
}

bool value_history(const struct setting *s)
{
    if (!s->is_default && span_equal(s->words[1].text, SPAN_LIT("off"))) {
        s->config->history = NULL;
        return true;
    }
    if (!s->is_default)
        return value_path(s);
    return (s->config->history = value_state_path(arena_of(s), s->what->value)) != NULL;
}

bool value_hosts(const struct setting *s)
{
    struct config_console *console = &s->config->console;
    unsigned n = s->len - 1;
    bool ok = true;

    char **hosts = arena_get(arena_of(s), n * sizeof(*hosts));
    if (!hosts)
        return false;
    for (unsigned i = 0; i < n; i++) {
        struct span host = s->words[i + 1].text;

        if (host.len == 0 || host.len > 253)
            ok = value_bad(s, i + 1, NULL, "must have 1 to 253 characters");
        hosts[i] = arena_text(arena_of(s), host);
    }
    console->hosts = hosts;
    console->hosts_len = n;
    return ok;
}

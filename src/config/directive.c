#include "config/directive.h"

#include <assert.h>

#include "base/clock.h"
#include "base/util.h"
#include "config/upstream.h"
#include "config/value.h"

#define KIB 1024ull
#define MIB (1024 * KIB)
#define MS NS_PER_MS
#define S NS_PER_S
#define MINUTE (60 * S)
#define DAY (24 * 60 * MINUTE)
#define YEAR (365 * DAY)
#define BYTES_MAX (1ull << 50)

static const char *const forwarded[] = {[FORWARDED_OFF] = "off",
                                        [FORWARDED_APPEND] = "append",
                                        [FORWARDED_X] = "x-forwarded-for",
                                        NULL};
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};
static_assert(ARRAY_LEN(levels) == LOG_LEVEL_COUNT + 1, "a name for each level");

#define AT(member) offsetof(struct config, member)
#define IN_LISTENER(member) offsetof(struct config_listener, member)
#define ONE .least = 1, .most = 1

/* clang-format off: one row a setting, in the order of the manual */
static const struct directive table[] = {
    {"workers", SCOPE_MAIN, value_workers, AT(workers), 1, 1024, ONE, .value = "auto",
     .takes = "NUMBER | auto",
     .help = "Worker threads; auto: one a CPU. A change needs a restart."},
    {"user", SCOPE_MAIN, value_text, AT(user), ONE, .value = "viaduct", .takes = "ACCOUNT",
     .help = "The account to change to after the listeners are bound, when started as root. Where "
             "the default is not "
             "on the machine, nobody takes its place, said in the log. A change needs a restart."},

    {"listen", SCOPE_MAIN, value_listen, ONE, .repeats = true, .block = SCOPE_LISTEN,
     .block_optional = true, .takes = "ADDRESS:PORT",
     .help = "Where clients are served: 127.0.0.1:3128 when the file has none. A port alone "
             "is on 127.0.0.1; * stands for every IPv4 address, [::] for every IPv6 address. "
             "With port 0 the kernel chooses one, which the log tells."},
    {"tls-certificate", SCOPE_LISTEN, value_path, IN_LISTENER(tls_certificate), ONE, .path = 1,
     .takes = "FILE",
     .help = "Clients reach this listener by TLS: the certificate and its chain, in PEM. Only with "
             "tls-key."},
    {"tls-key", SCOPE_LISTEN, value_path, IN_LISTENER(tls_key), ONE, .path = 1, .takes = "FILE",
     .help = "The certificate's private key, in PEM."},
    {"mss", SCOPE_LISTEN, value_number, IN_LISTENER(mss), 88, 32767, .zero = true, ONE,
     .takes = "BYTES",
     .help = "Clamps the TCP segments towards clients; 0: the kernel's own choice, the default."},

    {"upstream", SCOPE_MAIN, value_path, AT(upstream_file), ONE, .path = 1,
     .value = "upstream.conf", .takes = "FILE",
     .help = "The file of viaduct upstream, which names a parent proxy. Absent or disabled: "
             "targets are connected "
             "directly."},

    {"authentication", SCOPE_MAIN, .block = SCOPE_AUTHENTICATION,
     .help =
         "Credentials are asked for where a rule wants a user. Without this block none ever are."},
    {"accounts", SCOPE_AUTHENTICATION, value_path, AT(authentication.accounts), ONE, .path = 1,
     .value = "accounts.conf", .takes = "FILE",
     .help = "The accounts that viaduct account writes. A running proxy follows the file."},
    {"realm", SCOPE_AUTHENTICATION, value_text, AT(authentication.realm), ONE, .value = "viaduct",
     .takes = "TEXT",
     .help = "What clients show when they ask for a password. The stored digests hold for one "
             "realm only."},
    {"schemes", SCOPE_AUTHENTICATION, value_schemes, .least = 1, .most = 2, .value = "digest basic",
     .takes = "digest | basic ...", .help = "Offered in this order."},
    {"algorithms", SCOPE_AUTHENTICATION, value_algorithms, .least = 1, .most = 3,
     .value = "sha-256 md5", .takes = "sha-256 | md5 | sha-512-256 ...",
     .help = "Of Digest, offered in this order; clients answer the first that they know. curl 7.88 "
             "answers sha-512-256 with another hash and so cannot log in: put it behind sha-256."},
    {"nonce-lifetime", SCOPE_AUTHENTICATION, value_time, AT(authentication.nonce_ns), S, DAY, ONE,
     .value = "5m", .takes = "TIME",
     .help = "How long a Digest nonce is good for; clients that know nextnonce get a new one in "
             "the second half."},

    {"access", SCOPE_MAIN, .block = SCOPE_ACCESS,
     .help = "The rules: the first match decides, and what no rule matches is denied. Without this "
             "block, allow local "
             "{ from loopback; } stands in its place (with authentication: allow local { "
             "authenticated; }). Two rules "
             "are built in and tried first: deny private { to loopback link-local private "
             "multicast; } and deny ports "
             "{ method CONNECT; port not 443; }."},
    {"list", SCOPE_ACCESS, .repeats = true, .least = 3, .most = 3, .takes = "NAME file FILE",
     .help = "A named list: one domain, address or network a line. A reload shares it when the "
             "file did not change."},
    {"allow", SCOPE_ACCESS, .repeats = true, .least = 1, .most = 2, .block = SCOPE_ACCESS,
     .takes = "[report] NAME",
     .help = "Lets pass what meets every condition of its block; without conditions, everything. "
             "With report, only "
             "logs what it would have decided."},
    {"deny", SCOPE_ACCESS, .repeats = true, .least = 1, .most = 2, .block = SCOPE_ACCESS,
     .block_optional = true, .takes = "[report] NAME",
     .help = "Refuses likewise. A rule named private or ports takes the built-in one's place; "
             "deny private off; and deny ports off; remove them."},

    {"limits", SCOPE_MAIN, .block = SCOPE_LIMITS,
     .help = "Ceilings of the whole proxy and of each flow."},
    {"connections", SCOPE_LIMITS, value_number, AT(limits.connections), 1, 4000000, ONE,
     .value = "20000", .takes = "NUMBER", .help = "Client connections at a time; beyond it, 503."},
    {"connections-per-client", SCOPE_LIMITS, value_number, AT(limits.connections_per_client), 1,
     4000000, ONE, .value = "1000", .takes = "NUMBER",
     .help = "The same of one client address; beyond it, 429."},
    {"header-size", SCOPE_LIMITS, value_size32, AT(limits.header_size), KIB, MIB, ONE,
     .value = "32k", .takes = "SIZE", .help = "The head of a request or of an answer."},
    {"header-timeout", SCOPE_LIMITS, value_time, AT(limits.header_ns), MS, DAY, ONE, .value = "10s",
     .takes = "TIME", .help = "From a request's first byte to the end of its head."},
    {"keepalive-timeout", SCOPE_LIMITS, value_time, AT(limits.keepalive_ns), MS, DAY, ONE,
     .value = "60s", .takes = "TIME",
     .help = "How long a client's connection is kept between two requests."},
    {"resolve-timeout", SCOPE_LIMITS, value_time, AT(limits.resolve_ns), MS, DAY, ONE,
     .value = "5s", .takes = "TIME", .help = "For a name to become addresses."},
    {"connect-timeout", SCOPE_LIMITS, value_time, AT(limits.connect_ns), MS, DAY, ONE,
     .value = "10s", .takes = "TIME", .help = "For one of them to answer the handshake."},
    {"response-timeout", SCOPE_LIMITS, value_time, AT(limits.response_ns), MS, DAY, ONE,
     .value = "60s", .takes = "TIME",
     .help = "From the end of a request to the head of its answer."},
    {"idle-timeout", SCOPE_LIMITS, value_time, AT(limits.flow.idle_ns), MS, YEAR, .zero = true, ONE,
     .value = "1h", .takes = "TIME",
     .help = "Of a tunnel or a transfer, without a byte in either direction."},
    {"lifetime", SCOPE_LIMITS, value_time, AT(limits.flow.lifetime_ns), MS, YEAR, .zero = true, ONE,
     .value = "0", .takes = "TIME", .help = "Of a flow as a whole."},
    {"max-download", SCOPE_LIMITS, value_size, AT(limits.flow.max_download), 1, BYTES_MAX,
     .zero = true, ONE, .value = "0", .takes = "SIZE",
     .help = "Bytes of a flow towards the client."},
    {"max-upload", SCOPE_LIMITS, value_size, AT(limits.flow.max_upload), 1, BYTES_MAX, .zero = true,
     ONE, .value = "0", .takes = "SIZE", .help = "Bytes of a flow towards the target."},
    {"drain-timeout", SCOPE_LIMITS, value_time, AT(limits.drain_ns), MS, DAY, .zero = true, ONE,
     .value = "30s", .takes = "TIME",
     .help = "How long a stop waits for open flows; 0: not at all."},

    {"resolver", SCOPE_MAIN, .block = SCOPE_RESOLVER, .help = "How names become addresses."},
    {"hosts", SCOPE_RESOLVER, value_path, AT(hosts_file), ONE, .path = 1, .value = "/etc/hosts",
     .takes = "FILE", .help = "Asked first; a changed file is followed."},
    {"servers", SCOPE_RESOLVER, value_servers, .least = 1, .most = 16, .value = "system",
     .takes = "system | ADDRESS[:PORT] ...",
     .help = "DNS servers; system: those of resolv.conf, which is followed."},
    {"timeout", SCOPE_RESOLVER, value_time, AT(resolver_timeout_ns), MS, MINUTE, ONE, .value = "2s",
     .takes = "TIME", .help = "For one server to answer one query."},
    {"cache", SCOPE_RESOLVER, value_number, AT(resolver_cache), 1, 10000000, .zero = true, ONE,
     .value = "10000", .takes = "NUMBER",
     .help = "Names remembered by each worker, no longer than their time to live; 0: none."},

    {"mss", SCOPE_MAIN, value_number, AT(mss), 88, 32767, .zero = true, ONE, .value = "0",
     .takes = "BYTES",
     .help = "Clamps the TCP segments of connections to targets and parents; 0: the kernel's own "
             "choice."},
    {"mtu-healing", SCOPE_MAIN, value_flag, AT(mtu_healing), ONE, .value = "on",
     .takes = "on | off",
     .help = "Remembers for an hour the addresses of targets and parents that need smaller "
             "segments, and uses them."},

    {"log", SCOPE_MAIN, .block = SCOPE_LOG, .help = "What is written down, and where."},
    {"access", SCOPE_LOG, value_access_log, AT(log_file), .least = 1, .most = 2, .path = 1,
     .value = "stdout auto", .takes = "stdout | syslog | off | FILE [auto | json | text | squid]",
     .help = "One line each ended flow. auto: text on a terminal, else json."},
    {"level", SCOPE_LOG, value_choice, AT(log_level), ONE, .choices = levels, .value = "info",
     .takes = "error | warning | info | debug",
     .help = "Of the diagnostic log, on standard error."},
    {"history", SCOPE_LOG, value_history, AT(history), ONE, .path = 1, .block = SCOPE_HISTORY,
     .block_optional = true, .value = "history.db", .takes = "FILE | off",
     .help = "The database of ended flows, which viaduct flows shows; by default "
             "in /var/lib/viaduct, for an ordinary user in the state folder of the XDG base "
             "directories."},
    {"keep", SCOPE_HISTORY, value_time, AT(history_keep_ns), MINUTE, 100 * YEAR, .zero = true, ONE,
     .value = "30d", .takes = "TIME", .help = "Flows that ended longer ago are removed; 0: none."},
    {"max-size", SCOPE_HISTORY, value_size, AT(history_max), MIB, BYTES_MAX, .zero = true, ONE,
     .value = "1g", .takes = "SIZE",
     .help =
         "Of the file and what SQLite keeps beside it; 0: no limit. Where it would be passed, the "
         "oldest flows that went well are removed first, then the oldest failures."},

    {"forwarded", SCOPE_MAIN, value_choice, AT(forwarded), ONE, .choices = forwarded,
     .value = "off", .takes = "off | append | x-forwarded-for",
     .help = "Whether targets of plain HTTP are told the client's address."},
    {"via", SCOPE_MAIN, value_flag, AT(via), ONE, .value = "on", .takes = "on | off",
     .help = "Whether messages of plain HTTP carry Via; loops are found by it."},

    {"console", SCOPE_MAIN, value_console, .least = 0, .most = 1, .block = SCOPE_CONSOLE,
     .block_optional = true, .takes = "[off]",
     .help = "The web console; console off; leaves it out. A change needs a restart."},
    {"listen", SCOPE_CONSOLE, value_console_listen, AT(console.listen), ONE,
     .value = "127.0.0.1:3180", .takes = "ADDRESS:PORT",
     .help = "Elsewhere than on a loopback address only with the next two."},
    {"tls-certificate", SCOPE_CONSOLE, value_path, AT(console.tls_certificate), ONE, .path = 1,
     .takes = "FILE", .help = "The certificate and its chain, in PEM."},
    {"tls-key", SCOPE_CONSOLE, value_path, AT(console.tls_key), ONE, .path = 1, .takes = "FILE",
     .help = "The certificate's private key, in PEM."},
    {"hosts", SCOPE_CONSOLE, value_hosts, .least = 1, .most = 32, .value = "localhost",
     .takes = "NAME ...", .help = "Names it answers to, beside its addresses."},
    {"admins", SCOPE_CONSOLE, value_admins, AT(console.admins), ONE, .path = 1,
     .value = "admins.conf", .takes = "FILE",
     .help = "Its administrators; made by the first one-time link."},
    {"session-idle", SCOPE_CONSOLE, value_time, AT(console.session_idle_ns), MINUTE, YEAR, ONE,
     .value = "30m", .takes = "TIME", .help = "A login ends when it was not used for so long."},
    {"session-lifetime", SCOPE_CONSOLE, value_time, AT(console.session_lifetime_ns), MINUTE, YEAR,
     ONE, .value = "12h", .takes = "TIME", .help = "A login ends after this in any case."},

    {"iprep_proxy", SCOPE_UPSTREAM_FILE, .block = SCOPE_UPSTREAM,
     .help = "The parent proxy, by which this machine reaches the internet."},
    {"ENABLED", SCOPE_UPSTREAM, value_flag, AT(upstream.enabled), ONE, .value = "on",
     .takes = "on | off", .help = "off keeps the settings without using them."},
    {"PROXY_HOST", SCOPE_UPSTREAM, upstream_host, AT(upstream.host), ONE, .takes = "HOST",
     .help = "An IPv4 address, an IPv6 address with or without brackets, or a name of labels of 1 "
             "to 63 letters, digits and hyphens, "
             "253 characters at "
             "most in all, 64 when smart licensing is on."},
    {"PROXY_PORT", SCOPE_UPSTREAM, upstream_port, AT(upstream.port), ONE, .takes = "PORT",
     .help = "1 to 65535."},
    {"PROXY_USER", SCOPE_UPSTREAM, upstream_user, AT(upstream.user), ONE, .takes = "NAME",
     .help = "Without a colon. Absent: no proxy authentication."},
    {"PROXY_PASSWORD", SCOPE_UPSTREAM, upstream_password, AT(upstream.password), ONE,
     .takes = "TEXT", .help = "Of letters A-Z and a-z, digits and the printable ASCII specials."},
    {"PROXY_TLS", SCOPE_UPSTREAM, value_flag, AT(upstream.tls), ONE, .value = "off",
     .takes = "on | off", .help = "on: the parent itself is reached by TLS."},
    {"PROXY_CA", SCOPE_UPSTREAM, value_path, AT(upstream.ca), ONE, .path = 1, .takes = "FILE",
     .help = "Certificates to trust for that; absent: the system's."},
    {"NO_PROXY", SCOPE_UPSTREAM, upstream_no_proxy, .least = 1, .most = 255,
     .takes = "NAME | NETWORK ...",
     .help = "Targets that are connected directly: a name (example.com: that name alone; "
             "*.example.com: its subdomains; .example.com: both), an address, a network."},
    {"SMART_LICENSING", SCOPE_UPSTREAM, value_flag, AT(upstream.smart_licensing), ONE,
     .value = "off", .takes = "on | off", .help = "on: PROXY_HOST may have at most 64 characters."},
};
/* clang-format on */
static_assert(ARRAY_LEN(table) <= DIRECTIVE_MAX, "struct config_values has a slot for each");

static const char *const scope_names[] = {
    [SCOPE_MAIN] = "viaduct.conf",    [SCOPE_UPSTREAM_FILE] = "upstream.conf",
    [SCOPE_LISTEN] = "listen",        [SCOPE_AUTHENTICATION] = "authentication",
    [SCOPE_ACCESS] = "access",        [SCOPE_LIMITS] = "limits",
    [SCOPE_RESOLVER] = "resolver",    [SCOPE_LOG] = "log",
    [SCOPE_HISTORY] = "history",      [SCOPE_CONSOLE] = "console",
    [SCOPE_UPSTREAM] = "iprep_proxy",
};
static_assert(ARRAY_LEN(scope_names) == SCOPE_COUNT, "a name for each scope");

unsigned directive_count(void)
{
    return ARRAY_LEN(table);
}

const struct directive *directive_get(unsigned i)
{
    assert(i < ARRAY_LEN(table));
    return &table[i];
}

unsigned directive_index(const struct directive *d)
{
    assert(d >= table && d < table + ARRAY_LEN(table));
    return (unsigned)(d - table);
}

const struct directive *directive_find(enum scope scope, struct span name)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].scope == scope && span_equal(span_of(table[i].name), name))
            return &table[i];
    return NULL;
}

const char *directive_scope_name(enum scope scope)
{
    assert(scope < SCOPE_COUNT);
    return scope_names[scope];
}

static bool is_upstream(enum scope scope)
{
    return scope == SCOPE_UPSTREAM || scope == SCOPE_UPSTREAM_FILE;
}

/* Where in the same file a setting of this name may stand: outside of all blocks if it may, else
 * the first block that has it; SCOPE_COUNT when none has. */
static enum scope find_home(enum scope scope, struct span name)
{
    enum scope home = SCOPE_COUNT;

    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (span_equal(span_of(table[i].name), name) &&
            is_upstream(table[i].scope) == is_upstream(scope) && table[i].scope < home)
            home = table[i].scope; /* whole files come first in the enum */
    return home;
}

void directive_report_unknown(const struct lexer *lx, enum scope scope, const struct word *name)
{
    struct config_report *r = lx->report;
    struct place at = lexer_word_place(lx, name);
    enum scope home = find_home(scope, name->text);
    const char *names[ARRAY_LEN(table)];
    char word[REPORT_WORD_MAX], hint[REPORT_HINT_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].scope == scope)
            names[n++] = table[i].name;
    report_hint(name->text, names, n, hint);
    if (home < SCOPE_COUNT)
        report_word(name->text, word);
    else
        lexer_show_name(lx, name, hint, word);
    if (home == SCOPE_MAIN || home == SCOPE_UPSTREAM_FILE)
        report_error(r, at, "%s cannot stand in %s: is a } missing before it?", word,
                     scope_names[scope]);
    else if (home < SCOPE_COUNT)
        report_error(r, at, "%s cannot stand here: it belongs in %s { }%s", word, scope_names[home],
                     hint);
    else
        report_error(r, at, "unknown setting %s in %s%s", word, scope_names[scope], hint);
}

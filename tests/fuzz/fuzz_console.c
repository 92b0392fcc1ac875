/* A request to the console from anybody: whatever it is, the answer is one of HTTP, its JSON is
 * JSON, and no secret is in it.  The console is the real one with its thread, routes, guard and
 * handlers; libmicrohttpd and the proxy behind the door are stood in for.
 *
 * In a text, @job is the latest job's id, @link a one-time link's token, @base what the
 * configuration is now, @version an earlier one of it, @flow a flow of the history. */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/util.h"
#include "console/admins.h"
#include "console/internal.h"
#include "console/jobs.h"
#include "console/routes.h"
#include "console/sessions.h"
#include "fuzz.h"
#include "http_stub.h"
#include "render/render.h"
#include "store/history.h"

#define TEXT_MAX (1u << 20)
#define NAME "<script>alert(1)</script>\"'\x01\xe2\x80\xae\xff"
#define SCRYPT                                                                                     \
    "scrypt 4 8 1 00112233445566778899aabbccddeeff "                                               \
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SECRET "q9Zk3wXv7Lr2Tn8b" /* no text of the corpus has it */

static char folder[64];
static struct console *console;
static struct config *config; /* the one in force */
static struct totals_book totals = {.lock = PTHREAD_MUTEX_INITIALIZER};
static char job[JOBS_ID_HEX + 1] = "0";
static bool reached[128]; /* routes whose handlers ran */

/* What is changed by requests, and put back. */
static const struct file {
    const char *name, *text;
} files[] = {
    {"viaduct.conf", "listen 127.0.0.1:3128;\nauthentication { accounts accounts.conf; }\n"
                     "upstream upstream.conf;\nresolver { hosts hosts; }\n"
                     "log { access off; history history.db; }\n"
                     "console { listen 127.0.0.1:0; admins admins.conf; }\n"
                     "access { list bad file hosts.bad; deny bad { to list bad; }\n"
                     "allow all { authenticated; } }\n"},
    {"upstream.conf", "iprep_proxy { PROXY_HOST parent.test; PROXY_PORT 80; PROXY_USER u; "
                      "PROXY_PASSWORD " SECRET "; NO_PROXY localhost .x.test; }\n"},
    {"accounts.conf",
     "user \"a b/c\" { realm R; md5 00112233445566778899aabbccddeeff; }\nuser fmc { realm R; "
     "md5 00112233445566778899aabbccddeeff; disabled; }\n"},
    {"admins.conf", "admin root { " SCRYPT "; }\ntoken m { sha-256 "
                    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff; }\n"},
    {"hosts", "127.0.0.1 localhost\n"},
    {"hosts.bad", ".bad.test\n192.0.2.0/24\n"},
    {"audit.log", "{\"time\":\"2026\",\"who\":\"a\",\"what\":\"b\"}\n{\"time\":{\"a\":}\n}\n\xff\n"
                  "{\"time\":\"torn"},
};

static void write_files(void)
{
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char path[128];
        FILE *f;

        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        f = fopen(path, "w");
        if (!f || fchmod(fileno(f), 0600) != 0 || fputs(files[i].text, f) < 0 || fclose(f) != 0)
            abort();
    }
}

/* --- the proxy behind the door ---------------------------------------------------------------- */

static void make_flow(struct flow *f, uint64_t id)
{
    flow_begin(f, SOURCE_SERVE, id, 0, clock_wall_ns() - NS_PER_S);
    addr_parse(SPAN_LIT("192.0.2.7"), &f->client.addr);
    flow_set_text(&f->target, id == 1 ? NAME ".bad.test:443" : "t.example:443");
    flow_set_text(&f->user, NAME);
    flow_set_text(&f->rule, NAME);
    flow_set_text(&f->method, "CONNECT");
    flow_evidence(f, "%s", NAME);
    flow_phase(f, PHASE_TRANSFER, 0);
}

static bool ask(void *owner, const struct live_query *q, struct live_page *page)
{
    *page = (struct live_page){.open = 2, .matching = 2, .whole = true};
    for (uint64_t id = 1; id <= 2 && page->len < q->limit; id++)
        if ((!q->id || q->id == id) && id > q->offset)
            make_flow(&page->rows[page->len++].flow, id);
    return true;
}

static enum live_end end(void *owner, uint64_t id, const char *who, const char *why)
{
    return id <= 2 ? LIVE_ENDED : id == 3 ? LIVE_UNKNOWN : LIVE_NOT_FOUND;
}

static bool read_totals(void *owner, struct totals *out)
{
    return totals_read(&totals, out);
}

static struct config *get_config(void *owner)
{
    return config_ref(config);
}

static struct config *load(struct err *err)
{
    struct config_report report = {0};
    struct config *fresh;
    char path[128];

    snprintf(path, sizeof path, "%s/viaduct.conf", folder);
    fresh = config_load(path, config, &report);
    if (!fresh)
        err_set(err, "%s", report.len ? report.items[0].text : "out of memory");
    config_report_fini(&report);
    return fresh;
}

static bool reload(void *owner, struct err *err)
{
    struct config *fresh = load(err), *before = config;

    if (!fresh)
        return false;
    config = fresh;
    config_unref(before);
    return true;
}

static void get_state(void *owner, struct console_state *out)
{
    *out = (struct console_state){.workers = 2};
    addr_parse(SPAN_LIT("127.0.0.1"), &out->at.addr);
    out->at.port = 3128;
}

static void settle(void *owner)
{
}

static void look_at_accounts(void *owner, const char *path, bool *taken, bool *refused)
{
    *taken = true;
    *refused = false;
}

/* --- the start -------------------------------------------------------------------------------- */

static void fill_history(void)
{
    struct history_limits none = {0};
    struct history *h;
    char path[128];
    struct err err;

    snprintf(path, sizeof path, "%s/history.db", folder);
    if (history_open(path, &none, clock_wall_ns(), &h, &err) != FAULT_NONE ||
        history_begin(h, &err) != FAULT_NONE)
        abort();
    for (uint64_t id = 1; id <= 3; id++) {
        struct flow f = {0};
        struct buf json;

        make_flow(&f, id);
        flow_end(&f, id == 1 ? VERDICT_STALLED : VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, NS_PER_S);
        buf_init(&json, TEXT_MAX);
        if (!render_json(&json, &f) || history_add(h, &f, buf_span(&json), &err) != FAULT_NONE)
            abort();
        totals_add(&totals, &f);
        buf_fini(&json);
        flow_fini(&f);
    }
    history_settle(h, clock_wall_ns(), &err);
    history_commit(h, clock_wall_ns(), &err);
    history_close(h);
}

static void remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        fprintf(stderr, "%s stays\n", folder);
}

static void start(void)
{
    static char path[128];
    struct console_options o = {.door = {NULL, ask, end, read_totals, get_config, reload, get_state,
                                         settle, look_at_accounts},
                                .config_path = path,
                                .program = "/bin/true"};
    struct err err;

    snprintf(folder, sizeof folder, "%s/fuzz-console-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        abort();
    atexit(remove_folder);
    setenv("STATE_DIRECTORY", folder, 1);
    setenv("RUNTIME_DIRECTORY", folder, 1);
    log_set_level(LOG_LEVEL_ERROR);
    snprintf(path, sizeof path, "%s/viaduct.conf", folder);
    write_files();
    fill_history();
    config = load(&err);
    if (!config || !console_start(&o, &console, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
}

/* --- one request ------------------------------------------------------------------------------ */

static void find_base(char out[DIGEST_HEX_MAX + 1])
{
    struct span text = span_of(files[0].text);

    out[digest_hex_of(DIGEST_SHA256, &text, 1, out)] = '\0';
}

static void find_version(char out[DIGEST_HEX_MAX + 1])
{
    char path[128];
    struct dirent *e;
    DIR *d;

    snprintf(path, sizeof path, "%s/configuration", folder);
    d = opendir(path);
    while (d && (e = readdir(d)))
        if (strlen(e->d_name) > 5)
            snprintf(out, DIGEST_HEX_MAX + 1, "%.*s", (int)strlen(e->d_name) - 5, e->d_name);
    if (d)
        closedir(d);
}

static void find_link(char out[DIGEST_HEX_MAX + 1])
{
    admins_make_link(console_get_admins(console), console_now_ns(console), out);
}

static void find_job(char out[DIGEST_HEX_MAX + 1])
{
    snprintf(out, sizeof job, "%s", job);
}

static void find_flow(char out[DIGEST_HEX_MAX + 1])
{
    snprintf(out, 17, "%016d", 1);
}

/* The text with what stands for something in its place. */
static bool fill_in(struct span text, struct buf *out)
{
    static const struct {
        struct span word;
        void (*find)(char out[DIGEST_HEX_MAX + 1]);
    } words[] = {{SPAN_INIT("@job"), find_job},
                 {SPAN_INIT("@link"), find_link},
                 {SPAN_INIT("@base"), find_base},
                 {SPAN_INIT("@version"), find_version},
                 {SPAN_INIT("@flow"), find_flow}};
    char value[DIGEST_HEX_MAX + 1];
    bool ok = true;

    while (ok && text.len) {
        size_t i = 0;

        while (i < ARRAY_LEN(words) && !span_begins_nocase(text, words[i].word))
            i++;
        if (i == ARRAY_LEN(words)) {
            ok = buf_append(out, text.ptr, 1);
            text = (struct span){text.ptr + 1, text.len - 1};
            continue;
        }
        *value = '\0';
        words[i].find(value);
        ok = buf_append(out, value, strlen(value));
        text = (struct span){text.ptr + words[i].word.len, text.len - words[i].word.len};
    }
    return ok;
}

static void note_job(json_t *root)
{
    const char *id = json_string_value(json_object_get(root, "job"));

    if (id)
        snprintf(job, sizeof job, "%s", id);
}

static bool has(const char *bytes, size_t len, const char *text)
{
    return memmem(bytes, len, text, strlen(text));
}

static void judge(const struct stub_answer *a, struct span asked, const char *cookie)
{
    json_t *root;

    assert(has(asked.ptr, asked.len, SECRET) ||
           !has(a->body, a->len, SECRET)); /* it may learn it */
    assert(!has(a->body, a->len, cookie));
    if (strcmp(a->type, "application/json") == 0 && a->len) {
        root = json_loadb(a->body, a->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        assert(root);
        if (a->status >= 400)
            assert(json_is_string(json_object_get(root, "error")) &&
                   json_is_string(json_object_get(root, "message")));
        note_job(root);
        json_decref(root);
    }
    if (a->route)
        reached[(const struct route *)a->route - routes] = true;
}

/* What was changed is put back. */
static void restore(void)
{
    struct err err;

    write_files();
    if (!reload(NULL, &err))
        abort();
}

static void ask_console(void *arg)
{
    char cookie[SESSIONS_TOKEN_HEX + 1];
    struct console_session *session = sessions_begin(
        console_get_sessions(console), SPAN_LIT("root"), console_now_ns(console), cookie);
    struct stub_session s = {cookie, session->csrf, console_get_guard(console)->at.port};
    struct stub_answer answer;
    struct buf text;

    buf_init(&text, TEXT_MAX);
    if (fill_in(*(const struct span *)arg, &text)) {
        stub_ask(buf_span(&text), &s, &answer);
        if (answer.status)
            judge(&answer, buf_span(&text), cookie);
        free(answer.body);
        if (answer.route && ((const struct route *)answer.route)->method != CONSOLE_GET)
            restore();
    }
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};

    if (!console)
        start();
    stub_run(ask_console, &text);
    return 0;
}

/* The corpus has each route. */
bool fuzz_has_seen_all(void)
{
    bool all = true;

    for (unsigned i = 0; i < routes_len; i++) {
        if (reached[i])
            continue;
        fprintf(stderr, "no text of the corpus reaches %d %s\n", (int)routes[i].method,
                routes[i].path);
        all = false;
    }
    return all;
}

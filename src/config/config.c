#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/rules.h"
#include "config/upstream.h"
#include "config/value.h"
#include "policy/access.h"

#define FILE_MAX_LEN (1024u * 1024u)
#define DEFAULT_PATH "/etc/viaduct/viaduct.conf"

const char *config_default_path(void)
{
    return access(DEFAULT_PATH, F_OK) == 0 ? DEFAULT_PATH : NULL;
}

/* The whole file on the heap; false with errno, EFBIG for more than a file may have. */
static bool read_file(const char *path, char **text, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes = fd >= 0 ? malloc(FILE_MAX_LEN + 1) : NULL;
    ssize_t n = 0;

    *len = 0;
    while (bytes && *len <= FILE_MAX_LEN) {
        n = read(fd, bytes + *len, FILE_MAX_LEN + 1 - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        *len += (size_t)n;
    }
    int failure = !bytes || n < 0 ? errno : *len > FILE_MAX_LEN ? EFBIG : 0;
    if (fd >= 0)
        close(fd);
    if (failure) {
        free(bytes);
        errno = failure;
        return false;
    }
    *text = bytes;
    return true;
}

static const char *file_problem(int failure)
{
    return failure == EFBIG ? "it has more than 1 MiB" : strerror(failure);
}

static void read_upstream(struct loader *l)
{
    struct config *c = l->config;
    int line = values_get_line(c->values, SCOPE_MAIN, "upstream");
    char *text = NULL;
    size_t len;

    if (!c->upstream_file) /* out of memory, or its statement was wrong */
        return;
    if (read_file(c->upstream_file, &text, &len)) {
        loader_read(l, c->upstream_file, SCOPE_UPSTREAM_FILE, (struct span){text, len});
        free(text);
        if (!c->upstream.present && l->report->errors == 0) /* cut off, maybe */
            report_warning(l->report, (struct place){c->upstream_file, 0, 0},
                           "there is no iprep_proxy block in it: targets are connected directly");
    } else if (errno != ENOENT) {
        report_error(l->report, (struct place){c->upstream_file, 0, 0}, "cannot be read: %s",
                     file_problem(errno));
    } else if (line > 0) {
        report_warning(l->report, (struct place){l->file, line, 0},
                       "%s is not there: targets are connected directly", c->upstream_file);
    }
}

/* What the lines of the files say beside their values. */
static void settle(struct loader *l)
{
    struct config *c = l->config;
    const struct config_values *v = c->values;

    c->user_given = values_get_line(v, SCOPE_MAIN, "user") > 0;
    c->history_given = values_get_line(v, SCOPE_LOG, "history") > 0;
    c->console.present = values_get_line(v, SCOPE_MAIN, "console") > 0;
    c->authentication.present = values_get_line(v, SCOPE_MAIN, "authentication") > 0;
    c->nonce_key = value_state_path(&c->values->arena, "nonce.key");
    c->control = value_runtime_path(&c->values->arena, "control.sock");
    if (c->listeners_len == 0) {
        c->listeners = arena_get(&c->values->arena, sizeof(*c->listeners));
        if (c->listeners)
            c->listeners[c->listeners_len++] = (struct config_listener){
                .at = {.addr = {.bytes = {127, 0, 0, 1}, .family = AF_INET}, .port = 3128}};
    }
}

static void free_config(struct config *c)
{
    access_free(c->access);
    parent_free(c->parent);
    if (c->values)
        arena_fini(&c->values->arena);
    free(c->values);
    free(c);
}

/* Which files a load reads. */
enum load { LOAD_ALL, LOAD_MAIN, LOAD_UPSTREAM };

static void load(struct loader *l, struct span text, enum load what)
{
    struct config *c = l->config;
    unsigned first = l->report->len;
    char *name = c->path;

    if (what == LOAD_UPSTREAM)
        c->path = NULL; /* the main file is none */
    loader_apply_defaults(l);
    if (what == LOAD_UPSTREAM) {
        c->upstream_file = name;
        loader_read(l, name, SCOPE_UPSTREAM_FILE, text);
    } else if (c->path) {
        loader_read(l, l->file, SCOPE_MAIN, text);
    }
    settle(l);
    rules_finish(l);
    report_sort(l->report, first);
    if (what == LOAD_ALL)
        read_upstream(l);
    c->upstream.enabled = c->upstream.enabled && c->upstream.present;
    upstream_finish(c, l->report);
    if (c->upstream.enabled && l->first_by_address.line)
        report_warning(l->report, l->first_by_address,
                       "through a parent proxy names are not resolved: this allow does not match "
                       "them by address");
}

static struct config *load_text(const char *name, struct span text, struct config *previous,
                                enum load what, struct config_report *report)
{
    struct loader l = {.report = report};
    unsigned errors = report->errors;
    struct config *c = calloc(1, sizeof(*c));

    if (c)
        c->values = calloc(1, sizeof(*c->values));
    if (c && c->values)
        l.rules = access_builder_new(previous ? previous->access : NULL);
    if (l.rules) {
        atomic_init(&c->refs, 1);
        c->path = name ? arena_text(&c->values->arena, span_of(name)) : NULL;
        l.config = c;
        l.file = c->path ? c->path : "default";
        load(&l, text, what);
    }
    if (!l.rules || c->values->arena.failed)
        report_error(report, (struct place){name ? name : "default", 0, 0}, "out of memory");
    access_builder_free(l.rules);
    if (c && report->errors > errors) {
        free_config(c);
        c = NULL;
    }
    return c;
}

static struct config *load_file(const char *path, struct config *previous, enum load what,
                                struct config_report *report)
{
    char *text = NULL;
    size_t len = 0;

    if (path && !read_file(path, &text, &len)) {
        report_error(report, (struct place){path, 0, 0}, "cannot be read: %s", file_problem(errno));
        return NULL;
    }
    struct config *c = load_text(path, (struct span){text, len}, previous, what, report);
    free(text);
    return c;
}

struct config *config_load(const char *path, struct config *previous, struct config_report *report)
{
    return load_file(path, previous, LOAD_ALL, report);
}

struct config *config_load_text(const char *name, struct span text, struct config *previous,
                                struct config_report *report)
{
    return load_text(name, text, previous, LOAD_ALL, report);
}

struct config *config_load_main(const char *path, struct config_report *report)
{
    return load_file(path, NULL, LOAD_MAIN, report);
}

struct config *config_load_upstream(const char *name, struct span text,
                                    struct config_report *report)
{
    return load_text(name, text, NULL, LOAD_UPSTREAM, report);
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void config_unref(struct config *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        free_config(c);
}

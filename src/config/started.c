#include "config/started.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static void write_workers(const struct config *c, FILE *out)
{
    fprintf(out, "%" PRIu32, c->workers);
}

static void write_user(const struct config *c, FILE *out)
{
    fputs(c->user, out);
}

static void write_text(const char *text, FILE *out)
{
    fprintf(out, "%s\n", text ? text : "");
}

static void write_console(const struct config *c, FILE *out)
{
    const struct config_console *o = &c->console;
    char at[ENDPOINT_TEXT_MAX];

    if (!o->on)
        return;
    endpoint_write(&o->listen, at);
    write_text(at, out);
    write_text(o->tls_certificate, out);
    write_text(o->tls_key, out);
    write_text(o->admins, out);
    for (unsigned i = 0; i < o->hosts_len; i++)
        write_text(o->hosts[i], out);
    fprintf(out, "%" PRIu64 " %" PRIu64, o->session_idle_ns, o->session_lifetime_ns);
}

static const struct {
    const char *name;
    void (*write)(const struct config *c, FILE *out);
} settings[] = {{"workers", write_workers}, {"user", write_user}, {"console", write_console}};
static_assert(ARRAY_LEN(settings) == STARTED_COUNT, "a setting has no place");

/* A text on the heap; NULL: out of memory. */
static char *value_of(const struct config *c, unsigned i)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    settings[i].write(c, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

bool started_take(struct started *s, const struct config *c)
{
    bool ok = true;

    for (unsigned i = 0; i < STARTED_COUNT; i++) {
        s->values[i] = value_of(c, i);
        ok = ok && s->values[i];
    }
    return ok;
}

void started_fini(struct started *s)
{
    for (unsigned i = 0; i < STARTED_COUNT; i++)
        free(s->values[i]);
    *s = (struct started){0};
}

void started_differ(const struct started *s, const struct config *c, char out[STARTED_NAMES_MAX])
{
    size_t len = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < STARTED_COUNT; i++) {
        char *now = value_of(c, i);

        if (now && strcmp(now, s->values[i]) != 0)
            len += (size_t)snprintf(out + len, STARTED_NAMES_MAX - len, "%s%s", len ? ", " : "",
                                    settings[i].name);
        free(now);
    }
}

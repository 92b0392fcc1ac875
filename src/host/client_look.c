#include "host/client_look.h"

#include <stdlib.h>

#include "base/util.h"

void client_path(const struct client_program *p, const struct client_options *o, char out[PATH_MAX])
{
    bool own = *p->path == '~';

    snprintf(out, PATH_MAX, "%s%s", own ? o->home : "", p->path + own);
}

void client_name_file(const struct client_program *p, const struct client_options *o,
                      char out[PATH_MAX])
{
    char path[PATH_MAX];

    client_path(p, o, path);
    if (snprintf(out, PATH_MAX, "%s%s", strcmp(o->root, "/") == 0 ? "" : o->root, path) >= PATH_MAX)
        out[PATH_MAX - 1] = '\0';
}

bool client_look_record(const struct client_program *p, const struct client_options *o,
                        struct client_file *f, struct client_record *record, struct err *err)
{
    char path[PATH_MAX];

    *record = (struct client_record){0};
    snprintf(path, sizeof(path), "%s/%s", o->state, p->name);
    if (!client_file_read(f, o->root, path, err))
        return false;
    if (f->exists && !client_json_read_record(buf_span(&f->text), record)) {
        err_set(err, "%s: is damaged: take the proxy out by hand, then this file", f->name);
        return false;
    }
    return true;
}

/* The URL in a line, as may be shown. */
static void read_url(struct span line, char out[256])
{
    static const char ends[] = " \t\r\n\"';,";
    const char *at = memmem(line.ptr, line.len, "://", 3), *end = line.ptr + line.len, *stop;
    struct buf shown;

    *out = '\0';
    if (!at)
        return;
    for (stop = at; stop < end && !strchr(ends, *stop); stop++)
        ;
    while (at > line.ptr && span_lower(at[-1]) >= 'a' && span_lower(at[-1]) <= 'z')
        at--;
    buf_init(&shown, 65536);
    if (client_text_mask((struct span){at, (size_t)(stop - at)}, &shown))
        snprintf(out, 256, "%.*s", (int)shown.len, buf_span(&shown).ptr);
    buf_fini(&shown);
    for (char *c = out; *c; c++) /* what comes from a file must not steer a terminal */
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
}

static void fill(struct client_finding *f, bool ours, const struct client_file *file, unsigned line,
                 struct span text)
{
    f->ours = ours;
    snprintf(f->place, sizeof(f->place), "%s:%u", file->name, line);
    read_url(text, f->url);
}

/* The first setting of somebody else in a file. */
static bool find_foreign(enum client_format format, const struct client_file *f,
                         struct client_finding *found)
{
    struct client_line line;
    struct span value;
    unsigned number;

    if (format == CLIENT_DOCKER) {
        if (!client_json_find(buf_span(&f->text), CLIENT_JSON_MEMBER, &value, &number) ||
            value.len == 0)
            return false;
        fill(found, false, f, number, value);
        return true;
    }
    number = client_scan_foreign(format, buf_span(&f->text), &line);
    if (number > 0)
        fill(found, false, f, number, line.text);
    return number > 0;
}

/* Whether a file beside is read: in a folder of drop-ins, by its name; a file that may not be read
 * here is taken for one that sets nothing. */
static bool look_into(const struct client_options *o, const char *path, enum client_format format,
                      struct client_finding *found)
{
    struct client_file f = {0};
    struct err ignored;
    bool hit = client_file_read(&f, o->root, path, &ignored) && f.exists &&
               find_foreign(format, &f, found);

    client_file_fini(&f);
    return hit;
}

/* apt reads names without a dot, too. */
static bool is_read(const struct client_program *p, const char *name)
{
    return *p->suffix || !strchr(name, '.') || span_ends_with(span_of(name), SPAN_LIT(".conf"));
}

static bool look_into_folder(const struct client_program *p, const struct client_options *o,
                             struct client_finding *found, bool *wins)
{
    char folder[PATH_MAX], path[PATH_MAX];
    const char *own = strrchr(p->path, '/') + 1;
    bool hit = false;
    unsigned n;

    snprintf(folder, sizeof(folder), "%.*s", (int)(own - 1 - p->path), p->path);
    char **names = client_file_list(o->root, folder, p->suffix, &n);
    for (unsigned i = n; i-- > 0;) { /* the last that is read first: it wins over the others */
        if (!hit && strcmp(names[i], own) != 0 && is_read(p, names[i]) &&
            snprintf(path, sizeof(path), "%s/%s", folder, names[i]) < PATH_MAX) {
            hit = look_into(o, path, p->format, found);
            *wins = strcmp(names[i], own) > 0;
        }
        free(names[i]);
    }
    free(names);
    return hit;
}

bool client_look_beside(const struct client_program *p, const struct client_options *o,
                        struct client_finding *found, bool *wins)
{
    if (p->main && p->main_wins && look_into(o, p->main, p->main_format, found)) {
        *wins = true;
        return true;
    }
    if (p->suffix && look_into_folder(p, o, found, wins))
        return true;
    *wins = false;
    return p->main && !p->main_wins && look_into(o, p->main, p->main_format, found);
}

/* Ours, in a file of lines: the first line between the marks that names a proxy. */
static bool find_ours(const struct client_file *f, struct client_finding *found)
{
    struct client_scan s;
    struct client_line line;
    bool hit = false;

    client_scan_init(&s, CLIENT_ENVIRONMENT, buf_span(&f->text));
    while (client_scan_next(&s, &line)) {
        if (line.ours && (!hit || !*found->url))
            fill(found, true, f, line.number, line.text);
        hit = hit || line.ours;
    }
    return hit;
}

/* Ours, in JSON: what the record says was put in still is there. */
static int find_member(const struct client_program *p, const struct client_options *o,
                       const struct client_file *f, struct client_finding *found, struct err *err)
{
    struct client_file record_file = {0};
    struct client_record record;
    struct buf rest;
    int n = -1;

    buf_init(&rest, CLIENT_FILE_MAX * 2);
    if (client_look_record(p, o, &record_file, &record, err)) {
        n = find_foreign(p->format, f, found);
        if (n > 0)
            found->ours =
                record.new.len > 0 && client_json_take(buf_span(&f->text), CLIENT_JSON_MEMBER,
                                                       &record, false, &rest, NULL);
    }
    client_wipe(&rest);
    client_file_fini(&record_file);
    return n;
}

int client_look(const struct client_program *p, const struct client_options *o,
                struct client_finding *found, unsigned max, struct err *err)
{
    char path[PATH_MAX];
    struct client_file f = {0};
    bool wins;
    int n = -1;

    client_path(p, o, path);
    if (client_file_read(&f, o->root, path, err)) {
        n = 0;
        if (p->format == CLIENT_DOCKER) {
            n = find_member(p, o, &f, found, err);
        } else {
            n += find_ours(&f, &found[n]);
            n += (unsigned)n < max && find_foreign(p->format, &f, &found[n]);
        }
        if (n >= 0 && (unsigned)n < max)
            n += client_look_beside(p, o, &found[n], &wins);
    }
    client_file_fini(&f);
    return n;
}

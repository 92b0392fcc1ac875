#include "host/clients.h"

#include <signal.h>
#include <stdlib.h>

#include "base/util.h"
#include "host/client_diff.h"
#include "host/client_look.h"

#define DAEMON "/etc/systemd/system/docker.service.d/zz-viaduct.conf"

/* npm's own file stands where its packager had it: Debian, npm's installer for /usr, for
 * /usr/local. docker's daemon is told by its unit: old ones refuse to start when daemon.json has
 * "proxies". */
const struct client_program client_programs[] = {
    {"env", CLIENT_ENVIRONMENT, "/etc/environment", "/etc",
     .note = "for those who log in from now on"},
    {"env", CLIENT_SHELL, "/etc/profile.d/viaduct.sh", "/etc/profile.d", ".sh",
     .note = "for shells of a new login"},
    {"apt", CLIENT_APT, "/etc/apt/apt.conf.d/zz-viaduct.conf", "/usr/bin/apt-get", "",
     "/etc/apt/apt.conf", CLIENT_APT, true},
    {"curl", CLIENT_CURL, "~/.curlrc", "/usr/bin/curl /usr/local/bin/curl"},
    {"wget", CLIENT_WGET, "/etc/wgetrc", "/usr/bin/wget"},
    {"wget", CLIENT_WGET, "~/.wgetrc", "/usr/bin/wget"},
    {"git", CLIENT_GIT, "/etc/gitconfig", "/usr/bin/git"},
    {"git", CLIENT_GIT, "~/.gitconfig", "/usr/bin/git /usr/local/bin/git"},
    {"npm", CLIENT_NPM, "/etc/npmrc", "/usr/share/nodejs/npm"},
    {"npm", CLIENT_NPM, "/usr/etc/npmrc", "/usr/lib/node_modules/npm"},
    {"npm", CLIENT_NPM, "/usr/local/etc/npmrc", "/usr/local/lib/node_modules/npm"},
    {"npm", CLIENT_NPM, "~/.npmrc", "/usr/bin/npm /usr/local/bin/npm"},
    {"pip", CLIENT_PIP, "/etc/pip.conf", "/usr/bin/pip3 /usr/bin/pip /usr/local/bin/pip3"},
    {"pip", CLIENT_PIP, "~/.config/pip/pip.conf", "/usr/bin/pip3 /usr/bin/pip /usr/local/bin/pip3"},
    {"docker", CLIENT_UNIT, DAEMON, "/usr/bin/dockerd /usr/sbin/dockerd /usr/local/bin/dockerd",
     ".conf", "/etc/docker/daemon.json", CLIENT_DOCKER, true,
     "the daemon: systemctl daemon-reload, then restart docker"},
    {"docker", CLIENT_DOCKER, "~/.docker/config.json", "/usr/bin/docker /usr/local/bin/docker",
     .note = "what runs and is built in containers"},
    {"systemd", CLIENT_MANAGER, "/etc/systemd/system.conf.d/zz-viaduct.conf",
     "/usr/lib/systemd/systemd /lib/systemd/systemd", ".conf", "/etc/systemd/system.conf",
     CLIENT_MANAGER, false, "services: systemctl daemon-reexec, then restart them"},
};
const unsigned client_programs_len = ARRAY_LEN(client_programs);

/* One row's file while it is worked on. */
struct job {
    const struct client_program *program;
    const struct client_options *options;
    struct client_file file, record_file; /* the latter for JSON only */
    struct client_record record;
    struct client_origin origin;  /* of the file */
    bool ours;                    /* what is there is ours, in part */
    bool deciding;                /* a failure is a refusal: nothing is wrong with the machine */
    unsigned mode;                /* of the file without us */
    struct buf bare, after, note; /* without our settings; as it shall be; the new record */
};

bool client_is_asked(const struct client_program *p, const struct client_options *o)
{
    return (*p->path == '~') == o->user;
}

bool client_is_present(const struct client_program *p, const struct client_options *o)
{
    char path[PATH_MAX];
    struct span rest = span_of(p->there);

    while (rest.len > 0) {
        struct span one = span_cut(&rest, ' ');

        snprintf(path, sizeof(path), "%.*s", (int)one.len, one.ptr);
        if (client_file_exists(o->root, path))
            return true;
    }
    client_path(p, o, path);
    return client_file_exists(o->root, path);
}

static void job_fini(struct job *j)
{
    client_file_fini(&j->file);
    client_file_fini(&j->record_file);
    client_wipe(&j->bare);
    client_wipe(&j->after);
    client_wipe(&j->note);
}

/* Puts the file in front of a reason; one that begins with a line's number gets "file:line: ". */
static void put_place(const struct job *j, struct err *err)
{
    struct err reason = *err;
    bool line = reason.text[0] >= '0' && reason.text[0] <= '9';

    err_set(err, "%s:%s%s", j->file.name, line ? "" : " ", reason.text);
}

/* Fills j->bare: the file's text without us. */
static bool take_out(struct job *j, struct err *err)
{
    struct span text = buf_span(&j->file.text);
    bool json = j->program->format == CLIENT_DOCKER;

    if (json && !client_look_record(j->program, j->options, &j->record_file, &j->record, err))
        return false;
    if (json) {
        j->ours = j->record.new.len > 0 && j->file.exists;
        j->origin = j->record.origin;
    } else {
        j->ours = client_block_find(text, &j->origin);
    }
    if (!j->ours && buf_append(&j->bare, text.ptr, text.len))
        return true;
    if (!j->ours)
        err_set(err, "out of memory");
    else if (json ? client_json_take(text, CLIENT_JSON_MEMBER, &j->record, j->options->force,
                                     &j->bare, err)
                  : client_block_take(text, j->options->force, &j->bare, err))
        return true;
    put_place(j, err);
    return false;
}

/* Reads the file, and what it is without us. */
static bool job_init(struct job *j, const struct client_program *p, const struct client_options *o,
                     struct err *err)
{
    char path[PATH_MAX];

    *j = (struct job){.program = p, .options = o};
    buf_init(&j->bare, CLIENT_FILE_MAX * 2);
    buf_init(&j->after, CLIENT_FILE_MAX * 2);
    buf_init(&j->note, CLIENT_FILE_MAX * 2);
    client_path(p, o, path);
    if (!client_file_read(&j->file, o->root, path, err))
        return false;
    j->deciding = true;
    if (!take_out(j, err))
        return false;
    if (!j->ours)
        j->origin = (struct client_origin){.created = !j->file.exists,
                                           .folders = j->file.folders,
                                           .above = j->record_file.folders};
    j->mode = j->origin.mode ? j->origin.mode : j->file.exists ? j->file.st.st_mode & 07777 : 0644;
    return true;
}

/* Whether the program may be given this proxy here. */
static bool check_secret(const struct job *j, const struct client_proxy *proxy, struct err *err)
{
    if (!proxy->password || j->options->user)
        return true;
    err_set(err,
            "%s: every user of the machine reads it, so the proxy's password cannot stand in it: "
            "let viaduct serve be the relay that knows it, and say --proxy http://127.0.0.1:3128",
            j->file.name);
    return false;
}

/* Whether somebody else has set a proxy in this file already. */
static bool check_foreign(const struct job *j, struct err *err)
{
    struct span text = buf_span(&j->file.text), value = {0};
    unsigned line = 0;

    if (j->options->force)
        return true;
    if (j->program->format != CLIENT_DOCKER)
        line = client_scan_foreign(j->program->format, text, NULL);
    else if (!j->ours && client_json_find(text, CLIENT_JSON_MEMBER, &value, &line) && !value.len)
        line = 0;
    if (line > 0)
        err_set(err,
                "%s:%u: somebody else set a proxy here: --force puts it aside, and remove brings "
                "it back",
                j->file.name, line);
    return line == 0;
}

/* The same for the files beside it. */
static bool check_beside(const struct job *j, struct err *err)
{
    struct client_finding found;
    bool wins;

    if (!client_look_beside(j->program, j->options, &found, &wins) || (j->options->force && !wins))
        return true;
    if (wins)
        err_set(err, "%s: somebody else set a proxy here, and it goes over %s: take it out first",
                found.place, j->file.name);
    else
        err_set(err, "%s: somebody else set a proxy here: --force goes over it", found.place);
    return false;
}

/* Fills j->after, and for JSON j->note; *mode is what the file shall have. */
static bool put_in(struct job *j, const struct client_proxy *proxy, unsigned *mode, struct err *err)
{
    struct client_origin origin = j->origin;
    struct buf lines;
    bool ok;

    *mode = proxy->password ? j->mode & ~077u : j->mode;
    origin.mode = *mode != j->mode && !origin.created ? j->mode : 0;
    buf_init(&lines, 1u << 20);
    ok = client_text_write(j->program->format, proxy, &lines, err);
    if (ok) {
        struct span bare = buf_span(&j->bare), text = buf_span(&lines);

        ok =
            j->program->format == CLIENT_DOCKER
                ? client_json_put(bare, CLIENT_JSON_MEMBER, text, &origin, &j->after, &j->note, err)
                : client_block_put(j->program->format, bare, text, &origin, &j->after, err);
        if (!ok)
            put_place(j, err);
    }
    client_wipe(&lines);
    return ok;
}

/* Writes the record, or takes it away where there is nothing to record. */
static bool save_record(struct client_file *f, struct span text, struct err *err)
{
    if (text.len > 0)
        return client_file_write(f, text, 0600, err);
    return !f->exists || client_file_delete(f, f->folders, err);
}

/* A key that is pressed now leaves nothing half done: no file beside the program's own, which may
 * have a password in it, and no record of what is not there.  *before is what to go back to. */
static void hold_signals(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, before);
}

/* Saves the record and writes the file, or neither: the record goes first, for without it what is
 * in the file could not be taken out, and comes back when the file could not be written. */
static bool write_both(struct job *j, unsigned mode, struct err *err)
{
    struct span after = buf_span(&j->after);
    struct client_file again = {0};
    struct client_record record;

    if (j->program->format != CLIENT_DOCKER)
        return client_file_write(&j->file, after, mode, err);
    if (!save_record(&j->record_file, buf_span(&j->note), err))
        return false;
    if (client_file_write(&j->file, after, mode, err))
        return true;
    if (client_look_record(j->program, j->options, &again, &record, NULL)) {
        again.folders = j->record_file.folders;
        save_record(&again, buf_span(&j->record_file.text), NULL);
    }
    client_file_fini(&again);
    return false;
}

static bool carry_out(struct job *j, unsigned mode, struct err *err)
{
    sigset_t before;
    bool ok;

    hold_signals(&before);
    ok = write_both(j, mode, err);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ok;
}

/* Whether the text is what a file that we made was before: nothing. */
static bool is_nothing(struct span text)
{
    while (text.len > 0 && strchr("{} \t\r\n", *text.ptr) && *text.ptr)
        text = (struct span){text.ptr + 1, text.len - 1};
    return text.len == 0;
}

static bool show_change(const struct job *j, struct span text, bool exists, unsigned mode,
                        struct err *err)
{
    FILE *out = j->options->out;

    if (j->file.exists && exists && mode != (j->file.st.st_mode & 07777))
        fprintf(out, "# %s: mode %04o becomes %04o\n", j->file.name, j->file.st.st_mode & 07777,
                mode);
    if (client_diff_print(j->file.name, buf_span(&j->file.text), j->file.exists, text, exists, true,
                          out))
        return true;
    err_set(err, "out of memory");
    return false;
}

bool client_apply(const struct client_program *p, const struct client_proxy *proxy,
                  const struct client_options *o, enum client_change *change, struct err *err)
{
    struct job j;
    unsigned mode = 0;
    bool ok = job_init(&j, p, o, err) && check_secret(&j, proxy, err) && check_foreign(&j, err) &&
              check_beside(&j, err) && put_in(&j, proxy, &mode, err);

    *change = !ok && j.deciding ? CLIENT_REFUSED : CLIENT_SAME;
    if (ok && !(j.file.exists && span_equal(buf_span(&j.file.text), buf_span(&j.after)) &&
                mode == (j.file.st.st_mode & 07777))) {
        *change = CLIENT_CHANGED;
        ok = o->dry_run ? show_change(&j, buf_span(&j.after), true, mode, err)
                        : carry_out(&j, mode, err);
    }
    job_fini(&j);
    return ok;
}

/* Puts the file back as it was, then forgets how that was. */
static bool put_back(struct job *j, bool gone, struct err *err)
{
    sigset_t before;
    bool ok = true;

    hold_signals(&before);
    if (j->ours)
        ok = gone ? client_file_delete(&j->file, j->origin.folders, err)
                  : client_file_write(&j->file, buf_span(&j->bare), j->mode, err);
    if (ok && j->record_file.exists)
        ok = client_file_delete(&j->record_file, j->record.origin.above, err);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return ok;
}

bool client_remove(const struct client_program *p, const struct client_options *o,
                   enum client_change *change, struct err *err)
{
    struct job j;
    bool ok = job_init(&j, p, o, err);

    *change = !ok && j.deciding ? CLIENT_REFUSED : CLIENT_SAME;
    if (ok && (j.ours || j.record_file.exists)) {
        struct span bare = buf_span(&j.bare);
        bool gone = j.ours && j.origin.created &&
                    (p->format == CLIENT_DOCKER ? is_nothing(bare) : bare.len == 0);

        *change = CLIENT_CHANGED;
        ok = o->dry_run ? show_change(&j, bare, j.file.exists && !gone, j.mode, err)
                        : put_back(&j, gone, err);
    }
    job_fini(&j);
    return ok;
}

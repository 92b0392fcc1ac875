#include "console/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file is replaced by renaming: it is the folder that has to be writable. */
bool files_can_replace(const char *path, struct err *why)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    char folder[4096];
    struct stat st;

    if (!path) {
        err_set(why, "there is no such file: the proxy runs by its defaults");
        return false;
    }
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if (access(*folder ? folder : "/", W_OK | X_OK) != 0) {
        err_set(why, "the proxy's account may not write to %s: %s", *folder ? folder : "/",
                strerror(errno));
        return false;
    }
    if (stat(path, &st) == 0 && st.st_uid != geteuid() && geteuid() != 0) {
        err_set(why, "%s belongs to another account than the proxy's", path);
        return false;
    }
    return true;
}

static void write_members(struct jsonw *w, const char *path, const char *why_not)
{
    jsonw_member_text(w, "file", path);
    jsonw_key(w, "writable");
    jsonw_bool(w, !why_not);
    jsonw_member_text(w, "why_not", why_not);
}

void files_write_members(struct jsonw *w, const char *path)
{
    struct err why;

    write_members(w, path, files_can_replace(path, &why) ? NULL : why.text);
}

void files_write_unread(struct jsonw *w, const char *path, const struct err *why)
{
    write_members(w, path, why->text);
}

bool files_demand(const char *path, struct reply *reply)
{
    struct err why;

    if (files_can_replace(path, &why))
        return true;
    reply_problem(reply, 409, "read-only", NULL, "%s", why.text);
    return false;
}

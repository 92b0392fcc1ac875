/* host/clients.h - the programs of a machine that can be told a proxy, and how each is told.
 *
 * One table: a program, its file, the language of it.  What is done to a file can be undone to the
 * byte: by marks in it (client_block.h), for JSON by a record beside (client_json.h).
 * Set-up code: blocks, one thread. */
#pragma once

#include <limits.h>
#include <stdio.h>

#include "host/client_text.h"

struct client_program {
    const char *name; /* several rows may bear one: what belongs together */
    enum client_format format;
    const char *path;   /* "/etc/wgetrc"; "~/.wgetrc": a user's own */
    const char *there;  /* paths of which one is there where the program is, separated by spaces */
    const char *suffix; /* of other files in the same folder that are read too; NULL: none is */
    const char *main;   /* one more file that is read, or NULL */
    enum client_format main_format;
    bool main_wins; /* it is read after ours */
    const char
        *note; /* for people: who is reached, what to do next; "" when it goes without saying */
};

/* All rows. */
extern const struct client_program client_programs[];
extern const unsigned client_programs_len;

struct client_options {
    const char *root;  /* "/", or the folder of an image */
    bool user;         /* the user's own files, not the machine's */
    const char *home;  /* for user: absolute, in the root folder */
    const char *state; /* for user: where records are kept; absolute, in the root folder */
    bool force, dry_run;
    FILE *out; /* for dry_run: the differences */
};

/* One setting that is in force, or would be if nothing else were. */
struct client_finding {
    bool ours;
    char place[PATH_MAX + 16]; /* file:line */
    char url[256];             /* the proxy, its password as dots; "" where the line names none */
};

enum client_change {
    CLIENT_SAME, /* also where reading or writing failed */
    CLIENT_CHANGED,
    CLIENT_REFUSED, /* somebody has to decide something first */
};

/* Whether the row is one of the machine's or of the user's, as the options ask for. */
bool client_is_asked(const struct client_program *p, const struct client_options *o);

/* Whether the program is installed, or its file exists. */
bool client_is_present(const struct client_program *p, const struct client_options *o);

/* The row's file, with the root folder in front. */
void client_name_file(const struct client_program *p, const struct client_options *o,
                      char out[PATH_MAX]);

/* What is set: at most `max` findings, ours first.  Returns their number, or -1 with *err where the
 * file cannot be read. */
int client_look(const struct client_program *p, const struct client_options *o,
                struct client_finding *found, unsigned max, struct err *err);

/* Writes the proxy into the program's file.  False, with file, line and what to do, when somebody
 * else's settings are there (unless forced), when the file would show a password to every user, or
 * when it cannot be written: the file is as it was. */
bool client_apply(const struct client_program *p, const struct client_proxy *proxy,
                  const struct client_options *o, enum client_change *change, struct err *err);

/* Takes it out again. */
bool client_remove(const struct client_program *p, const struct client_options *o,
                   enum client_change *change, struct err *err);

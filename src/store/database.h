/* store/database.h - SQLite as the history uses it: how it is opened, and what its errors mean.
 *
 * The only file that includes sqlite3.h.  A connection belongs to one thread. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

/* What may be wrong with a history file, by what can be done about it. */
enum fault {
    FAULT_NONE,
    FAULT_MISSING, /* there is no such file (readers only) */
    FAULT_BUSY,    /* another program has it locked: try again soon */
    FAULT_TAKEN,   /* another proxy writes it */
    FAULT_FULL,    /* the disk is full */
    FAULT_DENIED,  /* it cannot be opened, read or written */
    FAULT_BROKEN,  /* damaged, or no database at all */
    FAULT_NEWER,   /* made by a later version */
    FAULT_FOREIGN, /* another program's database */
};

/* What a failed call of SQLite means; *err (NULL: not wanted) gets its words. */
enum fault database_fault(sqlite3 *db, int code, struct err *err);

/* Opens for writing, makes the file (mode 0640) where it is missing, and sets the pragmas.  On a
 * fault *out is NULL. */
enum fault database_open(const char *path, sqlite3 **out, struct err *err);

/* Opens for reading only, also beside a writer, and where this account may not write. */
enum fault database_open_read_only(const char *path, sqlite3 **out, struct err *err);

/* Closes; NULL is fine. */
void database_close(sqlite3 *db);

/* Statements of ours, without parameters. */
enum fault database_run(sqlite3 *db, const char *sql, struct err *err);

/* The one number that a statement yields; `otherwise` where it yields none or NULL, or fails. */
int64_t database_ask(sqlite3 *db, const char *sql, int64_t otherwise);

/* A statement to be used many times; NULL with *err. */
sqlite3_stmt *database_prepare(sqlite3 *db, const char *sql, struct err *err);

/* Steps a statement that yields no rows, and makes it ready for its next use: SQLITE_DONE or the
 * error. */
int database_step_once(sqlite3_stmt *s);

/* Binds borrowed bytes, that stay until the statement is reset; without a pointer NULL is bound. */
void database_bind_text(sqlite3_stmt *s, int at, struct span text);
void database_bind_blob(sqlite3_stmt *s, int at, const void *bytes, size_t len);
struct span database_column(sqlite3_stmt *s, int at);

/* Renames the file and what SQLite keeps beside it, to `path` and ".WHY-YYYYMMDD-HHMMSS" (UTC, of
 * wall_ns), a number behind it when that is taken; `aside` gets the new name.  False with *err. */
bool database_set_aside(const char *path, const char *why, uint64_t wall_ns, struct err *aside,
                        struct err *err);

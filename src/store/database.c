#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define MODE 0640   /* as the access log's */
#define BUSY_MS 200 /* how long another program's lock is waited for */
#define PATH_LEN 4096

/* Deleted bytes are not overwritten: the flows that are kept say as much as those that went.  The
 * log is not synced at each commit: a crash of the process loses nothing by that, a power cut the
 * last commits. */
static const char pragmas[] = "PRAGMA auto_vacuum = INCREMENTAL;"
                              "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = NORMAL;"
                              "PRAGMA secure_delete = OFF;"
                              "PRAGMA temp_store = MEMORY;"
                              "PRAGMA trusted_schema = OFF;"
                              "PRAGMA cache_size = -4000;"
                              "PRAGMA journal_size_limit = 1048576;";
static const char pragmas_of_reader[] = "PRAGMA query_only = ON;"
                                        "PRAGMA temp_store = MEMORY;"
                                        "PRAGMA trusted_schema = OFF;"
                                        "PRAGMA cache_size = -8000;";

enum fault database_fault(sqlite3 *db, int code, struct err *err)
{
    int system = db ? sqlite3_system_errno(db) : 0;

    if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW)
        return FAULT_NONE;
    err_set(err, "%s",
            db && sqlite3_errcode(db) == code ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return FAULT_BUSY;
    case SQLITE_FULL:
        return FAULT_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_ERROR: /* no such table or column: it is ours by its mark, but not whole */
        return FAULT_BROKEN;
    case SQLITE_IOERR:
        if (system == ENOSPC || system == EDQUOT)
            return FAULT_FULL;
        break;
    }
    if (system)
        err_set(err, "%s", strerror(system));
    return FAULT_DENIED;
}

/* A log whose database went would be played into the new one.  Its index is of no use to anybody
 * but those that have the old file open still. */
static void put_log_away(const char *path)
{
    char log[PATH_LEN], away[PATH_LEN], shared[PATH_LEN];

    if (snprintf(log, sizeof log, "%s-wal", path) >= (int)sizeof log ||
        snprintf(away, sizeof away, "%s-wal.orphan", path) >= (int)sizeof away ||
        snprintf(shared, sizeof shared, "%s-shm", path) >= (int)sizeof shared)
        return;
    rename(log, away); /* mostly there is neither */
    unlink(shared);
}

/* SQLite would make it with 0644, and says less of what is wrong.  One that is there is not opened
 * here: closing it again would drop the locks that this process has of it (fcntl(2)). */
static enum fault make_file(const char *path, struct err *err)
{
    struct stat st;
    int fd;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        err_set(err, "it is no regular file");
        return FAULT_DENIED;
    }
    if (access(path, R_OK | W_OK) == 0)
        return FAULT_NONE;
    fd = errno == ENOENT ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, MODE) : -1;
    if (fd < 0) {
        err_set(err, "%s", strerror(errno));
        return errno == ENOSPC || errno == EDQUOT ? FAULT_FULL : FAULT_DENIED;
    }
    close(fd);
    put_log_away(path);
    return FAULT_NONE;
}

/* Nobody reads SQLite's counts of memory, and keeping them takes a lock at each allocation.  What
 * is configured too late stays as it was. */
static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static enum fault open_with(const char *name, int flags, const char *first, sqlite3 **out,
                            struct err *err)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    enum fault fault;
    int code;

    pthread_once(&configured, configure);
    code = sqlite3_open_v2(name, out, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);

    if (!*out) {
        err_set(err, "out of memory");
        return FAULT_DENIED;
    }
    sqlite3_extended_result_codes(*out, 1);
    sqlite3_busy_timeout(*out, BUSY_MS);
    sqlite3_db_config(*out, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    fault = database_fault(*out, code, err);
    if (fault == FAULT_NONE)
        fault = database_run(*out, first, err);
    if (fault != FAULT_NONE) {
        database_close(*out);
        *out = NULL;
    }
    return fault;
}

enum fault database_open(const char *path, sqlite3 **out, struct err *err)
{
    enum fault fault = make_file(path, err);

    *out = NULL;
    return fault != FAULT_NONE ? fault : open_with(path, SQLITE_OPEN_READWRITE, pragmas, out, err);
}

/* A path as a URI, with every byte that means something there escaped. */
static bool write_uri(const char *path, char *out, size_t size)
{
    size_t len = (size_t)snprintf(out, size, "file:");

    for (; *path; path++) {
        bool plain = (*path >= 'a' && *path <= 'z') || (*path >= 'A' && *path <= 'Z') ||
                     (*path >= '0' && *path <= '9') || strchr("/._-", *path);

        if (len + 32 > size)
            return false;
        if (plain)
            out[len++] = *path;
        else
            len += (size_t)snprintf(out + len, size - len, "%%%02X", (unsigned char)*path);
    }
    snprintf(out + len, size - len, "?immutable=1");
    return true;
}

/* Nobody writes it, and what SQLite needs beside it cannot be made here: read as it lies there. */
static enum fault open_as_it_lies(const char *path, sqlite3 **out, struct err *err)
{
    char uri[3 * PATH_LEN], wal[PATH_LEN];

    if (snprintf(wal, sizeof wal, "%s-wal", path) >= (int)sizeof wal || access(wal, F_OK) == 0 ||
        !write_uri(path, uri, sizeof uri))
        return FAULT_DENIED;
    return open_with(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, pragmas_of_reader, out, err);
}

/* Reading is what tells whether it can be. */
static enum fault look(sqlite3 **db, struct err *err)
{
    enum fault fault = database_run(*db, "SELECT count(*) FROM sqlite_schema", err);

    if (fault != FAULT_NONE) {
        database_close(*db);
        *db = NULL;
    }
    return fault;
}

static enum fault open_to_read(const char *path, sqlite3 **out, struct err *err)
{
    enum fault fault;

    if (access(path, R_OK) < 0) {
        err_set(err, "%s", strerror(errno));
        return FAULT_DENIED;
    }
    fault = open_with(path, SQLITE_OPEN_READONLY, pragmas_of_reader, out, err);
    if (fault == FAULT_NONE)
        fault = look(out, err);
    if (fault == FAULT_DENIED && open_as_it_lies(path, out, err) == FAULT_NONE)
        fault = look(out, err);
    return fault;
}

/* SQLite makes what it needs beside the file for readers too.  Made by root, a proxy that opens the
 * file before SQLite has given it away again is denied its own history: it is made by the owner. */
static enum fault open_as_owner(const struct stat *owned, const char *path, sqlite3 **out,
                                struct err *err)
{
    int gid = setfsgid(owned->st_gid), uid = setfsuid(owned->st_uid); /* of this thread alone */
    enum fault fault = open_to_read(path, out, err);

    setfsuid((uid_t)uid);
    setfsgid((gid_t)gid);
    return fault;
}

enum fault database_open_read_only(const char *path, sqlite3 **out, struct err *err)
{
    struct stat st;

    *out = NULL;
    if (stat(path, &st) < 0) {
        err_set(err, "%s", strerror(errno));
        return errno == ENOENT ? FAULT_MISSING : FAULT_DENIED;
    }
    if (geteuid() == 0 && st.st_uid != 0) {
        enum fault fault = open_as_owner(&st, path, out, err);

        if (fault != FAULT_DENIED) /* else: a folder that only root may enter */
            return fault;
    }
    return open_to_read(path, out, err);
}

void database_close(sqlite3 *db)
{
    sqlite3_stmt *s;

    while (db && (s = sqlite3_next_stmt(db, NULL)))
        sqlite3_finalize(s);
    sqlite3_close(db);
}

enum fault database_run(sqlite3 *db, const char *sql, struct err *err)
{
    return database_fault(db, sqlite3_exec(db, sql, NULL, NULL, NULL), err);
}

int64_t database_ask(sqlite3 *db, const char *sql, int64_t otherwise)
{
    sqlite3_stmt *s = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW &&
        sqlite3_column_type(s, 0) == SQLITE_INTEGER)
        otherwise = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return otherwise;
}

sqlite3_stmt *database_prepare(sqlite3 *db, const char *sql, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL);

    if (code != SQLITE_OK)
        database_fault(db, code, err);
    return s;
}

int database_step_once(sqlite3_stmt *s)
{
    int code = sqlite3_step(s);

    sqlite3_reset(s);
    return code;
}

void database_bind_text(sqlite3_stmt *s, int at, struct span text)
{
    if (text.ptr)
        sqlite3_bind_text(s, at, text.ptr, (int)text.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(s, at);
}

void database_bind_blob(sqlite3_stmt *s, int at, const void *bytes, size_t len)
{
    sqlite3_bind_blob64(s, at, bytes, len, SQLITE_STATIC);
}

struct span database_column(sqlite3_stmt *s, int at)
{
    const char *bytes = sqlite3_column_blob(s, at);

    return (struct span){bytes ? bytes : "", bytes ? (size_t)sqlite3_column_bytes(s, at) : 0};
}

/* `path` and how its name goes on; false: too long. */
static bool join(char out[PATH_LEN], const char *path, const char *tail)
{
    return snprintf(out, PATH_LEN, "%s%s", path, tail) < PATH_LEN;
}

/* A name beside `path` that nothing has. */
static bool find_name(const char *path, const char *why, uint64_t wall_ns, char out[PATH_LEN])
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    char moment[32];
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(moment, sizeof moment, "%Y%m%d-%H%M%S", &tm);
    for (unsigned i = 0; i < 100; i++) {
        struct stat st;
        int len = snprintf(out, PATH_LEN, i ? "%s.%s-%s-%u" : "%s.%s-%s", path, why, moment, i);

        if (len >= PATH_LEN)
            return false;
        if (lstat(out, &st) < 0)
            return errno == ENOENT;
    }
    return false;
}

bool database_set_aside(const char *path, const char *why, uint64_t wall_ns, struct err *aside,
                        struct err *err)
{
    static const char *const tails[] = {"-wal", "-shm"};
    char to[PATH_LEN], beside[PATH_LEN], beside_to[PATH_LEN];

    if (!find_name(path, why, wall_ns, to)) {
        err_set(err, "cannot be set aside: there is no name for it");
        return false;
    }
    /* the log first: a database without its log is a whole one, of earlier */
    for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
        if (join(beside, path, tails[i]) && join(beside_to, to, tails[i]) &&
            rename(beside, beside_to) < 0 && errno != ENOENT) {
            err_set(err, "%s cannot be renamed: %s", beside, strerror(errno));
            return false;
        }
    }
    if (rename(path, to) < 0) {
        err_set(err, "cannot be renamed: %s", strerror(errno));
        return false;
    }
    err_set(aside, "%s", to);
    return true;
}

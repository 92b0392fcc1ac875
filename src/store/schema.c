#include "store/schema.h"

#include <stdio.h>

#include "store/pack.h"

#define APPLICATION_ID 0x76696164 /* "viad" */
#define TEXT_OF(n) TEXT_OF_(n)
#define TEXT_OF_(n) #n

static const char tables[] =
    "CREATE TABLE flow (seq INTEGER PRIMARY KEY, id INTEGER NOT NULL, ended_us INTEGER NOT NULL,"
    " duration_us INTEGER NOT NULL, verdict TEXT NOT NULL, failed INTEGER NOT NULL,"
    " ended_in TEXT NOT NULL, ended_by TEXT, client TEXT, target TEXT, user TEXT, rule TEXT,"
    " method TEXT, status INTEGER, bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT NULL,"
    " reason TEXT, own_answer INTEGER NOT NULL, pack INTEGER NOT NULL, slot INTEGER NOT NULL);"
    "CREATE TABLE pack (id INTEGER PRIMARY KEY, failed INTEGER NOT NULL, flows INTEGER NOT NULL,"
    " bytes BLOB NOT NULL);"
    "CREATE TABLE block (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, fine INTEGER NOT NULL,"
    " failures INTEGER NOT NULL, ended_min INTEGER NOT NULL, ended_max INTEGER NOT NULL);"
    "CREATE TABLE ids (block INTEGER PRIMARY KEY, ids BLOB NOT NULL);"
    "CREATE TABLE posting (block INTEGER NOT NULL, first BLOB NOT NULL, terms BLOB NOT NULL,"
    " PRIMARY KEY (block, first)) WITHOUT ROWID;"
    "CREATE TABLE tally (kind TEXT NOT NULL, minute INTEGER NOT NULL, name TEXT NOT NULL,"
    " flows INTEGER NOT NULL, failures INTEGER NOT NULL, bytes_up INTEGER NOT NULL,"
    " bytes_down INTEGER NOT NULL, PRIMARY KEY (kind, minute, name)) WITHOUT ROWID;"
    "CREATE TABLE gap (at_us INTEGER NOT NULL, flows INTEGER NOT NULL, why TEXT NOT NULL);"
    "CREATE TABLE mark (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;"
    "PRAGMA application_id = " TEXT_OF(APPLICATION_ID) ";"
                                                       "PRAGMA user_version = " TEXT_OF(
                                                           SCHEMA_VERSION) ";";

static enum fault keep_dictionary(sqlite3 *db, struct err *err)
{
    struct span dictionary = pack_dictionary();
    sqlite3_stmt *s = database_prepare(db, "INSERT INTO mark VALUES ('dictionary', ?)", err);
    int code = SQLITE_NOMEM;

    if (s) {
        database_bind_blob(s, 1, dictionary.ptr, dictionary.len);
        code = database_step_once(s);
    }
    enum fault fault = database_fault(db, code, err);
    sqlite3_finalize(s);
    return fault;
}

/* All of it or nothing. */
static enum fault make_tables(sqlite3 *db, struct err *err)
{
    enum fault fault = database_run(db, "BEGIN IMMEDIATE", err);

    if (fault == FAULT_NONE)
        fault = database_run(db, tables, err);
    if (fault == FAULT_NONE)
        fault = keep_dictionary(db, err);
    if (fault == FAULT_NONE)
        fault = database_run(db, "COMMIT", err);
    if (fault != FAULT_NONE)
        database_run(db, "ROLLBACK", NULL);
    return fault;
}

enum fault schema_check(sqlite3 *db, struct err *err)
{
    enum fault fault = database_run(db, "SELECT * FROM sqlite_schema", err);
    int64_t version;

    if (fault != FAULT_NONE)
        return fault;
    version = database_ask(db, "PRAGMA user_version", 0);
    if (database_ask(db, "PRAGMA application_id", 0) != APPLICATION_ID) {
        if (version == 0 && database_ask(db, "SELECT count(*) FROM sqlite_schema", 1) == 0) {
            err_set(err, "nothing is in it yet");
            return FAULT_MISSING;
        }
        err_set(err, "it is the database of another program");
        return FAULT_FOREIGN;
    }
    if (version > SCHEMA_VERSION) {
        err_set(err, "a later version made it (%lld; this one knows %d)", (long long)version,
                SCHEMA_VERSION);
        return FAULT_NEWER;
    }
    if (version < SCHEMA_VERSION) {
        err_set(err, "its version %lld is none", (long long)version);
        return FAULT_BROKEN;
    }
    return FAULT_NONE;
}

enum fault schema_prepare(sqlite3 *db, struct err *err)
{
    enum fault fault = schema_check(db, err);

    return fault == FAULT_MISSING ? make_tables(db, err) : fault;
}

int64_t schema_get_mark(sqlite3 *db, const char *name, int64_t otherwise)
{
    sqlite3_stmt *s = NULL;

    if (sqlite3_prepare_v2(db, "SELECT value FROM mark WHERE name = ?", -1, &s, NULL) ==
        SQLITE_OK) {
        database_bind_text(s, 1, span_of(name));
        if (sqlite3_step(s) == SQLITE_ROW && sqlite3_column_type(s, 0) == SQLITE_INTEGER)
            otherwise = sqlite3_column_int64(s, 0);
    }
    sqlite3_finalize(s);
    return otherwise;
}

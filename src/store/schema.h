/* store/schema.h - the tables of a history file, and whether a file is one.
 *
 *   flow     one row a flow: columns for whoever asks by SQL; its record is slot `slot` of a pack
 *   pack     records of some flows, compressed (pack.h); numbered by the first of them
 *   block    1024 flows in the order in which they ended: how many are left, and when they ended
 *   ids      the ids of a block's flows, eight bytes each, in their order
 *   posting  which flows of a block have a term (terms.h), chunks of many terms (postings.h)
 *   tally    flows and bytes a minute, by verdict, target, client, user and rule
 *   gap      flows that were lost, when and why
 *   mark     numbers of the file: what is in blocks and tallies already; the dictionary of packs
 *
 * Flows behind the last block are in `flow` and `pack` only: a reader looks at each of them. */
#pragma once

#include "store/database.h"

#define SCHEMA_VERSION 1

/* For a writer: makes the tables in an empty database; FAULT_NEWER, FAULT_FOREIGN or FAULT_BROKEN
 * with *err where the file is not what this version writes. */
enum fault schema_prepare(sqlite3 *db, struct err *err);

/* For a reader: the same, but nothing is made; FAULT_MISSING for an empty database. */
enum fault schema_check(sqlite3 *db, struct err *err);

int64_t schema_get_mark(sqlite3 *db, const char *name, int64_t otherwise);

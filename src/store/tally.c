#include "store/tally.h"

#include <assert.h>
#include <stdlib.h>

#include "base/util.h"

#define NAME_MAX_LEN 255u

struct key {
    int64_t minute;
    enum tally_kind kind;
    struct span name;
};

const char *tally_kind_name(enum tally_kind kind)
{
    static const char *const names[] = {
        [TALLY_VERDICT] = "verdict", [TALLY_TARGET] = "target", [TALLY_CLIENT] = "client",
        [TALLY_USER] = "user",       [TALLY_RULE] = "rule",
    };
    static_assert(ARRAY_LEN(names) == TALLY_COUNT, "a kind has no name");

    assert(kind < TALLY_COUNT);
    return names[kind];
}

static struct key read_key(const struct tallies *t, uint32_t number)
{
    struct span text = bag_get(&t->keys, number);
    struct key k = {.kind = (enum tally_kind)text.ptr[sizeof k.minute]};

    memcpy(&k.minute, text.ptr, sizeof k.minute);
    k.name = (struct span){text.ptr + sizeof k.minute + 1, text.len - sizeof k.minute - 1};
    return k;
}

static bool make_room(struct tallies *t, uint32_t number)
{
    uint32_t cap = t->cap ? t->cap * 2 : 256;
    struct tally_sum *grown;

    if (number < t->cap)
        return true;
    grown = realloc(t->sums, cap * sizeof *grown);
    if (!grown)
        return false;
    t->sums = grown;
    t->cap = cap;
    return true;
}

bool tally_add(struct tallies *t, enum tally_kind kind, const struct tally_row *row)
{
    char key[sizeof row->minute + 1 + NAME_MAX_LEN];
    size_t len = row->name.len < NAME_MAX_LEN ? row->name.len : NAME_MAX_LEN;
    uint32_t before = t->keys.len, number;
    struct tally_sum *sum;

    if (len == 0)
        return true;
    memcpy(key, &row->minute, sizeof row->minute);
    key[sizeof row->minute] = (char)kind;
    memcpy(key + sizeof row->minute + 1, row->name.ptr, len);
    number = bag_put(&t->keys, (struct span){key, sizeof row->minute + 1 + len});
    if (number == BAG_NONE || !make_room(t, number))
        return false;
    sum = &t->sums[number];
    if (t->keys.len > before)
        *sum = (struct tally_sum){0};
    sum->flows += row->flows;
    sum->failures += row->failures;
    sum->bytes_up += row->bytes_up;
    sum->bytes_down += row->bytes_down;
    return true;
}

bool tally_prepare(struct tally_statements *s, sqlite3 *db, struct err *err)
{
    s->update = database_prepare(
        db,
        "UPDATE tally SET flows = flows + ?4, failures = failures + ?5, bytes_up = bytes_up + ?6,"
        " bytes_down = bytes_down + ?7 WHERE kind = ?1 AND minute = ?2 AND name = ?3",
        err);
    s->insert = database_prepare(db, "INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", err);
    s->names = database_prepare(
        db, "SELECT name FROM tally WHERE kind = ?1 AND minute = ?2 AND name <> ''", err);
    return s->update && s->insert && s->names;
}

static int run(sqlite3_stmt *s, const struct key *k, const struct tally_sum *sum)
{
    database_bind_text(s, 1, span_of(tally_kind_name(k->kind)));
    sqlite3_bind_int64(s, 2, k->minute);
    database_bind_text(s, 3, k->name);
    sqlite3_bind_int64(s, 4, (int64_t)sum->flows);
    sqlite3_bind_int64(s, 5, (int64_t)sum->failures);
    sqlite3_bind_int64(s, 6, (int64_t)sum->bytes_up);
    sqlite3_bind_int64(s, 7, (int64_t)sum->bytes_down);
    return database_step_once(s);
}

static int add_row(struct tallies *t, const struct tally_statements *s, const struct key *k,
                   const struct tally_sum *sum)
{
    t->rows++;
    return run(s->insert, k, sum);
}

/* The name with its kind in front, as it stands in `names`. */
static struct span write_name(const struct key *k, char out[1 + NAME_MAX_LEN])
{
    out[0] = (char)k->kind;
    memcpy(out + 1, k->name.ptr, k->name.len);
    return (struct span){out, 1 + k->name.len};
}

/* Whether the minute has the name already; it has from now on, unless it is full. */
enum known { KNOWN, NEW, ONE_TOO_MANY, NO_MEMORY };

static enum known look_for_name(struct tallies *t, const struct key *k)
{
    char text[1 + NAME_MAX_LEN];
    struct span name = write_name(k, text);
    uint32_t before = t->names.len;

    if (t->names_len[k->kind] >= TALLY_NAMES)
        return bag_find(&t->names, name) != BAG_NONE ? KNOWN : ONE_TOO_MANY;
    if (bag_put(&t->names, name) == BAG_NONE)
        return NO_MEMORY;
    if (t->names.len == before)
        return KNOWN;
    t->names_len[k->kind]++;
    return NEW;
}

/* What came without a name, of the minute that was written. */
static int write_others(struct tallies *t, const struct tally_statements *s)
{
    int code = SQLITE_DONE;

    for (enum tally_kind kind = 0; kind < TALLY_COUNT && code == SQLITE_DONE; kind++) {
        struct key k = {.minute = t->minute, .kind = kind, .name = SPAN_LIT("")};

        if (t->others[kind].flows == 0)
            continue;
        code = run(s->update, &k, &t->others[kind]);
        if (code == SQLITE_DONE && sqlite3_changes(sqlite3_db_handle(s->update)) == 0)
            code = add_row(t, s, &k, &t->others[kind]);
        t->others[kind] = (struct tally_sum){0};
    }
    return code;
}

/* Turns to another minute: learns the names that it has. */
static int turn_to(struct tallies *t, const struct tally_statements *s, int64_t minute)
{
    int code = write_others(t, s);

    bag_clear(&t->names);
    memset(t->names_len, 0, sizeof t->names_len);
    t->minute = minute;
    for (enum tally_kind kind = 0; kind < TALLY_COUNT && code == SQLITE_DONE; kind++) {
        database_bind_text(s->names, 1, span_of(tally_kind_name(kind)));
        sqlite3_bind_int64(s->names, 2, minute);
        while ((code = sqlite3_step(s->names)) == SQLITE_ROW) {
            struct key k = {minute, kind, database_column(s->names, 0)};

            if (k.name.len <= NAME_MAX_LEN && look_for_name(t, &k) == NO_MEMORY) {
                code = SQLITE_NOMEM;
                break;
            }
        }
        sqlite3_reset(s->names);
    }
    return code;
}

static int write_key(struct tallies *t, const struct tally_statements *s, uint32_t number)
{
    const struct tally_sum *sum = &t->sums[number];
    struct key k = read_key(t, number);
    struct tally_sum *others = &t->others[k.kind];
    int code = k.minute == t->minute ? SQLITE_DONE : turn_to(t, s, k.minute);

    if (code != SQLITE_DONE)
        return code;
    switch (look_for_name(t, &k)) {
    case KNOWN:
        code = run(s->update, &k, sum);
        if (code == SQLITE_DONE && sqlite3_changes(sqlite3_db_handle(s->update)) == 0)
            code = add_row(t, s, &k, sum); /* it was removed meanwhile */
        return code;
    case NEW:
        return add_row(t, s, &k, sum);
    case ONE_TOO_MANY:
        others->flows += sum->flows;
        others->failures += sum->failures;
        others->bytes_up += sum->bytes_up;
        others->bytes_down += sum->bytes_down;
        return SQLITE_DONE;
    case NO_MEMORY:
        break;
    }
    return SQLITE_NOMEM;
}

/* Minute by minute, the busiest first. */
static int compare_keys(const void *a, const void *b, void *arg)
{
    const struct tallies *t = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    struct key k = read_key(t, x), l = read_key(t, y);

    if (k.minute != l.minute)
        return k.minute < l.minute ? -1 : 1;
    if (k.kind != l.kind)
        return k.kind < l.kind ? -1 : 1;
    if (t->sums[x].flows != t->sums[y].flows)
        return t->sums[x].flows > t->sums[y].flows ? -1 : 1;
    return (x > y) - (x < y);
}

int tally_write(struct tallies *t, const struct tally_statements *s)
{
    uint32_t *order = malloc((t->keys.len + 1) * sizeof *order);
    int code = order ? SQLITE_DONE : SQLITE_NOMEM;

    for (uint32_t i = 0; order && i < t->keys.len; i++)
        order[i] = i;
    if (order)
        qsort_r(order, t->keys.len, sizeof *order, compare_keys, t);
    for (uint32_t i = 0; code == SQLITE_DONE && i < t->keys.len; i++)
        code = write_key(t, s, order[i]);
    if (code == SQLITE_DONE)
        code = write_others(t, s);
    free(order);
    bag_clear(&t->keys);
    return code;
}

void tally_fini(struct tallies *t)
{
    bag_fini(&t->keys);
    bag_fini(&t->names);
    free(t->sums);
    *t = (struct tallies){0};
}

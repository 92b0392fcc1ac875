/* A history file of which anybody changed bytes.  Readers and the writer take it, or say what is
 * wrong; a file of no use is set aside, and never removed.
 *
 * The input is a list of changes to a good file: three bytes where, modulo its length, and a byte
 * that takes the place of the one there; at the end one byte more: where the file is cut off, in
 * 256ths. */
#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fuzz.h"
#include "render/render.h"
#include "store/browse.h"
#include "store/history.h"

#define FLOWS 80u /* a pack that is closed, and one that is not */
#define WALL_NS (1795410000 * NS_PER_S)
#define CHANGES_MAX 64

static char folder[64], path[96];
static char *good; /* the file as it should be */
static size_t good_len;

/* All but the folder itself. */
static unsigned clear(bool count_only)
{
    DIR *d = opendir(folder);
    char name[400];
    unsigned n = 0;

    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        n +=
            !strstr(e->d_name, "-wal") && !strstr(e->d_name, "-shm") && !strstr(e->d_name, "-lock");
        snprintf(name, sizeof name, "%s/%s", folder, e->d_name);
        if (!count_only)
            unlink(name);
    }
    if (d)
        closedir(d);
    return n;
}

static void remove_folder(void)
{
    clear(false);
    rmdir(folder);
    free(good);
}

static struct history *open_history(void)
{
    struct history_limits limits = {.keep_ns = 3600 * NS_PER_S, .max_bytes = 1u << 20};
    struct history *h;
    struct err said = {""};
    enum fault fault = history_open(path, &limits, WALL_NS, &h, &said);

    assert((fault == FAULT_NONE) == (h != NULL));
    assert(h || *said.text);
    return h;
}

static bool add(struct history *h, uint64_t id)
{
    struct flow f = {0};
    struct buf json;
    struct err err = {""};
    bool ok;

    flow_begin(&f, SOURCE_SERVE, id, 0, WALL_NS);
    addr_parse(SPAN_LIT("192.0.2.7"), &f.client.addr);
    flow_set_text(&f.target, id % 2 ? "www.example.com:443" : "other.test:80");
    flow_set_text(&f.user, "fmc");
    flow_end(&f, id % 3 ? VERDICT_OK : VERDICT_STALLED, SIDE_TARGET, CERTAINTY_SEEN, NS_PER_MS);
    buf_init(&json, 1u << 20);
    ok = render_json(&json, &f) && history_begin(h, &err) == FAULT_NONE &&
         history_add(h, &f, buf_span(&json), &err) == FAULT_NONE;
    assert(ok || *err.text);
    buf_fini(&json);
    flow_fini(&f);
    return ok;
}

static void make_good(void)
{
    struct history *h;
    struct err err;
    FILE *f;

    snprintf(folder, sizeof folder, "%s/fuzz-history-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/history.db", folder);
    atexit(remove_folder);
    h = open_history();
    for (unsigned i = 1; i <= FLOWS; i++)
        assert(add(h, i));
    assert(history_settle(h, WALL_NS, &err) == FAULT_NONE &&
           history_commit(h, WALL_NS, &err) == FAULT_NONE);
    history_close(h);
    good = malloc(4u << 20);
    f = fopen(path, "r");
    good_len = f ? fread(good, 1, 4u << 20, f) : 0;
    assert(good_len > 4096 && fclose(f) == 0);
}

static void write_changed(const uint8_t *data, size_t size)
{
    char *bytes = malloc(good_len);
    size_t len = good_len;
    FILE *f = fopen(path, "w");

    memcpy(bytes, good, good_len);
    for (unsigned i = 0; i < CHANGES_MAX && size >= 4; i++) {
        size_t at = ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % good_len;

        bytes[at] = (char)data[3];
        data += 4;
        size -= 4;
    }
    if (size == 1)
        len = len * data[0] / 256;
    if (!f || fwrite(bytes, 1, len, f) != len || fclose(f) != 0)
        abort();
    free(bytes);
}

static bool take_row(void *arg, const struct browse_row *row)
{
    size_t *sum = arg;

    for (size_t i = 0; i < row->json.len; i++)
        *sum += (unsigned char)row->json.ptr[i];
    return true;
}

static bool take_tally(void *arg, const struct tally_row *row)
{
    size_t *sum = arg;

    *sum += row->name.len + (size_t)row->flows;
    return true;
}

static void read_all(struct browse *b)
{
    static const char *const verdicts[] = {"stalled"};
    const struct browse_query queries[] = {
        {0},
        {.failed = true},
        {.verdicts = verdicts, .verdicts_len = 1},
        {.target = ".example.com", .client = "192.0.2.7"},
        {.text = "exam* fmc", .since_us = 1},
        {.before = 40},
    };
    char why[64];
    size_t sum = 0;

    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        struct err err = {""};

        assert(browse_find(b, &queries[i], take_row, &sum, &err) || *err.text);
    }
    for (unsigned kind = 0; kind < TALLY_COUNT; kind++) {
        struct browse_sums q = {
            .kind = (enum tally_kind)kind, .to = INT64_MAX, .by_minute = kind & 1};
        struct err err = {""};

        assert(browse_sum(b, &q, take_tally, &sum, &err) || *err.text);
    }
    browse_get(b, SPAN_LIT("00000000000000"), take_row, &sum, &(struct err){""});
    browse_count_lost(b, 0, why, sizeof why);
}

static void write_on(void)
{
    struct history *h = open_history();
    struct err err = {""};

    for (unsigned i = 0; h && i < 3 && add(h, 1000 + i); i++)
        ;
    if (h && history_commit(h, WALL_NS + NS_PER_S, &err) != FAULT_NONE)
        assert(*err.text);
    history_close(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum fault fault;
    struct err err = {""};
    struct browse *b;

    if (!good)
        make_good();
    clear(false);
    write_changed(data, size);
    b = browse_open(path, &fault, &err);
    assert(b || *err.text);
    if (b)
        read_all(b);
    browse_close(b);
    write_on();
    assert(clear(true) >= 1); /* under its name, or another */
    return 0;
}

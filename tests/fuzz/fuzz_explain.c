/* A file in, flows out: whatever it is, it is read to its end, each flow has a number of its own
 * and a verdict that packets can show, its phases follow each other, and all memory is given back.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/explain.h"
#include "fuzz.h"

#define FLOWS_MAX 4096
#define MEMORY_MAX (64u << 20)

struct told {
    uint64_t flows;
    uint64_t numbers[FLOWS_MAX]; /* a bit each */
};

static const char *put_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("capture", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    assert(fd >= 0 && ftruncate(fd, 0) == 0);
    assert(pwrite(fd, data, size, 0) == (ssize_t)size);
    return path;
}

static void check_number(struct told *t, uint64_t id)
{
    assert(id > 0);
    if (id / 64 >= FLOWS_MAX)
        return;
    assert(!(t->numbers[id / 64] >> id % 64 & 1));
    t->numbers[id / 64] |= 1ull << id % 64;
}

static void on_flow(void *owner, struct flow *f, struct series **plot)
{
    struct told *t = owner;
    const struct verdict_info *info = verdict_get_info((enum verdict)f->verdict);

    t->flows++;
    check_number(t, f->id);
    assert(f->ended && f->source == SOURCE_EXPLAIN);
    assert(info->sources & SOURCE_BIT_EXPLAIN);
    assert(f->ended_in < PHASE_COUNT && f->ended_by < SIDE_COUNT);
    assert(f->superseded_by == 0 || f->superseded_by != f->id);
    for (int i = 0; i < PHASE_COUNT; i++)
        assert(f->phases[i].start_ns <= UINT64_MAX - f->phases[i].duration_ns);
    if (*plot)
        assert((*plot)->len <= SERIES_POINTS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct told told;
    const char *path = put_file(data, size);
    struct explain_options o = {.capture = {.paths = &path, .paths_len = 1},
                                .plots = true,
                                .flow = on_flow,
                                .owner = &told};
    struct err err = {""};
    struct explain *e;
    int got;

    memset(&told, 0, sizeof told);
    e = explain_new(&o, &err);
    if (!e)
        return 0;
    while ((got = explain_run(e, 1000)) > 0)
        ;
    assert(got == 0 && explain_get_counts(e)->flows == told.flows);
    assert(explain_get_counts(e)->memory_peak < MEMORY_MAX);
    explain_free(e);
    return 0;
}

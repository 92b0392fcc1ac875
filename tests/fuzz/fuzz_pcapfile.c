/* A whole capture file, of any kind, compressed or not: packets with numbers that count on and a
 * time that never runs backwards; every byte that is given out may be read; at the end it is clear
 * whether all was read. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/source.h"
#include "fuzz.h"

#define PACKETS_MAX 100000 /* a few bytes may unpack to a great many */

static unsigned sum;

static void touch(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        sum += (uint8_t)s.ptr[i];
}

static void take_secrets(void *owner, struct span lines)
{
    assert(owner == &sum && lines.len > 0);
    touch(lines);
}

/* A file of `data`, in memory; its path is always the same. */
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

static void read_all(struct capture_source *s)
{
    const struct capture_seen *seen = capture_source_get_seen(s);
    struct packet p;
    uint64_t last_ns = 0, n = 0;
    uint32_t number = 0;
    int got = 0;

    memset(&p, 0, sizeof p);
    while (n < PACKETS_MAX && (got = capture_source_next(s, &p)) == 1) {
        n++;
        assert(p.is_text == seen->is_text && (p.is_text || !p.flags_unseen) && p.file == 0);
        assert(p.is_text ? p.number >= number : p.number == number + 1);
        assert(p.at_ns >= last_ns && p.at_ns > 0);
        assert(p.payload.len <= p.payload_len);
        touch(p.payload);
        number = p.number;
        last_ns = p.at_ns;
    }
    assert(n == PACKETS_MAX || got == 0);
    assert(seen->packets == n && seen->tcp + seen->other + seen->bad == n);
    assert(!seen->truncated || seen->trouble[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *path = put_file(data, size);
    struct capture_options o = {
        .paths = &path, .paths_len = 1, .secrets = take_secrets, .owner = &sum};
    struct err err = {""};
    struct capture_source *s = capture_source_open(&o, &err);

    if (!s) {
        assert(strncmp(err.text, path, strlen(path)) == 0);
        return 0;
    }
    read_all(s);
    capture_source_free(s);
    return 0;
}

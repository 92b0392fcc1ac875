#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"

/* kind in the top byte, then 24 bits of slot, then the generation */
static uint64_t pack(struct loop_ref ref)
{
    assert(ref.slot < 1u << 24);
    return (uint64_t)ref.kind << 56 | (uint64_t)ref.slot << 32 | ref.generation;
}

int loop_init(struct loop *l)
{
    l->fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->fd < 0)
        return -errno;
    loop_touch(l);
    return 0;
}

void loop_fini(struct loop *l)
{
    if (l->fd > 0)
        close(l->fd);
    l->fd = -1;
}

static int control(struct loop *l, int op, int fd, uint32_t events, struct loop_ref ref)
{
    struct epoll_event e = {.events = events, .data.u64 = pack(ref)};

    return epoll_ctl(l->fd, op, fd, &e) < 0 ? -errno : 0;
}

int loop_add(struct loop *l, int fd, uint32_t events, struct loop_ref ref)
{
    return control(l, EPOLL_CTL_ADD, fd, events, ref);
}

int loop_change(struct loop *l, int fd, uint32_t events, struct loop_ref ref)
{
    return control(l, EPOLL_CTL_MOD, fd, events, ref);
}

void loop_remove(struct loop *l, int fd)
{
    control(l, EPOLL_CTL_DEL, fd, 0, (struct loop_ref){0});
}

int loop_wait(struct loop *l, uint64_t until_ns)
{
    int timeout_ms = -1;
    int n;

    if (until_ns <= l->now_ns)
        timeout_ms = 0;
    else if (until_ns != UINT64_MAX) {
        uint64_t ms = (until_ns - l->now_ns + NS_PER_MS - 1) / NS_PER_MS; /* never too early */

        timeout_ms = ms > 3600000 ? 3600000 : (int)ms;
    }
    n = epoll_wait(l->fd, l->events, LOOP_BATCH, timeout_ms);
    loop_touch(l);
    return n < 0 ? 0 : n;
}

void loop_touch(struct loop *l)
{
    l->now_ns = clock_mono_ns();
    l->wall_ns = clock_wall_ns();
}

struct loop_ref loop_get_ref(const struct loop *l, int i)
{
    uint64_t u = l->events[i].data.u64;

    return (struct loop_ref){(uint8_t)(u >> 56), (uint32_t)(u >> 32) & 0xffffff, (uint32_t)u};
}

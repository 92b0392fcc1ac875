#include "proxy/flush.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

bool flush_init(struct flush *f)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    f->done_fd = fd < 0 ? 0 : fd;
    return fd >= 0;
}

void flush_fini(struct flush *f)
{
    if (f->done_fd > 0)
        close(f->done_fd);
    f->done_fd = 0;
}

uint64_t flush_begin(struct flush *f)
{
    return atomic_fetch_add(&f->asked, 1) + 1;
}

bool flush_wait(struct flush *f, uint64_t order, uint64_t until_ns)
{
    while (atomic_load(&f->told) < order) {
        struct pollfd p = {.fd = f->done_fd, .events = POLLIN};
        uint64_t now_ns = clock_mono_ns();
        eventfd_t n;

        if (now_ns >= until_ns)
            return false;
        if (poll(&p, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1) > 0)
            eventfd_read(f->done_fd, &n);
    }
    return atomic_load(&f->well) >= order;
}

uint64_t flush_order(struct flush *f)
{
    uint64_t order = atomic_load(&f->asked);

    return order > atomic_load(&f->told) ? order : 0;
}

void flush_done(struct flush *f, uint64_t order, bool well)
{
    if (!order)
        return;
    if (well)
        atomic_store(&f->well, order);
    atomic_store(&f->told, order);
    eventfd_write(f->done_fd, 1);
}

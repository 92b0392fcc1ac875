/* One thread empties the workers' rings.
 *
 * It sleeps on an eventfd only when all rings were empty; a worker writes to that eventfd only when
 * it takes `state` from asleep to awake.  Both sides exchange `state`, so one of them comes second:
 * either the worker sees that the recorder sleeps, or the recorder sees what the worker pushed.
 * Once awake it gathers for a few milliseconds, so that many flows share one wake-up and one write.
 */
#include "proxy/recorder.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/ring.h"
#include "proxy/flush.h"
#include "proxy/historian.h"
#include "proxy/sink.h"
#include "render/render.h"

#define RING_SLOTS 8192         /* flows a worker may be ahead */
#define GATHER_MS 5             /* between two looks at the rings while flows come */
#define BATCH_FLUSH (64 * 1024) /* written when so many bytes are rendered */
#define BATCH_MAX (1024 * 1024) /* a longer record is lost */
#define FLUSH_NS (250 * NS_PER_MS)
#define DROP_REPORT_NS (5 * NS_PER_S)
#define FAIL_REPORT_NS (60 * NS_PER_S)
/* With a reader that does not read, once we stop or are sent elsewhere. */
#define PATIENCE_NS NS_PER_S

enum { ASLEEP, AWAKE };

struct recorder {
    struct ring *rings; /* one a worker */
    unsigned rings_len;
    int wake_fd; /* eventfd */
    _Atomic int state;
    _Atomic bool on, counts, stopping, reopen; /* on: the access log */
    _Atomic(struct sink *) next;               /* what recorder_set opened; NULL: nothing new */
    _Atomic uint64_t queue_full, lost;         /* flows, by why they were dropped */
    struct totals_book totals;
    struct flush flush;
    pthread_t thread;
    bool has_thread;

    /* the thread's own */
    struct sink *sink;
    struct historian *historian; /* gets each flow when it was logged */
    struct buf batch;
    uint64_t reported;                       /* of queue_full, said in the log */
    uint64_t drop_report_ns, fail_report_ns; /* not said again before */
    uint64_t give_up_ns;                     /* end of patience; 0: there is no hurry */
};

static void wake(struct recorder *r)
{
    uint64_t one = 1;
    ssize_t n = write(r->wake_fd, &one, sizeof one); /* full: then it is awake soon enough */

    (void)n;
}

static void report_full(struct recorder *r)
{
    uint64_t full = atomic_load_explicit(&r->queue_full, memory_order_relaxed), now_ns;

    if (full == r->reported)
        return;
    now_ns = clock_mono_ns();
    if (now_ns < r->drop_report_ns)
        return;
    log_warning("access log: the queue was full, flows dropped: %" PRIu64, full - r->reported);
    r->reported = full;
    r->drop_report_ns = now_ns + DROP_REPORT_NS;
}

static void report_failure(struct recorder *r, int error)
{
    uint64_t now_ns = clock_mono_ns();

    if (now_ns < r->fail_report_ns)
        return;
    log_warning("access log: cannot write %s: %s (flows lost so far: %" PRIu64 ")",
                r->sink->path ? r->sink->path : "to standard output", strerror(error),
                atomic_load_explicit(&r->lost, memory_order_relaxed));
    r->fail_report_ns = now_ns + FAIL_REPORT_NS;
}

/* Asked while the sink cannot take more. */
static bool keep_waiting(void *arg)
{
    struct recorder *r = arg;

    report_full(r);
    if (!atomic_load(&r->stopping) && !atomic_load(&r->next))
        return true;
    if (!r->give_up_ns)
        r->give_up_ns = clock_mono_ns() + PATIENCE_NS;
    return clock_mono_ns() < r->give_up_ns;
}

static void count_lost(struct recorder *r, struct span unwritten, int error)
{
    uint64_t flows = 0;

    for (size_t i = 0; i < unwritten.len; i++)
        flows += unwritten.ptr[i] == '\n';
    atomic_fetch_add_explicit(&r->lost, flows, memory_order_relaxed);
    report_failure(r, error);
}

static void flush(struct recorder *r)
{
    struct span lines = buf_span(&r->batch);
    size_t done;
    int error;

    if (lines.len == 0)
        return;
    done = sink_write(r->sink, lines, keep_waiting, r, &error);
    if (done < lines.len)
        count_lost(r, (struct span){lines.ptr + done, lines.len - done}, error);
    buf_consume(&r->batch, lines.len);
}

/* At the end, and only then, a full historian is waited for. */
static void hand_on(struct recorder *r, struct flow *f, struct span json)
{
    bool taken = false;

    if (historian_is_on(r->historian)) {
        while (!(taken = historian_take(r->historian, f, json)) && atomic_load(&r->stopping) &&
               keep_waiting(r))
            usleep(1000);
        if (!taken)
            historian_lose(r->historian);
    }
    if (taken)
        return;
    flow_fini(f);
    free(f);
}

static void record(struct recorder *r, struct flow *f)
{
    uint32_t before = r->batch.len;
    struct span line;

    totals_add(&r->totals, f);
    if (r->sink->render && !r->sink->render(&r->batch, f))
        atomic_fetch_add_explicit(&r->lost, 1, memory_order_relaxed);
    line = buf_span(&r->batch);
    line = (struct span){line.ptr + before, line.len - before};
    if (r->sink->render != render_json)
        line.len = 0;
    hand_on(r, f, line);
    if (r->batch.len >= BATCH_FLUSH)
        flush(r);
}

/* Writes what the rings hold, a ring's length of each at most, and stops early for another sink;
 * false when they were all empty. */
static bool drain(struct recorder *r)
{
    bool any = false;

    for (unsigned i = 0; i < r->rings_len; i++) {
        struct flow *f;

        for (unsigned n = 0; n < RING_SLOTS && !atomic_load(&r->next); n++) {
            if (!(f = ring_pop(&r->rings[i])))
                break;
            record(r, f);
            any = true;
        }
    }
    flush(r);
    return any;
}

static void take_orders(struct recorder *r)
{
    struct sink *next = atomic_exchange(&r->next, NULL);
    struct err err;

    if (next) {
        sink_free(r->sink);
        r->sink = next;
        r->fail_report_ns = r->give_up_ns = 0;
    }
    if (atomic_exchange(&r->reopen, false) && !sink_reopen(r->sink, &err))
        log_warning("access log: %s; going on with the old one", err.text);
}

static bool rings_are_empty(struct recorder *r)
{
    for (unsigned i = 0; i < r->rings_len; i++)
        if (!ring_is_empty(&r->rings[i]))
            return false;
    return true;
}

/* Waits until somebody calls, or `ms` have passed (-1: for ever). */
static void wait_for_call(struct recorder *r, int ms)
{
    struct pollfd pfd = {.fd = r->wake_fd, .events = POLLIN};
    uint64_t calls;

    if (poll(&pfd, 1, ms) > 0 && read(r->wake_fd, &calls, sizeof calls) < 0)
        assert(errno == EAGAIN || errno == EINTR);
}

static void sleep_until_called(struct recorder *r)
{
    bool untold = atomic_load_explicit(&r->queue_full, memory_order_relaxed) != r->reported;

    atomic_exchange_explicit(&r->state, ASLEEP, memory_order_acq_rel);
    if (rings_are_empty(r))
        wait_for_call(r, untold ? (int)(DROP_REPORT_NS / NS_PER_MS) : -1);
    atomic_store(&r->state, AWAKE);
}

static void *run(void *arg)
{
    struct recorder *r = arg;
    bool stopping;

    do {
        uint64_t order = flush_order(&r->flush);
        bool any;

        stopping = atomic_load(
            &r->stopping); /* before the look: all that was handed over by then is written */
        take_orders(r);
        any = drain(r);
        if (!atomic_load(&r->next)) /* for which drain may have stopped early */
            flush_done(&r->flush, order, true);
        report_full(r);
        if (any && !stopping)
            wait_for_call(r, GATHER_MS);
        else if (!stopping)
            sleep_until_called(r);
    } while (!stopping);
    return NULL;
}

static bool start_thread(struct recorder *r, struct err *err)
{
    sigset_t all, before;
    int error;

    /* signals are for the main thread; a closed pipe is an error here and no signal */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&r->thread, NULL, run, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        err_set(err, "cannot start the log's thread: %s", strerror(error));
        return false;
    }
    pthread_setname_np(r->thread, "recorder");
    r->has_thread = true;
    return true;
}

static bool init_rings(struct recorder *r, unsigned workers)
{
    r->rings = aligned_alloc(_Alignof(struct ring), workers * sizeof *r->rings);
    if (!r->rings)
        return false;
    for (; r->rings_len < workers; r->rings_len++)
        if (!ring_init(&r->rings[r->rings_len], RING_SLOTS))
            return false;
    return true;
}

struct recorder *recorder_new(const struct config *c, unsigned workers, struct err *err)
{
    struct recorder *r = calloc(1, sizeof *r);

    assert(workers > 0);
    if (!r) {
        err_set(err, "out of memory");
        return NULL;
    }
    buf_init(&r->batch, BATCH_MAX);
    totals_init(&r->totals);
    atomic_init(&r->state, AWAKE);
    r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->wake_fd < 0 || !flush_init(&r->flush) || !init_rings(r, workers))
        err_set(err, "cannot set up the access log: %s", strerror(errno));
    else if ((r->historian = historian_new(c, err)) && recorder_set(r, c, err))
        return r;
    recorder_free(r);
    return NULL;
}

void recorder_free(struct recorder *r)
{
    struct flow *f;

    if (!r)
        return;
    if (r->has_thread) {
        atomic_store(&r->stopping, true);
        wake(r);
        pthread_join(r->thread, NULL);
    }
    for (unsigned i = 0; i < r->rings_len; i++) {
        while ((f = ring_pop(&r->rings[i]))) { /* handed over after the end */
            flow_fini(f);
            free(f);
        }
        ring_fini(&r->rings[i]);
    }
    historian_free(r->historian);
    sink_free(r->sink);
    sink_free(atomic_load(&r->next));
    buf_fini(&r->batch);
    totals_fini(&r->totals);
    flush_fini(&r->flush);
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    free(r->rings);
    free(r);
}

bool recorder_is_on(const struct recorder *r)
{
    return atomic_load_explicit(&r->on, memory_order_relaxed) ||
           atomic_load_explicit(&r->counts, memory_order_relaxed);
}

void recorder_take(struct recorder *r, unsigned w, struct flow *f)
{
    struct flow *queued = recorder_is_on(r) ? malloc(sizeof *queued) : NULL;

    assert(w < r->rings_len);
    if (queued) {
        *queued = *f;
        if (ring_push(&r->rings[w], queued)) {
            *f = (struct flow){0};
            if (atomic_exchange_explicit(&r->state, AWAKE, memory_order_acq_rel) == ASLEEP)
                wake(r);
            return;
        }
        free(queued);
    }
    if (recorder_is_on(r))
        atomic_fetch_add_explicit(&r->queue_full, 1, memory_order_relaxed);
    flow_fini(f);
}

void recorder_reopen(struct recorder *r)
{
    if (!r->has_thread)
        return;
    atomic_store(&r->reopen, true);
    wake(r);
}

bool recorder_flush(struct recorder *r)
{
    uint64_t until_ns = clock_mono_ns() + FLUSH_NS, order = flush_begin(&r->flush);

    if (!atomic_load(&r->counts)) /* set once the thread is there, for those who ask */
        return false;
    wake(r);
    return flush_wait(&r->flush, order, until_ns) && historian_flush(r->historian, until_ns);
}

bool recorder_set(struct recorder *r, const struct config *c, struct err *err)
{
    bool on = c->log_to != LOG_TO_OFF || c->history;
    struct sink *sink;

    if (!r->has_thread && !on && !atomic_load(&r->counts))
        return true;
    if (!historian_set(r->historian, c, err))
        return false;
    sink = sink_new(c, err);
    if (!sink)
        return false;
    if (r->has_thread) {
        sink_free(atomic_exchange(&r->next, sink));
        wake(r);
    } else {
        r->sink = sink;
        if (!start_thread(r, err)) {
            sink_free(sink);
            r->sink = NULL;
            return false;
        }
    }
    atomic_store(&r->on, on);
    return true;
}

bool recorder_count(struct recorder *r, const struct config *c, struct err *err)
{
    atomic_store(&r->counts, true);
    return r->has_thread || recorder_set(r, c, err);
}

bool recorder_read_totals(struct recorder *r, struct totals *out)
{
    return totals_read(&r->totals, out);
}

uint64_t recorder_get_history_lost(const struct recorder *r)
{
    return historian_get_lost(r->historian);
}

uint64_t recorder_dropped(const struct recorder *r)
{
    return atomic_load_explicit(&r->queue_full, memory_order_relaxed) +
           atomic_load_explicit(&r->lost, memory_order_relaxed);
}

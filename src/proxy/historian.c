/* One thread between a ring and the history file.
 *
 * It sleeps on an eventfd only when the ring was empty and all is committed (as the recorder does,
 * with the same handshake); while flows come it looks at the ring now and then, and commits what
 * came a fifth of a second after the first of it at the latest.
 *
 * A file that is locked by another program keeps its flows waiting in the ring; with every other
 * fault they are dropped and counted, until the file can be opened again.  What was lost is told in
 * the log, and in the history itself once it can be written. */
#include "proxy/historian.h"

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
#include "render/render.h"
#include "store/history.h"

#define RING_SLOTS 8192
#define GATHER_MS 40 /* between two looks at the ring while flows come */
#define COMMIT_NS (200 * NS_PER_MS)
#define LOOK_NS NS_PER_S               /* between two looks whether the file is still there */
#define SETTLE_NS (51 * NS_PER_S / 10) /* until tallies are written that no flow follows */
#define TEND_NS (60 * NS_PER_S)        /* until it is looked for what is too old */
#define BUSY_NS (200 * NS_PER_MS)
#define RETRY_NS (10 * NS_PER_S)    /* a file that could not be written is tried again */
#define BROKEN_NS (3600 * NS_PER_S) /* between two files that are set aside */
#define LOSS_REPORT_NS (5 * NS_PER_S)
#define PATIENCE_NS (2 * NS_PER_S) /* with a locked file, at the end */

enum { ASLEEP, AWAKE };

/* What is to be written, and where. */
struct order {
    char *path; /* NULL: no history */
    struct history_limits limits;
};

/* A flow in the ring. */
struct item {
    struct flow *flow;
    size_t json_len; /* 0: it is not rendered yet */
    char json[];
};

struct historian {
    struct ring ring;
    int wake_fd; /* eventfd */
    _Atomic int state;
    _Atomic bool on, stopping;
    _Atomic(struct order *) next; /* NULL: nothing new */
    _Atomic uint64_t refused;     /* flows: the ring was full */
    _Atomic uint64_t dropped;     /* flows: this thread could not write them */
    struct flush flush;
    pthread_t thread;
    bool has_thread;

    /* the thread's own; times are monotonic */
    struct order *order; /* NULL before the first one */
    struct history *history;
    struct buf json;
    struct err trouble;     /* why nothing is written; "" when all is well */
    bool is_locked;         /* by another program: flows wait, they are not dropped */
    bool is_behind;         /* the ring may have more than it was emptied of */
    uint64_t retry_ns;      /* not tried before */
    uint64_t commit_ns;     /* when what came is committed; 0: nothing came */
    uint64_t tend_ns;       /* when it is looked for what is too old, or not tallied yet */
    uint64_t look_ns;       /* when it is looked whether the file is there */
    uint64_t broken_ns;     /* when a file was found damaged last; 0: never */
    uint64_t give_up_ns;    /* end of patience; 0: there is no hurry */
    uint64_t noted;         /* of the flows that were lost, in the history itself */
    uint64_t told, tell_ns; /* of them, in the log; not told again before */
};

static void item_free(struct item *i)
{
    flow_fini(i->flow);
    free(i->flow);
    free(i);
}

static void wake(struct historian *h)
{
    uint64_t one = 1;
    ssize_t n = write(h->wake_fd, &one, sizeof one); /* full: then it is awake soon enough */

    (void)n;
}

static void order_free(struct order *o)
{
    if (!o)
        return;
    free(o->path);
    free(o);
}

static struct order *order_new(const struct config *c, struct err *err)
{
    struct order *o = calloc(1, sizeof *o);

    if (o && c->history) {
        o->path = strdup(c->history);
        o->limits = (struct history_limits){c->history_keep_ns, c->history_max};
    }
    if (o && (o->path || !c->history))
        return o;
    err_set(err, "out of memory");
    order_free(o);
    return NULL;
}

uint64_t historian_get_lost(const struct historian *h)
{
    return atomic_load_explicit(&h->refused, memory_order_relaxed) +
           atomic_load_explicit(&h->dropped, memory_order_relaxed);
}

static void drop(struct historian *h, uint64_t flows)
{
    atomic_fetch_add_explicit(&h->dropped, flows, memory_order_relaxed);
}

/* ---- trouble */

/* Says each trouble once. */
static void tell_trouble(struct historian *h, const struct err *why)
{
    if (strcmp(h->trouble.text, why->text) == 0)
        return;
    h->trouble = *why;
    log_error("history: %s: %s; the proxy goes on without it", h->order->path, why->text);
}

static void tell_end_of_trouble(struct historian *h)
{
    uint64_t lost = historian_get_lost(h);

    if (!h->trouble.text[0])
        return;
    h->trouble.text[0] = '\0';
    log_info("history: %s is written again; flows lost: %" PRIu64, h->order->path, lost - h->told);
    h->told = lost;
}

static void tell_loss(struct historian *h, uint64_t now_ns)
{
    uint64_t lost = historian_get_lost(h);

    if (lost == h->told || now_ns < h->tell_ns || h->trouble.text[0])
        return;
    log_warning("history: flows lost: %" PRIu64 " (the queue was full, or their records too long)",
                lost - h->told);
    h->told = lost;
    h->tell_ns = now_ns + LOSS_REPORT_NS;
}

/* The file stays as it was committed last; what came since is lost. */
static void suspend(struct historian *h, enum fault fault, const struct err *why, uint64_t now_ns)
{
    drop(h, history_uncommitted(h->history));
    history_close(h->history);
    h->history = NULL;
    h->commit_ns = 0;
    tell_trouble(h, why);
    h->retry_ns = now_ns + RETRY_NS;
    if (fault != FAULT_BROKEN)
        return;
    /* it is set aside when it is opened again; where that does not help, not over and over */
    h->retry_ns = now_ns < h->broken_ns + BROKEN_NS && h->broken_ns ? now_ns + BROKEN_NS : now_ns;
    h->broken_ns = now_ns;
}

static void begin_history(struct historian *h, uint64_t now_ns)
{
    struct err said;
    enum fault fault =
        history_open(h->order->path, &h->order->limits, clock_wall_ns(), &h->history, &said);

    h->is_locked = fault == FAULT_BUSY;
    if (fault != FAULT_NONE) {
        tell_trouble(h, &said);
        h->retry_ns = now_ns + (h->is_locked ? BUSY_NS : RETRY_NS);
        return;
    }
    if (said.text[0])
        log_error("history: %s: %s", h->order->path, said.text);
    tell_end_of_trouble(h);
    h->look_ns = now_ns + LOOK_NS;
    h->tend_ns = now_ns;
}

/* A file that was moved or removed would go on being written where nobody finds it. */
static void look_for_file(struct historian *h, uint64_t now_ns)
{
    if (now_ns < h->look_ns)
        return;
    h->look_ns = now_ns + LOOK_NS;
    if (history_is_there(h->history))
        return;
    log_warning("history: %s was moved or removed: a new one is begun", h->order->path);
    drop(h, history_uncommitted(h->history));
    history_close(h->history);
    h->history = NULL;
    h->commit_ns = h->retry_ns = 0;
}

/* ---- writing */

/* False: there is trouble, and nothing more is written for now. */
static bool go_on(struct historian *h, enum fault fault, const struct err *err, uint64_t now_ns)
{
    h->is_locked = fault == FAULT_BUSY;
    if (h->is_locked) {
        h->retry_ns = now_ns + BUSY_NS;
        tell_trouble(h, err);
    } else if (fault != FAULT_NONE) {
        suspend(h, fault, err, now_ns);
    }
    return fault == FAULT_NONE;
}

/* What was lost since it was noted last. */
static enum fault note_gap(struct historian *h, struct err *err)
{
    uint64_t lost = historian_get_lost(h);
    enum fault fault = FAULT_NONE;

    if (lost > h->noted)
        fault =
            history_note_gap(h->history, lost - h->noted,
                             "they came too fast, or could not be written", clock_wall_ns(), err);
    if (fault == FAULT_NONE)
        h->noted = lost;
    return fault;
}

static bool commit(struct historian *h, bool settle, uint64_t now_ns)
{
    uint64_t wall_ns = clock_wall_ns();
    struct err err;
    enum fault fault = settle ? history_settle(h->history, wall_ns, &err)
                              : history_commit(h->history, wall_ns, &err);

    if (!go_on(h, fault, &err, now_ns))
        return false;
    tell_end_of_trouble(h);
    h->commit_ns = 0;
    h->tend_ns = now_ns + (history_is_settled(h->history) ? TEND_NS : SETTLE_NS);
    return true;
}

static enum fault write_item(struct historian *h, const struct item *i, struct err *err)
{
    struct span json = {i->json, i->json_len};
    enum fault fault = FAULT_NONE;

    if (json.len == 0 && render_json(&h->json, i->flow))
        json = buf_span(&h->json);
    if (json.len > 0 && json.len <= HISTORY_RECORD_MAX)
        fault = history_add(h->history, i->flow, json, err);
    else
        drop(h, 1); /* it is too long */
    buf_consume(&h->json, h->json.len);
    return fault;
}

/* Writes what the ring holds, its length at most, as others may be faster; false: there is trouble.
 */
static bool drain(struct historian *h, uint64_t now_ns)
{
    unsigned left = RING_SLOTS;
    struct item *i;
    struct err err;

    while (left > 0 && !ring_is_empty(&h->ring)) {
        enum fault fault = history_begin(h->history, &err);

        if (fault == FAULT_NONE && !h->commit_ns)
            fault = note_gap(h, &err);
        if (!go_on(h, fault, &err, now_ns))
            return false;
        if (!h->commit_ns)
            h->commit_ns = now_ns + COMMIT_NS;
        for (; left > 0 && !history_is_full(h->history) && (i = ring_pop(&h->ring)); left--) {
            fault = write_item(h, i, &err);
            item_free(i);
            if (!go_on(h, fault, &err, now_ns))
                return false;
        }
        if (history_is_full(h->history) && !commit(h, false, now_ns))
            return false;
    }
    h->is_behind = left == 0;
    return true;
}

/* Flows that come while there is no history. */
static void drop_all(struct historian *h)
{
    struct item *i;

    while ((i = ring_pop(&h->ring))) {
        item_free(i);
        drop(h, h->order->path != NULL);
    }
}

/* `hurry`: what came is committed at once. */
static void write_history(struct historian *h, bool stopping, bool hurry)
{
    uint64_t now_ns = clock_mono_ns();

    if (h->history)
        look_for_file(h, now_ns);
    if (h->order->path && !h->history && now_ns >= h->retry_ns)
        begin_history(h, now_ns);
    if (!h->history) {
        if (!h->is_locked)
            drop_all(h);
        return;
    }
    if (now_ns < h->retry_ns && h->is_locked)
        return;
    if (drain(h, now_ns) && (stopping || (h->commit_ns && (now_ns >= h->commit_ns || hurry)) ||
                             (!h->commit_ns && now_ns >= h->tend_ns)))
        commit(h, stopping, now_ns);
    tell_loss(h, now_ns);
}

/* ---- the thread */

/* What the history that is open holds is committed first, if it can be. */
static void close_history(struct historian *h)
{
    if (h->history && drain(h, clock_mono_ns()))
        commit(h, true, clock_mono_ns());
    history_close(h->history);
    h->history = NULL;
    h->commit_ns = h->retry_ns = 0;
    h->is_locked = false;
    h->trouble.text[0] = '\0';
}

static void take_orders(struct historian *h)
{
    struct order *next = atomic_exchange(&h->next, NULL), *before = h->order;

    if (!next)
        return;
    if (!before || !before->path || !next->path || strcmp(before->path, next->path) != 0)
        close_history(h);
    else if (h->history)
        history_set_limits(h->history, &next->limits);
    order_free(before);
    h->order = next;
}

/* Waits until somebody calls, or `ms` have passed. */
static void wait_for_call(struct historian *h, int ms)
{
    struct pollfd pfd = {.fd = h->wake_fd, .events = POLLIN};
    uint64_t calls;

    if (poll(&pfd, 1, ms) > 0 && read(h->wake_fd, &calls, sizeof calls) < 0)
        assert(errno == EAGAIN || errno == EINTR);
}

/* Milliseconds until there is something to do if nobody calls; -1: nothing ever. */
static int idle_ms(const struct historian *h)
{
    uint64_t now_ns = clock_mono_ns(), at_ns = h->history ? h->tend_ns : h->retry_ns;

    if (!h->order->path)
        return -1;
    return at_ns > now_ns ? (int)((at_ns - now_ns) / NS_PER_MS) + 1 : 0;
}

static void wait_for_flows(struct historian *h)
{
    if (h->is_behind) {
        h->is_behind = false;
        return;
    }
    if (h->commit_ns || h->is_locked) {
        wait_for_call(h, GATHER_MS);
        return;
    }
    atomic_exchange_explicit(&h->state, ASLEEP, memory_order_acq_rel);
    if (ring_is_empty(&h->ring))
        wait_for_call(h, idle_ms(h));
    atomic_store(&h->state, AWAKE);
}

/* Whether a locked file is worth waiting for when the proxy stops. */
static bool keep_waiting(struct historian *h)
{
    uint64_t now_ns = clock_mono_ns();

    if (!h->is_locked)
        return false;
    if (!h->give_up_ns)
        h->give_up_ns = now_ns + PATIENCE_NS;
    return now_ns < h->give_up_ns;
}

static void *run(void *arg)
{
    struct historian *h = arg;
    uint64_t order;
    bool stopping;

    do {
        stopping =
            atomic_load(&h->stopping); /* before the look: all that came by then is written */
        order = flush_order(&h->flush);
        take_orders(h);
        write_history(h, stopping, order > 0);
        flush_done(&h->flush, order, h->history && !h->commit_ns && !h->is_behind && !h->is_locked);
        if (!stopping)
            wait_for_flows(h);
        else if (keep_waiting(h))
            wait_for_call(h, GATHER_MS);
        else
            break;
    } while (true);
    history_close(h->history);
    return NULL;
}

static bool start_thread(struct historian *h, struct err *err)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&h->thread, NULL, run, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        err_set(err, "cannot start the history's thread: %s", strerror(error));
        return false;
    }
    pthread_setname_np(h->thread, "historian");
    h->has_thread = true;
    return true;
}

struct historian *historian_new(const struct config *c, struct err *err)
{
    struct historian *h = calloc(1, sizeof *h);

    if (!h) {
        err_set(err, "out of memory");
        return NULL;
    }
    buf_init(&h->json, HISTORY_RECORD_MAX);
    atomic_init(&h->state, AWAKE);
    h->order = order_new(&(struct config){0}, err);
    h->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (h->wake_fd < 0 || !flush_init(&h->flush) || !h->order || !ring_init(&h->ring, RING_SLOTS))
        err_set(err, "cannot set up the history: %s", strerror(errno));
    else if (historian_set(h, c, err))
        return h;
    historian_free(h);
    return NULL;
}

void historian_free(struct historian *h)
{
    struct item *i;

    if (!h)
        return;
    if (h->has_thread) {
        atomic_store(&h->stopping, true);
        wake(h);
        pthread_join(h->thread, NULL);
    }
    while (h->ring.slots && (i = ring_pop(&h->ring))) {
        item_free(i);
        drop(h, 1);
    }
    if (historian_get_lost(h) > h->told)
        log_warning("history: flows lost: %" PRIu64, historian_get_lost(h) - h->told);
    ring_fini(&h->ring);
    order_free(h->order);
    order_free(atomic_load(&h->next));
    buf_fini(&h->json);
    flush_fini(&h->flush);
    if (h->wake_fd >= 0)
        close(h->wake_fd);
    free(h);
}

bool historian_flush(struct historian *h, uint64_t until_ns)
{
    uint64_t order = flush_begin(&h->flush);

    if (!atomic_load(&h->on)) /* set behind the thread's start */
        return false;
    wake(h);
    return flush_wait(&h->flush, order, until_ns);
}

bool historian_is_on(const struct historian *h)
{
    return atomic_load_explicit(&h->on, memory_order_relaxed);
}

bool historian_take(struct historian *h, struct flow *f, struct span json)
{
    size_t len = json.len <= HISTORY_RECORD_MAX ? json.len : 0;
    struct item *i = malloc(sizeof *i + len);

    if (!i)
        return false;
    i->flow = f;
    i->json_len = len;
    if (len > 0)
        memcpy(i->json, json.ptr, len);
    if (!ring_push(&h->ring, i)) {
        free(i);
        return false;
    }
    if (atomic_exchange_explicit(&h->state, AWAKE, memory_order_acq_rel) == ASLEEP)
        wake(h);
    return true;
}

void historian_lose(struct historian *h)
{
    atomic_fetch_add_explicit(&h->refused, 1, memory_order_relaxed);
}

bool historian_set(struct historian *h, const struct config *c, struct err *err)
{
    struct order *order;

    if (!h->has_thread && !c->history)
        return true;
    order = order_new(c, err);
    if (!order)
        return false;
    order_free(atomic_exchange(&h->next, order));
    if (h->has_thread)
        wake(h);
    else if (!start_thread(h, err))
        return false;
    atomic_store(&h->on, c->history != NULL);
    return true;
}

/* The checker: its loop, its jobs (one a URL) and what becomes of a probe that ended: its flow is
 * handed out, a redirect is followed, or a second probe explains the first one's failure. */
#include "check/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/util.h"
#include "check/download.h"
#include "check/intercepted.h"
#include "check/internal.h"
#include "check/probe_mtu.h"
#include "check/second.h"
#include "net/tls.h"

#define TIMEOUT_NS (30 * NS_PER_S)
#define RESOLVE_TRY_NS (2 * NS_PER_S)
#define RESOLVE_NS (5 * NS_PER_S)
/* For a ClientHello to be answered; and with little time, when probes beside it have told. */
#define HELLO_NS (10 * NS_PER_S)
#define HELLO_LEAST_NS (8 * NS_PER_S)
#define SECOND_MIN_NS NS_PER_S /* a second probe wants at least that */
#define STOP_LOOK_NS (100 * NS_PER_MS)
#define HOPS_MAX 10
#define DESCRIPTORS_APART 24 /* standard streams, the loop, the resolver's, files */
#define DESCRIPTORS_A_URL 8  /* addresses tried at once, and a second probe's */
#define TRIES_BITS 3         /* of a reference: which of a probe's sockets */
#define PROBE_BITS 2         /* of a probe's number: which of a job's probes */

enum ref { REF_RESOLVER = 1, REF_PROBE };

#define JOB_MORE 2 /* probes that may go at the same time as a job's own */

/* One URL, and where it leads. */
struct job {
    struct check *check;
    unsigned number;
    struct url url;
    struct probe probe;
    uint64_t deadline_ns;
    unsigned hops; /* redirects that were followed */
    bool running, ended, done;
    struct second second; /* the first probe's outcome, while a second one explains it */
    struct probe more[JOB_MORE];
    bool beside;        /* more[0], a small one, goes or went beside the first probe */
    uint64_t beside_ns; /* and began then; more[1] is the control */
    struct second_beside other;
    bool measuring; /* how large a segment passes, with both of `more` */
    struct probe_mtu mtu;
};

/* ---- what the probes ask for */

void check_queue(struct probe *p)
{
    struct check *c = p->check;

    if (p->queued)
        return;
    p->queued = true;
    list_push_back(&c->run, &p->node);
}

void check_unqueue(struct probe *p)
{
    if (p->queued)
        list_remove(&p->node);
    p->queued = false;
}

int check_watch(struct probe *p, unsigned which, int fd)
{
    return loop_add(&p->check->loop, fd, LOOP_DATA,
                    (struct loop_ref){REF_PROBE, p->number << TRIES_BITS | which, p->generation});
}

uint64_t check_next_id(struct check *c)
{
    return hash_next_id(&c->id_state);
}

uint64_t check_hello_patience(const struct check *c)
{
    uint64_t third = c->options.timeout_ns / 3;

    return third < HELLO_LEAST_NS ? HELLO_LEAST_NS : third < HELLO_NS ? third : HELLO_NS;
}

/* ---- TLS */

static void on_secret(void *owner, const char *line)
{
    capture_secret(((struct check *)owner)->options.capture, line);
}

/* What every context of TLS has in common. */
static struct tls_client_options tls_options(struct check *c)
{
    bool wanted = c->options.capture && c->options.capture->secrets;

    return (struct tls_client_options){
        .alpn = "http/1.1", .on_secret = wanted ? on_secret : NULL, .owner = c};
}

/* ---- jobs */

static void on_end(struct probe *p)
{
    struct job *j = p->owner;

    if (p == &j->probe)
        j->ended = true; /* looked at once the probe has come to rest */
}

/* Which of its job's probes: 0 its own, then job.more. */
static void start(struct job *j, unsigned which, struct probe_wish wish, uint64_t deadline_ns)
{
    struct probe *p = which ? &j->more[which - 1] : &j->probe;
    uint32_t generation = p->generation + 1;

    *p = (struct probe){.check = j->check,
                        .number = j->number << PROBE_BITS | which,
                        .url_number = j->number,
                        .generation = generation,
                        .url = &j->url,
                        .wish = wish,
                        .deadline_ns = deadline_ns,
                        .on_end = on_end,
                        .owner = j};
    probe_start(p);
}

static void begin_probe(struct job *j, struct probe_wish wish)
{
    j->running = true;
    j->ended = false;
    start(j, 0, wish, j->deadline_ns);
}

static void begin_job(struct job *j)
{
    if (j->hops == 0) /* redirects have what is left */
        j->deadline_ns = j->check->loop.now_ns + j->check->options.timeout_ns;
    begin_probe(j, (struct probe_wish){0});
}

/* A probe as large as the first; another one where there was one. */
static void begin_control(struct job *j)
{
    if (j->other.controls > 0)
        probe_fini(&j->more[1]);
    j->other.controls++;
    start(j, 2, second_control(&j->probe), j->deadline_ns);
}

/* The small one passed: is it for its size? */
static void watch_control(struct job *j)
{
    struct probe *p = &j->probe, *control = &j->more[1];

    if (j->other.controls == 0 && second_is_slower(p, j->other.took_ns))
        begin_control(j);
    if (j->other.controls == 0)
        return;
    if (second_has_passed(control)) {
        j->other.varies = true;
        probe_give_up(p);
    } else if (second_is_slower(p, j->other.took_ns) &&
               second_control_hangs(control, j->other.took_ns)) {
        if (j->other.controls < SECOND_CONTROLS) {
            begin_control(j);
            return;
        }
        p->signs.small_pass = true;
        probe_give_up(p);
    }
}

/* Where the first probe hangs and a small one might not, that one goes beside it. */
static void watch_beside(struct job *j)
{
    struct probe *p = &j->probe;
    uint64_t now = j->check->loop.now_ns;
    struct probe_wish wish;

    if (!j->beside && j->second.why == SECOND_NONE && second_goes_beside(p, &wish)) {
        j->beside = true;
        j->beside_ns = now;
        j->other = (struct second_beside){0};
        start(j, 1, wish, j->deadline_ns);
    }
    if (!j->beside)
        return;
    if (!j->other.took_ns && second_has_passed(&j->more[0]))
        j->other.took_ns = now - j->beside_ns;
    if (j->other.took_ns)
        watch_control(j);
}

/* True when that told all that a second probe could tell. */
static bool end_beside(struct job *j)
{
    if (!j->beside)
        return false;
    second_explain_beside(&j->probe, &j->more[0], &j->other);
    probe_fini(&j->more[0]);
    if (j->other.controls > 0)
        probe_fini(&j->more[1]);
    j->beside = false;
    return !j->probe.signs.cut || j->probe.signs.small_pass || j->other.varies;
}

/* ---- sizes */

/* Whether that is wanted and there is a way to measure. */
static bool begin_measuring(struct job *j)
{
    if (!j->check->options.mtu || j->measuring || j->check->stopped || !j->probe.info.pmtu)
        return false;
    probe_mtu_init(&j->mtu, &j->probe);
    j->measuring = true;
    return true;
}

/* Gives back what a probe of that leg holds, if there was one. */
static void end_leg(struct job *j, unsigned leg)
{
    if (j->more[leg].check)
        probe_fini(&j->more[leg]);
}

static void measure_leg(struct job *j, unsigned leg)
{
    struct probe *p = &j->more[leg];
    uint64_t now = j->check->loop.now_ns;
    struct probe_wish wish;
    uint32_t more;

    if (j->mtu.legs[leg].running) {
        if (!probe_mtu_look(&j->mtu, leg, p, now))
            return;
        more = probe_mtu_more(&j->mtu, leg, p, now);
        if (more) {
            probe_send_half(p, more);
            return;
        }
    }
    end_leg(j, leg);
    if (probe_mtu_next(&j->mtu, leg, now, &wish) == MTU_NEXT_PROBE)
        start(j, leg + 1, wish, now + j->mtu.legs[leg].left_ns);
}

/* True once all is known, or the user has had enough. */
static bool measure(struct job *j)
{
    bool busy = false;

    for (unsigned leg = 0; leg < MTU_LEGS && !j->check->stopped; leg++) {
        measure_leg(j, leg);
        busy |= j->mtu.legs[leg].running;
    }
    for (unsigned leg = 0; leg < MTU_LEGS && !busy; leg++)
        end_leg(j, leg);
    return !busy;
}

/* ---- flows */

static void tell(struct check *c, unsigned number, struct flow *f, const struct check_mtu *mtu)
{
    if (c->options.on_mtu && mtu->len)
        c->options.on_mtu(c->options.owner, number, mtu);
    if (c->options.on_flow)
        c->options.on_flow(c->options.owner, number, f);
    flow_fini(f);
}

/* Hands a flow out, or keeps it until those of the other URLs are there: together they may show
 * more. */
static void hand_out(struct job *j, struct flow *f, const struct certificate *certificate)
{
    struct check *c = j->check;
    struct check_result *more =
        c->together ? reallocarray(c->results, c->results_len + 1, sizeof *more) : NULL;

    if (!more) {
        tell(c, j->number, f, &j->mtu.out);
        return;
    }
    c->results = more;
    c->results[c->results_len++] = (struct check_result){j->number, *f, *certificate, j->mtu.out};
    *f = (struct flow){0};
}

static void hand_out_all(struct check *c, unsigned len)
{
    intercepted_judge(c->results, c->results_len);
    for (unsigned number = 0; number < len; number++)
        for (unsigned i = 0; i < c->results_len; i++)
            if (c->results[i].number == number)
                tell(c, number, &c->results[i].flow, &c->results[i].mtu);
    free(c->results);
}

/* Whether the probe's flow is not the last one of its URL. */
static bool leads_on(const struct job *j)
{
    const struct probe *p = &j->probe;
    struct url next;
    struct err err;

    if (!j->check->options.follow || j->check->stopped || !p->location ||
        p->flow.verdict != VERDICT_OK || j->hops == HOPS_MAX ||
        !url_join(&next, &j->url, span_of(p->location), &err))
        return false;
    url_fini(&next);
    return true;
}

/* On to where the redirect leads; false when that is not wanted or not possible. */
static bool follow(struct job *j, const char *location, struct flow *f)
{
    struct url next;
    struct err err;

    if (!j->check->options.follow || !location || f->verdict != VERDICT_OK)
        return false;
    if (j->hops == HOPS_MAX) {
        flow_warn(f, WARNING_REDIRECT, "not followed: it would be the %uth", HOPS_MAX + 1);
        return false;
    }
    if (!url_join(&next, &j->url, span_of(location), &err)) {
        flow_warn(f, WARNING_REDIRECT, "not followed: %s", err.text);
        return false;
    }
    url_fini(&j->url);
    j->url = next;
    j->hops++;
    return true;
}

/* What a transfer that did not end well has left. */
static void note_saved(const struct download *d, struct flow *f)
{
    if (!d || !d->begun || f->verdict == VERDICT_OK)
        return;
    if (d->whole)
        flow_evidence(f, "%s: all of the %llu bytes came with the second try", d->path,
                      (unsigned long long)d->kept);
    else if (d->is_stream)
        flow_evidence(f, "%llu bytes went out before the cut", (unsigned long long)d->kept);
    else
        flow_evidence(f, "%s keeps %llu bytes: the same command with -C - goes on there", d->path,
                      (unsigned long long)d->kept);
}

/* All that is to be known of a flow is known. */
static void end_flow(struct job *j)
{
    struct check *c = j->check;
    struct probe *p = &j->probe;
    struct flow flow = p->flow;
    char *location = p->location;
    bool more;

    p->flow = (struct flow){0};
    p->location = NULL;
    more = !c->stopped && follow(j, location, &flow);
    note_saved(c->options.download, &flow);
    hand_out(j, &flow, &p->certificate);
    probe_fini(p);
    free(location);
    j->running = j->measuring = false;
    if (more)
        begin_job(j);
    else
        j->done = true;
}

/* A probe ended: what now? */
static void go_on(struct job *j)
{
    struct check *c = j->check;
    struct probe *p = &j->probe;
    struct probe_wish wish;

    if (j->second.why == SECOND_NONE && !end_beside(j) && !c->stopped &&
        c->loop.now_ns + SECOND_MIN_NS < j->deadline_ns && second_is_wanted(p, &wish)) {
        second_begin(&j->second, p);
        probe_fini(p);
        begin_probe(j, wish);
        return;
    }
    if (!c->stopped && second_wants_control(&j->second, p, &wish)) {
        probe_fini(p);
        begin_probe(j, wish);
        return;
    }
    if (j->second.why != SECOND_NONE)
        second_explain(&j->second, p);
    if (!c->options.cacert)
        intercepted_judge_one(&p->flow, &p->certificate);
    if (leads_on(j) || !begin_measuring(j))
        end_flow(j);
}

/* ---- the loop */

static void watch_fd(void *owner, int fd, unsigned want)
{
    struct check *c = owner;
    uint32_t events = (want & 1 ? (uint32_t)EPOLLIN : 0) | (want & 2 ? (uint32_t)EPOLLOUT : 0);
    struct loop_ref ref = {REF_RESOLVER, (uint32_t)fd, 0};

    if (want == 0)
        loop_remove(&c->loop, fd);
    else if (loop_change(&c->loop, fd, events, ref) < 0)
        loop_add(&c->loop, fd, events, ref);
}

static struct probe *find_probe(struct job *jobs, unsigned number)
{
    struct job *j = &jobs[number >> PROBE_BITS];
    unsigned which = number & ((1u << PROBE_BITS) - 1);

    return which ? &j->more[which - 1] : &j->probe;
}

static void dispatch(struct check *c, struct job *jobs, struct loop_ref ref, uint32_t events)
{
    struct probe *p;

    if (ref.kind == REF_RESOLVER) {
        resolver_event(c->resolver, (int)ref.slot,
                       (events & EPOLLOUT ? 2u : 0u) | (events & ~(uint32_t)EPOLLOUT ? 1u : 0u),
                       c->loop.now_ns);
        return;
    }
    p = find_probe(jobs, ref.slot >> TRIES_BITS);
    if (p->generation == ref.generation && p->state != PROBE_ENDED)
        probe_event(p, ref.slot & ((1u << TRIES_BITS) - 1), events);
}

/* Each once: whose bytes do not end waits for the next turn, so that time and the others have one.
 */
static void run_queue(struct check *c)
{
    struct list mark;

    list_push_back(&c->run, &mark);
    while (c->run.next != &mark) {
        struct probe *p = CONTAINER_OF(c->run.next, struct probe, node);

        check_unqueue(p);
        probe_drive(p);
    }
    list_remove(&mark);
}

static void turn(struct check *c, struct job *jobs)
{
    uint64_t until = wheel_next_ns(&c->wheel), dns = resolver_deadline_ns(c->resolver);
    struct wheel_timer *t;
    int n;

    if (dns < until)
        until = dns;
    if (c->loop.now_ns + STOP_LOOK_NS < until)
        until = c->loop.now_ns + STOP_LOOK_NS;
    n = loop_wait(&c->loop, list_is_empty(&c->run) ? until : 0);
    for (int i = 0; i < n; i++) {
        loop_touch(&c->loop);
        dispatch(c, jobs, loop_get_ref(&c->loop, i), loop_get_events(&c->loop, i));
    }
    while ((t = wheel_next_due(&c->wheel, c->loop.now_ns)))
        probe_timer(CONTAINER_OF(t, struct probe, timer));
    resolver_tick(c->resolver, c->loop.now_ns);
    run_queue(c);
}

/* How many URLs go side by side: as many as there are descriptors for, since the lack of one would
 * look like the target's fault. */
static unsigned count_at_once(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) < 0)
        return CHECK_AT_ONCE;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur >= DESCRIPTORS_APART + CHECK_AT_ONCE * DESCRIPTORS_A_URL)
        return CHECK_AT_ONCE;
    if (r.rlim_cur < DESCRIPTORS_APART + 2 * DESCRIPTORS_A_URL)
        return 1;
    return (unsigned)(r.rlim_cur - DESCRIPTORS_APART) / DESCRIPTORS_A_URL;
}

static void run(struct check *c, struct job *jobs, unsigned len, const volatile int *stop)
{
    unsigned begun = 0, running = 0, done = 0, at_once = count_at_once();

    loop_touch(&c->loop);
    while (done < len) {
        while (begun < len && running < at_once && !c->stopped) {
            begin_job(&jobs[begun++]);
            running++;
        }
        turn(c, jobs);
        if (stop && *stop)
            c->stopped = true;
        for (unsigned i = 0; i < begun; i++) {
            struct job *j = &jobs[i];

            if (c->stopped && j->running && !j->ended)
                probe_stop(&j->probe);
            if (j->running && !j->ended)
                watch_beside(j);
            if (!j->running || !j->ended)
                continue;
            if (!j->measuring)
                go_on(j);
            if (j->measuring && measure(j))
                end_flow(j);
            running -= j->done;
            done += j->done;
            if (j->done && c->options.on_done)
                c->options.on_done(c->options.owner, done, len);
        }
        if (c->stopped && done == begun)
            return;
    }
}

/* ---- before and after */

static bool make_contexts(struct check *c, bool any_tls, struct err *err)
{
    const struct check_proxy *proxy = c->options.proxy;
    struct tls_client_options o = tls_options(c);

    if (proxy && proxy->tls) {
        o.ca = proxy->ca;
        c->proxy_tls = tls_context_new_client(&o, err);
        if (!c->proxy_tls)
            return false;
    }
    o.ca = c->options.cacert;
    o.hello_len = CHECK_HELLO_LEN;
    if (any_tls)
        c->target_tls = tls_context_new_client(&o, err);
    return !any_tls || c->target_tls;
}

struct tls_context *check_get_small_tls(struct check *c)
{
    struct tls_client_options o = tls_options(c);
    struct err err;

    o.small = true;
    o.ca = c->options.cacert;
    if (!c->small_tls)
        c->small_tls = tls_context_new_client(&o, &err);
    return c->small_tls;
}

struct tls_context *check_new_hello_tls(struct check *c, uint16_t hello_len)
{
    struct tls_client_options o = tls_options(c);
    struct err err;

    o.ca = c->options.cacert;
    o.hello_len = hello_len;
    return tls_context_new_client(&o, &err);
}

static bool prepare(struct check *c, bool any_tls, struct err *err)
{
    const struct check_proxy *proxy = c->options.proxy;
    struct resolve_config r = {.hosts_file = "/etc/hosts",
                               .timeout_ns = RESOLVE_TRY_NS,
                               .total_ns = RESOLVE_NS,
                               .cache = 256};
    int failed = loop_init(&c->loop);

    if (failed < 0) {
        err_set(err, "epoll: %s", strerror(-failed));
        return false;
    }
    wheel_init(&c->wheel, c->loop.now_ns);
    list_init(&c->run);
    hash_random(&c->id_state, sizeof c->id_state);
    c->resolver = resolver_new(&r, watch_fd, c);
    c->buffer = malloc(CHECK_BUFFER);
    if (!c->resolver || !c->buffer ||
        !login_init(&c->login, proxy ? proxy->user : NULL, proxy ? proxy->password : NULL,
                    proxy ? proxy->wish : LOGIN_ANY)) {
        err_set(err, "out of memory");
        return false;
    }
    return make_contexts(c, any_tls, err);
}

static void finish(struct check *c)
{
    login_fini(&c->login);
    tls_context_unref(c->proxy_tls);
    tls_context_unref(c->target_tls);
    tls_context_unref(c->small_tls);
    if (c->resolver)
        resolver_free(c->resolver);
    free(c->buffer);
    loop_fini(&c->loop);
}

bool check_run(const struct check_options *o, const char *const *urls, unsigned len,
               const volatile int *stop, struct err *err)
{
    struct check c = {.options = *o, .loop.fd = -1};
    struct job *jobs = calloc(len ? len : 1, sizeof *jobs);
    bool any_tls = o->follow, ok = jobs != NULL;

    if (!jobs)
        err_set(err, "out of memory");
    if (!c.options.timeout_ns)
        c.options.timeout_ns = TIMEOUT_NS;
    c.together = len > 1;
    for (unsigned i = 0; ok && i < len; i++) {
        jobs[i].check = &c;
        jobs[i].number = i;
        ok = url_parse(&jobs[i].url, span_of(urls[i]), err);
        any_tls |= ok && jobs[i].url.tls;
    }
    ok = ok && prepare(&c, any_tls, err);
    if (ok) {
        run(&c, jobs, len, stop);
        hand_out_all(&c, len);
    }
    for (unsigned i = 0; jobs && i < len; i++)
        url_fini(&jobs[i].url);
    free(jobs);
    finish(&c);
    return ok;
}

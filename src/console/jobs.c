#include "console/jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/hash.h"
#include "base/log.h"

#define EVENTS_MAX (8u << 20)     /* that wait for the reader */
#define LINE_MAX (2u << 20)       /* of the child's output */
#define WORDS_MAX 4096u           /* of its standard error, which are kept */
#define OUTPUT_MAX (64u << 20)    /* of the child in all */
#define NOBODY_NS (10 * NS_PER_S) /* without a reader */
#define MEMORY (1ull << 30)
#define DESCRIPTORS 256

/* Sanitizers reserve more address space than any limit allows, the thread sanitizer by way of a
 * file. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIMITS_SPACE false
#else
#define LIMITS_SPACE true
#endif

struct job {
    struct jobs *jobs;
    char id[JOBS_ID_HEX + 1]; /* "": free */
    struct job_options options;
    pid_t pid;
    int pid_fd, out_fd, err_fd; /* -1: over */
    struct buf line, words, events;
    uint64_t deadline_ns, nobody_ns, written;
    bool has_reader, over, cut;
};

struct jobs {
    struct console *console;
    struct job all[JOBS_MAX];
};

struct jobs *jobs_new(struct console *c)
{
    struct jobs *j = calloc(1, sizeof *j);

    if (j)
        j->console = c;
    return j;
}

/* --- events ----------------------------------------------------------------------------------- */

void jobs_add_event(struct buf *events, const char *name, const char *member, struct span text)
{
    struct pen pen;
    struct jsonw w = {.pen = &pen};

    pen_init_draft(&pen, events);
    pen_text(&pen, "event: ");
    pen_text(&pen, name);
    pen_text(&pen, "\ndata: ");
    jsonw_open(&w, '{');
    jsonw_key(&w, member);
    jsonw_span(&w, text);
    jsonw_close(&w, '}');
    pen_text(&pen, "\n\n");
    pen_end_draft(&pen, events);
}

static void add_line(struct job *job, struct span line)
{
    if (line.len == 0 || job->cut)
        return;
    if (job->options.line) {
        job->options.line(job->options.owner, line, &job->events);
    } else if (line.ptr[0] == '{') { /* JSON on one line, as we write it */
        if (job->events.len + line.len + 32 < EVENTS_MAX) {
            buf_append(&job->events, "event: flow\ndata: ", 18);
            buf_append(&job->events, line.ptr, line.len);
            buf_append(&job->events, "\n\n", 2);
        }
    } else {
        jobs_add_event(&job->events, "line", "text", line);
    }
}

static void add_end(struct job *job, int status)
{
    struct span words = buf_span(&job->words);
    struct pen pen;
    struct jsonw w = {.pen = &pen};

    if (job->options.ended)
        job->options.ended(job->options.owner, status, &job->events);
    pen_init_draft(&pen, &job->events);
    pen_text(&pen, "event: end\ndata: ");
    jsonw_open(&w, '{');
    jsonw_key(&w, "status");
    if (status < 0)
        jsonw_null(&w);
    else
        jsonw_u64(&w, (uint64_t)status);
    jsonw_key(&w, "message");
    jsonw_span(&w, words);
    jsonw_close(&w, '}');
    pen_text(&pen, "\n\n");
    pen_end_draft(&pen, &job->events);
}

/* --- the child's output ----------------------------------------------------------------------- */

static void unwatch(struct job *job, int *fd)
{
    if (*fd < 0)
        return;
    console_unwatch(job->jobs->console, *fd);
    close(*fd);
    *fd = -1;
}

static void take_lines(struct job *job)
{
    struct span all = buf_span(&job->line);
    long end;

    while ((end = span_find(buf_span(&job->line), '\n')) >= 0) {
        all = buf_span(&job->line);
        add_line(job, (struct span){all.ptr, (size_t)end});
        buf_consume(&job->line, (size_t)end + 1);
    }
}

static void stop(struct job *job, const char *why)
{
    if (job->pid > 0)
        kill(job->pid, SIGKILL);
    if (!job->cut && *why)
        buf_printf(&job->words, "%s\n", why);
    job->cut = true;
}

static void read_output(void *owner)
{
    struct job *job = owner;
    char bytes[65536];
    ssize_t n = read(job->out_fd, bytes, sizeof bytes);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        add_line(job, buf_span(&job->line));
        unwatch(job, &job->out_fd);
        return;
    }
    job->written += (uint64_t)n;
    if (job->written > OUTPUT_MAX || !buf_append(&job->line, bytes, (size_t)n))
        stop(job, "ended: it has more to say than is taken");
    take_lines(job);
    console_wake_streams(job->jobs->console);
}

static void read_words(void *owner)
{
    struct job *job = owner;
    char bytes[1024];
    ssize_t n = read(job->err_fd, bytes, sizeof bytes);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        unwatch(job, &job->err_fd);
    else
        buf_append(&job->words, bytes, (size_t)n); /* what is beyond the maximum is left out */
}

static void read_end(void *owner)
{
    struct job *job = owner;
    int status;

    if (waitpid(job->pid, &status, WNOHANG) != job->pid)
        return;
    while (job->out_fd >= 0 && !job->cut)
        read_output(job);
    while (job->err_fd >= 0)
        read_words(job);
    unwatch(job, &job->out_fd);
    unwatch(job, &job->pid_fd);
    job->pid = 0;
    job->over = true;
    add_end(job, WIFEXITED(status) && !job->cut ? WEXITSTATUS(status) : -1);
    console_wake_streams(job->jobs->console);
}

/* --- start ------------------------------------------------------------------------------------ */

static void limit(int what, uint64_t n)
{
    setrlimit((__rlimit_resource_t)what, &(struct rlimit){n, n});
}

/* Between fork and exec only system calls: other threads hold locks that nobody here will open. */
static void become(const struct job_options *o, const char *program, int in, int out, int err,
                   char **argv, char **envp)
{
    sigset_t none;

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    syscall(SYS_close_range, 3u, ~0u, 0u);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, o->seconds);
    limit(RLIMIT_NOFILE, DESCRIPTORS);
    if (LIMITS_SPACE && !o->writes)
        limit(RLIMIT_FSIZE, 0);
    if (LIMITS_SPACE)
        limit(RLIMIT_AS, MEMORY);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program, argv, envp);
    _exit(127);
}

struct pipes {
    int in[2], out[2], err[2];
};

static void close_pipes(struct pipes *p)
{
    int *all[] = {&p->in[0], &p->in[1], &p->out[0], &p->out[1], &p->err[0], &p->err[1]};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (*all[i] >= 0)
            close(*all[i]);
}

static bool open_pipes(struct pipes *p, const struct job_options *o)
{
    *p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
    if (pipe2(p->out, O_CLOEXEC) != 0 || pipe2(p->err, O_CLOEXEC) != 0)
        return false;
    if (o->input_fd >= 0)
        return lseek(o->input_fd, 0, SEEK_SET) == 0;
    if (pipe2(p->in, O_CLOEXEC) != 0)
        return false;
    /* fewer bytes than a pipe holds: nobody waits */
    return o->input.len <= 4096 &&
           write(p->in[1], o->input.ptr, o->input.len) == (ssize_t)o->input.len;
}

static bool spawn(struct job *job, struct pipes *p)
{
    const struct job_options *o = &job->options;
    char *argv[JOBS_ARGS_MAX + 2] = {"viaduct"};
    char *envp[] = {strcmp(o->language, "ja") == 0 ? "LC_ALL=ja_JP.UTF-8" : "LC_ALL=C.UTF-8",
                    strcmp(o->language, "ja") == 0 ? "LANGUAGE=ja" : "LANGUAGE=en", "NO_COLOR=1",
                    NULL};
    const char *program = console_get_options(job->jobs->console)->program;

    for (unsigned i = 0; i < JOBS_ARGS_MAX && o->args[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)o->args[i];
    job->pid = fork();
    if (job->pid == 0)
        become(o, program, o->input_fd >= 0 ? o->input_fd : p->in[0], p->out[1], p->err[1], argv,
               envp);
    if (job->pid < 0)
        return false;
    job->pid_fd = (int)syscall(SYS_pidfd_open, job->pid, 0);
    job->out_fd = p->out[0];
    job->err_fd = p->err[0];
    p->out[0] = p->err[0] = -1;
    fcntl(job->out_fd, F_SETFL, O_NONBLOCK);
    fcntl(job->err_fd, F_SETFL, O_NONBLOCK);
    return job->pid_fd >= 0 && console_watch(job->jobs->console, job->out_fd, read_output, job) &&
           console_watch(job->jobs->console, job->err_fd, read_words, job) &&
           console_watch(job->jobs->console, job->pid_fd, read_end, job);
}

static void drop(struct job *job)
{
    if (job->pid > 0) {
        kill(job->pid, SIGKILL);
        waitpid(job->pid, NULL, 0);
    }
    unwatch(job, &job->out_fd);
    unwatch(job, &job->err_fd);
    unwatch(job, &job->pid_fd);
    buf_fini(&job->line);
    buf_fini(&job->words);
    buf_fini(&job->events);
    if (job->options.free)
        job->options.free(job->options.owner);
    *job = (struct job){.pid_fd = -1, .out_fd = -1, .err_fd = -1};
}

/* Those whose reader never came make room. */
static struct job *find_room(struct jobs *j)
{
    uint64_t now_ns = console_now_ns(j->console);

    for (unsigned i = 0; i < JOBS_MAX; i++) {
        struct job *job = &j->all[i];

        if (*job->id && !job->has_reader && now_ns >= job->nobody_ns)
            drop(job);
        if (!*job->id)
            return job;
    }
    return NULL;
}

bool jobs_start(struct jobs *j, const struct job_options *o, char id[JOBS_ID_HEX + 1],
                struct err *err)
{
    struct job *job = find_room(j);
    unsigned char bytes[JOBS_ID_HEX / 2];
    struct pipes pipes;
    bool ok;

    if (!job) {
        err_set(err, "%d jobs are under way already", JOBS_MAX);
        if (o->free)
            o->free(o->owner);
        return false;
    }
    *job = (struct job){.jobs = j, .options = *o, .pid_fd = -1, .out_fd = -1, .err_fd = -1};
    buf_init(&job->line, LINE_MAX);
    buf_init(&job->words, WORDS_MAX);
    buf_init(&job->events, EVENTS_MAX);
    hash_random(bytes, sizeof bytes);
    digest_write_hex(bytes, sizeof bytes, job->id);
    job->nobody_ns = console_now_ns(j->console) + NOBODY_NS;
    job->deadline_ns = console_now_ns(j->console) + o->seconds * NS_PER_S;
    ok = open_pipes(&pipes, o) && spawn(job, &pipes);
    close_pipes(&pipes);
    if (ok) {
        memcpy(id, job->id, sizeof job->id);
        return true;
    }
    err_set(err, "cannot start a process: %s", strerror(errno));
    drop(job);
    return false;
}

void jobs_answer(struct request *r, const struct job_options *o, struct reply *reply)
{
    char id[JOBS_ID_HEX + 1];
    struct reply_json j;
    struct err err;

    if (!jobs_start(console_get_jobs(r->console), o, id, &err)) {
        reply->retry_after_s = 10;
        reply_problem(reply, 503, "busy", NULL, "%s", err.text);
        return;
    }
    reply->status = 202;
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_member_text(&j.w, "job", id);
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
}

/* --- readers ---------------------------------------------------------------------------------- */

static struct job *find(struct jobs *j, const char *id)
{
    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (*j->all[i].id && strcmp(j->all[i].id, id) == 0)
            return &j->all[i];
    return NULL;
}

static bool tick(void *owner, struct buf *out, uint64_t now_ns)
{
    struct job *job = owner;
    struct span events = buf_span(&job->events);
    size_t room = out->max - out->len;
    size_t n = events.len < room ? events.len : room;

    if (now_ns >= job->deadline_ns && !job->over)
        stop(job, "ended: it took too long");
    if (n > 0 && buf_append(out, events.ptr, n))
        buf_consume(&job->events, n);
    return !job->over || job->events.len > 0;
}

static void leave(void *owner)
{
    drop(owner);
}

bool jobs_read(struct jobs *j, const char *id, struct event_stream *out)
{
    struct job *job = find(j, id);

    if (!job || job->has_reader)
        return false;
    job->has_reader = true;
    *out = (struct event_stream){job, tick, leave};
    return true;
}

bool jobs_end(struct jobs *j, const char *id)
{
    struct job *job = find(j, id);

    if (!job)
        return false;
    if (job->has_reader)
        stop(job, "ended");
    else
        drop(job);
    return true;
}

void jobs_free(struct jobs *j)
{
    if (!j)
        return;
    for (unsigned i = 0; i < JOBS_MAX; i++)
        if (*j->all[i].id)
            drop(&j->all[i]);
    free(j);
}

/* Bodies: of an answer that says no, which is read for what it says; of one that is saved or
 * counted; and the close behind it. */
#include <errno.h>

#include "base/clock.h"
#include "check/download.h"
#include "check/internal.h"
#include "check/refusal.h"

#define INSPECTED_MIN (64u * 1024) /* bytes: a smaller body says nothing about inspection */
#define TURN_READS 16              /* of a body, before others have their turn */

/* ---- bodies */

/* "1234 of 5000 bytes of the body came in 3.2 s" */
void probe_note_count(struct probe *p)
{
    double seconds = (double)(probe_now(p) - p->body_ns) / 1e9;

    p->signs.cut = p->down.payload > 0;
    p->signs.cut_at = p->down.payload;
    p->signs.cut_ns = probe_now(p) - p->body_ns;
    if (p->down.kind == BODY_LENGTH)
        flow_evidence(&p->flow, "%llu of %llu bytes of the body came, in %.1f s",
                      (unsigned long long)p->down.payload, (unsigned long long)p->down.total,
                      seconds);
    else
        flow_evidence(&p->flow, "%llu bytes of the body came, in %.1f s, and not its end",
                      (unsigned long long)p->down.payload, seconds);
}

/* Takes what the bytes have of the body: *used of them.  Content goes to p->refusal while there is
 * room (`keep`), and to the download. */
static enum parse take_bytes(struct probe *p, struct span bytes, bool keep, size_t *used)
{
    enum parse parsed = PARSE_MORE;

    *used = 0;
    while (*used < bytes.len && parsed == PARSE_MORE && !p->down.done) {
        struct span rest = {bytes.ptr + *used, bytes.len - *used}, data;
        size_t n;

        parsed = body_read(&p->down, rest, &n, &data);
        if (parsed == PARSE_BAD)
            return parsed;
        if (!p->url->tls)
            p->flow.bytes_down += data.len;
        if (keep) {
            size_t room = p->refusal.max - p->refusal.len;

            buf_append(&p->refusal, data.ptr, data.len < room ? data.len : room);
        }
        if (p->saving && !download_write(p->check->options.download, data))
            return parsed;
        *used += n;
        if (n == 0)
            break;
    }
    return parsed;
}

/* The same with what p->in has. */
static enum parse take_body(struct probe *p, bool keep)
{
    size_t used;
    enum parse parsed = take_bytes(p, buf_span(&p->in), keep, &used);

    buf_consume(&p->in, used);
    return parsed;
}

enum probe_next probe_step_refusal(struct probe *p)
{
    bool is_over = take_body(p, true) == PARSE_BAD || p->down.done ||
                   p->refusal.len == p->refusal.max ||
                   probe_now(p) >= p->state_ns + PROBE_REFUSAL_NS;
    ssize_t n;

    if (is_over)
        return refusal_judge(p);
    n = probe_read(p);
    if (n == -EAGAIN)
        return PROBE_WAIT;
    return n <= 0 ? probe_broken(p, (int)-n) : PROBE_AGAIN;
}

/* A long wait while the request was taken, then all at once: it was stored, looked at and sent on.
 */
static void warn_inspection(struct probe *p)
{
    uint64_t took = probe_now(p) - p->body_ns;

    if (p->through_proxy && p->head_wait_ns > PROBE_SLOW_NS && p->down.payload >= INSPECTED_MIN &&
        took < p->head_wait_ns / 10)
        flow_warn(&p->flow, WARNING_INSPECTION_DELAY,
                  "%.1f s of silence, then %llu bytes in %.1f s", (double)p->head_wait_ns / 1e9,
                  (unsigned long long)p->down.payload, (double)took / 1e9);
}

enum probe_next probe_close_well(struct probe *p)
{
    warn_inspection(p);
    if (p->saving)
        download_end(p->check->options.download);
    p->finishing = true;
    p->ending = (struct ending){VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN};
    conn_shutdown(&p->conn);
    taps_close(p, true, false);
    return probe_enter(p, PROBE_CLOSE);
}

void probe_tell_bytes(const struct probe *p)
{
    const struct check *c = p->check;
    uint64_t before = p->saving ? c->options.download->base : 0;

    if (c->options.on_bytes && !p->wish.beside)
        c->options.on_bytes(c->options.owner, p->url_number, before + p->down.payload,
                            p->down.kind == BODY_LENGTH ? before + p->down.total : 0);
}

/* Reads a good deal of the body, each piece straight from the buffer to where it goes: bytes of the
 * last one, 0 at the end, -EAGAIN, -errno. */
static ssize_t read_body(struct probe *p, enum parse *parsed)
{
    ssize_t n = 1;

    for (unsigned i = 0; i < TURN_READS && n > 0 && *parsed == PARSE_MORE && !p->down.done; i++) {
        size_t used;

        n = probe_read_straight(p);
        if (n > 0)
            *parsed = take_bytes(p, (struct span){p->check->buffer, (size_t)n}, false, &used);
        if (p->saving && p->check->options.download->fault)
            break;
    }
    return n;
}

enum probe_next probe_step_transfer(struct probe *p)
{
    struct download *d = p->check->options.download;
    enum parse parsed = take_body(p, false);
    ssize_t n = read_body(p, &parsed);

    probe_tell_bytes(p);
    if (p->saving && d->fault)
        return probe_end(p, VERDICT_OPEN, SIDE_CLIENT, CERTAINTY_SEEN, "cannot save the body: %s",
                         verdict_errno_text(d->fault));
    if (parsed == PARSE_BAD) {
        probe_note_count(p);
        p->signs.cut = false; /* nonsense comes at the same count each time: no limit */
        return probe_end(p, VERDICT_UPSTREAM_FAILED, SIDE_TARGET, CERTAINTY_SEEN, "%s",
                         p->down.bad_what);
    }
    if (p->down.done)
        return probe_close_well(p);
    if (n == -EAGAIN)
        return PROBE_WAIT;
    if (n > 0) { /* more than a turn's worth */
        check_queue(p);
        return PROBE_WAIT;
    }
    if (n == 0 && body_finish(&p->down) && (!p->tls_begun || tlsrec_is_boundary(&p->records)))
        return probe_close_well(p);
    return probe_broken(p, (int)-n);
}

/* ---- the close */

enum probe_next probe_step_close(struct probe *p)
{
    ssize_t n = conn_read(&p->conn, p->check->buffer, CHECK_BUFFER);

    if (n == -EAGAIN)
        return PROBE_WAIT;
    if (n == 0)
        taps_close(p, false, false);
    return n > 0 ? PROBE_AGAIN : probe_end_as(p, p->ending);
}

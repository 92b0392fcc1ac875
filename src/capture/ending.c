/* What is known without a doubt comes first: a connection that never was, then the words of an
 * answer.  What was asked and not answered is judged here, as only who looks on sees both sides of
 * it; what came behind the answer is judged by flow/judge, as for the proxy and the checker.
 *
 * A silence that is long enough is judged as a silence, whoever closed in the end: closing is what
 * people and timers do about a silence.  Only where nothing was owed the close itself counts. */
#include "capture/ending.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/beyond.h"
#include "capture/copies.h"
#include "capture/cuts.h"
#include "capture/doubts.h"
#include "capture/issuers.h"
#include "capture/look.h"
#include "capture/moments.h"
#include "capture/opened.h"
#include "capture/remarks.h"
#include "capture/unanswered.h"
#include "capture/warnings.h"
#include "flow/inspectors.h"
#include "flow/judge.h"

#define PATIENCE_NS (5 * NS_PER_S)

struct endings {
    struct endings_options options;
    struct issuers issuers;
};

struct endings *endings_new(const struct endings_options *o)
{
    struct endings *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->options = *o;
    if (!e->options.silence_ns)
        e->options.silence_ns = PATIENCE_NS;
    return e;
}

void endings_free(struct endings *e)
{
    if (!e)
        return;
    issuers_fini(&e->issuers);
    free(e);
}

/* ---- certificates */

/* A certificate that the client took, and that an inspector made. */
static void refine_issuer(struct endings *n, const struct look *l, struct ending *e)
{
    const struct flow_tls *t = l->f->tls;
    enum side by = l->x->proxied ? SIDE_PROXY : SIDE_NETWORK;
    const char *issuer = t ? t->issuer : NULL, *product, *other;

    if (!issuer)
        return;
    product = inspectors_find(span_of(issuer));
    other = l->x->target ? issuers_add(&n->issuers, issuer, l->x->target) : NULL;
    if (product)
        flow_evidence(l->f, "the certificate's issuer is an inspector's: %s", product);
    else if (other)
        flow_evidence(l->f, "the same issuer, no public one, made the certificate of %s", other);
    if ((!product && !other) || (e->verdict != VERDICT_OK && e->verdict != VERDICT_OPEN))
        return;
    *e = product ? look_conclude(l, VERDICT_TLS_INTERCEPTED, by, CERTAINTY_SEEN, "%s", product)
                 : look_conclude(l, VERDICT_TLS_INTERCEPTED, by, CERTAINTY_INFERRED,
                                 "one issuer for unrelated targets");
}

/* ---- all of it */

/* Plain HTTP says itself when it is through; how the connection went away is nobody's matter then,
 * if only the answer arrived. */
static bool is_through(const struct look *l)
{
    return l->x->complete && l->x->status &&
           (!l->x->is_last || stream_unacked(&l->c->streams[DOWN]) == 0);
}

static struct ending judge_through(const struct look *l)
{
    flow_evidence(l->f, "request and answer are whole");
    return look_conclude(l, VERDICT_OK,
                         l->closed       ? look_side(l, l->closer)
                         : l->x->proxied ? SIDE_PROXY
                                         : SIDE_TARGET,
                         CERTAINTY_SEEN, "%s", "");
}

/* What a status alone means, where the answer's head was not all there to be judged. */
static bool judge_status(const struct look *l, struct ending *e)
{
    struct outside_answer a = {.asked = l->x->asked == ASKED_CONNECT    ? OUTSIDE_CONNECT
                                        : l->x->asked == ASKED_ABSOLUTE ? OUTSIDE_ABSOLUTE
                                                                        : OUTSIDE_DIRECT,
                               .by_name = l->x->by_name,
                               .credentials_sent = l->x->credentials_sent,
                               .is_http = true,
                               .status = l->x->status};
    struct outside_verdict v;

    if (l->judged || l->x->status < 300)
        return false;
    v = outside_judge(&a, l->f);
    if (v.verdict == VERDICT_OK)
        return false;
    *e = look_conclude(l, v.verdict, v.by, v.certainty, "%s", v.reason);
    return true;
}

static bool is_asked(const struct exchange *x)
{
    return x->asked == ASKED_CONNECT || x->asked == ASKED_ABSOLUTE || x->asked == ASKED_ORIGIN ||
           (x->asked == ASKED_OTHER && x->proxied);
}

static struct ending judge(struct endings *n, const struct look *l)
{
    const struct exchange *x = l->x;
    struct ending e;

    if (!l->c->established && !x->sides[UP].bytes && !x->sides[DOWN].bytes && !x->status &&
        x->asked == ASKED_NOTHING)
        return unanswered_judge_connect(l);
    if (l->judged && l->judged->verdict != VERDICT_OK)
        return look_conclude(l, l->judged->verdict, l->judged->by, l->judged->certainty, "%s",
                             l->judged->reason);
    if (judge_status(l, &e))
        return e;
    if (is_through(l))
        return judge_through(l);
    if (look_get(l, MARK_PROXY_HELLO))
        return beyond_judge_proxy_tls(l);
    if (is_asked(x) && look_get(l, MARK_ANSWER) && !look_get(l, MARK_ANSWER_END) &&
        !x->content_unseen && !x->early_unseen && !l->judged && !l->c->is_text)
        return unanswered_judge_head(l);
    if (is_asked(x) && !x->status && !l->judged && !x->early_unseen && !look_is_upload(l) &&
        !look_get(l, MARK_HELLO))
        return unanswered_judge_request(l);
    e = beyond_judge(l);
    refine_issuer(n, l, &e);
    opened_refine(l, &e);
    return e;
}

/* What is not in the capture may have been otherwise: a record's end, a last chunk, all of one
 * side. A text never has more than its lines. */
static void doubt(const struct look *l, struct ending *e)
{
    bool half = l->c->established && (l->unseen[UP] || l->unseen[DOWN]);

    if (half && e->verdict == VERDICT_OK && !l->x->status && l->x->sides[DOWN].bytes == 0 &&
        l->unseen[UP])
        *e = look_conclude(l, VERDICT_OPEN, SIDE_NOBODY, CERTAINTY_INFERRED,
                           "nothing of the client is in the capture");
    if (half || l->c->flags_unseen ||
        (e->verdict == VERDICT_OK && !l->c->is_text &&
         (l->x->content_unseen || l->x->early_unseen)))
        e->certainty = CERTAINTY_INFERRED;
}

/* Until when the flow lasted: its close, or as long as somebody waited in vain. */
static uint64_t end_of(const struct look *l, enum verdict v)
{
    uint64_t closed_ns = look_get(l, MARK_CLOSED);

    if (l->closed)
        return closed_ns > l->close_ns ? closed_ns : l->close_ns;
    return verdict_is_success(v) ? l->last_ns : l->until_ns;
}

void endings_make(struct endings *n, const struct exchange *x, enum conn_end how, uint64_t now_ns,
                  struct flow *out)
{
    struct look l = {.x = x,
                     .how = how,
                     .now_ns = now_ns,
                     .source = n->options.source,
                     .patience_ns = n->options.silence_ns,
                     .f = out};
    struct ending e;

    look_init(&l);
    copies_write(&l);
    e = judge(n, &l);
    unanswered_refine_dial(&l, &e);
    doubt(&l, &e);
    doubts_refine(&l, &e);
    remarks_write_evidence(&l, &e);
    remarks_write_reason(&l, &e);
    moments_write(&l, e.verdict);
    warnings_write(&l, &e);
    flow_end(out, e.verdict, e.by, e.certainty, end_of(&l, e.verdict));
    if (e.verdict == VERDICT_TLS_INTERCEPTED) /* all went on, but that is where it was done */
        out->ended_in = PHASE_TLS;
}

bool endings_is_pending(const struct endings *e, const struct flow *f)
{
    (void)e;
    return cuts_is_pending(f);
}

bool endings_settle(struct endings *e, struct flow *a, struct flow *b)
{
    (void)e;
    return cuts_settle(a, b);
}

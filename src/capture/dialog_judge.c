/* What answers mean, by flow/outside: those that refuse, with their pages, and what is no answer.
 */
#include <stdio.h>
#include <stdlib.h>

#include "capture/head.h"
#include "capture/round.h"

#define LOCATION_MAX 480

/* Of a request that nobody saw its answer has to tell: some only targets give. */
static enum outside_asked guess_asked(unsigned status)
{
    return status < 400 || status == 401 || status == 404 || status == 410 ? OUTSIDE_ABSOLUTE
                                                                           : OUTSIDE_CONNECT;
}

static enum outside_asked asked_of(const struct exchange *x, unsigned status)
{
    if (!x->proxied || x->asked == ASKED_ORIGIN)
        return OUTSIDE_DIRECT;
    if (x->asked == ASKED_UNSEEN)
        return guess_asked(status);
    return x->asked == ASKED_ABSOLUTE ? OUTSIDE_ABSOLUTE : OUTSIDE_CONNECT;
}

static void judge(struct exchange *x, struct outside_answer *a)
{
    struct exchange_rare *r = exchange_make_rare(x);
    struct flow scratch = {.notes = r ? r->notes : (struct notes){0}};
    struct outside_verdict v;

    if (!r)
        return;
    a->asked = asked_of(x, a->status);
    a->by_name = x->by_name;
    a->credentials_sent = x->credentials_sent;
    v = outside_judge(a, &scratch);
    r->notes = scratch.notes;
    if (v.verdict == VERDICT_OK)
        return;
    if (v.verdict != VERDICT_TARGET_ERROR) /* its page belongs to the answer, nothing was moved */
        exchange_unmark(x, MARK_BODY);
    if (!r->judged)
        r->judged = malloc(sizeof *r->judged);
    if (r->judged)
        *r->judged = v;
}

void dialog_judge_bytes(struct exchange *x, struct span first)
{
    struct outside_answer a = {
        .first = {first.ptr, first.len < OUTSIDE_BODY_MAX ? first.len : OUTSIDE_BODY_MAX}};

    judge(x, &a);
}

void dialog_judge_head(struct dialogs *d, struct exchange *x, struct span head, struct span body)
{
    struct http1_head *h = &d->head;
    struct outside_answer a = {.is_http = true, .body = body};

    head_read_response(head, h);
    a.status = h->status;
    a.reason = h->reason;
    for (unsigned i = 0; i < h->fields_len; i++)
        outside_add_field(&a, h->fields[i].name, h->fields[i].value);
    judge(x, &a);
}

void dialog_judge_kept(struct dialogs *d, struct dialog *g, struct round *t)
{
    struct span all = round_kept(g, DOWN);
    size_t head = t->has_head && g->words ? g->words->head_len : 0;

    t->has_head = false;
    if (head == 0 || all.len < head) /* what came behind it was not to be read */
        return;
    dialog_judge_head(d, &t->x, (struct span){all.ptr, head},
                      (struct span){all.ptr + head, all.len - head});
    round_forget(d, g, DOWN);
}

bool dialog_judge_page(struct said *s, struct round *t)
{
    if (!t->maybe_page)
        return false;
    t->maybe_page = false;
    round_keep(s->d, s->g, DOWN, s->p.bytes);
    dialog_judge_kept(s->d, s->g, t);
    return exchange_get_rare(&t->x)->judged != NULL;
}

void dialog_judge_redirect(struct exchange *x, const struct http1_head *h)
{
    struct exchange_rare *r = exchange_make_rare(x);
    struct flow scratch = {.notes = r ? r->notes : (struct notes){0}};
    char where[LOCATION_MAX];

    if (!r)
        return;
    for (unsigned i = 0; i < h->fields_len; i++) {
        struct span v = h->fields[i].value;

        if (!span_equal_nocase(h->fields[i].name, SPAN_LIT("location")))
            continue;
        snprintf(where, sizeof where, "%.*s", (int)(v.len < sizeof where ? v.len : sizeof where),
                 v.ptr);
        head_hide_user(where);
        flow_note(&scratch, NOTE_REDIRECT, 0, "%u %s", h->status, where);
    }
    r->notes = scratch.notes;
}

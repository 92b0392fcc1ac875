#include "capture/opened.h"

#include <inttypes.h>

#include "base/util.h"
#include "capture/inside.h"

#define TOLD_MAX 8      /* answers that become evidence: the last ones */
#define PATH_MAX_LEN 80 /* bytes of a path that are shown */

/* Without what stands behind a '?': who asked may have put secrets there. */
static int shown_len(const char *path)
{
    size_t len = strcspn(path, "?");

    return (int)(len < PATH_MAX_LEN ? len : PATH_MAX_LEN);
}

static void note_answer(const struct look *l, const struct inside_answer *a)
{
    const char *path = a->path ? a->path : "";
    char where[LOOK_TEXT_MAX];

    flow_evidence(l->f, "%s, inside the tunnel: %s%s%.*s answered %u%s%s",
                  look_name_packet(l, a->number, a->at_ns, where),
                  a->method ? a->method : "request", *path ? " " : "", shown_len(path), path,
                  a->status, a->location ? ", location " : "", a->location ? a->location : "");
    if (a->unfinished && a->promised)
        flow_evidence(l->f, "%" PRIu64 " of %" PRIu64 " bytes of its body came", a->received,
                      a->promised);
    else if (a->unfinished)
        flow_evidence(l->f, "%" PRIu64 " bytes of its body came, and no end of it", a->received);
}

/* The target answered, and never with anything but errors and what leads elsewhere. */
static bool is_all_refused(const struct inside_sight *s)
{
    for (unsigned i = 0; i < s->answers_len; i++)
        if (s->answers[i].status < 300 || s->answers[i].status == 304)
            return false;
    return s->answers[s->answers_len - 1].status >= 400;
}

static void conclude(const struct look *l, struct ending *e, enum verdict v, enum side by,
                     const char *reason)
{
    flow_set_text(&l->f->reason, reason);
    *e = (struct ending){v, by, CERTAINTY_SEEN, SIDE_NOBODY};
}

void opened_refine(const struct look *l, struct ending *e)
{
    const struct inside_sight *s = l->sight;
    const struct inside_answer *last;

    if (!s || s->answers_len == 0)
        return;
    last = &s->answers[s->answers_len - 1];
    l->f->status = last->status;
    for (unsigned i = s->answers_len > TOLD_MAX ? s->answers_len - TOLD_MAX : 0; i < s->answers_len;
         i++)
        note_answer(l, &s->answers[i]);
    if (e->verdict == VERDICT_RESET_BY_CLIENT && !last->unfinished && !s->failed)
        conclude(l, e, VERDICT_OK, SIDE_CLIENT, "the client had its whole answer when it reset");
    if (e->verdict != VERDICT_OK)
        return;
    if (last->unfinished && !s->failed && l->closed && l->closer == DOWN)
        conclude(l, e, VERDICT_INCOMPLETE, l->far, "closed inside a body, by what keys show");
    else if (is_all_refused(s))
        conclude(l, e, VERDICT_TARGET_ERROR, SIDE_TARGET,
                 "the target's own answer inside the tunnel");
}

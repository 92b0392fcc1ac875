#include "capture/answers.h"

#include <stdlib.h>

static char *keep_text(struct span text)
{
    if (text.len > ANSWERS_TEXT_MAX)
        text.len = ANSWERS_TEXT_MAX;
    return span_dup(text);
}

void answers_set_request(struct answers_request *r, struct span method, struct span path)
{
    answers_drop_request(r);
    r->method = method.len > 0 ? keep_text(method) : NULL;
    r->path = path.len > 0 ? keep_text(path) : NULL;
}

void answers_drop_request(struct answers_request *r)
{
    free(r->method);
    free(r->path);
    *r = (struct answers_request){.method = NULL};
}

static void drop_answer(struct inside_answer *answer)
{
    free(answer->location);
    free(answer->method);
    free(answer->path);
    *answer = (struct inside_answer){.status = 0};
}

/* The place for one more: a new one, or the last one's, which goes.  NULL: out of memory. */
static struct inside_answer *get_place(struct inside_sight *s)
{
    unsigned len = s->answers_len;
    struct inside_answer *grown;

    if (len == ANSWERS_MAX) {
        drop_answer(&s->answers[len - 1]);
        return &s->answers[len - 1];
    }
    if ((len & (len - 1)) == 0) { /* a power of two, or none: it is full */
        grown = realloc(s->answers, (len ? 2 * (size_t)len : 1) * sizeof *grown);
        if (!grown)
            return NULL;
        s->answers = grown;
    }
    s->answers_len++;
    return &s->answers[len];
}

uint64_t answers_begin(struct answers *a, const struct answers_head *h,
                       struct answers_request *request)
{
    struct inside_answer *answer = get_place(a->sight);

    if (!answer)
        return 0;
    *answer = (struct inside_answer){.status = h->status, .at_ns = h->at_ns, .number = h->number};
    if (h->status >= 300 && h->status < 400 && h->location.len > 0)
        answer->location = keep_text(h->location);
    if (request) {
        answer->method = request->method;
        answer->path = request->path;
        *request = (struct answers_request){.method = NULL};
    }
    return ++a->begun;
}

struct inside_answer *answers_find(const struct answers *a, uint64_t number)
{
    if (number == 0)
        return NULL;
    if (number < ANSWERS_MAX)
        return number <= a->sight->answers_len ? &a->sight->answers[number - 1] : NULL;
    return number == a->begun ? &a->sight->answers[ANSWERS_MAX - 1] : NULL;
}

void answers_fini(struct inside_sight *sight)
{
    for (unsigned i = 0; i < sight->answers_len; i++)
        drop_answer(&sight->answers[i]);
    free(sight->answers);
    free(sight->alpn);
    free(sight->issuer);
    *sight = (struct inside_sight){.is_open = false};
}

/* capture/answers.h - the answers that were read inside a tunnel, as capture/inside hands them out.
 *
 * The first ones are kept, and the newest.  One thread. */
#pragma once

#include "capture/inside.h"

#define ANSWERS_MAX 64        /* of struct inside_sight */
#define ANSWERS_TEXT_MAX 2048 /* bytes of a path or a location; longer ones are cut */

/* A request that waits for its answer.  Texts are heap-owned. */
struct answers_request {
    char *method, *path;
};

struct answers {
    struct inside_sight *sight; /* not owned: where they go */
    uint64_t begun;             /* how many there were, 0: none */
};

/* Sets a request's texts from what came; frees them. */
void answers_set_request(struct answers_request *r, struct span method, struct span path);
void answers_drop_request(struct answers_request *r);

/* A final answer's head. */
struct answers_head {
    uint16_t status;
    struct span location; /* empty: none */
    uint64_t at_ns;
    uint32_t number; /* packet */
};

/* A final answer's head is here.  Takes the texts of *request (may be NULL).  Returns its number,
 * 1 is the first; 0: out of memory, it is left out. */
uint64_t answers_begin(struct answers *a, const struct answers_head *h,
                       struct answers_request *request);

/* The answer with that number, or NULL: it is not kept (any more). */
struct inside_answer *answers_find(const struct answers *a, uint64_t number);

/* Frees all that a sight owns. */
void answers_fini(struct inside_sight *sight);

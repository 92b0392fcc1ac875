/* cli/answer.h - an HTTP/1 answer as it comes from the control socket: its status and its body.
 *
 * Who listens there may be anybody, and may say anything: all of it is checked and bounded.  No
 * I/O.  The command line's one thread. */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/parse.h"
#include "wire/body.h"
#include "wire/http1.h"

#define ANSWER_HEAD_MAX (32u << 10)

struct answer {
    struct http1_head head;
    struct body body;
    bool has_head;
    unsigned interim; /* 1xx heads that came before */
    unsigned status;  /* once has_head */
    struct buf raw;   /* bytes that are not taken yet */
    struct buf *out;  /* the caller's: the body; its maximum is the answer's */
};

void answer_init(struct answer *a, struct buf *out, enum http1_method asked);
void answer_fini(struct answer *a);

/* Takes the next bytes.  PARSE_OK: the answer is whole; PARSE_MORE: more are wanted; PARSE_BAD with
 * *err: it is no HTTP/1 answer, or longer than is taken. */
enum parse answer_take(struct answer *a, struct span bytes, struct err *err);

/* The stream ended.  False with *err: before the answer did. */
bool answer_finish(struct answer *a, struct err *err);

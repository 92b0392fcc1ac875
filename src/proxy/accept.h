/* proxy/accept.h - a worker's listeners: connections are taken, handed round, or told why not.
 *
 * Where descriptors or memory run out, one of each is kept in reserve to tell the next client so.
 */
#pragma once

#include <stdbool.h>

#include "proxy/worker.h"

/* From now on these `len` listeners; takes the heap array and closes those before that are not
 * among them. */
void accept_take_listeners(struct worker *w, struct worker_listener *fresh, unsigned len);

/* Takes what waits at a listener, some at a time; where nothing can be taken, all listeners pause
 * until accept_again_ns. */
void accept_some(struct worker *w, unsigned listener);
void accept_resume(struct worker *w);

/* Begins a session on a connection, or says 503 on it; `spare`: its descriptor is the spare one. */
void accept_admit(struct worker *w, unsigned listener, int fd, const struct endpoint *client,
                  bool spare);

/* Has the sessions in reserve complete, as far as memory goes.  They count as retired: nobody
 * drives, drains or retires them. */
void accept_fill_reserve(struct worker *w);

/* Has a spare descriptor; spare_fd stays -1 where there is none to be had. */
void accept_open_spare(struct worker *w);

/* A zeroed session for a new connection; *short_of_memory: the last ones, to say 503 with.  NULL
 * when those are lent too. */
struct session *accept_get_session(struct worker *w, bool *short_of_memory);

/* Whether `at` is a listener of ours: whoever dials it comes back to us. */
bool accept_is_own(const struct worker *w, const struct endpoint *at);

#include "console/crowd.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/clock.h"

/* The library sees the end of it, and closes. */
static void hang_up(struct crowd_guest *g)
{
    shutdown(g->fd, SHUT_RDWR);
    g->state = CROWD_GONE;
}

/* The one that has been asking, or taking its answer, for longest. */
static void make_room(struct crowd *c)
{
    struct crowd_guest *oldest = NULL;

    for (struct crowd_guest *g = c->first; g; g = g->next)
        if ((g->state == CROWD_ASKING || g->state == CROWD_SERVED) &&
            (!oldest || g->since_ns <= oldest->since_ns))
            oldest = g;
    if (oldest)
        hang_up(oldest);
}

struct crowd_guest *crowd_add(struct crowd *c, int fd, uint64_t now_ns)
{
    struct crowd_guest *g = calloc(1, sizeof *g);

    if (!g)
        return NULL;
    if (c->len >= c->room)
        make_room(c);
    *g =
        (struct crowd_guest){.fd = fd, .state = CROWD_ASKING, .since_ns = now_ns, .next = c->first};
    c->first = g;
    c->len++;
    return g;
}

void crowd_remove(struct crowd *c, struct crowd_guest *g)
{
    struct crowd_guest **at = &c->first;

    if (!g)
        return;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    c->len--;
    free(g);
}

void crowd_set_uploading(struct crowd_guest *g)
{
    if (g && g->state == CROWD_ASKING)
        g->state = CROWD_UPLOADING;
}

static void begin(struct crowd_guest *g, int state, uint64_t now_ns)
{
    if (!g || g->state == CROWD_GONE)
        return;
    g->state = state;
    g->since_ns = now_ns;
}

void crowd_set_served(struct crowd_guest *g, uint64_t now_ns)
{
    begin(g, CROWD_SERVED, now_ns);
}

void crowd_set_asking(struct crowd_guest *g, uint64_t now_ns)
{
    begin(g, CROWD_ASKING, now_ns);
}

void crowd_set_following(struct crowd_guest *g)
{
    if (g && g->state == CROWD_SERVED)
        g->state = CROWD_FOLLOWING;
}

void crowd_tick(struct crowd *c, uint64_t now_ns)
{
    for (struct crowd_guest *g = c->first; g; g = g->next) {
        uint64_t patience_s = g->state == CROWD_ASKING ? CROWD_PATIENCE_S : CROWD_LONG_S;

        if (g->state != CROWD_FOLLOWING && g->state != CROWD_GONE &&
            now_ns - g->since_ns >= patience_s * NS_PER_S)
            hang_up(g);
    }
}

#include "net/dial.h"

#include <errno.h>
#include <sys/socket.h>

void dial_init(struct dial *d, const struct addr *addrs, unsigned len)
{
    uint8_t first = len ? addrs[0].family : AF_UNSPEC;
    unsigned at[2] = {0, 0}; /* next of the first family, next of the other */

    if (len > DIAL_ADDRS_MAX)
        len = DIAL_ADDRS_MAX;
    *d = (struct dial){.next_ns = UINT64_MAX};
    while (d->len < len) {
        for (int other = 0; other < 2; other++) {
            unsigned *i = &at[other];

            while (*i < len && (addrs[*i].family != first) != other)
                ++*i;
            if (*i < len)
                d->tries[d->len++].addr = addrs[(*i)++];
        }
    }
}

int dial_next(struct dial *d, uint64_t now_ns)
{
    if (d->next == d->len || (d->trying > 0 && now_ns < d->next_ns))
        return -1;
    d->tries[d->next].state = DIAL_TRYING;
    d->tries[d->next].start_ns = now_ns;
    d->trying++;
    d->next_ns = d->next + 1 < d->len ? now_ns + DIAL_DELAY_NS : UINT64_MAX;
    return (int)d->next++;
}

void dial_end(struct dial *d, unsigned i, int err, uint64_t now_ns)
{
    d->tries[i].state = err ? DIAL_FAILED : DIAL_DONE;
    d->tries[i].err = err;
    d->tries[i].end_ns = now_ns;
    d->trying--;
    if (err && d->next < d->len)
        d->next_ns = now_ns;
}

bool dial_is_over(const struct dial *d)
{
    return d->trying == 0 && d->next == d->len;
}

static int rank(int err)
{
    switch (err) {
    case ECONNREFUSED:
        return 4;
    case ETIMEDOUT:
        return 3;
    case ENETUNREACH:
    case EHOSTUNREACH:
        return 2;
    default:
        return err ? 1 : 0;
    }
}

int dial_worst(const struct dial *d)
{
    int worst = 0;

    for (unsigned i = 0; i < d->len; i++)
        if (d->tries[i].state == DIAL_FAILED && rank(d->tries[i].err) > rank(worst))
            worst = d->tries[i].err;
    return worst;
}

/* What the probes' connections are in the capture. */
#include "check/internal.h"
#include "net/sock.h"

static struct pcapng *file_of(const struct check *c)
{
    return c->options.capture && c->options.capture->packets ? &c->options.capture->file : NULL;
}

void taps_open(struct probe *p, unsigned which, int fd, const struct endpoint *to)
{
    struct endpoint here;
    struct sock_info info = {0};

    if (!file_of(p->check) || !sock_get_local(fd, &here))
        return;
    sock_read_info(fd, &info);
    tap_open(&p->taps[which], file_of(p->check), &here, to, 0, probe_now(p));
}

void taps_answered(struct probe *p, unsigned which, bool refused)
{
    if (file_of(p->check) && refused)
        tap_refused(&p->taps[which], probe_now(p));
    else if (file_of(p->check))
        tap_established(&p->taps[which], probe_now(p));
}

void taps_bytes(struct probe *p, bool sent, const void *bytes, size_t n)
{
    if (file_of(p->check))
        tap_data(&p->taps[p->chosen], probe_now(p), sent ? TAP_NEAR : TAP_FAR,
                 (struct span){bytes, n});
}

void taps_close(struct probe *p, bool near, bool reset)
{
    if (file_of(p->check))
        tap_close(&p->taps[p->chosen], probe_now(p), near ? TAP_NEAR : TAP_FAR, reset);
}

void taps_handshake(struct probe *p, bool begins)
{
    struct pcapng *file = file_of(p->check);

    if (!file || p->tap_holds == begins)
        return;
    p->tap_holds = begins;
    if (begins)
        pcapng_hold(file);
    else
        pcapng_release(file);
}

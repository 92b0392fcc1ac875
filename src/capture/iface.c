#include "capture/iface.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/nearest.h"

#define SNAPLEN 262144
#define RING_BYTES (16 << 20)
#define WAIT_MS 100
#define NAMES_MAX 256

struct iface {
    pcap_t *pcap;
    int fd, stop_fd;
    uint32_t linktype;
    uint32_t unit_ns; /* of a packet's "microseconds" */
    volatile sig_atomic_t stopped;
    uint64_t dropped;
    char trouble[PCAP_ERRBUF_SIZE];
};

/* --- opening --------------------------------------------------------------------------------- */

static void write_nearest(const char *interface, char hint[NEAREST_HINT_MAX])
{
    char text[PCAP_ERRBUF_SIZE];
    const char *names[NAMES_MAX];
    pcap_if_t *all = NULL;
    unsigned n = 0;

    hint[0] = '\0';
    if (pcap_findalldevs(&all, text) != 0)
        return;
    for (const pcap_if_t *d = all; d && n < NAMES_MAX; d = d->next)
        names[n++] = d->name;
    nearest_write_hint(span_of(interface), names, n, hint);
    pcap_freealldevs(all);
}

static void explain_failure(struct iface *l, int code, const char *interface, struct err *err)
{
    char hint[NEAREST_HINT_MAX];

    switch (code) {
    case PCAP_ERROR_NO_SUCH_DEVICE:
        write_nearest(interface, hint);
        err_set(err, "%s: there is no such interface%s", interface, hint);
        break;
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        err_set(err,
                "%s: capturing is not permitted: it takes root or CAP_NET_RAW (sudo viaduct "
                "explain -i %s; or sudo tcpdump -i %s -w FILE, and then viaduct explain FILE)",
                interface, interface, interface);
        break;
    case PCAP_ERROR_IFACE_NOT_UP:
        err_set(err, "%s: the interface is not up (ip link set %s up)", interface, interface);
        break;
    default:
        err_set(err, "%s: %s: %s", interface, pcap_statustostr(code), pcap_geterr(l->pcap));
    }
}

static bool set_filter(struct iface *l, const char *interface, const char *filter, struct err *err)
{
    struct bpf_program program;

    if (pcap_compile(l->pcap, &program, filter, 1, PCAP_NETMASK_UNKNOWN) != 0) {
        err_set(err, "the filter \"%s\": %s", filter, pcap_geterr(l->pcap));
        return false;
    }
    bool ok = pcap_setfilter(l->pcap, &program) == 0;

    pcap_freecode(&program);
    if (!ok)
        err_set(err, "%s: %s", interface, pcap_geterr(l->pcap));
    return ok;
}

static bool activate(struct iface *l, const char *interface, struct err *err)
{
    int code;

    pcap_set_snaplen(l->pcap, SNAPLEN);
    pcap_set_promisc(l->pcap, strcmp(interface, "any") != 0);
    pcap_set_timeout(l->pcap, WAIT_MS);
    pcap_set_buffer_size(l->pcap, RING_BYTES);
    pcap_set_tstamp_precision(l->pcap, PCAP_TSTAMP_PRECISION_NANO);
    code = pcap_activate(l->pcap);
    if (code < 0) {
        explain_failure(l, code, interface, err);
        return false;
    }
    if (pcap_setnonblock(l->pcap, 1, l->trouble) != 0) {
        err_set(err, "%s: %s", interface, l->trouble);
        return false;
    }
    l->trouble[0] = '\0';
    l->fd = pcap_get_selectable_fd(l->pcap);
    l->linktype = (uint32_t)pcap_datalink(l->pcap);
    l->unit_ns = pcap_get_tstamp_precision(l->pcap) == PCAP_TSTAMP_PRECISION_NANO ? 1 : NS_PER_US;
    return true;
}

struct iface *iface_open(const char *interface, const char *filter, struct err *err)
{
    struct iface *l = calloc(1, sizeof *l);

    if (!l) {
        err_set(err, "%s: memory is out", interface);
        return NULL;
    }
    l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->pcap = pcap_create(interface, l->trouble);
    if (!l->pcap || l->stop_fd < 0)
        err_set(err, "%s: %s", interface, l->pcap ? "no descriptor is left" : l->trouble);
    else if (activate(l, interface, err) && (!filter || set_filter(l, interface, filter, err)))
        return l;
    iface_free(l);
    return NULL;
}

void iface_free(struct iface *l)
{
    if (!l)
        return;
    if (l->pcap)
        pcap_close(l->pcap);
    if (l->stop_fd >= 0)
        close(l->stop_fd);
    free(l);
}

/* --- capturing ------------------------------------------------------------------------------- */

static void set_record(const struct iface *l, const struct pcap_pkthdr *head, const u_char *bytes,
                       struct record *out)
{
    *out = (struct record){.bytes = {(const char *)bytes, head->caplen},
                           .wire_len = head->len < head->caplen ? head->caplen : head->len,
                           .linktype = l->linktype,
                           .wall_ns = (uint64_t)head->ts.tv_sec * NS_PER_S +
                                      (uint64_t)head->ts.tv_usec * l->unit_ns};
}

int iface_next(struct iface *l, struct record *out)
{
    for (bool waited = false; !l->stopped; waited = true) {
        struct pollfd fds[] = {{.fd = l->fd, .events = POLLIN},
                               {.fd = l->stop_fd, .events = POLLIN}};
        struct pcap_pkthdr *head;
        const u_char *bytes;
        int got = pcap_next_ex(l->pcap, &head, &bytes);

        if (got == 1) {
            set_record(l, head, bytes, out);
            return 1;
        }
        if (got < 0 && got != PCAP_ERROR_BREAK) {
            snprintf(l->trouble, sizeof l->trouble, "%s", pcap_geterr(l->pcap));
            return -EIO;
        }
        if (waited)
            return -EAGAIN;
        poll(fds, 2, WAIT_MS);
    }
    return 0;
}

const char *iface_get_trouble(const struct iface *l)
{
    return l->trouble;
}

uint64_t iface_get_dropped(struct iface *l)
{
    struct pcap_stat now;

    if (pcap_stats(l->pcap, &now) == 0)
        l->dropped = (uint64_t)now.ps_drop + now.ps_ifdrop;
    return l->dropped;
}

void iface_stop(struct iface *l)
{
    const uint64_t one = 1;

    l->stopped = 1;
    if (write(l->stop_fd, &one, sizeof one) < 0)
        return; /* nobody waits longer than 100 ms anyway */
}

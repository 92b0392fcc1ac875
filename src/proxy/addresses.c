#include "proxy/addresses.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "policy/access.h"

#define OWN_ADDRESSES_MAX 256

void addresses_read(void)
{
    struct addr own[OWN_ADDRESSES_MAX];
    struct ifaddrs *list;
    unsigned n = 0;

    if (getifaddrs(&list) < 0) {
        log_warning("cannot list this machine's addresses: %s", strerror(errno));
        return;
    }
    for (const struct ifaddrs *i = list; i && n < OWN_ADDRESSES_MAX; i = i->ifa_next) {
        struct endpoint e;

        if (!i->ifa_addr ||
            (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
            continue;
        endpoint_from_sockaddr(&e, i->ifa_addr);
        own[n++] = e.addr;
    }
    freeifaddrs(list);
    access_set_own_addresses(own, n);
}

int addresses_open_watch(void)
{
    struct sockaddr_nl at = {.nl_family = AF_NETLINK,
                             .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

void addresses_follow(int fd)
{
    char dump[8192];

    while (recv(fd, dump, sizeof dump, 0) > 0)
        continue;
    addresses_read();
}

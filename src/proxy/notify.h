/* proxy/notify.h - systemd's conventions: sd_notify(3), sd_listen_fds(3), the watchdog.
 *
 * The protocols are a datagram and three variables; the manual pages invite to speak them directly.
 */
#pragma once

#include <stdint.h>

/* Sends "READY=1", "STOPPING=1", … to the service manager, if there is one. */
void notify_send(const char *state);
void notify_reloading(uint64_t mono_ns);

/* How many listening sockets were handed over; they begin at NOTIFY_FIRST_FD.  Clears the
 * variables. */
#define NOTIFY_FIRST_FD 3
unsigned notify_count_listeners(void);

/* The watchdog's time, 0: none. */
uint64_t notify_watchdog_ns(void);

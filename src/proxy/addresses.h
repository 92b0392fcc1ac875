/* proxy/addresses.h - this machine's own addresses, which count as loopback for access rules, and
 * how they are followed.
 *
 * The main thread. */
#pragma once

/* Tells the access rules which addresses this machine has now. */
void addresses_read(void);

/* A socket that is readable when addresses came or went, for addresses_follow; -1: not to be had.
 */
int addresses_open_watch(void);

/* Takes what the socket says, and reads the addresses again. */
void addresses_follow(int fd);

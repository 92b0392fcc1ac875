/* capture/textnames.h - what stands for addresses, ports and interfaces in a text, by number.
 *
 * The same name is the same address; more than there is room for are told apart by a hash and have
 * no name any more.  One thread. */
#pragma once

#include "base/span.h"
#include "wire/dumptext.h"

#define TEXTNAMES_MAX 1024
#define TEXTNAMES_INTERFACES 32

struct textnames {
    char *names[TEXTNAMES_MAX]; /* heap; name N at N - 1 */
    unsigned len;
    char interfaces[TEXTNAMES_INTERFACES][16];
    unsigned interfaces_len;
    char service[32]; /* the last that the machine was asked for */
    uint16_t service_port;
};

void textnames_fini(struct textnames *t);

/* The address and port of an end; a port that is not known is 0. */
struct endpoint textnames_get_end(struct textnames *t, const struct dumptext_end *e);

/* The name of an address of ADDR_NAMED, or NULL. */
const char *textnames_find(const struct textnames *t, const struct addr *a);

/* The number of an interface, 1 is the first; 0: none, or one of too many. */
uint16_t textnames_get_interface(struct textnames *t, struct span name);

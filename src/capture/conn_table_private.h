/* capture/conn_table_private.h - the table, as those see it who take its packets. */
#pragma once

#include "capture/conn_store.h"
#include "capture/half_open.h"
#include "capture/twice.h"

#define CONN_TABLE_REFUSED_NS (3 * NS_PER_S) /* a client may try again that long after an RST */
#define CONN_TABLE_GONE 8192u                /* a power of two */

struct conn_table {
    struct conn_core core;
    struct conn_store store;
    struct half_opens half;
    uint64_t due_ns; /* nothing ends by itself before that */
    struct twice twice;
    struct conn_gone {
        uint64_t hash;
        uint64_t at_ns;   /* its last packet */
        uint32_t tops[2]; /* behind the last byte of each direction */
    } gone[CONN_TABLE_GONE];
};

/* conn_table.c */

/* Something may end by itself when it was quiet that long. */
void conn_table_be_due(struct conn_table *t, uint64_t last_ns, uint64_t limit_ns);

bool conn_table_is_over(uint64_t last_ns, uint64_t limit_ns, uint64_t now_ns);

/* Room is made for it; NULL: out of memory, the packet is left out. */
struct conn *conn_table_make(struct conn_table *t, uint64_t hash, uint64_t now_ns);

/* Puts a new one in line. */
void conn_table_shelve(struct conn_table *t, struct conn *c);

/* The packet goes to its connection, which goes to its line. */
void conn_table_take(struct conn_table *t, struct conn *c, enum dir dir, const struct packet *p);

/* Tells the listener that a half-open one is over, and removes it. */
void conn_table_end_half(struct conn_table *t, struct half_open *r, enum conn_end how,
                         uint64_t now_ns);

/* True: the packet was sent again, by one that is over. */
bool conn_table_is_gone(struct conn_table *t, uint64_t hash, const struct packet *p);

/* conn_open.c: takes a packet that belongs to no established connection. */
void conn_open_take(struct conn_table *t, uint64_t hash, const struct packet *p);

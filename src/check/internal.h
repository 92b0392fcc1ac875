/* check/internal.h - what the probes have of the checker that drives them. */
#pragma once

#include "check/check.h"
#include "check/probe.h"
#include "net/loop.h"
#include "net/resolve.h"
#include "net/wheel.h"

struct tls_context;

/* A flow that waits for those of the other URLs. */
struct check_result {
    unsigned number; /* of the URL */
    struct flow flow;
    struct certificate certificate;
    struct check_mtu mtu;
};

#define CHECK_HELLO_LEN 1700 /* bytes: a browser's, with its post-quantum key share */
#define CHECK_BUFFER (64u * 1024)

struct check {
    struct check_options options;
    struct loop loop;
    struct wheel wheel;
    struct resolver *resolver;
    struct login login;             /* at the proxy */
    struct tls_context *proxy_tls;  /* NULL: no https:// proxy */
    struct tls_context *target_tls; /* as large a ClientHello as a browser's */
    struct tls_context *small_tls;  /* NULL: not needed yet */
    struct http1_head head;         /* being parsed; not kept between two steps */
    char *buffer;                   /* CHECK_BUFFER bytes: what was just read */
    struct list run;                /* probes to be driven without an event */
    uint64_t id_state;
    bool stopped;  /* by the user */
    bool together; /* flows are handed out when all are there: */
    struct check_result *results;
    unsigned results_len;
};

/* To be driven in this turn, or in the next where it was driven in this one. */
void check_queue(struct probe *p);
void check_unqueue(struct probe *p);

/* Has the events of try `which` of the probe come to it; 0 or -errno. */
int check_watch(struct probe *p, unsigned which, int fd);

uint64_t check_next_id(struct check *c);

/* How long a ClientHello may stay without an answer before another one is tried. */
uint64_t check_hello_patience(const struct check *c);

/* The context of small ClientHellos, made where it is needed first; NULL without memory. */
struct tls_context *check_get_small_tls(struct check *c);

/* A context whose ClientHellos have about so many bytes; the caller's; NULL without memory. */
struct tls_context *check_new_hello_tls(struct check *c, uint16_t hello_len);

/* What passes a probe's connections, for the capture: try `which` sends its SYN, is answered; bytes
 * and ends of the connection that is used; a handshake whose packets wait for their secrets. */
void taps_open(struct probe *p, unsigned which, int fd, const struct endpoint *to);
void taps_answered(struct probe *p, unsigned which, bool refused);
void taps_bytes(struct probe *p, bool sent, const void *bytes, size_t n);
void taps_close(struct probe *p, bool near, bool reset);
void taps_handshake(struct probe *p, bool begins);

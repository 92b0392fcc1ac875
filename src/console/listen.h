/* console/listen.h - the sockets that the console listens on, and where its files are. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "config/config.h"

struct listen_tls {
    char *certificate, *key; /* PEM, heap, terminated; NULL: plain */
};

/* Reads the files of the configuration; none are named: *out stays zeroed. */
bool listen_load_tls(const struct config_console *c, struct listen_tls *out, struct err *err);
void listen_free_tls(struct listen_tls *t); /* wipes the key */

/* A listening socket, or -1 with *err. */
int listen_tcp(const struct endpoint *at, struct err *err);

/* A listening UNIX socket, mode 0660, in a folder that is made (0750) where it is missing.  One
 * that nobody serves any more is replaced; of a live one *err tells. */
int listen_control(const char *path, struct err *err);

/* "DIR/name" for the folder of `path`. */
void listen_path_beside(const char *path, const char *name, char *out, size_t cap);

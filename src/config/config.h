/* config/config.h - one immutable, reference-counted snapshot of the configuration.
 *
 * Files are text of one grammar (lexer.h), one row a directive (directive.c).  All errors of a file
 * are collected, each with file:line:column.  A snapshot is built whole or not at all. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/endpoint.h"
#include "base/err.h"
#include "base/log.h"
#include "base/span.h"
#include "policy/access.h"
#include "policy/limits.h"
#include "policy/parent.h"
#include "wire/rewrite.h"

struct config_listener {
    struct endpoint at;
    char *tls_certificate, *tls_key; /* absolute or relative to the working folder; NULL: plain */
    uint32_t mss;                    /* clamp towards clients, 0: none */
    const char *file;
    int line;
};

enum config_log_to { LOG_TO_STDOUT, LOG_TO_FILE, LOG_TO_SYSLOG, LOG_TO_OFF };
enum config_log_format { LOG_FORMAT_AUTO, LOG_FORMAT_JSON, LOG_FORMAT_TEXT, LOG_FORMAT_SQUID };

struct config_upstream { /* iprep_proxy */
    bool present, enabled, tls, smart_licensing;
    char *host, *user, *password, *ca;
    uint16_t port;
    char **no_proxy;
    unsigned no_proxy_len;
};

struct config_authentication {
    bool present;
    char *accounts, *realm;
    unsigned schemes[2], schemes_len;       /* 0 digest, 1 basic, in this order */
    unsigned algorithms[3], algorithms_len; /* 0 sha-256, 1 md5, 2 sha-512-256, in this order */
    uint64_t nonce_ns;
};

/* What later work serves, parsed and checked already. */
struct config_console {
    bool on, present;
    struct endpoint listen;
    char *tls_certificate, *tls_key, *admins;
    char **hosts;
    unsigned hosts_len;
    uint64_t session_idle_ns, session_lifetime_ns;
};

struct config {
    _Atomic uint32_t refs;
    char *path;       /* the file; NULL: none, defaults only */
    uint32_t workers; /* 0: one a CPU */
    char *user;
    bool user_given;
    struct config_listener *listeners;
    unsigned listeners_len;
    struct access *access;
    struct limits limits;
    char *hosts_file;
    struct endpoint *servers; /* resolver: none: the system's */
    unsigned servers_len;
    uint64_t resolver_timeout_ns;
    uint32_t resolver_cache; /* names */
    uint32_t mss;
    bool mtu_healing;
    bool via;
    enum rewrite_forwarded forwarded;
    enum config_log_to log_to;
    char *log_file;
    enum config_log_format log_format;
    enum log_level log_level;
    char *history;      /* file; NULL: off */
    bool history_given; /* by the file, not by default */
    uint64_t history_keep_ns, history_max;
    char *nonce_key; /* file: the key of Digest nonces; NULL: no memory for its name */
    char *control;   /* socket: control.sock; NULL: no memory for its name */
    char *upstream_file;
    struct config_upstream upstream;
    struct parent *parent; /* what upstream means for each target; NULL: all go direct */
    struct config_authentication authentication;
    struct config_console console;
    struct config_values *values; /* private: each directive's value and origin, for config_show */
};

/* Errors and warnings of a load, in the order of the files. */
struct config_report {
    struct config_problem {
        char *text; /* "file:line:column: what (did you mean …)" */
        int line, column;
        bool warning;
    } * items;
    unsigned len, errors; /* all errors are counted, the first 200 problems are kept */
    const char
        *language; /* of the reader, for what is translated; "": the environment's; NULL: en */
};
void config_report_fini(struct config_report *r);

/* Where `-c` is not given: /etc/viaduct/viaduct.conf if it is there, else NULL (the built-in
 * defaults). */
const char *config_default_path(void);

/* Loads `path` (NULL: the built-in defaults), the lists and the upstream file that it names.
 * `previous` (may be NULL) is the snapshot in force: lists of it whose file did not change are
 * shared. Returns a snapshot with one reference, or NULL with at least one error in `report`. */
struct config *config_load(const char *path, struct config *previous, struct config_report *report);

/* The same of a text in memory; `name` stands in front of its problems, and relative paths are
 * relative to it. */
struct config *config_load_text(const char *name, struct span text, struct config *previous,
                                struct config_report *report);

/* Loads `path` (NULL: the built-in defaults) without the upstream file that it names: for who wants
 * to mend that one. */
struct config *config_load_main(const char *path, struct config_report *report);

/* The defaults with the text of an upstream file; `name` stands in front of its problems, and
 * relative paths are relative to it. */
struct config *config_load_upstream(const char *name, struct span text,
                                    struct config_report *report);

struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* frees with the last one */

/* False, with "file:line: …", when the file names a `user` that this machine does not have. */
bool config_check_user(const struct config *c, struct err *err);

/* Adds a warning for each file that the proxy, running as `user`, could not read or write, and the
 * errors of the accounts file.  Set-up code: asks the file system and the account database. */
void config_check_files(const struct config *c, struct config_report *report);

/* Prints the effective configuration in the file's own grammar, each value with its origin as a
 * comment
 * ("# viaduct.conf:12" or "# default"); secrets as dots. */
void config_show(const struct config *c, FILE *out);

/* Prints what a rule of this name asks for, as the inside of its block ("to .example.com; port
 * 443;"); nothing where it asks for nothing, or there is no such rule. */
void config_show_rule(const struct config *c, const char *name, FILE *out);

/* Prints the table of directives as mdoc, for viaduct.conf(5) and upstream.conf(5). */
void config_print_manual(FILE *out);
void config_print_upstream_manual(FILE *out);

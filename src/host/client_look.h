/* host/client_look.h - who has set a proxy in what a program reads: its file and the ones beside
 * it. */
#pragma once

#include "host/client_file.h"
#include "host/client_json.h"
#include "host/clients.h"

#define CLIENT_JSON_MEMBER "proxies"

/* The path of the row's file inside the root folder. */
void client_path(const struct client_program *p, const struct client_options *o,
                 char out[PATH_MAX]);

/* Reads the record of a row whose file is JSON, into `f`, which the caller finishes.  `record->new`
 * is empty where there is none.  False, with *err, where it cannot be read or is damaged. */
bool client_look_record(const struct client_program *p, const struct client_options *o,
                        struct client_file *f, struct client_record *record, struct err *err);

/* The first setting of somebody else in a file that is read beside the row's own.  True when there
 * is one: *found says where, *wins whether it goes over what stands in ours. */
bool client_look_beside(const struct client_program *p, const struct client_options *o,
                        struct client_finding *found, bool *wins);

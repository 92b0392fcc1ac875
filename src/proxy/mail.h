/* proxy/mail.h - what the server tells a worker, put into its mailbox.
 *
 * Each takes references of its own for the worker, and gives them back where the mailbox is full or
 * memory is out: then it returns false, and the worker goes on with what it has. */
#pragma once

#include <stdbool.h>

#include "net/tls.h"
#include "policy/accounts.h"
#include "proxy/listeners.h"
#include "proxy/worker.h"

/* A copy of *m; what it refers to stays the caller's when this fails. */
bool mail_send(struct worker *w, struct mail m);

/* A configuration, with what was loaded for it; parent_tls and accounts may be NULL: none. */
bool mail_send_config(struct worker *w, struct config *c, struct tls_context *parent_tls,
                      struct accounts *accounts);

/* A snapshot of the accounts; NULL: there is none, and nothing to say. */
bool mail_send_accounts(struct worker *w, struct accounts *accounts);

/* Its share of the listening sockets. */
bool mail_send_listeners(struct worker *w, const struct listeners *l);

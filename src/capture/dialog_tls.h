/* capture/dialog_tls.h - private to the dialog's readers of TLS: numbers of RFC 8446, and who
 * collects hellos. */
#pragma once

#include "capture/round.h"

enum { TYPE_CHANGE = 20, TYPE_ALERT, TYPE_HANDSHAKE, TYPE_DATA };
enum { MESSAGE_CLIENT_HELLO = 1, MESSAGE_SERVER_HELLO = 2, MESSAGE_CERTIFICATE = 11 };

#define RECORD_HEADER 5

static inline unsigned dialog_tls_byte(struct span s, size_t at)
{
    return (unsigned char)s.ptr[at];
}

/* The payload length that a record's header says. */
static inline unsigned dialog_tls_len(struct span record)
{
    return dialog_tls_byte(record, 3) << 8 | dialog_tls_byte(record, 4);
}

/* Takes s->p for the hello (or certificate) that is being collected in its direction; they are
 * looked at where a record ended. */
void dialog_hello_collect(struct said *s, struct round *t, bool record_ended);

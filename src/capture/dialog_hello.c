/* Hellos, collected beside the records that they come in, until they are whole or cut; and of the
 * target's side its certificate where it is readable (before TLS 1.3). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "capture/dialog_tls.h"
#include "capture/inside.h"
#include "capture/secrets.h"
#include "wire/cert.h"

#define HASHED_BYTES 27 /* headers, version, half of the random: no capture's snaplen is below */
#define RANDOM_AT 11    /* of a ClientHello's bytes */
#define TLS13 0x0304

/* ---- the client's */

static void stop_collecting(struct said *s)
{
    s->g->collects &= (uint8_t) ~(1u << s->dir);
    round_forget(s->d, s->g, s->dir);
}

static void set_target(struct said *s, struct exchange *x, struct span sni)
{
    char text[300];

    if (x->target || sni.len == 0 || x->asked != ASKED_TLS)
        return;
    snprintf(text, sizeof text, "%.*s:%u", (int)sni.len, sni.ptr, s->c->ends[DOWN].port);
    flow_set_text(&x->target, text);
    x->by_name = true;
}

/* Secrets have to be there by now: who writes them into a capture puts them in front. */
static void open_inside(struct said *s, struct exchange *x, struct span text)
{
    struct stream_piece p = s->p;

    if (!s->d->o.secrets || exchange_get_rare(x)->inside || text.len < RANDOM_AT + 32 ||
        !secrets_find(s->d->o.secrets, (const uint8_t *)text.ptr + RANDOM_AT) ||
        !exchange_make_rare(x))
        return;
    x->rare->inside = inside_new(s->d->o.secrets);
    if (!x->rare->inside)
        return;
    p.bytes = text;
    p.len = (uint32_t)text.len;
    inside_feed(x->rare->inside, UP, &p);
}

/* Which legs carry the same hello is told by its beginning. */
static void hash_hello(struct exchange *x, struct span text)
{
    if (text.len >= RECORD_HEADER)
        x->hello_len = (uint16_t)(RECORD_HEADER + dialog_tls_len(text));
    if (text.len >= HASHED_BYTES)
        x->hello_hash = hash_bytes(text.ptr, HASHED_BYTES);
}

static void take_client_hello(struct said *s, struct round *t, struct span text)
{
    struct exchange *x = &t->x;
    struct tls_hello h;
    enum parse got = tlsrec_parse_client_hello(text, &h);

    if (got == PARSE_MORE)
        return;
    if (got == PARSE_OK) {
        hash_hello(x, text);
        if (x->hello_len < text.len && x->sides[UP].records.records > 1)
            x->hello_len = (uint16_t)(text.len < UINT16_MAX ? text.len : UINT16_MAX);
        x->hello_whole[UP] = true;
        x->tls_version = x->tls_version ? x->tls_version : h.version;
        set_target(s, x, h.sni);
        exchange_set_names(x, h.sni, SPAN_LIT("")); /* the protocol is the target's choice */
        exchange_mark(x, MARK_HELLO_END, s->p.at_ns, s->p.number);
        open_inside(s, x, text);
        t->asked_head = true;
        round_tell(s, t);
    }
    stop_collecting(s);
}

/* ---- the target's side: ServerHello, and the certificate where it is readable */

static const char *find_issuer(struct dialogs *d, struct span der)
{
    uint64_t hash = hash_bytes(der.ptr, der.len);
    struct issuer *i = &d->issuers[hash % ISSUERS_MAX];
    struct cert cert;

    if (!i->text || i->hash != hash) {
        if (i->text) /* a live round may show it */
            return NULL;
        i->text = strdup(cert_read(der, NULL, &cert) ? cert.issuer : "");
        i->hash = hash;
    }
    return i->text;
}

/* A certificate list (RFC 5246 7.4.2): the first is the target's own. */
static void read_certificate(struct dialogs *d, struct round *t, struct span body)
{
    size_t len;

    if (body.len < 6)
        return;
    len = dialog_tls_byte(body, 3) << 16 | dialog_tls_byte(body, 4) << 8 | dialog_tls_byte(body, 5);
    if (len > 0 && len <= body.len - 6)
        t->x.issuer = find_issuer(d, (struct span){body.ptr + 6, len});
}

/* The handshake's messages, without the records around them.  Heap; *len of it; NULL: none. */
static char *join_messages(struct span text, size_t *len, bool *ended)
{
    char *out = malloc(text.len + 1);
    size_t at = 0;

    *len = 0;
    *ended = false;
    while (out && at + RECORD_HEADER <= text.len) {
        size_t n = dialog_tls_byte(text, at + 3) << 8 | dialog_tls_byte(text, at + 4);

        *ended = dialog_tls_byte(text, at) != TYPE_HANDSHAKE;
        if (*ended || at + RECORD_HEADER + n > text.len)
            break;
        memcpy(out + *len, text.ptr + at + RECORD_HEADER, n);
        *len += n;
        at += RECORD_HEADER + n;
    }
    return out;
}

/* False: there is nothing more to wait for. */
static bool look_for_certificate(struct said *s, struct round *t, struct span text)
{
    bool ended, found = false;
    size_t len, at = 0;
    char *all = join_messages(text, &len, &ended);

    while (all && at + 4 <= len && !found) {
        struct span m = {all + at, len - at};
        size_t n = dialog_tls_byte(m, 1) << 16 | dialog_tls_byte(m, 2) << 8 | dialog_tls_byte(m, 3);

        if (n > m.len - 4)
            break;
        found = dialog_tls_byte(m, 0) == MESSAGE_CERTIFICATE;
        if (found)
            read_certificate(s->d, t, (struct span){m.ptr + 4, n});
        at += 4 + n;
    }
    free(all);
    return all && !found && !ended;
}

/* change_cipher_spec stands between a HelloRetryRequest and the hello behind it (RFC 8446 D.4). */
static struct span skip_changes(struct span text)
{
    while (text.len > RECORD_HEADER && dialog_tls_byte(text, 0) == TYPE_CHANGE &&
           text.len >= RECORD_HEADER + dialog_tls_len(text)) {
        size_t n = RECORD_HEADER + dialog_tls_len(text);

        text = (struct span){text.ptr + n, text.len - n};
    }
    return text;
}

/* What is behind a HelloRetryRequest: the hello that counts. */
static struct span skip_retry(struct span text)
{
    struct span rest = skip_changes(text);
    size_t n = RECORD_HEADER + dialog_tls_len(rest);

    if (n > rest.len)
        n = rest.len;
    return (struct span){rest.ptr + n, rest.len - n};
}

/* Returns what of `text` will be wanted again. */
static struct span take_server_hello(struct said *s, struct round *t, struct span text)
{
    struct exchange *x = &t->x;
    struct tls_hello h;
    enum parse got;

    if (!x->hello_whole[DOWN]) {
        got = tlsrec_parse_server_hello(skip_changes(text), &h);
        if (got == PARSE_MORE)
            return text;
        if (got == PARSE_BAD) {
            stop_collecting(s);
            return text;
        }
        x->tls_version = h.version;
        x->tls_cipher = h.cipher;
        x->is_tls13 = h.version >= TLS13;
        if (h.hello_retry) {
            t->retried = true;
            return skip_retry(text);
        }
        x->hello_whole[DOWN] = true;
        if (h.alpn.len > 0)
            exchange_set_names(x, exchange_get_sni(x), h.alpn);
    }
    if (x->is_tls13 || !look_for_certificate(s, t, text))
        stop_collecting(s);
    return text;
}

/* The rest of it is not in the capture. */
static void collect_no_more(struct said *s, struct round *t, struct span text)
{
    t->x.content_unseen |= !t->x.hello_whole[s->dir];
    if (s->dir == UP && !t->x.hello_whole[UP] && text.len >= HASHED_BYTES) {
        hash_hello(&t->x, text);
        open_inside(s, &t->x, text);
        round_tell(s, t);
    }
    stop_collecting(s);
}

/* Keeps what will be wanted again, and no more.  False: there is no room for it. */
static bool keep(struct said *s, struct span text, bool kept)
{
    size_t gone;

    if (!kept)
        return round_keep(s->d, s->g, s->dir, text);
    gone = round_kept(s->g, s->dir).len - text.len;
    if (gone > 0)
        buf_consume(&s->g->words->in[s->dir], gone);
    return true;
}

/* Most hellos are whole in one piece: those are read where they are. */
void dialog_hello_collect(struct said *s, struct round *t, bool record_ended)
{
    bool kept = round_kept(s->g, s->dir).len > 0;
    struct span text = s->p.bytes;

    if (kept) {
        if (!round_keep(s->d, s->g, s->dir, s->p.bytes)) {
            collect_no_more(s, t, round_kept(s->g, s->dir));
            return;
        }
        text = round_kept(s->g, s->dir);
    }
    if (record_ended && s->dir == UP)
        take_client_hello(s, t, text);
    else if (record_ended)
        text = take_server_hello(s, t, text);
    if (s->g->collects & 1u << s->dir && (s->p.len > s->p.bytes.len || !keep(s, text, kept)))
        collect_no_more(s, t, text);
}

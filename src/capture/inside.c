/* Records are put together, opened and taken apart, each direction for itself; what both need to
 * know of each other is the two hellos.
 *
 *   piece -> half.raw -> record -> (decrypt) -> handshake -> randoms, suite, keys' change
 *                                            -> alert
 *                                            -> talk: HTTP
 *
 * Secrets are looked up at each record that is encrypted, until the client's Finished has come: a
 * key log that still does not know the connection then will not.  Encrypted records that came
 * before are counted, not kept, and the number of the next one found by trying. */
#include "capture/inside.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "capture/answers.h"
#include "capture/decrypt.h"
#include "capture/handshake.h"
#include "capture/secrets.h"
#include "capture/talk.h"
#include "wire/cert.h"

#define HEADER_LEN 5
#define HELD_MAX 65536   /* bytes that may wait for the other side's hello */
#define SKIPPED_MAX 1024 /* records that did not open: early data, or before secrets were known */
#define AHEAD_MAX 32     /* numbers that are tried for the first one that has to open */

enum { TYPE_CHANGE = 20, TYPE_ALERT = 21, TYPE_HANDSHAKE = 22, TYPE_DATA = 23 };

/* Whose keys a direction's records need. */
enum epoch { EPOCH_CLEAR, EPOCH_HANDSHAKE, EPOCH_DATA };

struct half {
    struct buf raw;       /* of a record that is not whole; or of many that wait */
    uint16_t skipped;     /* records that are passed over or did not open */
    uint8_t epoch;        /* enum epoch; TLS 1.2 has no keys of the handshake's own */
    bool opened;          /* a record of this epoch was opened: the next ones have to */
    struct decrypt *keys; /* NULL: none yet */
    struct handshake messages;
};

/* What is given up once it is over. */
struct work {
    struct half halves[2];
    struct decrypt_randoms randoms;
    bool has_client, has_server; /* hellos */
    bool is_tls13;
    const struct decrypt_suite *suite;
    struct talk *talk;
    const char *over; /* why nothing more can be read: freed when the call returns */
};

struct inside {
    struct inside_sight sight;
    struct secrets *secrets;
    struct work *work; /* NULL: it is over */
};

/* Where a record came from. */
struct origin {
    enum dir dir;
    uint64_t at_ns;
    uint32_t number;
};

/* ---- life */

static void free_work(struct work *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < ARRAY_LEN(w->halves); i++) {
        buf_fini(&w->halves[i].raw);
        decrypt_free(w->halves[i].keys);
        handshake_fini(&w->halves[i].messages);
    }
    talk_free(w->talk);
    free(w);
}

struct inside *inside_new(struct secrets *s)
{
    struct inside *i = calloc(1, sizeof *i);

    if (!i || !(i->work = calloc(1, sizeof *i->work))) {
        free(i);
        return NULL;
    }
    i->secrets = s;
    for (size_t k = 0; k < ARRAY_LEN(i->work->halves); k++)
        buf_init(&i->work->halves[k].raw, HELD_MAX);
    return i;
}

void inside_free(struct inside *i)
{
    if (!i)
        return;
    free_work(i->work);
    answers_fini(&i->sight);
    free(i);
}

const struct inside_sight *inside_get(const struct inside *i)
{
    return &i->sight;
}

uint64_t inside_get_memory(const struct inside *i)
{
    const struct work *w = i->work;
    uint64_t sum = sizeof *i + i->sight.answers_len * sizeof *i->sight.answers;

    if (!w)
        return sum;
    sum += sizeof *w + (w->talk ? talk_get_memory(w->talk) : 0);
    for (size_t k = 0; k < ARRAY_LEN(w->halves); k++)
        sum += w->halves[k].raw.cap + w->halves[k].messages.body.cap +
               decrypt_get_memory(w->halves[k].keys);
    return sum;
}

/* The first reason stays. */
static void give_up(struct inside *i, const char *why)
{
    if (!i->work->over)
        i->work->over = why;
}

/* ---- keys */

/* Which secret a direction of TLS 1.3 needs next: the handshake's, or, behind that or where its
 * records went by unopened, the one of the data. */
static const struct secret *choose_secret(struct half *s, const struct secrets_of *known,
                                          enum dir dir)
{
    if (s->epoch == EPOCH_CLEAR && s->skipped == 0 && known->handshake[dir].len > 0) {
        s->epoch = EPOCH_HANDSHAKE;
        return &known->handshake[dir];
    }
    if (known->traffic[dir].len > 0)
        s->epoch = EPOCH_DATA;
    return &known->traffic[dir];
}

/* Looks for this direction's secrets.  True: there are keys now. */
static bool find_keys(struct inside *i, enum dir dir)
{
    struct work *w = i->work;
    struct half *s = &w->halves[dir];
    const struct secrets_of *known =
        i->secrets ? secrets_find(i->secrets, w->randoms.client) : NULL;
    const struct secret *secret;

    if (!known)
        return false;
    secret = w->is_tls13 ? choose_secret(s, known, dir) : &known->master;
    if (secret->len == 0)
        return false;
    if (w->is_tls13)
        s->keys = decrypt_new_13(w->suite, secret);
    else
        s->keys = decrypt_new_12(w->suite, secret, &w->randoms, dir == UP, s->skipped);
    if (!s->keys)
        give_up(i, "the key log's secrets do not fit");
    return s->keys;
}

/* Behind a Finished of TLS 1.3 those of the data follow the handshake's keys.  Who ends it there
 * does not make their secrets. */
static void end_handshake(struct inside *i, enum dir dir)
{
    struct half *s = &i->work->halves[dir];

    if (s->epoch != EPOCH_HANDSHAKE)
        return;
    decrypt_free(s->keys);
    s->keys = NULL;
    s->epoch = EPOCH_DATA;
    s->skipped = 0;
}

/* ---- handshake messages */

static void read_client_hello(struct inside *i, struct span body)
{
    struct work *w = i->work;

    if (w->has_client)
        return; /* the answer to a HelloRetryRequest: its random is the same */
    w->has_client = handshake_read_client_random(body, w->randoms.client);
    if (!w->has_client)
        give_up(i, "its ClientHello is not readable");
}

static void read_server_hello(struct inside *i, struct span body)
{
    struct work *w = i->work;
    struct handshake_hello hello;

    if (w->has_server)
        return;
    if (!handshake_read_server_hello(body, &hello)) {
        give_up(i, "its ServerHello is not readable");
        return;
    }
    if (hello.is_retry)
        return;
    w->has_server = true;
    memcpy(w->randoms.server, hello.random, sizeof w->randoms.server);
    w->is_tls13 = hello.version == 0x0304;
    w->suite = decrypt_find_suite(hello.cipher);
    if (hello.version != 0x0303 && hello.version != 0x0304)
        give_up(i, "it is older than TLS 1.2");
    else if (!w->suite || w->suite->is_tls13 != w->is_tls13)
        give_up(i, "its cipher suite is not one that is read here");
    else if (hello.alpn.len > 0)
        i->sight.alpn = span_dup(hello.alpn);
}

static void read_certificate(struct inside *i, struct span body)
{
    struct cert cert;

    if (!i->sight.issuer &&
        cert_read(handshake_find_certificate(body, i->work->is_tls13), NULL, &cert))
        i->sight.issuer = span_dup(span_of(cert.issuer));
}

struct message_owner {
    struct inside *inside;
    enum dir dir;
};

static void on_message(void *owner, uint8_t type, struct span body)
{
    const struct message_owner *m = owner;
    struct inside *i = m->inside;
    struct half *s = &i->work->halves[m->dir];

    if (i->work->over)
        return;
    if (type == HANDSHAKE_CLIENT_HELLO && m->dir == UP)
        read_client_hello(i, body);
    if (type == HANDSHAKE_SERVER_HELLO && m->dir == DOWN)
        read_server_hello(i, body);
    if (type == HANDSHAKE_CERTIFICATE && m->dir == DOWN)
        read_certificate(i, body);
    if (!i->work->is_tls13 || s->epoch == EPOCH_CLEAR)
        return;
    if (type == HANDSHAKE_EXTENSIONS && m->dir == DOWN && !i->sight.alpn) {
        struct span alpn = handshake_find_alpn(body);

        i->sight.alpn = alpn.len > 0 ? span_dup(alpn) : NULL;
    }
    if (type == HANDSHAKE_FINISHED)
        end_handshake(i, m->dir);
    if (type == HANDSHAKE_KEY_UPDATE && s->keys && s->epoch == EPOCH_DATA &&
        !decrypt_update(s->keys))
        give_up(i, "out of memory");
}

/* ---- records */

static void take_alert(struct inside *i, enum dir dir, struct span content)
{
    if (content.len != 2)
        return;
    if (content.ptr[1] == 0) {
        i->sight.close_notify[dir] = true;
    } else {
        i->sight.alert[dir] = true;
        i->sight.alert_code[dir] = (uint8_t)content.ptr[1];
    }
}

/* A record in the clear. */
static void take_content(struct inside *i, const struct origin *o, uint8_t type, struct span bytes)
{
    struct work *w = i->work;
    struct message_owner owner = {i, o->dir};

    if (type == TYPE_HANDSHAKE &&
        !handshake_feed(&w->halves[o->dir].messages, bytes, on_message, &owner))
        give_up(i, "out of memory");
    if (type == TYPE_ALERT)
        take_alert(i, o->dir, bytes);
    if (type != TYPE_DATA || w->halves[o->dir].epoch != EPOCH_DATA)
        return;
    if (!w->talk && !(w->talk = talk_new(&i->sight)))
        give_up(i, "out of memory");
    else
        talk_feed(w->talk, o->dir, bytes, o->at_ns, o->number);
}

/* A record that its keys do not open.  Early data, and records whose number is not known for
 * certain, are passed over; all else ends it. */
static void skip_record(struct inside *i, enum dir dir)
{
    struct work *w = i->work;
    struct half *s = &w->halves[dir];
    bool may_be =
        w->is_tls13 && !s->opened && (dir == UP || s->skipped > 0 || s->epoch == EPOCH_DATA);

    if (!may_be || s->skipped == SKIPPED_MAX)
        give_up(i, i->sight.is_open ? "a record does not open: damaged, or other keys"
                                    : "the key log's secrets do not fit");
    else
        s->skipped++;
}

static void open_record(struct inside *i, const struct origin *o, const struct decrypt_record *r)
{
    struct half *s = &i->work->halves[o->dir];
    bool guess = s->epoch == EPOCH_DATA && !s->opened && i->work->is_tls13;
    unsigned ahead = !guess ? 0 : s->skipped < AHEAD_MAX ? s->skipped : AHEAD_MAX;
    struct decrypt_content content;

    if (!decrypt_open(s->keys, ahead, r, &content)) {
        skip_record(i, o->dir);
        return;
    }
    s->opened = true;
    i->sight.is_open = true;
    take_content(i, o, content.type, (struct span){(const char *)content.bytes, content.len});
    OPENSSL_cleanse(content.bytes, content.len);
}

/* An encrypted record before its keys are known: passed over, as long as they may still come. */
static void pass_record(struct inside *i, enum dir dir)
{
    struct half *s = &i->work->halves[dir];

    if (s->opened)
        give_up(i, "the key log has the handshake's secrets only");
    else if (dir == UP || s->skipped == SKIPPED_MAX)
        give_up(i, "the key log does not know this connection");
    s->skipped++;
}

static void take_change(struct inside *i, enum dir dir)
{
    struct half *s = &i->work->halves[dir];

    if (i->work->is_tls13 || !i->work->has_server)
        return; /* says nothing in TLS 1.3, where it may stand behind a HelloRetryRequest, too */
    if (s->epoch != EPOCH_CLEAR)
        give_up(i, "it negotiated anew");
    s->epoch = EPOCH_DATA;
}

static bool is_encrypted(const struct work *w, const struct half *s, uint8_t type)
{
    return w->is_tls13 ? type == TYPE_DATA : s->epoch != EPOCH_CLEAR;
}

static void take_record(struct inside *i, const struct origin *o, const struct decrypt_record *r)
{
    struct work *w = i->work;
    struct half *s = &w->halves[o->dir];
    uint8_t type = r->header[0];

    if (type == TYPE_CHANGE) {
        take_change(i, o->dir);
    } else if (is_encrypted(w, s, type)) {
        if (s->keys || find_keys(i, o->dir))
            open_record(i, o, r);
        else if (!w->over)
            pass_record(i, o->dir);
    } else if (type == TYPE_DATA) {
        give_up(i, "data before the handshake's end");
    } else if (s->epoch == EPOCH_CLEAR || type == TYPE_ALERT) {
        take_content(i, o, type, r->payload);
    }
}

/* ---- bytes */

/* Whether a record has to wait for the other side's hello: both tell what it is encrypted with. The
 * capture may have them in another order than they were sent; early data comes first anyway. */
static bool has_to_wait(const struct work *w, enum dir dir, uint8_t type)
{
    if (dir == UP)
        return w->has_client && !w->has_server && (type == TYPE_DATA || type == TYPE_CHANGE);
    return !w->has_client && is_encrypted(w, &w->halves[DOWN], type);
}

static bool is_header(struct inside *i, const uint8_t *h, size_t *len)
{
    *len = (size_t)h[3] << 8 | h[4];
    if (h[0] >= TYPE_CHANGE && h[0] <= 24 && h[1] == 3 && *len <= DECRYPT_RECORD_MAX)
        return true;
    give_up(i, "it is not TLS");
    return false;
}

/* Takes the record at the front of `bytes`.  Returns its length; 0: it is not whole, or has to
 * wait, and *want is how long it is as far as that is known. */
static size_t take_front(struct inside *i, const struct origin *o, struct span bytes, size_t *want)
{
    const uint8_t *header = (const uint8_t *)bytes.ptr;
    size_t len;

    *want = HEADER_LEN;
    if (bytes.len < HEADER_LEN || !is_header(i, header, &len))
        return 0;
    *want = HEADER_LEN + len;
    if (bytes.len < *want || has_to_wait(i->work, o->dir, header[0]))
        return 0;
    take_record(i, o, &(struct decrypt_record){header, {bytes.ptr + HEADER_LEN, len}});
    return *want;
}

/* Works off what is held of one direction, as far as it may be. */
static void work_off(struct inside *i, const struct origin *o)
{
    struct buf *raw = &i->work->halves[o->dir].raw;
    size_t want, n;

    while (raw->len > 0 && !i->work->over && (n = take_front(i, o, buf_span(raw), &want)) > 0)
        buf_consume(raw, n);
    if (raw->len == 0)
        buf_fini(raw);
}

/* Bytes of a record whose front is held already: as many as it lacks.  Others wait in a row, then
 * all of them are taken.  Returns how many were taken. */
static size_t fill_record(struct inside *i, const struct origin *o, struct span bytes)
{
    struct buf *raw = &i->work->halves[o->dir].raw;
    struct span held = buf_span(raw);
    size_t n = bytes.len, len;

    if (held.len < HEADER_LEN) {
        n = HEADER_LEN - held.len;
    } else if (is_header(i, (const uint8_t *)held.ptr, &len) && held.len < HEADER_LEN + len) {
        n = HEADER_LEN + len - held.len;
    }
    n = n < bytes.len ? n : bytes.len;
    if (!i->work->over && !buf_append(raw, bytes.ptr, n))
        give_up(i, "too much came before the other side's hello");
    return n;
}

static void feed(struct inside *i, const struct origin *o, struct span bytes)
{
    struct origin other = {!o->dir, o->at_ns, o->number};
    struct buf *raw = &i->work->halves[o->dir].raw;
    size_t want, n;

    while (bytes.len > 0 && !i->work->over) {
        if (raw->len > 0) {
            n = fill_record(i, o, bytes);
            if (!i->work->over)
                work_off(i, o);
        } else {
            n = take_front(i, o, bytes, &want);
            if (n == 0 && !i->work->over) {
                n = bytes.len;
                if (!buf_reserve(raw, want) || !buf_append(raw, bytes.ptr, n))
                    give_up(i, "too much came before the other side's hello");
            }
        }
        bytes.ptr += n;
        bytes.len -= n;
        if (!i->work->over)
            work_off(i, &other); /* what waited for this side's hello */
    }
}

void inside_feed(struct inside *i, enum dir dir, const struct stream_piece *p)
{
    struct origin o = {dir, p->at_ns, p->number};

    if (!i->work)
        return;
    if (p->bytes.len < p->len)
        give_up(i, "bytes of it are not in the capture");
    else
        feed(i, &o, p->bytes);
    if (i->work->over) {
        i->sight.failed = i->work->over;
        free_work(i->work);
        i->work = NULL;
    }
}

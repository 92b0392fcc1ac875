/* A hello is read twice: once over the record headers alone, to see whether it is whole; then by
 * cursors that step over the record headers as if they were not there.  All that the second pass
 * finds missing is a vector longer than what holds it, which is bad. */
#include "wire/tlsrec.h"

#include <assert.h>
#include <string.h>

#include "base/util.h"

#define RECORD_HEADER 5
#define RECORD_MAX (16384 + 2048) /* TLS 1.2 ciphertext (RFC 5246 6.2.3) */
#define PLAIN_MAX 16384           /* RFC 8446 5.1 */

enum { TYPE_ALERT = 21, TYPE_HANDSHAKE = 22, TYPE_DATA = 23 };
enum { MESSAGE_CLIENT_HELLO = 1, MESSAGE_SERVER_HELLO = 2 };
enum {
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_ALPN = 16,
    EXTENSION_VERSIONS = 43,
    EXTENSION_ECH = 0xfe0d
};

static uint16_t two(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* ---- the follower */

static void end_record(struct tlsrec *t)
{
    t->records++;
    if (t->last_type == TYPE_DATA && t->data_records < UINT8_MAX)
        t->data_records++;
}

/* The five bytes are there: change_cipher_spec to heartbeat, version 3.x, a length that can be. */
static void begin_record(struct tlsrec *t)
{
    uint16_t len = two(t->header + 3);

    t->have = 0;
    if (t->header[0] < 20 || t->header[0] > 24 || t->header[1] != 3 || len > RECORD_MAX) {
        t->lost = 1;
        return;
    }
    t->last_type = t->header[0];
    t->last_len = t->left = len;
    if (t->last_type == TYPE_ALERT)
        t->alert_have = 0;
    if (len == 0)
        end_record(t);
}

static size_t take_payload(struct tlsrec *t, struct span rest)
{
    size_t n = rest.len < t->left ? rest.len : t->left;

    if (t->last_type == TYPE_ALERT && t->last_len == sizeof t->alert)
        for (size_t i = 0; i < n; i++)
            t->alert[t->alert_have++] = (uint8_t)rest.ptr[i];
    t->left = (uint16_t)(t->left - n);
    if (t->left == 0)
        end_record(t);
    return n;
}

void tlsrec_follow(struct tlsrec *t, struct span bytes)
{
    size_t at = 0;

    while (at < bytes.len && !t->lost) {
        if (t->left > 0) {
            at += take_payload(t, (struct span){bytes.ptr + at, bytes.len - at});
        } else {
            t->header[t->have++] = (uint8_t)bytes.ptr[at++];
            if (t->have == RECORD_HEADER)
                begin_record(t);
        }
    }
}

void tlsrec_skip(struct tlsrec *t, uint64_t n)
{
    if (n == 0 || t->lost)
        return;
    if (n > t->left) {
        t->lost = 1;
        return;
    }
    t->left = (uint16_t)(t->left - n);
    if (t->left == 0)
        end_record(t);
}

bool tlsrec_is_boundary(const struct tlsrec *t)
{
    return !t->lost && t->have == 0 && t->left == 0;
}

/* ---- is the hello whole? */

static enum parse bad(struct tls_hello *out, const char *what)
{
    out->bad_what = what;
    return PARSE_BAD;
}

/* A record header, as much of it as is there. */
static enum parse check_record(struct span rest, struct tls_hello *out)
{
    const uint8_t *p = (const uint8_t *)rest.ptr;

    if (rest.len >= 1 && p[0] == TYPE_ALERT)
        return bad(out, "an alert instead of a hello");
    if (rest.len >= 1 && p[0] != TYPE_HANDSHAKE)
        return bad(out, "not TLS");
    if (rest.len >= 2 && p[1] != 3)
        return bad(out, "not a version of TLS");
    if (rest.len < RECORD_HEADER)
        return PARSE_MORE;
    if (two(p + 3) == 0 || two(p + 3) > PLAIN_MAX)
        return bad(out, "bad record length");
    return PARSE_OK;
}

/* The message's four bytes of header, which records may cut too, collected across calls of one
 * walk. */
struct message {
    uint8_t header[4];
    size_t have; /* of the header and the body, as far as it was seen */
};

static size_t message_len(const struct message *m)
{
    return 4u + ((size_t)m->header[1] << 16 | (size_t)m->header[2] << 8 | m->header[3]);
}

static enum parse take_fragment(struct message *m, struct span part, uint8_t type,
                                struct tls_hello *out)
{
    for (size_t i = 0; i < part.len && m->have + i < sizeof m->header; i++)
        m->header[m->have + i] = (uint8_t)part.ptr[i];
    m->have += part.len;
    if (m->have > 0 && m->header[0] != type)
        return bad(out, "not the hello of this side");
    if (m->have < sizeof m->header)
        return PARSE_MORE;
    if (message_len(m) > TLSREC_HELLO_MAX)
        return bad(out, "hello too large");
    return m->have >= message_len(m) ? PARSE_OK : PARSE_MORE;
}

/* Walks the records until the first handshake message is complete; *len is its body's. */
static enum parse find_message(struct span bytes, uint8_t type, size_t *len, struct tls_hello *out)
{
    struct message m = {.have = 0};
    size_t at = 0;

    for (;;) {
        struct span rest = {bytes.ptr + at, bytes.len - at};
        enum parse got = check_record(rest, out);

        if (got != PARSE_OK)
            return got;
        size_t record = two((const uint8_t *)rest.ptr + 3), there = rest.len - RECORD_HEADER;
        struct span part = {rest.ptr + RECORD_HEADER, record < there ? record : there};
        got = take_fragment(&m, part, type, out);
        if (got == PARSE_OK)
            *len = message_len(&m) - 4;
        if (got != PARSE_MORE)
            return got;
        if (there < record)
            return PARSE_MORE;
        at += RECORD_HEADER + record;
    }
}

/* ---- reading it */

/* A place in the joined records and how many bytes may be read from it. */
struct cursor {
    const uint8_t *at;
    size_t record; /* bytes left of the record that `at` is in */
    size_t left;   /* bytes left of the vector being read */
    bool bad;      /* more was asked for than there is; reads give zeros from then on */
};

/* Makes at least one byte of the current record available: steps over a record header. */
static void enter_record(struct cursor *c)
{
    if (c->record == 0) {
        c->record = two(c->at + 3);
        c->at += RECORD_HEADER;
    }
}

/* Copies to `room`, or skips where it is NULL. */
static void read_bytes(struct cursor *c, size_t n, char *room)
{
    if (n > c->left) {
        c->bad = true;
        c->left = 0;
        return;
    }
    c->left -= n;
    while (n > 0) {
        enter_record(c);
        size_t piece = n < c->record ? n : c->record;

        if (room) {
            memcpy(room, c->at, piece);
            room += piece;
        }
        c->at += piece;
        c->record -= piece;
        n -= piece;
    }
}

static unsigned read_number(struct cursor *c, size_t bytes)
{
    char room[2] = {0};
    unsigned n = 0;

    assert(bytes <= sizeof room);
    read_bytes(c, bytes, room);
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | (uint8_t)room[i];
    return n;
}

/* A vector that begins with its length in `bytes` bytes: a cursor over its inside; *c steps over
 * it. */
static struct cursor read_vector(struct cursor *c, size_t bytes)
{
    size_t len = read_number(c, bytes);
    struct cursor inside = *c;

    read_bytes(c, len, NULL);
    inside.left = c->bad ? 0 : len;
    inside.bad = c->bad;
    return inside;
}

/* The rest of a vector as one piece: in place, or in `room` (256 bytes) where a record's end cuts
 * it. */
static struct span read_text(struct cursor *c, char *room)
{
    size_t len = c->left;
    const uint8_t *at;

    if (len == 0)
        return SPAN_LIT("");
    if (len > 255) {
        c->bad = true;
        return SPAN_LIT("");
    }
    enter_record(c);
    at = c->at;
    bool whole = c->record >= len;
    read_bytes(c, len, whole ? NULL : room);
    return (struct span){whole ? (const char *)at : room, len};
}

/* RFC 6066 3: one host_name, ASCII. */
static bool read_server_name(struct cursor *c, struct tls_hello *out)
{
    struct cursor list = read_vector(c, 2);

    while (list.left > 0) {
        bool host = read_number(&list, 1) == 0;
        struct cursor name = read_vector(&list, 2);

        if (!host)
            continue;
        if (out->sni.len > 0)
            return false;
        out->sni = read_text(&name, out->joined[0]);
        if (name.bad || out->sni.len == 0)
            return false;
        for (size_t i = 0; i < out->sni.len; i++)
            if (out->sni.ptr[i] <= ' ' || out->sni.ptr[i] >= 0x7f)
                return false;
    }
    return !list.bad && !c->bad && c->left == 0 && out->sni.len > 0;
}

/* RFC 7301 3.1: the first of a list of names. */
static bool read_alpn(struct cursor *c, struct tls_hello *out)
{
    struct cursor list = read_vector(c, 2);
    struct cursor name = read_vector(&list, 1);

    out->alpn = read_text(&name, out->joined[1]);
    return !c->bad && !list.bad && !name.bad && c->left == 0 && out->alpn.len > 0;
}

/* RFC 8446 4.2.1: a list in a ClientHello (GREASE and drafts are passed over), one in a
 * ServerHello. */
static bool read_versions(struct cursor *c, struct tls_hello *out, bool client)
{
    struct cursor list = *c;
    unsigned highest = 0;

    if (client)
        list = read_vector(c, 1);
    else
        read_bytes(c, c->left, NULL);
    while (list.left > 0) {
        unsigned version = read_number(&list, 2);

        if (version >> 8 == 3 && version > highest)
            highest = version;
    }
    if (highest > 0)
        out->version = (uint16_t)highest;
    return !c->bad && !list.bad && c->left == 0;
}

static bool read_extension(struct cursor *c, unsigned type, struct tls_hello *out, bool client)
{
    switch (type) {
    case EXTENSION_SERVER_NAME:
        return !client || read_server_name(c, out); /* a server's is empty */
    case EXTENSION_ALPN:
        return read_alpn(c, out);
    case EXTENSION_VERSIONS:
        return read_versions(c, out, client);
    case EXTENSION_ECH:
        out->ech = client;
        return true;
    }
    return true;
}

static enum parse read_extensions(struct cursor *c, struct tls_hello *out, bool client)
{
    static const unsigned once[] = {EXTENSION_SERVER_NAME, EXTENSION_ALPN, EXTENSION_VERSIONS};
    bool seen[ARRAY_LEN(once)] = {false};
    struct cursor all;

    if (c->left == 0 && !c->bad)
        return PARSE_OK; /* allowed before TLS 1.3 */
    all = read_vector(c, 2);
    while (all.left > 0) {
        unsigned type = read_number(&all, 2);
        struct cursor one = read_vector(&all, 2);

        for (size_t i = 0; i < ARRAY_LEN(once); i++) {
            if (type == once[i] && seen[i])
                return bad(out, "extension given twice");
            seen[i] |= type == once[i];
        }
        if (all.bad || !read_extension(&one, type, out, client))
            return bad(out, "bad extension");
    }
    if (all.bad || c->bad || c->left > 0)
        return bad(out, "bad length in a hello");
    return PARSE_OK;
}

/* Prepares *out and a cursor at the message's body. */
static enum parse open_message(struct span bytes, uint8_t type, struct cursor *c,
                               struct tls_hello *out)
{
    size_t len = 0;
    enum parse got;

    memset(out, 0, offsetof(struct tls_hello, joined));
    out->sni = out->alpn = SPAN_LIT("");
    got = find_message(bytes, type, &len, out);
    if (got == PARSE_MORE && bytes.len >= TLSREC_HELLO_MAX)
        return bad(out, "hello too large");
    if (got == PARSE_OK) {
        *c = (struct cursor){.at = (const uint8_t *)bytes.ptr, .left = 4 + len};
        read_bytes(c, 4, NULL);
    }
    return got;
}

enum parse tlsrec_parse_client_hello(struct span bytes, struct tls_hello *out)
{
    struct cursor c;
    enum parse got = open_message(bytes, MESSAGE_CLIENT_HELLO, &c, out);

    if (got != PARSE_OK)
        return got;
    out->version = (uint16_t)read_number(&c, 2);
    read_bytes(&c, 32, NULL); /* random */
    read_vector(&c, 1);       /* legacy_session_id */
    read_vector(&c, 2);       /* cipher_suites */
    read_vector(&c, 1);       /* legacy_compression_methods */
    if (c.bad || out->version >> 8 != 3)
        return bad(out, "bad length or version in a hello");
    return read_extensions(&c, out, true);
}

enum parse tlsrec_parse_server_hello(struct span bytes, struct tls_hello *out)
{
    static const uint8_t retry[32] = {/* SHA-256 of "HelloRetryRequest", RFC 8446 4.1.3 */
                                      0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
                                      0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
                                      0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
                                      0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    char random[32] = {0};
    struct cursor c;
    enum parse got = open_message(bytes, MESSAGE_SERVER_HELLO, &c, out);

    if (got != PARSE_OK)
        return got;
    out->version = (uint16_t)read_number(&c, 2);
    read_bytes(&c, sizeof random, random);
    read_vector(&c, 1); /* legacy_session_id_echo */
    out->cipher = (uint16_t)read_number(&c, 2);
    read_number(&c, 1); /* legacy_compression_method */
    out->hello_retry = memcmp(random, retry, sizeof retry) == 0;
    if (c.bad || out->version >> 8 != 3)
        return bad(out, "bad length or version in a hello");
    return read_extensions(&c, out, false);
}

/* ---- names */

struct name {
    uint16_t code;
    const char *text;
};

static const char *find_name(const struct name *names, size_t len, unsigned code)
{
    for (size_t i = 0; i < len; i++)
        if (names[i].code == code)
            return names[i].text;
    return "";
}

const char *tlsrec_version_name(uint16_t version)
{
    static const struct name names[] = {
        {0x0300, "SSLv3"},   {0x0301, "TLSv1"},   {0x0302, "TLSv1.1"},
        {0x0303, "TLSv1.2"}, {0x0304, "TLSv1.3"},
    };

    return find_name(names, ARRAY_LEN(names), version);
}

const char *tlsrec_cipher_name(uint16_t cipher)
{
    static const struct name names[] = {
        {0x1301, "TLS_AES_128_GCM_SHA256"},
        {0x1302, "TLS_AES_256_GCM_SHA384"},
        {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
        {0x1304, "TLS_AES_128_CCM_SHA256"},
        {0x1305, "TLS_AES_128_CCM_8_SHA256"},
        {0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
        {0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
        {0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
        {0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
        {0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
        {0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
        {0xccaa, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
        {0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"},
        {0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384"},
        {0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"},
        {0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"},
        {0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"},
        {0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA"},
        {0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"},
        {0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384"},
        {0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"},
        {0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"},
        {0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256"},
        {0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384"},
        {0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA"},
        {0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA"},
        {0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256"},
        {0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256"},
        {0x000a, "TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
    };

    return find_name(names, ARRAY_LEN(names), cipher);
}

const char *tlsrec_alert_name(uint8_t description)
{
    static const struct name names[] = {
        {0, "close_notify"},
        {10, "unexpected_message"},
        {20, "bad_record_mac"},
        {21, "decryption_failed"},
        {22, "record_overflow"},
        {30, "decompression_failure"},
        {40, "handshake_failure"},
        {41, "no_certificate"},
        {42, "bad_certificate"},
        {43, "unsupported_certificate"},
        {44, "certificate_revoked"},
        {45, "certificate_expired"},
        {46, "certificate_unknown"},
        {47, "illegal_parameter"},
        {48, "unknown_ca"},
        {49, "access_denied"},
        {50, "decode_error"},
        {51, "decrypt_error"},
        {60, "export_restriction"},
        {70, "protocol_version"},
        {71, "insufficient_security"},
        {80, "internal_error"},
        {86, "inappropriate_fallback"},
        {90, "user_canceled"},
        {100, "no_renegotiation"},
        {109, "missing_extension"},
        {110, "unsupported_extension"},
        {111, "certificate_unobtainable"},
        {112, "unrecognized_name"},
        {113, "bad_certificate_status_response"},
        {114, "bad_certificate_hash_value"},
        {115, "unknown_psk_identity"},
        {116, "certificate_required"},
        {120, "no_application_protocol"},
        {121, "ech_required"},
    };

    return find_name(names, ARRAY_LEN(names), description);
}

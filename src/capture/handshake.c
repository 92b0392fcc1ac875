#include "capture/handshake.h"

#include <string.h>

#define HEADER_LEN 4

enum { EXTENSION_ALPN = 16, EXTENSION_VERSIONS = 43 };

/* ---- messages out of records */

static bool is_wanted(uint8_t type)
{
    switch (type) {
    case HANDSHAKE_CLIENT_HELLO:
    case HANDSHAKE_SERVER_HELLO:
    case HANDSHAKE_EXTENSIONS:
    case HANDSHAKE_CERTIFICATE:
    case HANDSHAKE_FINISHED:
    case HANDSHAKE_KEY_UPDATE:
        return true;
    }
    return false;
}

/* The four bytes are there. */
static void begin_message(struct handshake *h)
{
    h->left = (uint32_t)h->header[1] << 16 | (uint32_t)h->header[2] << 8 | h->header[3];
    h->wanted = is_wanted(h->header[0]);
    h->kept = h->wanted && h->left <= HANDSHAKE_MESSAGE_MAX;
    buf_init(&h->body, HANDSHAKE_MESSAGE_MAX);
}

/* Takes bytes of the body; false: out of memory. */
static bool take_body(struct handshake *h, struct span part)
{
    bool ok = !h->kept || buf_append(&h->body, part.ptr, part.len);

    h->left -= (uint32_t)part.len;
    return ok;
}

bool handshake_feed(struct handshake *h, struct span bytes, handshake_fn message, void *owner)
{
    while (bytes.len > 0) {
        if (h->have < HEADER_LEN) {
            h->header[h->have++] = (uint8_t)bytes.ptr[0];
            bytes.ptr++;
            bytes.len--;
            if (h->have < HEADER_LEN)
                continue;
            begin_message(h);
        }
        struct span part = {bytes.ptr, bytes.len < h->left ? bytes.len : h->left};

        if (!take_body(h, part))
            return false;
        bytes.ptr += part.len;
        bytes.len -= part.len;
        if (h->left > 0)
            continue;
        if (h->wanted)
            message(owner, h->header[0], buf_span(&h->body));
        handshake_fini(h);
    }
    return true;
}

void handshake_fini(struct handshake *h)
{
    buf_fini(&h->body);
    *h = (struct handshake){.have = 0};
}

/* ---- what they say */

static uint32_t read_number(struct span *s, size_t bytes, bool *ok)
{
    uint32_t n = 0;

    if (s->len < bytes) {
        *ok = false;
        s->len = 0;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | (uint8_t)s->ptr[i];
    s->ptr += bytes;
    s->len -= bytes;
    return n;
}

static struct span read_bytes(struct span *s, size_t n, bool *ok)
{
    struct span out = {s->ptr, n};

    if (s->len < n) {
        *ok = false;
        s->len = 0;
        return (struct span){"", 0};
    }
    s->ptr += n;
    s->len -= n;
    return out;
}

/* A vector that begins with its length in `bytes` bytes. */
static struct span read_vector(struct span *s, size_t bytes, bool *ok)
{
    size_t len = read_number(s, bytes, ok);

    return read_bytes(s, len, ok);
}

bool handshake_read_client_random(struct span body, uint8_t out[32])
{
    if (body.len < 34)
        return false;
    memcpy(out, body.ptr + 2, 32);
    return true;
}

/* The content of one extension of a list; empty: it is not there. */
static struct span find_extension(struct span list, unsigned wanted)
{
    bool ok = true;

    while (ok && list.len > 0) {
        unsigned type = read_number(&list, 2, &ok);
        struct span content = read_vector(&list, 2, &ok);

        if (ok && type == wanted)
            return content;
    }
    return (struct span){"", 0};
}

/* A list with one name (RFC 7301 3.1). */
static struct span read_alpn(struct span content)
{
    bool ok = true;
    struct span list = read_vector(&content, 2, &ok), name = read_vector(&list, 1, &ok);

    return ok ? name : (struct span){"", 0};
}

bool handshake_read_server_hello(struct span body, struct handshake_hello *out)
{
    static const uint8_t retry[32] = {/* SHA-256 of "HelloRetryRequest", RFC 8446 4.1.3 */
                                      0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
                                      0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
                                      0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
                                      0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
    struct span random, extensions, version;
    bool ok = true;

    *out = (struct handshake_hello){.version = (uint16_t)read_number(&body, 2, &ok)};
    random = read_bytes(&body, sizeof out->random, &ok);
    read_vector(&body, 1, &ok); /* session id */
    out->cipher = (uint16_t)read_number(&body, 2, &ok);
    read_number(&body, 1, &ok); /* compression */
    if (!ok)
        return false;
    memcpy(out->random, random.ptr, sizeof out->random);
    out->is_retry = memcmp(out->random, retry, sizeof retry) == 0;
    extensions = body.len > 0 ? read_vector(&body, 2, &ok) : body;
    version = find_extension(extensions, EXTENSION_VERSIONS);
    if (version.len == 2)
        out->version = (uint16_t)read_number(&version, 2, &ok);
    out->alpn = read_alpn(find_extension(extensions, EXTENSION_ALPN));
    return ok;
}

struct span handshake_find_alpn(struct span body)
{
    bool ok = true;

    return read_alpn(find_extension(read_vector(&body, 2, &ok), EXTENSION_ALPN));
}

struct span handshake_find_certificate(struct span body, bool is_tls13)
{
    bool ok = true;
    struct span list, der;

    if (is_tls13)
        read_vector(&body, 1, &ok); /* the request's context */
    list = read_vector(&body, 3, &ok);
    der = read_vector(&list, 3, &ok);
    return ok ? der : (struct span){"", 0};
}

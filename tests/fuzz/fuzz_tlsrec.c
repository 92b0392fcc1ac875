/* Hellos: what a shorter piece decided, more bytes do not change.  The follower: pieces do not
 * matter. */
#include <assert.h>
#include <stdlib.h>

#include "fuzz.h"
#include "wire/tlsrec.h"

typedef enum parse (*parse_fn)(struct span bytes, struct tls_hello *out);

static void check_hello(parse_fn parse, struct span bytes)
{
    struct tls_hello whole, part;
    size_t half = bytes.len / 2;
    char *front = malloc(half + 1);

    assert(front);
    memcpy(front + 1, bytes.ptr, half);
    enum parse got = parse(bytes, &whole);
    enum parse early = parse((struct span){front + 1, half}, &part);
    assert(early == PARSE_MORE || early == got);
    assert((got == PARSE_BAD) == (whole.bad_what != NULL));
    if (early == PARSE_OK)
        assert(span_equal(whole.sni, part.sni) && span_equal(whole.alpn, part.alpn));
    if (got == PARSE_OK)
        assert(whole.sni.len <= 255 && whole.alpn.len <= 255 && whole.version >> 8 == 3);
    free(front);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = {(const char *)data, size};
    struct tlsrec whole = {0}, steps = {0};

    check_hello(tlsrec_parse_client_hello, bytes);
    check_hello(tlsrec_parse_server_hello, bytes);
    tlsrec_follow(&whole, bytes);
    for (size_t i = 0; i < size; i++)
        tlsrec_follow(&steps, (struct span){bytes.ptr + i, 1});
    assert(whole.records == steps.records && whole.data_records == steps.data_records);
    assert(whole.left == steps.left && whole.lost == steps.lost);
    assert(tlsrec_is_boundary(&whole) == tlsrec_is_boundary(&steps));
    return 0;
}

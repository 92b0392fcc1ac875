/* A head that parses, rewritten, parses again and holds nothing that was meant for us alone.  The
 * first byte of the input chooses what the rewriter is asked for; the head follows. */
#include <assert.h>

#include "fuzz.h"
#include "wire/rewrite.h"

static const struct addr client = {{192, 0, 2, 1}, AF_INET};

static struct rewrite choose(uint8_t bits)
{
    return (struct rewrite){
        .via = bits & 1 ? "viaduct-fuzz" : NULL,
        .forwarded = bits & 2   ? FORWARDED_APPEND
                     : bits & 4 ? FORWARDED_X
                                : FORWARDED_OFF,
        .client = &client,
        .keep_alive = bits & 8,
        .upgrade = bits & 16,
        .absolute = bits & 32,
        .client_is_10 = bits & 32,
        .no_framing = bits & 64,
    };
}

/* Only what the rewriter itself says of this hop may be left. */
static void check_clean(const struct http1_head *h, const struct rewrite *r)
{
    unsigned lengths = 0, hosts = 0;

    for (unsigned i = 0; i < h->fields_len; i++) {
        enum field_id id = h->fields[i].id;
        struct span rest = h->fields[i].value, item;

        lengths += id == FIELD_CONTENT_LENGTH;
        hosts += id == FIELD_HOST;
        while (id == FIELD_CONNECTION && field_list_next(&rest, &item))
            assert(span_equal(item, SPAN_LIT("close")) || span_equal(item, SPAN_LIT("TE")) ||
                   span_equal(item, SPAN_LIT("upgrade")) ||
                   span_equal(item, SPAN_LIT("keep-alive")));
        if (id == FIELD_TE)
            assert(span_equal(h->fields[i].value, SPAN_LIT("trailers")));
        else if (id == FIELD_TRANSFER_ENCODING)
            assert(h->chunked);
        else if (id == FIELD_UPGRADE)
            assert(r->upgrade);
        else
            assert(id == FIELD_CONNECTION || !field_is_hop(id));
    }
    assert(lengths <= 1 && (h->status > 0 || hosts == 1));
    assert(!r->via || rewrite_has_via(h, span_of(r->via)));
}

static void check_request(struct span text, struct rewrite r, char *out, size_t cap)
{
    struct http1_head h, again;
    struct authority a;

    http1_head_reset(&h);
    if (http1_parse_request(text, &h) != PARSE_OK || h.fields_len > HTTP1_FIELDS_MAX - 8)
        return;
    if (h.method == METHOD_CONNECT
            ? !authority_parse(h.target, &a)
            : !authority_parse_absolute(h.target, h.method == METHOD_OPTIONS, &a))
        return;
    r.chunked = h.chunked;
    rewrite_check(&h);
    size_t len = rewrite_request(&h, &a, &r, out, cap);
    assert(len > 0);
    http1_head_reset(&again);
    assert(http1_parse_request((struct span){out, len}, &again) == PARSE_OK);
    assert(again.head_len == len && again.method == h.method && again.chunked == h.chunked);
    assert(again.has_length == (h.has_length && h.method != METHOD_CONNECT));
    check_clean(&again, &r);
}

static void check_response(struct span text, struct rewrite r, char *out, size_t cap)
{
    struct http1_head h, again;

    http1_head_reset(&h);
    if (http1_parse_response(text, &h) != PARSE_OK || h.fields_len > HTTP1_FIELDS_MAX - 8)
        return;
    r.chunked = h.chunked;
    size_t len = rewrite_response(&h, &r, out, cap);
    assert(len > 0);
    http1_head_reset(&again);
    assert(http1_parse_response((struct span){out, len}, &again) == PARSE_OK);
    assert(again.head_len == len && again.status == h.status);
    check_clean(&again, &r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char out[1 << 18];

    if (size < 1 || size > 1 << 16)
        return 0;
    struct span text = {(const char *)data + 1, size - 1};
    check_request(text, choose(data[0]), out, sizeof out);
    check_response(text, choose(data[0]), out, sizeof out);
    return 0;
}

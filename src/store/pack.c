/* An open pack: for each record the length of its JSON and that of its terms, four bytes each,
 * little end first, and the bytes of both. */
#include "store/pack.h"

#include <stdlib.h>
#include <zstd.h>

#define HEAD_LEN 8
#define PACK_ENOUGH (128u * 1024) /* one that has so much is closed, whatever its flows */
#define LEVEL 1
#define FLOWS_ALONE 8 /* so many are like enough: a dictionary would only take time */

struct packer {
    ZSTD_CCtx *compress;
    ZSTD_DCtx *expand;
    ZSTD_CDict *dictionary;
    ZSTD_DDict *dictionary_back;
    char *closed, *opened;
    size_t closed_cap, opened_cap, opened_len;
};

struct span pack_dictionary(void)
{
    /* What most records have in common.  The most common comes last, where it is found cheapest. */
    static const char sample[] =
        "\"parent\":\"proxy.example.net:3128\",\"tls\":{\"sni\":\"www.example.com\",\"version\":"
        "\"TLSv1.3\",\"cipher\":\"TLS_AES_256_GCM_SHA384\",\"issuer\":null,\"alpn\":\"h2\"},"
        "\"outcome\":\"failed\",\"verdict\":\"upstream-unresolved\",\"ended_in\":\"answer\","
        "\"ended_by\":\"network\",\"certainty\":\"inferred\",\"steps\":[{\"step\":\"authenticate\","
        "\"duration_us\":1,\"detail\":\"\"},{\"step\":\"parent\",\"duration_us\":"
        "{\"id\":\"77d63f9f2dc31038\",\"source\":\"serve\",\"start\":\"2026-11-26T04:27:47."
        "711490Z\","
        "\"duration_us\":2113,\"client\":\"10.40.40.1:35136\",\"proxy\":\"10.10.10.1:3128\","
        "\"target\":\"www.example.com:443\",\"target_address\":\"192.0.2.80:443\",\"parent\":null,"
        "\"method\":\"CONNECT\",\"url\":null,\"user\":null,\"rule\":\"updates\",\"reported\":[],"
        "\"status\":200,\"bytes_up\":1834,\"bytes_down\":5321,\"phases\":[{\"phase\":\"resolve\","
        "\"start_us\":0,\"duration_us\":0,\"outcome\":\"unknown\",\"detail\":\"\"},{\"phase\":"
        "\"connect\",\"start_us\":0,\"duration_us\":0,\"outcome\":\"ok\",\"detail\":\"\"},{"
        "\"phase\":"
        "\"proxy-tls\",\"start_us\":0,\"duration_us\":0,\"outcome\":\"skipped\",\"detail\":\"\"},"
        "{\"phase\":\"request\",\"start_us\":0,\"duration_us\":0,\"outcome\":\"ok\",\"detail\":"
        "\"\"},"
        "{\"phase\":\"answer\",\"start_us\":0,\"duration_us\":2113,\"outcome\":\"ok\",\"detail\":"
        "\"\","
        "\"steps\":[{\"step\":\"authorize\",\"duration_us\":0,\"detail\":\"\"},{\"step\":"
        "\"resolve\","
        "\"duration_us\":1134,\"detail\":\"\"},{\"step\":\"dial\",\"duration_us\":252,\"detail\":"
        "\"\"}]},{\"phase\":\"tls\",\"start_us\":0,\"duration_us\":0,\"outcome\":\"skipped\","
        "\"detail\":\"\"},{\"phase\":\"exchange\",\"start_us\":0,\"duration_us\":0,\"outcome\":"
        "\"skipped\",\"detail\":\"\"},{\"phase\":\"transfer\",\"start_us\":2113,\"duration_us\":0,"
        "\"outcome\":\"ok\",\"detail\":\"\"},{\"phase\":\"close\",\"start_us\":13446,\"duration_"
        "us\":"
        "150,\"outcome\":\"ok\",\"detail\":\"\"}],\"tls\":null,\"tcp\":{\"client\":{\"rtt_us\":31,"
        "\"retransmissions\":0,\"mss\":1460,\"pmtu\":1500,\"unacked\":0},\"upstream\":{\"rtt_us\":"
        "19,"
        "\"retransmissions\":0,\"mss\":1448,\"pmtu\":1500,\"unacked\":0}},\"redirects\":[],"
        "\"superseded_by\":null,\"verdict\":\"ok\",\"ended_in\":\"close\",\"ended_by\":\"target\","
        "\"certainty\":\"seen\",\"cause\":\"The flow finished as both sides "
        "meant.\",\"advice\":\"\","
        "\"evidence\":[\"FIN from the target first, nothing was owed\",\"192.0.2.80:443: connected "
        "in "
        "0.2 ms\"],\"warnings\":[]}\n";

    return (struct span){sample, sizeof sample - 1};
}

struct packer *packer_new(struct span dictionary)
{
    struct packer *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->compress = ZSTD_createCCtx();
    p->expand = ZSTD_createDCtx();
    p->dictionary = ZSTD_createCDict(dictionary.ptr, dictionary.len, LEVEL);
    p->dictionary_back = ZSTD_createDDict(dictionary.ptr, dictionary.len);
    if (p->compress && p->expand && p->dictionary && p->dictionary_back)
        return p;
    packer_free(p);
    return NULL;
}

void packer_free(struct packer *p)
{
    if (!p)
        return;
    ZSTD_freeCCtx(p->compress);
    ZSTD_freeDCtx(p->expand);
    ZSTD_freeCDict(p->dictionary);
    ZSTD_freeDDict(p->dictionary_back);
    free(p->closed);
    free(p->opened);
    free(p);
}

static void put_u32(char *at, size_t n)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(n >> 8 * i);
}

static uint32_t get_u32(const char *at)
{
    uint32_t n = 0;

    for (int i = 3; i >= 0; i--)
        n = n << 8 | (unsigned char)at[i];
    return n;
}

bool pack_add(struct pack *k, struct span json, struct span terms)
{
    size_t len = HEAD_LEN + json.len + terms.len;
    char *at;

    if (len > PACK_MAX - k->len)
        return false;
    if (k->len + len > k->cap) {
        size_t cap = (k->len + len) * 2;

        at = realloc(k->bytes, cap);
        if (!at)
            return false;
        k->bytes = at;
        k->cap = (uint32_t)cap;
    }
    at = k->bytes + k->len;
    put_u32(at, json.len);
    put_u32(at + 4, terms.len);
    memcpy(at + HEAD_LEN, json.ptr, json.len);
    memcpy(at + HEAD_LEN + json.len, terms.ptr, terms.len);
    k->len += (uint32_t)len;
    k->flows++;
    return true;
}

bool pack_is_full(const struct pack *k)
{
    return k->flows >= PACK_FLOWS || k->len >= PACK_ENOUGH;
}

void pack_clear(struct pack *k)
{
    k->len = 0;
    k->flows = 0;
}

void pack_fini(struct pack *k)
{
    free(k->bytes);
    *k = (struct pack){0};
}

static bool make_room(char **bytes, size_t *cap, size_t want)
{
    char *grown;

    if (want <= *cap)
        return true;
    grown = realloc(*bytes, want);
    if (!grown)
        return false;
    *bytes = grown;
    *cap = want;
    return true;
}

struct span packer_close(struct packer *p, const struct pack *k)
{
    size_t len = 0;

    if (!make_room(&p->closed, &p->closed_cap, ZSTD_compressBound(k->len)))
        return (struct span){NULL, 0};
    if (k->flows >= FLOWS_ALONE)
        len = ZSTD_compressCCtx(p->compress, p->closed, p->closed_cap, k->bytes, k->len, LEVEL);
    else
        len = ZSTD_compress_usingCDict(p->compress, p->closed, p->closed_cap, k->bytes, k->len,
                                       p->dictionary);
    return len == 0 || ZSTD_isError(len) ? (struct span){NULL, 0} : (struct span){p->closed, len};
}

enum pack_state packer_open(struct packer *p, struct span bytes)
{
    unsigned long long len = ZSTD_getFrameContentSize(bytes.ptr, bytes.len);
    size_t done;

    p->opened_len = 0;
    if (len > PACK_MAX)
        return PACK_DAMAGED;
    if (!make_room(&p->opened, &p->opened_cap, (size_t)len + 1))
        return PACK_NO_MEMORY;
    done = ZSTD_decompress_usingDDict(p->expand, p->opened, (size_t)len, bytes.ptr, bytes.len,
                                      p->dictionary_back);
    if (ZSTD_isError(done) || done != len)
        return PACK_DAMAGED;
    p->opened_len = done;
    return PACK_OPEN;
}

bool packer_get(const struct packer *p, unsigned slot, struct span *json, struct span *terms)
{
    const char *at = p->opened;
    size_t left = p->opened_len;

    for (;; slot--) {
        size_t json_len, terms_len;

        if (left < HEAD_LEN)
            return false;
        json_len = get_u32(at);
        terms_len = get_u32(at + 4);
        if (json_len > left - HEAD_LEN || terms_len > left - HEAD_LEN - json_len)
            return false;
        *json = (struct span){at + HEAD_LEN, json_len};
        *terms = (struct span){at + HEAD_LEN + json_len, terms_len};
        if (slot == 0)
            return true;
        at += HEAD_LEN + json_len + terms_len;
        left -= HEAD_LEN + json_len + terms_len;
    }
}

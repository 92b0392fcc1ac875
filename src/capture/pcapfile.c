#include "capture/pcapfile.h"

#include <string.h>

#include "base/clock.h"
#include "base/util.h"

#define FILE_HEAD 24

static const struct kind {
    uint32_t magic, unit_ns, head_len;
} kinds[] = {
    {0xa1b2c3d4, 1000, 16},
    {0xa1b23c4d, 1, 16},
    {0xa1b2cd34, 1000, 24}, /* "modified": device, protocol and direction behind the lengths */
};

static uint32_t get32(const char *p, bool is_swapped)
{
    uint32_t n;

    memcpy(&n, p, sizeof n);
    return is_swapped ? __builtin_bswap32(n) : n;
}

static const struct kind *find_kind(const char magic[4], bool *is_swapped)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        *is_swapped = get32(magic, true) == kinds[i].magic;
        if (*is_swapped || get32(magic, false) == kinds[i].magic)
            return &kinds[i];
    }
    return NULL;
}

bool pcapfile_is_magic(const char magic[4])
{
    bool is_swapped;

    return find_kind(magic, &is_swapped) != NULL;
}

bool pcapfile_open(struct pcapfile *f, struct unpack *u, struct err *err)
{
    const char *p = unpack_peek(u, FILE_HEAD);
    const struct kind *kind = p ? find_kind(p, &f->is_swapped) : NULL;

    if (!kind) {
        err_set(err, "ends within its header");
        return false;
    }
    uint32_t versions = get32(p + 4, f->is_swapped);
    unsigned major = (f->is_swapped == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__))
                         ? versions >> 16
                         : versions & 0xffff;

    if (major != 2) {
        err_set(err, "is a pcap file of version %u, only 2 is known", major);
        return false;
    }
    f->unit_ns = kind->unit_ns;
    f->head_len = kind->head_len;
    f->snaplen = get32(p + 16, f->is_swapped);
    f->linktype = get32(p + 20, f->is_swapped) & 0xffff; /* above: the length of an FCS */
    unpack_take(u, FILE_HEAD);
    return true;
}

enum record_next pcapfile_next(struct pcapfile *f, struct unpack *u, struct record *out,
                               struct err *err)
{
    uint32_t len, head = f->head_len;
    const char *p;

    unpack_take(u, f->behind);
    f->behind = 0;
    p = unpack_peek(u, head);
    if (!p)
        return u->end == u->begin ? RECORD_END : RECORD_CUT;
    len = get32(p + 8, f->is_swapped);
    if (len > RECORD_MAX) {
        err_set(err, "it claims %u bytes", len);
        return RECORD_BAD;
    }
    if (u->end - u->begin < head + len && !(p = unpack_peek(u, head + len)))
        return RECORD_CUT;
    out->bytes = (struct span){p + head, len};
    out->wire_len = get32(p + 12, f->is_swapped);
    if (out->wire_len < len)
        out->wire_len = len;
    out->linktype = f->linktype;
    out->interface = 0;
    out->wall_ns =
        get32(p, f->is_swapped) * NS_PER_S + (uint64_t)get32(p + 4, f->is_swapped) * f->unit_ns;
    f->behind = head + len;
    return RECORD_OK;
}

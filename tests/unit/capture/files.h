/* tests/unit/capture/files.h - capture files in memory, of either byte order, and their way into a
 * reader: a path that leads to them while they are kept. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/span.h"

#define IMAGE_MAX (4u << 20)

struct image {
    bool is_swapped; /* the other byte order than this machine's */
    uint8_t *bytes;  /* heap */
    size_t len;
    int fd; /* 0: no path was asked for */
    char path[64];
};

static inline void image_init(struct image *f, bool is_swapped)
{
    *f = (struct image){.is_swapped = is_swapped, .bytes = malloc(IMAGE_MAX)};
    assert_non_null(f->bytes);
}

static inline void image_fini(struct image *f)
{
    if (f->fd > 0)
        close(f->fd);
    free(f->bytes);
    *f = (struct image){0};
}

static inline void image_put(struct image *f, const void *bytes, size_t len)
{
    assert_true(len <= IMAGE_MAX - f->len);
    memcpy(f->bytes + f->len, bytes, len);
    f->len += len;
}

static inline void image_u16(struct image *f, uint16_t n)
{
    n = f->is_swapped ? __builtin_bswap16(n) : n;
    image_put(f, &n, 2);
}

static inline void image_u32(struct image *f, uint32_t n)
{
    n = f->is_swapped ? __builtin_bswap32(n) : n;
    image_put(f, &n, 4);
}

static inline void image_u64(struct image *f, uint64_t n)
{
    n = f->is_swapped ? __builtin_bswap64(n) : n;
    image_put(f, &n, 8);
}

static inline void image_padding(struct image *f)
{
    while (f->len % 4)
        f->bytes[f->len++] = 0;
}

/* The path of what is in it now (the first `len` bytes); holds until the next call. */
static inline const char *image_path_of(struct image *f, size_t len)
{
    if (f->fd > 0)
        close(f->fd);
    f->fd = memfd_create("capture", MFD_CLOEXEC);
    assert_true(f->fd > 0 && write(f->fd, f->bytes, len) == (ssize_t)len);
    snprintf(f->path, sizeof f->path, "/proc/self/fd/%d", f->fd);
    return f->path;
}

static inline const char *image_path(struct image *f)
{
    return image_path_of(f, f->len);
}

/* --- pcap --- */

static inline void image_pcap(struct image *f, uint32_t magic, uint32_t linktype)
{
    image_u32(f, magic);
    image_u16(f, 2);
    image_u16(f, 4);
    image_u64(f, 0);
    image_u32(f, 262144);
    image_u32(f, linktype);
}

static inline void image_pcap_packet(struct image *f, uint32_t seconds, uint32_t fraction,
                                     struct span bytes, uint32_t wire_len)
{
    image_u32(f, seconds);
    image_u32(f, fraction);
    image_u32(f, (uint32_t)bytes.len);
    image_u32(f, wire_len);
    image_put(f, bytes.ptr, bytes.len);
}

/* --- pcapng --- */

/* Begins a block; what is put until image_end is its body. */
static inline size_t image_begin(struct image *f, uint32_t type)
{
    size_t at = f->len;

    image_u32(f, type);
    image_u32(f, 0);
    return at;
}

static inline void image_end(struct image *f, size_t at)
{
    size_t end;

    image_padding(f);
    image_u32(f, (uint32_t)(f->len + 4 - at));
    end = f->len;
    f->len = at + 4;
    image_u32(f, (uint32_t)(end - at));
    f->len = end;
}

static inline void image_section(struct image *f)
{
    size_t at = image_begin(f, 0x0a0d0d0a);

    image_u32(f, 0x1a2b3c4d);
    image_u16(f, 1);
    image_u16(f, 0);
    image_u64(f, UINT64_MAX);
    image_end(f, at);
}

static inline void image_option(struct image *f, uint16_t code, const void *value, uint16_t len)
{
    image_u16(f, code);
    image_u16(f, len);
    image_put(f, value, len);
    image_padding(f);
}

static inline void image_option_u64(struct image *f, uint16_t code, uint64_t value)
{
    image_u16(f, code);
    image_u16(f, 8);
    image_u64(f, value);
}

/* tsresol 0: none is said; offset 0: neither. */
static inline void image_interface(struct image *f, uint16_t linktype, uint32_t snaplen,
                                   uint8_t tsresol, int64_t offset)
{
    size_t at = image_begin(f, 1);

    image_u16(f, linktype);
    image_u16(f, 0);
    image_u32(f, snaplen);
    image_option(f, 2, "eth0", 4);
    if (tsresol)
        image_option(f, 9, &tsresol, 1);
    if (offset)
        image_option_u64(f, 14, (uint64_t)offset);
    image_u32(f, 0);
    image_end(f, at);
}

/* drops 0: none are said. */
static inline void image_packet(struct image *f, uint32_t interface, uint64_t ticks,
                                struct span bytes, uint32_t wire_len, uint64_t drops)
{
    size_t at = image_begin(f, 6);

    image_u32(f, interface);
    image_u32(f, (uint32_t)(ticks >> 32));
    image_u32(f, (uint32_t)ticks);
    image_u32(f, (uint32_t)bytes.len);
    image_u32(f, wire_len);
    image_put(f, bytes.ptr, bytes.len);
    image_padding(f);
    if (drops)
        image_option_u64(f, 4, drops);
    image_end(f, at);
}

/* --- a segment --- */

/* Writes an IPv4 packet (LINKTYPE_RAW) with a segment of `len` bytes of payload, and gives its
 * length. */
static inline size_t segment_write(uint8_t *out, uint16_t port, uint32_t seq, size_t len)
{
    static const uint8_t head[40] = {0x45, 0, 0, 0, 0,   1, 0, 0, 64,   6,    0, 0,
                                     192,  0, 2, 1, 192, 0, 2, 2, 0,    0,    0, 80,
                                     0,    0, 0, 0, 0,   0, 0, 0, 0x50, 0x10, 1};
    memcpy(out, head, sizeof head);
    out[2] = (uint8_t)((40 + len) >> 8);
    out[3] = (uint8_t)(40 + len);
    out[20] = (uint8_t)(port >> 8);
    out[21] = (uint8_t)port;
    for (int i = 0; i < 4; i++)
        out[24 + i] = (uint8_t)(seq >> (24 - 8 * i));
    memset(out + 40, 'x', len);
    return 40 + len;
}

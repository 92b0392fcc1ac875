/* A packet of any link layer: what is given out lies in the bytes, and lengths agree with each
 * other.  The first two bytes are the link type, the next two what the capture cut off. */
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "wire/packet.h"

static void check_within(struct span part, struct span whole, uint32_t wire_len)
{
    assert(part.len <= wire_len);
    if (part.len > 0)
        assert(part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check(const struct packet *p, struct span bytes)
{
    struct span none = {NULL, 0};

    check_within(p->payload, p->kind == PACKET_TCP ? bytes : none, p->payload_len);
    if (p->kind == PACKET_FRAGMENT)
        check_within(p->fragment, bytes, p->fragment_len);
    assert(p->kind != PACKET_TCP || p->payload_len < p->ip_len);
    assert(p->kind != PACKET_TCP || (p->from.addr.family && p->to.addr.family));
    assert(p->kind != PACKET_ICMP || (p->about_from.addr.family && p->about_to.addr.family));
    assert(p->kind != PACKET_FRAGMENT || p->fragment_offset + p->fragment_len <= 65535);
    assert(p->sacks_len <= PACKET_SACKS_MAX && p->scale <= 14);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packet p, again;
    struct span bytes;
    uint32_t wire_len, linktype;

    if (size < 4)
        return 0;
    linktype = (uint32_t)data[0] << 8 | data[1];
    bytes = (struct span){(const char *)data + 4, size - 4};
    wire_len = (uint32_t)bytes.len + ((uint32_t)data[2] << 8 | data[3]);
    memset(&p, 0, sizeof p);
    memset(&again, 0, sizeof again);
    packet_parse(linktype, bytes, wire_len, &p);
    check(&p, bytes);
    packet_parse(linktype, bytes, wire_len, &again);
    assert(p.kind == again.kind && p.payload_len == again.payload_len && p.seq == again.seq);
    assert(packet_knows_link(linktype) || p.kind == PACKET_BAD);
    if (p.kind == PACKET_FRAGMENT) {
        struct span part = p.fragment;

        packet_parse_payload(part, p.fragment_len, p.fragment_protocol, &again);
        assert(again.kind != PACKET_TCP || again.payload_len < p.fragment_len);
    }
    return 0;
}

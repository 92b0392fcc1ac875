#include "capture/twice.h"

#include "base/clock.h"

#define MARKED_NS (2 * NS_PER_MS) /* packets that tell themselves apart, by IP ID or timestamp */
#define DATA_NS (1 * NS_PER_MS)   /* others: nothing is sent again so soon */
#define ACK_NS (100 * NS_PER_US)  /* but acknowledgements may be */

/* Mixes (MurmurHash3's last steps; Appleby). */
static uint64_t mix(uint64_t h, uint64_t more)
{
    h ^= more;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ull;
    return h ^ h >> 33;
}

/* All that two copies of a packet have in common and two packets have not. */
static uint64_t get_mark(uint64_t hash, const struct packet *p)
{
    uint64_t h = mix(hash, (uint64_t)p->seq << 32 | p->ack);

    h = mix(h, (uint64_t)p->payload_len << 32 | (uint32_t)p->window << 16 | p->from.port);
    h = mix(h, (uint64_t)p->flags << 56 | (p->has_ip_id ? p->ip_id : 0));
    if (p->has_times)
        h = mix(h, (uint64_t)p->time_value << 32 | p->time_echo);
    for (unsigned i = 0; i < p->sacks_len; i++)
        h = mix(h, (uint64_t)p->sacks[i].begin << 32 | p->sacks[i].end);
    return h | 1;
}

static uint64_t get_limit(const struct packet *p)
{
    if ((p->has_ip_id && p->ip_id) || p->has_times)
        return MARKED_NS;
    return p->payload_len || p->flags & (PACKET_SYN | PACKET_FIN | PACKET_RST) ? DATA_NS : ACK_NS;
}

bool twice_is_copy(struct twice *t, uint64_t hash, const struct packet *p)
{
    uint64_t mark = get_mark(hash, p);
    struct twice_slot *slot = &t->slots[mark >> 1 & (TWICE_SLOTS - 1)];
    uint64_t since = p->at_ns - slot->at_ns;
    bool same = slot->mark == mark && p->at_ns >= slot->at_ns && since <= get_limit(p);

    /* lines of a text may have no times at all: then nothing is told of them */
    if (same && !(p->is_text && since == 0))
        return true;
    slot->mark = mark;
    slot->at_ns = p->at_ns;
    return false;
}

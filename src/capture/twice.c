#include "capture/twice.h"

#include "base/clock.h"

#define MARKED_NS (2 * NS_PER_MS) /* packets that tell themselves apart, by IP ID or timestamp */
#define DATA_NS (1 * NS_PER_MS)   /* others: nothing is sent again so soon */
#define ACK_NS (100 * NS_PER_US)  /* but acknowledgements may be */

__extension__ typedef unsigned __int128 wide;

/* Mixes two words into one: both halves of their product. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* All that two copies of a packet have in common and two packets have not.  `hash` is secret, so
 * nobody can make two packets alike on purpose. */
static uint64_t get_mark(uint64_t hash, const struct packet *p)
{
    uint64_t numbers = (uint64_t)p->seq << 32 | p->ack;
    uint64_t sizes = (uint64_t)p->payload_len << 32 | (uint32_t)p->window << 16 | p->from.port;
    uint64_t times = p->has_times ? (uint64_t)p->time_value << 32 | p->time_echo : 0;
    uint64_t rest = (uint64_t)p->flags << 16 | (p->has_ip_id ? p->ip_id : 0);
    uint64_t h = mix(hash ^ numbers, sizes ^ 0x9e3779b97f4a7c15ull);

    h = mix(h ^ times, rest ^ 0xc2b2ae3d27d4eb4full);
    for (unsigned i = 0; i < p->sacks_len; i++)
        h = mix(h ^ ((uint64_t)p->sacks[i].begin << 32 | p->sacks[i].end), 0x9e3779b97f4a7c15ull);
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

#include "proxy/heal.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "net/mtu.h"
#include "net/sock.h"
#include "proxy/session.h"
#include "proxy/watch.h"
#include "proxy/worker.h"

/* What timestamps take of each segment; the size in force is told without it. */
#define OPTION_BYTES 12

/* A slot: 28 bits of the address's hash, 24 bits of the minute when it is forgotten (for 31 years
 * from the machine's start), 12 bits of the size; 0: none helps. */
#define MINUTE_NS (60 * NS_PER_S)
#define MINUTES 0xffffffu
#define SIZES 0xfffu

struct slot {
    uint32_t tag, minute, mss;
};

static struct slot unpack(uint64_t word)
{
    return (struct slot){(uint32_t)(word >> 36), (uint32_t)(word >> 12) & MINUTES,
                         (uint32_t)word & SIZES};
}

static uint64_t pack(struct slot s)
{
    return (uint64_t)s.tag << 36 | (uint64_t)(s.minute & MINUTES) << 12 | (s.mss & SIZES);
}

static uint64_t hash_addr(const struct addr *at)
{
    return hash_bytes(at->bytes, sizeof at->bytes);
}

/* Whether the slot is about the address with this hash, and still holds. */
static bool holds(struct slot s, uint64_t hash, uint64_t now_ns)
{
    return s.minute > 0 && s.tag == (uint32_t)(hash >> 36) && now_ns / MINUTE_NS < s.minute;
}

static uint32_t size_of(struct slot s, uint32_t mss)
{
    return s.mss && (!mss || s.mss < mss) ? s.mss : mss;
}

uint32_t heal_find(const struct heal *h, const struct addr *at, uint32_t mss, uint64_t now_ns)
{
    uint64_t hash = hash_addr(at);
    struct slot s =
        unpack(atomic_load_explicit(&h->slots[hash % HEAL_SLOTS], memory_order_relaxed));

    return holds(s, hash, now_ns) ? size_of(s, mss) : mss;
}

enum heal_news heal_report(struct heal *h, const struct addr *at, uint32_t tried, uint32_t in_force,
                           uint32_t mss, uint64_t now_ns, uint32_t *next)
{
    uint64_t hash = hash_addr(at);
    _Atomic uint64_t *place = &h->slots[hash % HEAL_SLOTS];
    uint64_t word = atomic_load_explicit(place, memory_order_relaxed);
    struct slot s = unpack(word);
    bool known = holds(s, hash, now_ns);

    if (known && (s.mss == 0 || tried != size_of(s, mss)))
        return HEAL_KNOWN;
    in_force += OPTION_BYTES;
    if (tried && tried < in_force)
        in_force = tried;
    *next = mtu_step_below(in_force);
    s = (struct slot){(uint32_t)(hash >> 36), (uint32_t)((now_ns + HEAL_NS) / MINUTE_NS) + 1,
                      *next};
    if (!atomic_compare_exchange_strong_explicit(place, &word, pack(s), memory_order_relaxed,
                                                 memory_order_relaxed))
        return HEAL_KNOWN; /* another worker was first */
    return *next ? HEAL_STEP : HEAL_GIVEN_UP;
}

/* ---- for sessions */

uint32_t heal_find_mss(const struct session *s, const struct addr *at)
{
    const struct config *c = s->worker->config;

    return c->mtu_healing ? heal_find(&s->worker->shared->heal, at, c->mss, session_now(s))
                          : c->mss;
}

static void read_signs(const struct conn *c, struct sock_info *i, struct path_signs *path,
                       struct flow_leg *leg)
{
    *i = (struct sock_info){0};
    if (c->fd < 0 || !sock_read_info(c->fd, i))
        return;
    *path = (struct path_signs){
        .mss = i->mss,
        .unacked = i->unacked,
        .acked = i->acked,
        .repeats = i->backoffs,
        .sacked = i->sacked,
        .answers = i->since_ack_ms < i->timeout_ms / 2,
        .received = i->received,
        .out_of_order = i->out_of_order,
        .quiet_ns = i->quiet_ms * NS_PER_MS,
    };
    *leg = (struct flow_leg){true, i->rtt_us, i->retransmissions, i->mss, i->pmtu, i->unacked};
}

void heal_gather(struct session *s, struct symptoms *y, struct heal_info *info)
{
    read_signs(&s->client, &info->client, &y->path_client, &s->flow.client_leg);
    if (s->link)
        read_signs(&s->link->conn, &info->target, &y->path_target, &s->flow.upstream_leg);
}

void heal_take(struct session *s, const struct ending *e)
{
    const struct config *c = s->worker->config;
    char text[ENDPOINT_TEXT_MAX];
    uint32_t next;

    if (e->verdict != VERDICT_MTU_BLACKHOLE || e->leg == SIDE_CLIENT || !s->link || !c->mtu_healing)
        return;
    addr_write(&s->link->at.addr, text);
    switch (heal_report(&s->worker->shared->heal, &s->link->at.addr, s->link->mss,
                        s->flow.upstream_leg.mss, c->mss, session_now(s), &next)) {
    case HEAL_KNOWN:
        break;
    case HEAL_STEP:
        log_warning("%s: full-size segments vanish on the way: new connections there begin with an "
                    "MSS of %u (mtu-healing)",
                    text, next);
        break;
    case HEAL_GIVEN_UP:
        log_warning("%s: full-size segments vanish on the way, and no smaller MSS helped: given up "
                    "for an hour (mtu-healing)",
                    text);
        break;
    }
}

bool heal_explains(struct session *s, struct ending *e)
{
    struct symptoms y = {0};
    struct heal_info info;

    if (!s->link || !s->link->connected)
        return false;
    heal_gather(s, &y, &info);
    if (s->watch)
        watch_gather(s->watch, &y);
    if (!judge_path(&y, &s->flow, e))
        return false;
    heal_take(s, e);
    return true;
}

void heal_note(struct session *s)
{
    if (s->link && s->link->healed)
        flow_warn(&s->flow, WARNING_MTU_HEALED, "MSS %u towards the %s", s->link->mss,
                  s->flow.parent ? "parent" : "target");
}

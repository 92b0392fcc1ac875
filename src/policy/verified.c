#include "policy/verified.h"

#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/hash.h"
#include "base/util.h"

#define KEEP_NS (300 * NS_PER_S)

void verified_init(struct verified *v)
{
    memset(v, 0, sizeof *v);
    hash_random(v->key, sizeof v->key);
}

void verified_mark(const struct verified *v, const char *hash, struct span user,
                   struct span password, unsigned char mark[VERIFIED_MARK_LEN])
{
    /* neither a hash nor a name has a NUL in it: the parts cannot be shifted */
    struct span parts[] = {span_of(hash), {"", 1}, user, {"", 1}, password};
    unsigned char mac[32];

    digest_hmac(v->key, parts, ARRAY_LEN(parts), mac);
    memcpy(mark, mac, VERIFIED_MARK_LEN);
}

static unsigned set_of(const unsigned char *mark)
{
    return mark[0] % VERIFIED_SETS;
}

bool verified_find(const struct verified *v, const unsigned char mark[VERIFIED_MARK_LEN],
                   uint64_t now_ns)
{
    const struct verified_slot *set = v->slots[set_of(mark)];

    for (unsigned i = 0; i < VERIFIED_WAYS; i++)
        if (set[i].until_ns > now_ns && digest_equal(set[i].mark, mark, VERIFIED_MARK_LEN))
            return true;
    return false;
}

void verified_add(struct verified *v, const unsigned char mark[VERIFIED_MARK_LEN], uint64_t now_ns)
{
    struct verified_slot *set = v->slots[set_of(mark)], *room = &set[0];

    for (unsigned i = 0; i < VERIFIED_WAYS; i++) {
        if (digest_equal(set[i].mark, mark, VERIFIED_MARK_LEN)) {
            room = &set[i];
            break;
        }
        if (set[i].until_ns < room->until_ns)
            room = &set[i];
    }
    room->until_ns = now_ns + KEEP_NS;
    memcpy(room->mark, mark, VERIFIED_MARK_LEN);
}

/* A whole text: every packet adds up by itself, its content is no longer than it says, time never
 * runs back, and there are not many more packets than lines. */
#include <assert.h>

#include "capture/text.h"
#include "fuzz.h"

static bool next_line(void *owner, struct span *line)
{
    struct span *rest = owner;

    if (rest->len == 0)
        return false;
    *line = span_cut(rest, '\n');
    return true;
}

static void check_packet(const struct text_capture *t, const struct packet *p)
{
    volatile char sum = 0;

    assert(p->is_text && p->at_ns > 0 && p->number > 0);
    assert(p->payload.len <= p->payload_len && p->sacks_len <= PACKET_SACKS_MAX);
    for (size_t i = 0; i < p->payload.len; i++)
        sum = (char)(sum + p->payload.ptr[i]);
    if (p->kind == PACKET_OTHER)
        return;
    assert(p->kind == PACKET_TCP || p->kind == PACKET_ICMP);
    assert(p->from.addr.family && p->to.addr.family);
    if (p->from.addr.family == ADDR_NAMED)
        assert(text_find_name(t, &p->from.addr));
    if (p->kind == PACKET_ICMP)
        assert(p->about_from.addr.family && p->about_to.addr.family);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {(const char *)data, size};
    struct text_capture *t = text_new(next_line, &rest);
    struct packet p;
    uint64_t last_ns = 0;
    unsigned others;

    assert(t);
    while (text_next(t, &p) == 1) {
        check_packet(t, &p);
        assert(p.at_ns >= last_ns);
        last_ns = p.at_ns;
    }
    assert(rest.len == 0);
    assert(text_get_lines(t, &others) <= size + 1 && others <= size + 1);
    text_free(t);
    return 0;
}

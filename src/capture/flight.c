#include "capture/flight.h"

#include <string.h>

#include "base/clock.h"

static unsigned get_room(const struct flight *f)
{
    return f->many ? FLIGHT_MANY : FLIGHT_FEW;
}

static struct flight_part *get_parts(struct flight *f)
{
    return f->many ? f->many : f->few;
}

void flight_widen(struct flight *f, struct flight_part *many)
{
    memcpy(many, f->few, f->len * sizeof f->few[0]);
    f->many = many;
}

static void note_acked(struct stream *s, uint16_t len)
{
    if (len > s->largest_acked)
        s->largest_acked = len;
}

static void set_stuck(struct stream *s, const struct flight_part *part)
{
    s->stuck = (struct stream_stuck){
        .first_ns = part->at_ns,
        .last_ns = part->at_ns,
        .seq = part->seq,
        .first_number = part->number,
        .last_number = part->number,
        .len = part->len < part->piece ? (uint16_t)part->len : part->piece,
        .sends = 1,
        .same_size = true,
        .again_len = UINT16_MAX,
    };
}

/* The segment that was the first goes behind the new first. */
static void put_back(struct stream *s, struct flight *f)
{
    struct flight_part *parts;

    if (!f)
        return;
    parts = get_parts(f);
    if (f->len == get_room(f))
        f->len--;
    memmove(&parts[1], &parts[0], f->len * sizeof parts[0]);
    parts[0] = (struct flight_part){
        .at_ns = s->stuck.first_ns,
        .seq = s->stuck.seq,
        .len = s->stuck.len,
        .number = s->stuck.first_number,
        .piece = s->stuck.len,
    };
    f->len++;
}

void flight_add(struct stream *s, struct flight *f, const struct flight_part *part)
{
    struct flight_part *last;

    if (!flight_is_wanted(s)) {
        /* without acknowledgements the newest is the best guess, until one is sent again */
        if (s->stuck.sends <= 1 || !s->stuck.len)
            set_stuck(s, part);
        return;
    }
    if (stream_is_before(part->seq, s->stuck.seq)) {
        put_back(s, f);
        set_stuck(s, part);
        return;
    }
    if (!f)
        return;
    if (f->len < get_room(f)) {
        get_parts(f)[f->len++] = *part;
        return;
    }
    last = &get_parts(f)[f->len - 1];
    if (stream_is_before(last->seq + last->len, part->seq + part->len))
        last->len = part->seq + part->len - last->seq;
    if (part->piece > last->piece)
        last->piece = part->piece;
}

/* The first segment once more. */
static void repeat_stuck(struct stream_stuck *k, const struct flight_part *part)
{
    uint64_t gap = part->at_ns > k->last_ns ? (part->at_ns - k->last_ns) / NS_PER_US : 0;

    if (k->sends < UINT8_MAX)
        k->sends++;
    if (part->seq != k->seq || part->piece != k->len)
        k->same_size = false;
    if (part->piece < k->again_len)
        k->again_len = part->piece;
    if (k->sends >= 3 && k->gap_us && gap >= k->gap_us + k->gap_us / 2)
        k->backs_off = true;
    k->gap_us = gap < UINT32_MAX ? (uint32_t)gap : UINT32_MAX;
    k->last_ns = part->at_ns;
    k->last_number = part->number;
}

void flight_repeat(struct stream *s, struct flight *f, const struct flight_part *part)
{
    struct stream_stuck *k = &s->stuck;

    if (!s->has_acks && k->len && k->seq != part->seq && k->sends == 1) {
        set_stuck(s, part); /* what is sent again is the first that was not acknowledged */
        k->sends = 2;
        return;
    }
    if (k->len && !stream_is_before(k->seq, part->seq) &&
        stream_is_before(k->seq, part->seq + part->len)) {
        repeat_stuck(k, part);
        return;
    }
    for (unsigned i = 0; f && i < f->len; i++) {
        struct flight_part *sent = &get_parts(f)[i];

        if (sent->seq == part->seq && part->piece < sent->piece)
            sent->piece = part->piece;
    }
}

static void drop_first(struct flight *f)
{
    struct flight_part *parts = get_parts(f);

    f->len--;
    memmove(&parts[0], &parts[1], f->len * sizeof parts[0]);
}

/* The next segment that is not acknowledged becomes the first: of those that are known, or what a
 * giant or a partial acknowledgement left over. */
static void advance(struct stream *s, struct flight *f)
{
    struct flight_part next = {
        .at_ns = s->stuck.first_ns,
        .seq = s->acked,
        .len = s->top - s->acked,
        .number = s->stuck.first_number,
        .piece = s->stuck.len,
    };

    struct flight_part *first = f ? get_parts(f) : NULL;

    while (f && f->len && !stream_is_before(s->acked, first->seq + first->len)) {
        note_acked(s, first->piece);
        drop_first(f);
    }
    if (f && f->len) {
        if (!stream_is_before(s->acked, first->seq)) {
            next = *first;
            next.len -= s->acked - first->seq;
            next.seq = s->acked;
            drop_first(f); /* what a giant has more is found again, as it is up to the next one */
        } else if (next.len > first->seq - s->acked) {
            next.len = first->seq - s->acked;
        }
    }
    set_stuck(s, &next);
}

void flight_acknowledge(struct stream *s, struct flight *f)
{
    struct stream_stuck *k = &s->stuck;

    if (!k->len || !stream_is_before(k->seq, s->acked))
        return;
    if (!stream_is_before(s->acked, k->seq + k->len))
        note_acked(s, k->len < k->again_len ? k->len : k->again_len);
    if (stream_is_before(s->acked, s->top)) {
        advance(s, f);
        return;
    }
    for (unsigned i = 0; f && i < f->len; i++)
        note_acked(s, get_parts(f)[i].piece);
    if (f)
        f->len = 0;
    *k = (struct stream_stuck){0};
}

void flight_sack(struct stream *s, struct flight *f, uint32_t begin, uint32_t end)
{
    if (s->stuck.len && !stream_is_before(s->stuck.seq, begin) &&
        !stream_is_before(end, s->stuck.seq + s->stuck.len))
        note_acked(s, s->stuck.len);
    for (unsigned i = 0; f && i < f->len; i++) {
        const struct flight_part *part = &get_parts(f)[i];

        if (!stream_is_before(part->seq, begin) && !stream_is_before(end, part->seq + part->len))
            note_acked(s, part->piece);
    }
}

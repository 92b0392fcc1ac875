/* A connection and its key log, as text (corpus/inside, by make_inside): lines of a key log; ">"
 * and hex digits, bytes of the client; "<" and hex digits, the other side's; "-" or "+", a hole in
 * either. What is read does not depend on how the bytes are cut. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "capture/inside.h"
#include "capture/secrets.h"
#include "fuzz.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = span_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Heap bytes of just the right size; other characters are passed over. */
static char *read_hex(struct span text, size_t *len)
{
    char *out = malloc(text.len / 2 + 1);
    int high = -1;

    assert(out);
    *len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int value = hex_value(text.ptr[i]);

        if (value >= 0 && high >= 0)
            out[(*len)++] = (char)(high << 4 | value);
        if (value >= 0)
            high = high >= 0 ? -1 : value;
    }
    return realloc(out, *len ? *len : 1);
}

static void feed(struct inside *i, enum dir dir, struct span hex, size_t size)
{
    size_t len;
    char *bytes = read_hex(hex, &len);

    assert(bytes);
    for (size_t at = 0; at < len; at += size) {
        size_t n = len - at < size ? len - at : size;
        struct stream_piece p = {{bytes + at, n}, (uint32_t)n, 1, 1, 0};

        inside_feed(i, dir, &p);
        assert(inside_get_memory(i) < 4 << 20);
    }
    free(bytes);
}

static struct inside *run(struct span text, struct secrets *s, size_t size)
{
    struct inside *i = inside_new(s);

    assert(i);
    while (text.len > 0) {
        struct span line = span_cut(&text, '\n');
        char first = line.len > 0 ? line.ptr[0] : 0;

        if (first == '>' || first == '<')
            feed(i, first == '>' ? UP : DOWN, line, size);
        else if (first == '-' || first == '+')
            inside_feed(i, first == '-' ? UP : DOWN, &(struct stream_piece){.len = 1});
        else {
            secrets_add(s, line);
            secrets_add(s, SPAN_LIT("\n"));
        }
    }
    return i;
}

static void compare(const struct inside_sight *a, const struct inside_sight *b)
{
    assert(a->is_open == b->is_open && a->answers_len == b->answers_len && a->answers_len <= 64);
    assert((a->failed == NULL) == (b->failed == NULL));
    assert(memcmp(a->alert, b->alert, sizeof a->alert) == 0);
    for (unsigned i = 0; i < a->answers_len; i++) {
        const struct inside_answer *one = &a->answers[i], *other = &b->answers[i];

        assert(one->status == other->status && one->status <= 999);
        assert(one->received == other->received && one->unfinished == other->unfinished);
        assert(!one->location == !other->location);
        assert(!one->location || strcmp(one->location, other->location) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct secrets *one = secrets_new(), *other = secrets_new();

    assert(one && other);
    struct inside *whole = run(text, one, SIZE_MAX / 2), *steps = run(text, other, 1);
    compare(inside_get(whole), inside_get(steps));
    inside_free(whole);
    inside_free(steps);
    secrets_free(one);
    secrets_free(other);
    return 0;
}

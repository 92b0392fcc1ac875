#include "capture/textlines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

enum { BYTES_MAX = 512 * 1024 };

void textlines_init(struct textlines *l, text_line_fn next, void *owner)
{
    *l = (struct textlines){.next = next, .owner = owner};
    buf_init(&l->bytes, BYTES_MAX);
}

void textlines_fini(struct textlines *l)
{
    buf_fini(&l->bytes);
}

/* One character that a web page writes as an entity; its length, 0: none is here. */
static size_t find_entity(struct span s, char *out)
{
    static const struct {
        struct span name;
        char c;
    } entities[] = {
        {SPAN_INIT("&gt;"), '>'},    {SPAN_INIT("&lt;"), '<'},   {SPAN_INIT("&amp;"), '&'},
        {SPAN_INIT("&#62;"), '>'},   {SPAN_INIT("&#x3e;"), '>'}, {SPAN_INIT("&quot;"), '"'},
        {SPAN_INIT("&#34;"), '"'},   {SPAN_INIT("&#39;"), '\''}, {SPAN_INIT("&nbsp;"), ' '},
        {SPAN_INIT("&#x27;"), '\''},
    };

    for (size_t i = 0; i < ARRAY_LEN(entities); i++) {
        if (span_begins_nocase(s, entities[i].name)) {
            *out = entities[i].c;
            return entities[i].name.len;
        }
    }
    return 0;
}

/* A line break of a web page at the end of a line. */
static size_t trim_break(struct span s)
{
    static const struct span breaks[] = {SPAN_INIT("<br>"), SPAN_INIT("<br/>"),
                                         SPAN_INIT("<br />")};

    for (size_t i = 0; i < ARRAY_LEN(breaks); i++)
        if (span_ends_with(s, breaks[i]))
            return s.len - breaks[i].len;
    return s.len;
}

/* Writes the line's true characters to `out` (never more than there are); returns how many. */
static size_t clean(const struct textlines *l, struct span line, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < line.len; i++) {
        struct span rest = {line.ptr + i, line.len - i};
        size_t entity = 0;

        if (l->has_entities && rest.ptr[0] == '&')
            entity = find_entity(rest, &out[n]);
        if (rest.len > 1 && memcmp(rest.ptr, "\xc2\xa0", 2) == 0) { /* a no-break space */
            out[n] = ' ';
            entity = 2;
        }
        if (entity > 0)
            i += entity - 1;
        else
            out[n] = rest.ptr[0];
        n++;
    }
    while (n > 0 && out[n - 1] == '\r')
        n--;
    return l->has_entities ? trim_break((struct span){out, n}) : n;
}

static bool has_entity(struct span line)
{
    static const struct span marks[] = {SPAN_INIT(" &gt; "), SPAN_INIT(" &#62; "),
                                        SPAN_INIT("&nbsp;")};

    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (line.len >= marks[i].len && memmem(line.ptr, line.len, marks[i].ptr, marks[i].len))
            return true;
    return false;
}

/* Fetches one more.  False: there is none, or no room. */
static bool fetch(struct textlines *l)
{
    struct span line;
    char *room;
    size_t n;

    if (l->ended || l->len == TEXTLINES_AHEAD || l->bytes.len >= BYTES_MAX / 2)
        return false;
    if (!l->next(l->owner, &line)) {
        l->ended = true;
        return false;
    }
    if (l->fetched == 0 && line.len >= 3 && memcmp(line.ptr, "\xef\xbb\xbf", 3) == 0)
        line = (struct span){line.ptr + 3, line.len - 3}; /* a byte order mark */
    if (!l->has_entities)
        l->has_entities = has_entity(line);
    room = buf_reserve(&l->bytes, line.len < BYTES_MAX / 2 ? line.len : BYTES_MAX / 2);
    if (!room) {
        l->ended = true;
        return false;
    }
    if (line.len > BYTES_MAX / 2)
        line.len = BYTES_MAX / 2;
    n = clean(l, line, room);
    buf_commit(&l->bytes, n);
    l->ahead[(l->head + l->len) % TEXTLINES_AHEAD].len = (uint32_t)n;
    l->ahead[(l->head + l->len++) % TEXTLINES_AHEAD].number = ++l->fetched;
    return true;
}

/* Bytes of the first `n` lines ahead. */
static size_t len_of(const struct textlines *l, unsigned n)
{
    size_t len = 0;

    for (unsigned k = 0; k < n; k++)
        len += l->ahead[(l->head + k) % TEXTLINES_AHEAD].len;
    return len;
}

bool textlines_peek(struct textlines *l, unsigned i, struct span *out)
{
    while (l->len <= i)
        if (!fetch(l))
            return false;
    *out = (struct span){buf_span(&l->bytes).ptr + len_of(l, i),
                         l->ahead[(l->head + i) % TEXTLINES_AHEAD].len};
    return true;
}

uint32_t textlines_get_number(struct textlines *l)
{
    struct span line;

    return textlines_peek(l, 0, &line) ? l->ahead[l->head].number : 0;
}

void textlines_skip(struct textlines *l, unsigned n)
{
    assert(n <= l->len);
    buf_consume(&l->bytes, len_of(l, n));
    l->head = (l->head + n) % TEXTLINES_AHEAD;
    l->len -= n;
}

bool textlines_move_to_front(struct textlines *l, unsigned from)
{
    size_t front = len_of(l, from), back = l->bytes.len - front;
    char *bytes = buf_span(&l->bytes).len ? l->bytes.ptr + l->bytes.off : NULL;
    char *copy;

    if (!l->ended || from >= l->len || !bytes || !(copy = malloc(back + 1)))
        return false;
    memcpy(copy, bytes + front, back);
    memmove(bytes + back, bytes, front);
    memcpy(bytes, copy, back);
    free(copy);
    /* the same with what is known of each: the last line to the front, as often as it takes */
    for (unsigned moves = l->len - from; moves > 0; moves--) {
        unsigned last = (l->head + l->len - 1) % TEXTLINES_AHEAD;

        l->head = (l->head + TEXTLINES_AHEAD - 1) % TEXTLINES_AHEAD;
        l->ahead[l->head] = l->ahead[last];
    }
    return true;
}

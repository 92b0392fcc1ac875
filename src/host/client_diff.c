#include "host/client_diff.h"

#include <stdlib.h>

#include "host/client_text.h"

#define CONTEXT 3u

/* The length of the line that `s` begins with. */
static size_t line_len(struct span s)
{
    long nl = span_find(s, '\n');

    return nl < 0 ? s.len : (size_t)nl + 1;
}

static unsigned count_lines(struct span s)
{
    unsigned n = 0;

    for (; s.len > 0; n++) {
        size_t len = line_len(s);
        s = (struct span){s.ptr + len, s.len - len};
    }
    return n;
}

/* Bytes of whole lines that both texts begin with. */
static size_t common_head(struct span a, struct span b)
{
    size_t done = 0;

    while (done < a.len && done < b.len) {
        struct span x = {a.ptr + done, a.len - done}, y = {b.ptr + done, b.len - done};

        x.len = line_len(x);
        y.len = line_len(y);
        if (!span_equal(x, y))
            break;
        done += x.len;
    }
    return done;
}

/* The last line of `s`. */
static struct span last_line(struct span s)
{
    size_t at = s.len;

    while (at > 0 && (at == s.len || s.ptr[at - 1] != '\n'))
        at--;
    return (struct span){s.ptr + at, s.len - at};
}

/* Bytes of whole lines that both texts end with. */
static size_t common_tail(struct span a, struct span b)
{
    size_t done = 0;

    while (done < a.len && done < b.len) {
        struct span x = last_line((struct span){a.ptr, a.len - done});
        struct span y = last_line((struct span){b.ptr, b.len - done});

        if (!span_equal(x, y))
            break;
        done += x.len;
    }
    return done;
}

static bool print_lines(char sign, struct span s, FILE *out)
{
    struct buf shown;
    bool ok = true;

    buf_init(&shown, UINT32_MAX / 2);
    while (ok && s.len > 0) {
        size_t len = line_len(s);

        ok = buf_append(&shown, &sign, 1) && client_text_mask((struct span){s.ptr, len}, &shown) &&
             (s.ptr[len - 1] == '\n' || buf_printf(&shown, "\n\\ No newline at end of file\n"));
        s = (struct span){s.ptr + len, s.len - len};
    }
    if (ok)
        fwrite(buf_span(&shown).ptr, 1, shown.len, out);
    buf_fini(&shown);
    return ok;
}

/* "12,3": a hunk of no line stands behind the line before it. */
static void print_range(char sign, unsigned before, unsigned len, FILE *out)
{
    fprintf(out, "%c%u,%u ", sign, len > 0 ? before + 1 : before, len);
}

bool client_diff_print(const char *name, struct span before, bool existed, struct span after,
                       bool exists, FILE *out)
{
    size_t head = common_head(before, after), tail, lead = head, trail = 0;
    struct span old, new;
    unsigned first;

    if (span_equal(before, after) && existed == exists)
        return true;
    old = (struct span){before.ptr + head, before.len - head};
    new = (struct span){after.ptr + head, after.len - head};
    tail = common_tail(old, new);
    old.len -= tail;
    new.len -= tail;
    for (unsigned i = 0; i < CONTEXT; i++) {
        lead -= last_line((struct span){before.ptr, lead}).len;
        trail += line_len((struct span){old.ptr + old.len + trail, tail - trail});
    }
    struct span above = {before.ptr + lead, head - lead}, below = {old.ptr + old.len, trail};
    unsigned around = count_lines(above) + count_lines(below);
    first = count_lines((struct span){before.ptr, lead});
    fprintf(out, "--- %s\n+++ %s\n@@ ", existed ? name : "/dev/null", exists ? name : "/dev/null");
    print_range('-', first, count_lines(old) + around, out);
    print_range('+', first, count_lines(new) + around, out);
    fputs("@@\n", out);
    return print_lines(' ', above, out) && print_lines('-', old, out) &&
           print_lines('+', new, out) && print_lines(' ', below, out);
}

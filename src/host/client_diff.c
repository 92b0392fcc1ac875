#include "host/client_diff.h"

#include <stdlib.h>

#include "host/client_text.h"

#define CONTEXT 3u
#define COMPARED_MAX (1u << 20) /* pairs of lines: more are told as one change */

/* What a diff prints: lines that stay (' '), go ('-') or come ('+'). */
struct row {
    char sign;
    struct span line;
};

struct rows {
    struct row *at;
    size_t len;
};

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

static void add_row(struct rows *rows, char sign, struct span line)
{
    rows->at[rows->len++] = (struct row){sign, line};
}

static void add_lines(struct rows *rows, char sign, struct span s)
{
    while (s.len > 0) {
        size_t len = line_len(s);

        add_row(rows, sign, (struct span){s.ptr, len});
        s = (struct span){s.ptr + len, s.len - len};
    }
}

/* The longest common sequence of old[i…] and new[j…], for each i and j; both end in no line. */
static uint16_t *measure(const struct rows *old, const struct rows *new)
{
    size_t wide = new->len + 1;
    uint16_t *most = calloc((old->len + 1) * wide, sizeof *most);

    for (size_t i = old->len; most && i-- > 0;)
        for (size_t j = new->len; j-- > 0;) {
            uint16_t *one = &most[i * wide + j];

            *one = span_equal(old->at[i].line, new->at[j].line) ? (uint16_t)(one[wide + 1] + 1)
                   : one[wide] >= one[1]                        ? one[wide]
                                                                : one[1];
        }
    return most;
}

/* What is between the common head and tail, each line that both have once. */
static void add_middle(struct rows *rows, const struct rows *old, const struct rows *new)
{
    bool few = old->len < UINT16_MAX && new->len < UINT16_MAX &&
               (old->len + 1) * (new->len + 1) <= COMPARED_MAX;
    uint16_t *most = few ? measure(old, new) : NULL;
    size_t i = 0, j = 0, wide = new->len + 1;

    while (most && i < old->len && j < new->len) {
        const uint16_t *one = &most[i * wide + j];

        if (span_equal(old->at[i].line, new->at[j].line))
            add_row(rows, ' ', old->at[i++].line), j++;
        else if (one[wide] >= one[1])
            add_row(rows, '-', old->at[i++].line);
        else
            add_row(rows, '+', new->at[j++].line);
    }
    while (i < old->len)
        add_row(rows, '-', old->at[i++].line);
    while (j < new->len)
        add_row(rows, '+', new->at[j++].line);
    free(most);
}

static bool print_row(const struct row *row, bool masked, FILE *out)
{
    struct buf shown;
    bool ok;

    buf_init(&shown, UINT32_MAX / 2);
    ok = buf_append(&shown, &row->sign, 1) &&
         (masked ? client_text_mask(row->line, &shown)
                 : buf_append(&shown, row->line.ptr, row->line.len)) &&
         (row->line.ptr[row->line.len - 1] == '\n' ||
          buf_printf(&shown, "\n\\ No newline at end of file\n"));
    if (ok)
        fwrite(buf_span(&shown).ptr, 1, shown.len, out);
    buf_fini(&shown);
    return ok;
}

static unsigned count_rows(const struct rows *rows, size_t from, size_t to, char other)
{
    unsigned n = 0;

    for (; from < to; from++)
        n += rows->at[from].sign != other;
    return n;
}

/* "12,3": a hunk of no line stands behind the line before it. */
static void print_range(char sign, unsigned before, unsigned len, FILE *out)
{
    fprintf(out, "%c%u,%u ", sign, len > 0 ? before + 1 : before, len);
}

/* The end of the hunk whose first change is at `at`: where more follows that stays than stands
 * around two changes. */
static size_t hunk_end(const struct rows *rows, size_t at)
{
    size_t end = at;

    for (; at < rows->len && at <= end + 2 * CONTEXT; at++)
        if (rows->at[at].sign != ' ')
            end = at + 1;
    return end + CONTEXT < rows->len ? end + CONTEXT : rows->len;
}

/* `above`: lines of both texts that stand above the rows. */
static bool print_hunks(const struct rows *rows, unsigned above, bool masked, FILE *out)
{
    unsigned old = above, new = above;
    size_t done = 0;

    for (size_t at = 0; at < rows->len; at++) {
        size_t from, end;

        if (rows->at[at].sign == ' ')
            continue;
        from = at > done + CONTEXT ? at - CONTEXT : done;
        end = hunk_end(rows, at);
        old += count_rows(rows, done, from, '+');
        new += count_rows(rows, done, from, '-');
        fputs("@@ ", out);
        print_range('-', old, count_rows(rows, from, end, '+'), out);
        print_range('+', new, count_rows(rows, from, end, '-'), out);
        fputs("@@\n", out);
        for (size_t i = from; i < end; i++)
            if (!print_row(&rows->at[i], masked, out))
                return false;
        old += count_rows(rows, from, end, '+');
        new += count_rows(rows, from, end, '-');
        done = end;
        at = end - 1;
    }
    return true;
}

/* The lines of `s`; false when memory is out. */
static bool take_lines(struct rows *rows, struct span s)
{
    rows->at = malloc((count_lines(s) + 1) * sizeof *rows->at);
    rows->len = 0;
    if (rows->at)
        add_lines(rows, ' ', s);
    return rows->at != NULL;
}

/* `above`, `below`: what stays around `before` and `after`; `first`: lines before all of it. */
static bool print_changes(struct span above, struct span before, struct span after,
                          struct span below, unsigned first, bool masked, FILE *out)
{
    struct rows old = {0}, new = {0}, all = {0};
    bool ok = take_lines(&old, before) && take_lines(&new, after);

    if (ok)
        all.at = malloc((old.len + new.len + 2 * CONTEXT + 1) * sizeof *all.at);
    ok = ok && all.at;
    if (ok) {
        add_lines(&all, ' ', above);
        add_middle(&all, &old, &new);
        add_lines(&all, ' ', below);
        ok = print_hunks(&all, first, masked, out);
    }
    free(old.at);
    free(new.at);
    free(all.at);
    return ok;
}

bool client_diff_print(const char *name, struct span before, bool existed, struct span after,
                       bool exists, bool masked, FILE *out)
{
    size_t head = common_head(before, after), tail, lead = head, trail = 0;
    struct span old, new;

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
    fprintf(out, "--- %s\n+++ %s\n", existed ? name : "/dev/null", exists ? name : "/dev/null");
    if (old.len + new.len == 0)
        fputs("@@ -0,0 +0,0 @@\n", out);
    return print_changes((struct span){before.ptr + lead, head - lead}, old, new,
                         (struct span){old.ptr + old.len, trail},
                         count_lines((struct span){before.ptr, lead}), masked, out);
}

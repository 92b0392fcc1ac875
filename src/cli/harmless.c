#include "cli/harmless.h"

#include "base/span.h"
#include "render/escape.h"

#define PIECE_MAX 1024u /* bytes */

const char *harmless_write(const char *text, char *out, size_t cap)
{
    struct pen p;

    pen_init_fixed(&p, out, cap - 1);
    escape_text(&p, span_of(text));
    out[pen_len(&p)] = '\0';
    return out;
}

static void print_piece(FILE *out, struct span piece)
{
    char escaped[4 * PIECE_MAX]; /* \xNN for each byte */
    struct pen p;

    pen_init_fixed(&p, escaped, sizeof escaped);
    escape_text(&p, piece);
    fwrite(escaped, 1, pen_len(&p), out);
}

/* The length of what is printed at once; no character is cut. */
static size_t piece_len(struct span line)
{
    size_t n = line.len < PIECE_MAX ? line.len : PIECE_MAX;

    for (size_t back = 0; n < line.len && back < 3 && ((unsigned char)line.ptr[n] & 0xc0) == 0x80;
         back++)
        n--;
    return n;
}

void harmless_print_lines(FILE *out, const char *text)
{
    struct span rest = span_of(text);

    while (rest.len) {
        bool ends = span_find(rest, '\n') >= 0;
        struct span line = span_cut(&rest, '\n');

        while (line.len) {
            size_t n = piece_len(line);

            print_piece(out, (struct span){line.ptr, n});
            line = (struct span){line.ptr + n, line.len - n};
        }
        if (ends)
            fputc('\n', out);
    }
}

/* The first mark: "# >>> viaduct clients 1a2b3c4d created=0 folders=0 mode=0 newline=1".
 * newline=0: the text before had no end of line; viaduct gave it one, and takes it back. */
#include "host/client_block.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/num.h"

#define KEPT "# viaduct keeps: "
#define LINES_MAX 65536u

struct block {
    struct span all, lines; /* with the marks, and without */
    uint64_t sum, created, folders, mode, newline;
    unsigned number; /* of the first mark's line; 0: there is no block */
    bool ended, legible;
};

/* FNV-1a, 32 bits: against a careless hand, not an enemy. */
static uint32_t sum_of(struct span s)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 16777619u;
    return h;
}

static bool read_field(struct span *rest, const char *name, uint64_t max, uint64_t *out)
{
    struct span word = span_cut(rest, ' '), key = span_cut(&word, '=');

    return span_equal(key, span_of(name)) && num_parse_u64(word, max, out);
}

static bool read_mark(struct span line, struct block *b)
{
    struct span rest = {line.ptr + strlen(CLIENT_MARK_BEGIN), line.len - strlen(CLIENT_MARK_BEGIN)};

    while (rest.len > 0 && strchr("\r\n", rest.ptr[rest.len - 1]))
        rest.len--;
    return num_parse_hex(span_cut(&rest, ' '), UINT32_MAX, &b->sum) &&
           read_field(&rest, "created", 1, &b->created) &&
           read_field(&rest, "folders", 16, &b->folders) &&
           read_field(&rest, "mode", 07777, &b->mode) &&
           read_field(&rest, "newline", 1, &b->newline);
}

static struct block find(struct span text)
{
    struct block b = {0};
    struct client_scan s;
    struct client_line line;

    client_scan_init(&s, CLIENT_ENVIRONMENT, text); /* marks look alike everywhere */
    while (!b.ended && client_scan_next(&s, &line)) {
        if (!line.ours)
            continue;
        if (b.number == 0) {
            b.number = line.number;
            b.all.ptr = line.text.ptr;
            b.lines.ptr = line.text.ptr + line.text.len;
            b.legible = read_mark(line.text, &b);
        }
        b.all.len = (size_t)(line.text.ptr + line.text.len - b.all.ptr);
        b.lines.len = (size_t)(line.text.ptr - b.lines.ptr);
        b.ended = !s.inside;
    }
    return b;
}

bool client_block_find(struct span text, struct client_origin *origin)
{
    struct block b = find(text);

    if (origin)
        *origin = (struct client_origin){
            .created = b.created, .folders = (unsigned)b.folders, .mode = (unsigned)b.mode};
    return b.number > 0;
}

/* Lines that were kept as comments are somebody's settings again. */
static bool release(struct span text, struct buf *out)
{
    while (text.len > 0) {
        long nl = span_find(text, '\n');
        size_t len = nl < 0 ? text.len : (size_t)nl + 1;
        size_t skip = client_starts_with(text, KEPT) ? strlen(KEPT) : 0;

        if (!buf_append(out, text.ptr + skip, len - skip))
            return false;
        text = (struct span){text.ptr + len, text.len - len};
    }
    return true;
}

bool client_block_take(struct span text, bool force, struct buf *out, struct err *err)
{
    struct block b = find(text);
    struct span before = text, after = {0};

    if (b.number > 0) {
        if (!b.ended || !b.legible) {
            err_set(
                err,
                "%u: the marks around viaduct's lines are damaged: take these lines out by hand",
                b.number);
            return false;
        }
        if (!force && sum_of(b.lines) != b.sum) {
            err_set(err,
                    "%u: somebody changed the lines between viaduct's marks: move out what shall "
                    "stay, then say --force",
                    b.number);
            return false;
        }
        before.len = (size_t)(b.all.ptr - text.ptr);
        after = (struct span){b.all.ptr + b.all.len, text.len - before.len - b.all.len};
        if (!b.newline && after.len == 0 && before.len > 0)
            before.len--;
    }
    if (release(before, out) && release(after, out))
        return true;
    err_set(err, "out of memory");
    return false;
}

/* Where viaduct's lines go. */
struct place {
    size_t at;
    const char *header; /* that has to be written first, or "" */
    struct span indent; /* of each line */
};

/* npm's settings stand before any section; pip's at the end of [global], with the indentation that
 * is in use there, lest they continue what is above them or make what is below continue them. */
static struct place find_place(enum client_format format, struct span text)
{
    struct place p = {text.len, format == CLIENT_PIP ? "[global]\n" : "", {0}};
    struct client_scan s;
    struct client_line line;

    if (format == CLIENT_NPM)
        p.at = client_starts_with(text, "\xef\xbb\xbf") ? 3 : 0;
    if (format != CLIENT_PIP)
        return p;
    client_scan_init(&s, format, text);
    while (client_scan_next(&s, &line)) {
        bool global = s.section.len > 0 && client_starts_with(s.section, "global]");

        if (!global && !*p.header)
            break;
        if (!global || line.blank)
            continue;
        p.at = (size_t)(line.text.ptr + line.text.len - text.ptr);
        p.header = "";
        p.indent = s.indent.ptr ? s.indent : (struct span){0};
    }
    return p;
}

static bool write_block(const struct place *p, struct span lines, const struct client_origin *o,
                        bool newline, struct buf *out)
{
    struct buf body;
    bool ok = true;

    buf_init(&body, LINES_MAX);
    ok = buf_printf(&body, "%s", p->header);
    while (ok && lines.len > 0) {
        struct span line = span_cut(&lines, '\n');

        ok = buf_append(&body, p->indent.ptr, p->indent.len) &&
             buf_append(&body, line.ptr, line.len) && buf_append(&body, "\n", 1);
    }
    ok = ok &&
         buf_printf(out, "%s%08" PRIx32 " created=%d folders=%u mode=%u newline=%d\n",
                    CLIENT_MARK_BEGIN, sum_of(buf_span(&body)), o->created, o->folders, o->mode,
                    newline) &&
         buf_append(out, buf_span(&body).ptr, body.len) && buf_printf(out, "%s\n", CLIENT_MARK_END);
    client_wipe(&body);
    return ok;
}

/* Appends the text with the lines that choose a proxy kept as comments. */
static bool keep(enum client_format format, struct span text, struct buf *out, struct err *err)
{
    struct client_scan s;
    struct client_line line;

    client_scan_init(&s, format, text);
    while (client_scan_next(&s, &line)) {
        if (line.proxy && line.header) {
            err_set(err, "%u: sets a proxy on the line of its section: put it on a line of its own",
                    line.number);
            return false;
        }
        if ((line.proxy && !buf_printf(out, KEPT)) ||
            !buf_append(out, line.text.ptr, line.text.len)) {
            err_set(err, "out of memory");
            return false;
        }
    }
    return true;
}

bool client_block_put(enum client_format format, struct span text, struct span lines,
                      const struct client_origin *origin, struct buf *out, struct err *err)
{
    struct buf kept;
    bool ok;

    buf_init(&kept, out->max);
    ok = keep(format, text, &kept, err);
    if (ok) {
        struct span all = buf_span(&kept);
        struct place p = find_place(format, all);
        bool newline = format == CLIENT_NPM || p.at == 0 || all.ptr[p.at - 1] == '\n';

        ok = buf_append(out, all.ptr, p.at) && (newline || buf_append(out, "\n", 1)) &&
             write_block(&p, lines, origin, newline, out) &&
             buf_append(out, all.ptr + p.at, all.len - p.at);
        if (!ok)
            err_set(err, "out of memory");
    }
    client_wipe(&kept);
    return ok;
}

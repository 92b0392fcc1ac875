#include "capture/infile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define SNIFF_MAX 4096u /* bytes by which text is told from rubbish */

/* --- what it is ------------------------------------------------------------------------------ */

/* Beginnings of files that are not read, and what helps. */
static const struct stranger {
    struct span magic;
    const char *what, *help; /* help has a place for the path */
} strangers[] = {
    {SPAN_INIT("BZh"), "compressed by bzip2", "bzip2 -dc %s | viaduct explain -"},
    {SPAN_INIT("\xfd"
               "7zXZ"),
     "compressed by xz", "xz -dc %s | viaduct explain -"},
    {SPAN_INIT("\x04\x22\x4d\x18"), "compressed by lz4", "lz4 -dc %s | viaduct explain -"},
    {SPAN_INIT("PK\x03\x04"), "a zip archive", "unzip -p %s | viaduct explain -"},
    {SPAN_INIT("\xff\xfe"), "text in UTF-16", "iconv -f UTF-16 -t UTF-8 %s | viaduct explain -"},
    {SPAN_INIT("\xfe\xff"), "text in UTF-16", "iconv -f UTF-16 -t UTF-8 %s | viaduct explain -"},
    {SPAN_INIT("snoop\0\0\0"), "a capture of snoop", "editcap -F pcapng %s out.pcapng"},
    {SPAN_INIT("GMBU"), "a capture of Network Monitor", "editcap -F pcapng %s out.pcapng"},
    {SPAN_INIT("RTSS"), "a capture of Network Monitor", "editcap -F pcapng %s out.pcapng"},
    {SPAN_INIT("XCP\0"), "a capture of Sniffer", "editcap -F pcapng %s out.pcapng"},
    {SPAN_INIT("TRSNIFF data"), "a capture of Sniffer", "editcap -F pcapng %s out.pcapng"},
};

static bool refuse_stranger(struct span head, const char *path, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        const struct stranger *s = &strangers[i];
        const char *place = strstr(s->help, "%s");

        if (head.len < s->magic.len || memcmp(head.ptr, s->magic.ptr, s->magic.len) != 0)
            continue;
        err_set(err, "is %s, which is not read here (%.*s%s%s)", s->what, (int)(place - s->help),
                s->help, path, place + 2);
        return true;
    }
    return false;
}

/* Lines have hardly any control characters, and no zeros. */
static bool is_text(struct span head)
{
    size_t controls = 0;

    for (size_t i = 0; i < head.len; i++) {
        uint8_t c = (uint8_t)head.ptr[i];

        if (c == 0)
            return false;
        controls += (c < ' ' && !strchr("\t\n\r\f\v\b\x1b", c)) || c == 0x7f;
    }
    return controls * 20 <= head.len;
}

static bool next_line(void *owner, struct span *line)
{
    struct infile *f = owner;

    return unpack_line(&f->in, line);
}

static bool open_text(struct infile *f, struct span head, struct err *err)
{
    f->format = INFILE_TEXT;
    if (head.len >= 3 && memcmp(head.ptr, "\xef\xbb\xbf", 3) == 0)
        unpack_take(&f->in, 3);
    f->text = text_new(next_line, f);
    f->packet = malloc(sizeof *f->packet);
    if (!f->text || !f->packet)
        err_set(err, "memory is out");
    return f->text && f->packet;
}

/* The error tells of the file as "PATH: …". */
static bool open_format(struct infile *f, struct err *err)
{
    const char *magic = unpack_peek(&f->in, 4);
    struct span head = {f->in.buf + f->in.begin, f->in.end - f->in.begin};

    if (head.len > SNIFF_MAX)
        head.len = SNIFF_MAX;
    if (head.len == 0) {
        err_set(err, "%s", f->in.trouble ? f->in.trouble : "is empty");
        return false;
    }
    if (magic && pcapfile_is_magic(magic)) {
        f->format = INFILE_PCAP;
        return pcapfile_open(&f->pcap, &f->in, err);
    }
    if (magic && ngfile_is_magic(magic)) {
        f->format = INFILE_PCAPNG;
        ngfile_init(&f->ng, f->options.secrets, f->options.owner);
        return true;
    }
    if (refuse_stranger(head, f->path, err))
        return false;
    if (is_text(head))
        return open_text(f, head, err);
    err_set(err, "is neither a capture (pcap, pcapng, compressed by gzip or zstd or not) nor text");
    return false;
}

bool infile_open(struct infile *f, const char *path, const struct infile_options *o,
                 struct err *err)
{
    *f = (struct infile){.path = path, .options = *o};
    if (!unpack_open(&f->in, path, o->buffer, o->stop, err))
        return false;
    if (open_format(f, err))
        return true;
    err_prefix(err, "%s", path);
    return false;
}

void infile_fini(struct infile *f)
{
    if (f->format == INFILE_PCAPNG)
        ngfile_fini(&f->ng);
    text_free(f->text);
    free(f->packet);
    unpack_fini(&f->in);
    *f = (struct infile){0};
}

/* --- packet by packet ------------------------------------------------------------------------ */

static void note_end(struct infile *f, enum record_next got)
{
    const struct unpack *u = &f->in;

    f->error = u->error;
    f->truncated = got != RECORD_END || u->trouble;
    if (u->trouble)
        err_set(&f->trouble, "%s, behind packet %u", u->trouble, f->number);
    else if (u->error)
        err_set(&f->trouble, "reading failed behind packet %u: %s", f->number, strerror(-u->error));
    else if (got == RECORD_CUT)
        err_set(&f->trouble, "ends in the middle of what comes behind packet %u", f->number);
    else if (got == RECORD_BAD)
        err_prefix(&f->trouble, "damaged at packet %u, at byte %llu", f->number + 1,
                   (unsigned long long)u->taken);
}

static bool next_record(struct infile *f)
{
    enum record_next got = f->format == INFILE_PCAP
                               ? pcapfile_next(&f->pcap, &f->in, &f->record, &f->trouble)
                               : ngfile_next(&f->ng, &f->in, &f->record, &f->trouble);

    if (got != RECORD_OK) {
        note_end(f, got);
        return false;
    }
    f->number++;
    f->at_ns = timeline_place(&f->line, f->record.wall_ns);
    return true;
}

static bool next_of_text(struct infile *f)
{
    if (text_next(f->text, f->packet) != 1) {
        note_end(f, RECORD_END);
        if (f->number == 0 && !f->in.error && !f->in.trouble)
            err_set(&f->trouble, "has no line as tcpdump prints it");
        return false;
    }
    f->number++;
    f->at_ns = timeline_place(&f->line, f->packet->at_ns);
    return true;
}

bool infile_next(struct infile *f)
{
    return f->format == INFILE_TEXT ? next_of_text(f) : next_record(f);
}

/* The same name has another number in another text: names of one file are kept apart from those of
 * the others by the file's index. */
static void set_file(struct addr *a, uint16_t file)
{
    if (a->family != ADDR_NAMED)
        return;
    a->bytes[4] = (uint8_t)(file >> 8);
    a->bytes[5] = (uint8_t)file;
}

static void get_of_text(struct infile *f, struct packet *out)
{
    *out = *f->packet;
    set_file(&out->from.addr, f->options.index);
    set_file(&out->to.addr, f->options.index);
    set_file(&out->about_from.addr, f->options.index);
    set_file(&out->about_to.addr, f->options.index);
}

/* A packet could not be taken apart: because of its link type? */
static void note_link(struct infile *f, struct packet *p)
{
    if (f->record.linktype == RECORD_NO_LINK) {
        if (f->record.bytes.len == 0)
            p->kind = PACKET_OTHER; /* a frame without content */
        return;
    }
    if (packet_knows_link(f->record.linktype))
        return;
    if (f->unknown_links++ == 0)
        f->unknown_link = f->record.linktype;
}

void infile_get(struct infile *f, struct packet *out)
{
    if (f->format == INFILE_TEXT) {
        get_of_text(f, out);
    } else {
        packet_parse(f->record.linktype, f->record.bytes, f->record.wire_len, out);
        out->wall_ns = f->record.wall_ns;
        out->number = f->number;
        out->interface = f->record.interface;
        out->is_text = out->flags_unseen = false;
        if (out->kind == PACKET_BAD)
            note_link(f, out);
    }
    out->at_ns = f->at_ns;
    out->file = f->options.index;
}

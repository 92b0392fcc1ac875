/* Files are opened all at the beginning, so that an error is told before anything is read.  Of many
 * only a few are at hand at a time: those whose time has not come are closed again once the time of
 * their first packet is known.  Those at hand stand in a heap by the time of their next packet. */
#include "capture/source.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "capture/fragment.h"
#include "capture/iface.h"
#include "capture/infile.h"
#include "capture/timeline.h"

#define BUFFER_ONE (512u << 10)  /* bytes for the only file */
#define BUFFER_MANY (128u << 10) /* for one of several */
#define AT_HAND_MAX 16           /* files above which those are closed whose time has not come */
#define FILES_MAX 65535          /* packet.file has 16 bits */
#define DROPS_EVERY 1024         /* live packets between two looks at what was dropped */

struct input {
    struct infile *file; /* NULL: closed until its time comes, or over */
    uint64_t at_ns;      /* of its next packet */
    bool is_waiting;     /* closed, and not read yet */
};

struct capture_source {
    struct capture_options options;
    char **paths; /* heap, with its strings */
    struct input *inputs;
    unsigned inputs_len;
    unsigned *heap; /* of inputs that have a packet, the earliest first */
    unsigned heap_len;
    bool is_given; /* the packet at the heap's top was given out */
    bool is_over;  /* the only file is */
    bool is_lost_told;
    uint64_t line_ns; /* of the last packet */
    char *interface;  /* heap */
    struct iface *live;
    struct timeline live_line;
    uint32_t live_number;
    struct fragments *fragments;
    struct capture_seen seen;
    volatile sig_atomic_t stopped;
};

/* --- what is wrong --------------------------------------------------------------------------- */

/* Behind what was said before, as long as there is room.  `path` NULL: `what` names it. */
static void add_trouble(struct capture_source *s, const char *path, const char *what)
{
    char text[2048];
    size_t len = strlen(s->seen.trouble), more;

    snprintf(text, sizeof text, "%s%.512s%.2s%.1024s", len ? "; " : "", path ? path : "",
             path ? ": " : "", what);
    more = strlen(text);
    if (len + more >= sizeof s->seen.trouble && len > 0)
        return;
    if (more >= sizeof s->seen.trouble)
        more = sizeof s->seen.trouble - 1;
    memcpy(s->seen.trouble + len, text, more);
    s->seen.trouble[len + more] = '\0';
}

static const char *get_link_name(uint32_t linktype)
{
    if (linktype == 105 || linktype == 119 || linktype == 127 || linktype == 163 || linktype == 192)
        return " (802.11)";
    if (linktype == 187 || linktype == 201)
        return " (Bluetooth)";
    if (linktype == 189 || linktype == 220 || linktype == 249)
        return " (USB)";
    return linktype >= 147 && linktype <= 162 ? " (a private one)" : "";
}

/* A file is over: what it has to tell. */
static void note_end(struct capture_source *s, const struct infile *f)
{
    struct err text;

    s->seen.truncated |= f->truncated;
    s->seen.back_steps += f->line.back_steps;
    if (f->format == INFILE_PCAPNG)
        s->seen.dropped += ngfile_get_dropped(&f->ng);
    if (f->trouble.text[0])
        add_trouble(s, f->path, f->trouble.text);
    if (f->unknown_links) {
        err_set(&text, "link type %u%s is not understood, packets left out: %llu", f->unknown_link,
                get_link_name(f->unknown_link), (unsigned long long)f->unknown_links);
        add_trouble(s, f->path, text.text);
    }
}

/* --- files ----------------------------------------------------------------------------------- */

static void close_input(struct input *in)
{
    if (in->file)
        infile_fini(in->file);
    free(in->file);
    in->file = NULL;
}

/* `with_secrets`: they are handed on; not when the file is only looked into. */
static bool open_input(struct capture_source *s, unsigned i, bool with_secrets, struct err *err)
{
    struct infile_options o = {.index = (uint16_t)i,
                               .buffer = s->inputs_len > 1 ? BUFFER_MANY : BUFFER_ONE,
                               .stop = &s->stopped,
                               .secrets = with_secrets ? s->options.secrets : NULL,
                               .owner = s->options.owner};
    struct input *in = &s->inputs[i];

    in->file = calloc(1, sizeof *in->file);
    if (!in->file) {
        err_set(err, "%s: memory is out", s->paths[i]);
        return false;
    }
    return infile_open(in->file, s->paths[i], &o, err);
}

/* Goes on to the next packet of an input; false: it is over and closed.  *error is -errno where
 * reading failed. */
static bool advance(struct capture_source *s, struct input *in, int *error)
{
    if (infile_next(in->file)) {
        in->at_ns = in->file->at_ns;
        return true;
    }
    *error = in->file->error;
    note_end(s, in->file);
    if (in->file->format != INFILE_TEXT) /* its names may be asked for */
        close_input(in);
    return false;
}

/* --- the heap -------------------------------------------------------------------------------- */

static bool is_before(const struct capture_source *s, unsigned a, unsigned b)
{
    uint64_t x = s->inputs[a].at_ns, y = s->inputs[b].at_ns;

    return x != y ? x < y : a < b;
}

static void swap(unsigned *a, unsigned *b)
{
    unsigned c = *a;

    *a = *b;
    *b = c;
}

static void sift_down(struct capture_source *s)
{
    unsigned *h = s->heap;

    for (unsigned i = 0, child; (child = 2 * i + 1) < s->heap_len; i = child) {
        if (child + 1 < s->heap_len && is_before(s, h[child + 1], h[child]))
            child++;
        if (!is_before(s, h[child], h[i]))
            return;
        swap(&h[child], &h[i]);
    }
}

static void push(struct capture_source *s, unsigned input)
{
    unsigned *h = s->heap, i = s->heap_len++;

    for (h[i] = input; i > 0 && is_before(s, h[i], h[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&h[i], &h[(i - 1) / 2]);
}

static void pop(struct capture_source *s)
{
    s->heap[0] = s->heap[--s->heap_len];
    sift_down(s);
}

/* --- opening --------------------------------------------------------------------------------- */

/* Each file once: twice the same packets would be taken for retransmissions. */
static bool check_paths(const struct capture_options *o, struct err *err)
{
    struct stat *seen = calloc(o->paths_len, sizeof *seen);
    bool ok = seen != NULL;

    if (!ok)
        err_set(err, "memory is out");
    for (size_t i = 0; ok && i < o->paths_len; i++) {
        bool is_stdin = strcmp(o->paths[i], "-") == 0;

        if (!is_stdin && stat(o->paths[i], &seen[i]) != 0)
            continue; /* opening it tells */
        for (size_t k = 0; ok && k < i; k++)
            ok = is_stdin
                     ? strcmp(o->paths[k], "-") != 0
                     : !S_ISREG(seen[i].st_mode) || !S_ISREG(seen[k].st_mode) ||
                           seen[i].st_ino != seen[k].st_ino || seen[i].st_dev != seen[k].st_dev;
        if (!ok)
            err_set(err, "%s: is given twice", is_stdin ? "standard input (-)" : o->paths[i]);
    }
    free(seen);
    return ok;
}

static bool make_inputs(struct capture_source *s, const struct capture_options *o, struct err *err)
{
    s->paths = calloc(o->paths_len, sizeof *s->paths);
    s->inputs = calloc(o->paths_len, sizeof *s->inputs);
    s->heap = calloc(o->paths_len, sizeof *s->heap);
    if (!s->paths || !s->inputs || !s->heap) {
        err_set(err, "memory is out");
        return false;
    }
    s->inputs_len = (unsigned)o->paths_len;
    for (unsigned i = 0; i < s->inputs_len; i++)
        if (!(s->paths[i] = span_dup(span_of(o->paths[i])))) {
            err_set(err, "memory is out");
            return false;
        }
    return true;
}

/* Opens one of several and reads up to its first packet; then it is closed again, if it can be
 * opened anew. */
static bool look_into(struct capture_source *s, unsigned i, bool may_wait, struct err *err)
{
    struct input *in = &s->inputs[i];
    int error = 0;

    if (!open_input(s, i, !may_wait, err))
        return false;
    if (may_wait && !(in->file->in.is_regular && in->file->format != INFILE_TEXT)) {
        may_wait = false;
        in->file->options.secrets = s->options.secrets;
        in->file->ng.secrets = s->options.secrets;
    }
    s->seen.is_text |= in->file->format == INFILE_TEXT;
    if (!advance(s, in, &error))
        return true;
    push(s, i);
    if (may_wait) {
        close_input(in);
        in->is_waiting = true;
    }
    return true;
}

static bool open_files(struct capture_source *s, struct err *err)
{
    if (s->inputs_len == 1) {
        if (!open_input(s, 0, true, err))
            return false;
        s->seen.is_text = s->inputs[0].file->format == INFILE_TEXT;
        return true;
    }
    for (unsigned i = 0; i < s->inputs_len; i++)
        if (!look_into(s, i, s->inputs_len > AT_HAND_MAX, err))
            return false;
    return true;
}

static bool open_live(struct capture_source *s, const struct capture_options *o, struct err *err)
{
    s->interface = span_dup(span_of(o->interface));
    if (!s->interface)
        err_set(err, "memory is out");
    return s->interface && (s->live = iface_open(o->interface, o->filter, err));
}

struct capture_source *capture_source_open(const struct capture_options *o, struct err *err)
{
    struct capture_source *s = NULL;

    assert(o->interface || o->paths_len > 0);
    if (!o->interface && o->paths_len > FILES_MAX) {
        err_set(err, "more than %d files", FILES_MAX);
        return NULL;
    }
    if (!o->interface && !check_paths(o, err))
        return NULL;
    s = calloc(1, sizeof *s);
    if (!s || !(s->fragments = fragment_new())) {
        free(s);
        err_set(err, "memory is out");
        return NULL;
    }
    s->options = *o;
    if (o->interface ? open_live(s, o, err) : make_inputs(s, o, err) && open_files(s, err))
        return s;
    capture_source_free(s);
    return NULL;
}

void capture_source_free(struct capture_source *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->inputs_len; i++) {
        close_input(&s->inputs[i]);
        free(s->paths[i]);
    }
    iface_free(s->live);
    fragment_free(s->fragments);
    free(s->interface);
    free(s->inputs);
    free(s->paths);
    free(s->heap);
    free(s);
}

/* --- packet by packet ------------------------------------------------------------------------ */

static void note_cut(struct capture_seen *seen, uint32_t kept)
{
    seen->cut++;
    if (seen->snaplen == 0 || kept < seen->snaplen)
        seen->snaplen = kept;
}

static void note_kind(struct capture_seen *seen, const struct packet *p)
{
    seen->tcp += p->kind == PACKET_TCP;
    seen->bad += p->kind == PACKET_BAD;
    seen->other += p->kind != PACKET_TCP && p->kind != PACKET_BAD;
}

/* What is common to all packets, whatever they come from.  `kept` and `wire_len` are 0 for those of
 * a text, which never has it all. */
static void finish(struct capture_source *s, uint32_t kept, uint32_t wire_len, struct packet *p)
{
    struct capture_seen *seen = &s->seen;

    if (p->at_ns < s->line_ns)
        p->at_ns = s->line_ns; /* a file of a text, or one that was opened anew and had changed */
    s->line_ns = p->at_ns;
    if (p->kind == PACKET_FRAGMENT)
        fragment_add(s->fragments, p);
    if (kept < wire_len || (kept && !p->was_fragmented && p->payload.len < p->payload_len))
        note_cut(seen, kept);
    note_kind(seen, p);
    if (seen->packets++ == 0)
        seen->first_ns = seen->last_ns = p->wall_ns;
    if (p->wall_ns < seen->first_ns)
        seen->first_ns = p->wall_ns;
    if (p->wall_ns > seen->last_ns)
        seen->last_ns = p->wall_ns;
}

static int next_live(struct capture_source *s, struct packet *out)
{
    struct record r;
    int got = iface_next(s->live, &r);

    if (got != 1 || s->live_number % DROPS_EVERY == 0)
        s->seen.dropped = iface_get_dropped(s->live);
    if (got < 0 && got != -EAGAIN)
        add_trouble(s, s->interface, iface_get_trouble(s->live));
    if (got != 1)
        return got;
    packet_parse(r.linktype, r.bytes, r.wire_len, out);
    out->wall_ns = r.wall_ns;
    out->at_ns = timeline_place(&s->live_line, r.wall_ns);
    out->number = ++s->live_number;
    out->file = out->interface = 0;
    out->is_text = out->flags_unseen = false;
    s->seen.back_steps = s->live_line.back_steps;
    finish(s, (uint32_t)r.bytes.len, r.wire_len, out);
    return 1;
}

/* The packet at hand of a file. */
static int give(struct capture_source *s, struct infile *f, struct packet *out)
{
    bool is_text = f->format == INFILE_TEXT;

    infile_get(f, out);
    finish(s, is_text ? 0 : (uint32_t)f->record.bytes.len, is_text ? 0 : f->record.wire_len, out);
    return 1;
}

/* The top of the heap goes on to its next packet. */
static int go_on(struct capture_source *s)
{
    int error = 0;

    if (advance(s, &s->inputs[s->heap[0]], &error))
        sift_down(s);
    else
        pop(s);
    return error;
}

/* The time of a file that was only looked into has come. */
static bool wake(struct capture_source *s, unsigned i)
{
    struct input *in = &s->inputs[i];
    struct err err;
    int error;

    in->is_waiting = false;
    if (!open_input(s, i, true, &err)) {
        close_input(in);
        add_trouble(s, NULL, err.text); /* it was there before, or descriptors have run out */
        s->seen.truncated = true;
        pop(s);
        return false;
    }
    if (!advance(s, in, &error)) {
        pop(s);
        return false;
    }
    sift_down(s);
    return true;
}

static int next_of_files(struct capture_source *s, struct packet *out)
{
    int error = s->is_given && s->heap_len > 0 ? go_on(s) : 0;

    s->is_given = false;
    if (error)
        return error;
    while (s->heap_len > 0 && !s->stopped) {
        unsigned i = s->heap[0];

        if (s->inputs[i].is_waiting) {
            wake(s, i);
            continue; /* another may be earlier now */
        }
        s->is_given = true;
        return give(s, s->inputs[i].file, out);
    }
    return 0;
}

static int next_of_file(struct capture_source *s, struct packet *out)
{
    struct input *only = s->inputs;
    int error = 0;

    if (s->stopped || s->is_over)
        return 0;
    if (advance(s, only, &error))
        return give(s, only->file, out);
    s->is_over = true;
    return error;
}

/* All was read: packets that were not there as a whole. */
static void note_lost(struct capture_source *s)
{
    uint64_t lost = fragment_get_lost(s->fragments);
    struct err text;

    if (lost == 0 || s->is_lost_told)
        return;
    s->is_lost_told = true;
    err_set(&text,
            "IP packets of which fragments are missing: %llu (a filter by ports lets only "
            "the first of each through)",
            (unsigned long long)lost);
    add_trouble(s, NULL, text.text);
}

int capture_source_next(struct capture_source *s, struct packet *out)
{
    int got = s->live             ? next_live(s, out)
              : s->inputs_len > 1 ? next_of_files(s, out)
                                  : next_of_file(s, out);

    if (got == 0)
        note_lost(s);
    return got;
}

/* --- asking ---------------------------------------------------------------------------------- */

const struct capture_seen *capture_source_get_seen(const struct capture_source *s)
{
    return &s->seen;
}

const char *capture_source_get_path(const struct capture_source *s, unsigned file)
{
    if (s->live)
        return s->interface;
    return file < s->inputs_len ? s->paths[file] : "";
}

const char *capture_source_find_name(const struct capture_source *s, const struct addr *a)
{
    unsigned file = (unsigned)a->bytes[4] << 8 | a->bytes[5];
    struct addr plain = *a;

    if (a->family != ADDR_NAMED || file >= s->inputs_len || !s->inputs[file].file)
        return NULL;
    plain.bytes[4] = plain.bytes[5] = 0;
    return text_find_name(s->inputs[file].file->text, &plain);
}

void capture_source_stop(struct capture_source *s)
{
    s->stopped = 1;
    if (s->live)
        iface_stop(s->live);
}

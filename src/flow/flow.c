#include "flow/flow.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/util.h"
#include "flow/words.h"

#define NOTE_TEXT_MAX 512
#define NOTES_MAX (64u * 1024) /* of one flow: whoever notes more than this repeats itself */

static_assert(sizeof(struct flow) < 480, "a flow has to stay small: an idle tunnel keeps one");

static uint64_t since(uint64_t from_ns, uint64_t at_ns)
{
    return at_ns > from_ns ? at_ns - from_ns : 0;
}

void flow_begin(struct flow *f, enum source source, uint64_t id, uint64_t at_ns, uint64_t wall_ns)
{
    assert(source < SOURCE_COUNT && !f->notes.bytes);
    f->source = (uint8_t)source;
    f->id = id;
    f->begin_ns = at_ns;
    f->start_ns = wall_ns;
    f->verdict = VERDICT_OPEN;
}

/* Only the open phase has a running duration; what it came out as was maybe said before. */
static void close_phase(struct flow *f, enum outcome outcome, uint64_t at_ns)
{
    struct phase_time *t = &f->phases[f->phase];

    if (!f->phase_open)
        return;
    t->duration_ns = since(f->begin_ns + t->start_ns, at_ns);
    f->outcomes[f->phase] = (uint8_t)outcome;
    f->phase_open = false;
}

void flow_phase(struct flow *f, enum phase next, uint64_t at_ns)
{
    assert(next < PHASE_COUNT && !f->ended);
    if (f->phase_open && f->phase == next)
        return;
    close_phase(f, OUTCOME_OK, at_ns);
    if (f->outcomes[next] != OUTCOME_OK)
        f->phases[next].start_ns = since(f->begin_ns, at_ns);
    f->phase = (uint8_t)next;
    f->phase_open = true;
}

void flow_leave(struct flow *f, enum outcome outcome, uint64_t at_ns)
{
    assert(!f->ended);
    close_phase(f, outcome, at_ns);
}

void flow_skip(struct flow *f, enum phase phase, enum outcome outcome)
{
    assert(phase < PHASE_COUNT);
    assert(outcome == OUTCOME_SKIPPED || outcome == OUTCOME_UNKNOWN);
    if (f->phase_open && f->phase == phase) { /* entered on trial: it turned out not to be one */
        f->phase_open = false;
        f->phases[phase] = (struct phase_time){0};
    }
    f->outcomes[phase] = (uint8_t)outcome;
}

void flow_step(struct flow *f, enum step_kind step, uint64_t duration_ns)
{
    uint64_t us = duration_ns / NS_PER_US;

    assert(step < STEP_KIND_COUNT);
    f->step_us[step] = us < UINT32_MAX ? (uint32_t)us + 1 : UINT32_MAX;
}

/* Room for `n` more bytes.  Grows by small steps: most flows have a handful of short notes. */
static char *notes_reserve(struct notes *notes, uint32_t n)
{
    uint32_t want = notes->len + n;

    if (want > NOTES_MAX)
        return NULL;
    if (want > notes->cap) {
        uint32_t cap = (want + want / 4 + 63) & ~63u;
        char *grown = realloc(notes->bytes, cap);

        if (!grown)
            return NULL;
        notes->bytes = grown;
        notes->cap = cap;
    }
    return notes->bytes + notes->len;
}

/* The length of `text` cut at `max`, never inside a UTF-8 sequence. */
static size_t cut_length(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return len;
    for (len = max; len > 0 && (text[len] & 0xc0) == 0x80; len--)
        ;
    return len;
}

/* A Location may have a password in it, "https://user:password@host/": it is never told.  What was
 * cut off may have been its '@'. */
static void hide_passwords(char *text, bool is_cut)
{
    for (char *url = text; (url = strstr(url, "://"));) {
        char *begin = url + 3, *end = begin + strcspn(begin, "/?# \"'"), *at, *colon;

        url = begin;
        at = memrchr(begin, '@', (size_t)(end - begin));
        colon = memchr(begin, ':', (size_t)((at ? at : end) - begin));
        if (at && colon) {
            colon[1] = '*';
            memmove(colon + 2, at, strlen(at) + 1);
        } else if (colon && is_cut && !*end) {
            colon[1] = '\0';
        }
    }
}

__attribute__((format(printf, 4, 0))) static void note(struct flow *f, enum note_kind kind,
                                                       unsigned index, const char *fmt, va_list ap)
{
    char text[NOTE_TEXT_MAX + 2]; /* one byte beyond the cut says what it cuts through */
    int n = vsnprintf(text, sizeof text, fmt, ap);
    size_t len;
    char *room;

    if (n < 0)
        return;
    hide_passwords(text, (size_t)n >= sizeof text);
    len = cut_length(text, strlen(text), NOTE_TEXT_MAX);
    room = notes_reserve(&f->notes, (uint32_t)len + 3);
    if (!room)
        return;
    room[0] = (char)kind;
    room[1] = (char)index;
    memcpy(room + 2, text, len);
    room[2 + len] = '\0';
    f->notes.len += (uint32_t)len + 3;
}

void flow_note(struct flow *f, enum note_kind kind, unsigned index, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    note(f, kind, index, fmt, ap);
    va_end(ap);
}

void flow_add_notes(struct flow *f, const struct notes *more)
{
    char *room = more->len ? notes_reserve(&f->notes, more->len) : NULL;

    if (!room)
        return;
    memcpy(room, more->bytes, more->len);
    f->notes.len += more->len;
}

void flow_warn(struct flow *f, enum warning w, const char *fmt, ...)
{
    va_list ap;

    assert(w < WARNING_COUNT);
    f->warnings |= (uint16_t)(1u << w);
    va_start(ap, fmt);
    note(f, NOTE_WARNING, w, fmt, ap);
    va_end(ap);
}

void flow_end(struct flow *f, enum verdict v, enum side by, enum certainty c, uint64_t at_ns)
{
    bool fine = verdict_is_success(v) || v == VERDICT_TARGET_ERROR;

    assert(v < VERDICT_COUNT && by < SIDE_COUNT && !f->ended);
    close_phase(f, fine ? OUTCOME_OK : OUTCOME_FAILED, at_ns);
    f->verdict = (uint8_t)v;
    f->ended_in = f->phase;
    f->ended_by = (uint8_t)by;
    f->certainty = (uint8_t)c;
    f->duration_ns = since(f->begin_ns, at_ns);
    f->ended = true;
}

void flow_revise(struct flow *f, enum verdict v, enum side by, enum certainty c, const char *reason)
{
    assert(f->ended && v < VERDICT_COUNT);
    f->verdict = (uint8_t)v;
    f->ended_by = (uint8_t)by;
    f->certainty = (uint8_t)c;
    flow_set_text(&f->reason, reason);
}

void flow_set_text(char **field, const char *text)
{
    char *copy = text ? strdup(text) : NULL;

    free(*field);
    *field = copy;
}

void flow_set_span(char **field, struct span text)
{
    char *copy = text.ptr ? span_dup(text) : NULL;

    free(*field);
    *field = copy;
}

static void tls_free(struct flow_tls *tls)
{
    if (!tls)
        return;
    free(tls->sni);
    free(tls->version);
    free(tls->cipher);
    free(tls->issuer);
    free(tls->alpn);
    free(tls);
}

static bool copy_text(char **to, const char *from)
{
    *to = NULL;
    flow_set_text(to, from);
    return *to || !from;
}

static bool copy_tls(struct flow *to, const struct flow_tls *from)
{
    to->tls = NULL;
    if (!from)
        return true;
    to->tls = calloc(1, sizeof *to->tls);
    return to->tls && copy_text(&to->tls->sni, from->sni) &&
           copy_text(&to->tls->version, from->version) &&
           copy_text(&to->tls->cipher, from->cipher) && copy_text(&to->tls->issuer, from->issuer) &&
           copy_text(&to->tls->alpn, from->alpn);
}

static bool copy_notes(struct notes *to, const struct notes *from)
{
    *to = (struct notes){0};
    if (!from->len)
        return true;
    to->bytes = malloc(from->len);
    if (!to->bytes)
        return false;
    memcpy(to->bytes, from->bytes, from->len);
    to->len = to->cap = from->len;
    return true;
}

bool flow_copy(struct flow *to, const struct flow *from)
{
    bool ok = true;

    *to = *from;
    ok &= copy_text(&to->target, from->target);
    ok &= copy_text(&to->parent, from->parent);
    ok &= copy_text(&to->method, from->method);
    ok &= copy_text(&to->url, from->url);
    ok &= copy_text(&to->user, from->user);
    ok &= copy_text(&to->rule, from->rule);
    ok &= copy_text(&to->reason, from->reason);
    ok &= copy_notes(&to->notes, &from->notes);
    ok &= copy_tls(to, from->tls);
    if (!ok)
        flow_fini(to);
    return ok;
}

void flow_fini(struct flow *f)
{
    free(f->target);
    free(f->parent);
    free(f->method);
    free(f->url);
    free(f->user);
    free(f->rule);
    free(f->reason);
    tls_free(f->tls);
    free(f->notes.bytes);
    *f = (struct flow){0};
}

const char *flow_next_note(const struct flow *f, enum note_kind kind, unsigned *index, uint32_t *at)
{
    while (*at < f->notes.len) {
        const char *entry = f->notes.bytes + *at;

        *at += (uint32_t)strlen(entry + 2) + 3;
        if ((unsigned char)entry[0] != kind)
            continue;
        if (index)
            *index = (unsigned char)entry[1];
        return entry + 2;
    }
    return NULL;
}

const char *flow_find_note(const struct flow *f, enum note_kind kind, unsigned index)
{
    const char *text, *last = "";
    uint32_t at = 0;
    unsigned its;

    while ((text = flow_next_note(f, kind, &its, &at)))
        if (its == index)
            last = text;
    return last;
}

struct sentences {
    const char *cause, *advice;
};

/* Our own answer about the way up is about the parent, where there is one; and where nobody was
 * asked on the way to the target, no proxy's administrator can help. */
static struct sentences sentences_of(const struct flow *f)
{
    static const struct sentences of_parent[VERDICT_COUNT] = {
#define P(id, cause, advice) [VERDICT_##id] = {cause, advice},
#include "flow/parent.def"
#undef P
    };
    static const struct sentences when_direct[VERDICT_COUNT] = {
#define D(id, cause, advice) [VERDICT_##id] = {cause, advice},
#include "flow/direct.def"
#undef D
    };
    const struct verdict_info *info = verdict_get_info((enum verdict)f->verdict);

    if (f->parent && f->status_sent && of_parent[f->verdict].cause)
        return of_parent[f->verdict];
    if (f->source != SOURCE_SERVE && !f->proxy.addr.family && when_direct[f->verdict].cause)
        return when_direct[f->verdict];
    return (struct sentences){info->cause, info->advice};
}

const char *flow_cause(const struct flow *f)
{
    return words_local(sentences_of(f).cause);
}

const char *flow_advice(const struct flow *f)
{
    return words_local(sentences_of(f).advice);
}

const char *flow_cause_in(const struct flow *f, const char *language)
{
    return words_in(sentences_of(f).cause, language);
}

const char *flow_advice_in(const struct flow *f, const char *language)
{
    return words_in(sentences_of(f).advice, language);
}

const char *flow_source_name(enum source s)
{
    static const char *const names[] = {
        [SOURCE_SERVE] = "serve", [SOURCE_CHECK] = "check", [SOURCE_EXPLAIN] = "explain"};
    static_assert(ARRAY_LEN(names) == SOURCE_COUNT, "a source has no name");

    assert(s < SOURCE_COUNT);
    return names[s];
}

static const struct {
    const char *name, *sentence;
} warnings[] = {
    [WARNING_RETRANSMISSIONS] = {"retransmissions", "segments were lost and sent again"},
    [WARNING_ZERO_WINDOW] = {"zero-window", "a receiver did not take its bytes for a while"},
    [WARNING_SMALL_MSS] = {"small-mss", "a side announced an unusually small segment size"},
    [WARNING_FRAGMENTED] = {"fragmented", "IP packets came in fragments"},
    [WARNING_SLOW_DNS] = {"slow-dns", "a name took long to resolve"},
    [WARNING_SLOW_TARGET] = {"slow-target", "the target took long to answer"},
    [WARNING_INSPECTION_DELAY] = {"inspection-delay",
                                  "the whole request was taken, a long silence followed, then a "
                                  "burst: something on the way reads before it passes on"},
    [WARNING_IDLE_CLOSED] = {"idle-closed",
                             "an idle timer closed a quiet flow; the detail names the timer"},
    [WARNING_WEAK_AUTH] = {"weak-auth", "a password went over the network by Basic without TLS"},
    [WARNING_TLS_UNTRUSTED] = {"tls-untrusted",
                               "the certificate does not verify, and was accepted because of -k"},
    [WARNING_REDIRECT] = {"redirect", "the target sent the client elsewhere"},
    [WARNING_MTU_HEALED] = {"mtu-healed", "a smaller segment size was used to get through"},
    [WARNING_CAPTURE_INCOMPLETE] = {"capture-incomplete",
                                    "packets of this flow are missing from the capture"},
};
static_assert(ARRAY_LEN(warnings) == WARNING_COUNT, "a warning has no row");

const char *flow_warning_name(enum warning w)
{
    assert(w < WARNING_COUNT);
    return warnings[w].name;
}

const char *flow_warning_sentence(enum warning w)
{
    assert(w < WARNING_COUNT);
    return warnings[w].sentence;
}

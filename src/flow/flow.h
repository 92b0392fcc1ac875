/* flow/flow.h - the record of one client asking one target through one proxy.
 *
 * A source begins a flow, marks its phases, adds details, evidence and warnings, and ends it with a
 * verdict; renderers read it.  Times are arguments, monotonic nanoseconds on the source's own line.
 * The record is kept small (an idle tunnel's flow stays under 600 bytes with its texts): what is
 * rare hangs off it.  A flow belongs to one thread at a time; moving the struct moves it all.
 * Texts come from outside as they are: renderers escape. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "flow/phase.h"
#include "flow/verdict.h"

enum source { SOURCE_SERVE, SOURCE_CHECK, SOURCE_EXPLAIN, SOURCE_COUNT };

enum warning {
    WARNING_RETRANSMISSIONS,
    WARNING_ZERO_WINDOW,
    WARNING_SMALL_MSS,
    WARNING_FRAGMENTED,
    WARNING_SLOW_DNS,
    WARNING_SLOW_TARGET,
    WARNING_INSPECTION_DELAY,
    WARNING_IDLE_CLOSED, /* its note names the timer */
    WARNING_WEAK_AUTH,
    WARNING_TLS_UNTRUSTED,
    WARNING_REDIRECT,
    WARNING_MTU_HEALED,
    WARNING_CAPTURE_INCOMPLETE,
    WARNING_COUNT
};

/* What a text of a flow belongs to. */
enum note_kind {
    NOTE_EVIDENCE, /* one item of the evidence, in order */
    NOTE_PHASE,    /* detail of phase `index` (the last one counts) */
    NOTE_STEP,     /* detail of step `index` */
    NOTE_WARNING,  /* detail of warning `index`: shown as evidence too */
    NOTE_REPORTED, /* name of a report-only rule that matched */
    NOTE_REDIRECT, /* "302 https://…": index is unused */
    NOTE_NAME,     /* "app7:41812": shown in place of the endpoint of enum side `index` */
};

/* All texts of a flow in one allocation: {kind, index, bytes, NUL} after each other. */
struct notes {
    char *bytes;
    uint32_t len, cap;
};

struct phase_time {
    uint64_t start_ns; /* since the flow began */
    uint64_t duration_ns;
};

/* One TCP leg as TCP_INFO tells it, read before close. */
struct flow_leg {
    bool known;
    uint32_t rtt_us;
    uint32_t retransmissions; /* segments */
    uint32_t mss, pmtu;       /* bytes */
    uint64_t unacked;         /* bytes sent, less those retransmitted, less those acknowledged */
};

/* What was seen of TLS inside the tunnel; texts are heap-owned or NULL. */
struct flow_tls {
    char *sni, *version, *cipher, *issuer, *alpn;
};

struct flow {
    uint64_t id;       /* shown as 16 hex digits */
    uint64_t begin_ns; /* monotonic: what all starts count from */
    uint64_t start_ns; /* wall clock of the same moment */
    uint64_t duration_ns;
    uint64_t superseded_by; /* id, 0: none */
    struct phase_time phases[PHASE_COUNT];
    uint32_t step_us[STEP_KIND_COUNT]; /* duration + 1, 0: the step was not made */
    uint8_t outcomes[PHASE_COUNT];     /* enum outcome */
    uint8_t source;                    /* enum source */
    uint8_t phase;                     /* enum phase that is open */
    uint8_t verdict, ended_in, ended_by, certainty;
    uint8_t status_sent;                    /* bool: `status` is our own answer, not the target's */
    uint8_t phase_open;                     /* bool: `phase` was entered and is not closed yet */
    uint8_t ended;                          /* bool: flow_end was called */
    uint16_t status;                        /* HTTP status the client got, 0: none */
    uint16_t warnings;                      /* bits 1 << enum warning */
    struct endpoint client, proxy, address; /* address: the target's, as dialled */
    uint64_t bytes_up, bytes_down;          /* payload: of the tunnel, or bodies */
    char *target;                           /* "host:port", heap */
    char *parent;                           /* "host:port", heap; NULL: direct */
    char *method;                           /* heap */
    char *url;                              /* heap; NULL for CONNECT */
    char *user;                             /* heap; NULL */
    char *rule;                             /* heap: the name of the rule that decided; NULL */
    char *reason;         /* heap: why, in a few words of ASCII English: "rule social"; NULL */
    struct flow_tls *tls; /* heap; NULL: none seen */
    struct flow_leg client_leg, upstream_leg;
    struct notes notes;
};

/* Begins a flow in a zeroed record, in PHASE_RESOLVE not yet opened: the first flow_phase opens
 * one. */
void flow_begin(struct flow *f, enum source source, uint64_t id, uint64_t at_ns, uint64_t wall_ns);

/* Closes the phase that is open as ok and opens `next`; phases passed over stay OUTCOME_NONE until
 * flow_skip names them.  Entering the open phase again does nothing; a closed one that is entered
 * again keeps its first start. */
void flow_phase(struct flow *f, enum phase next, uint64_t at_ns);

/* Closes the open phase before another begins, or before the flow ends: with a later phase or end,
 * the time between belongs to none.  The flow still ends in it if no other is entered. */
void flow_leave(struct flow *f, enum outcome outcome, uint64_t at_ns);

/* Marks a phase that this flow does not have (OUTCOME_SKIPPED) or could not see (OUTCOME_UNKNOWN).
 */
void flow_skip(struct flow *f, enum phase phase, enum outcome outcome);

/* Records a step inside `answer`. */
void flow_step(struct flow *f, enum step_kind step, uint64_t duration_ns);

/* Adds a text.  Memory out: the text is left out, the flow stays whole.  The format's result is cut
 * at 512 bytes. */
void flow_note(struct flow *f, enum note_kind kind, unsigned index, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
#define flow_evidence(f, ...) flow_note((f), NOTE_EVIDENCE, 0, __VA_ARGS__)

/* Adds copies of notes that were made apart.  Memory out: they are left out. */
void flow_add_notes(struct flow *f, const struct notes *more);

/* Sets the warning's bit and notes its detail. */
void flow_warn(struct flow *f, enum warning w, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Ends the flow: closes the open phase (failed, unless the verdict is a success or the target's own
 * error) and fixes verdict, ended_in (the open phase), ended_by, certainty, duration.  Once a flow.
 */
void flow_end(struct flow *f, enum verdict v, enum side by, enum certainty c, uint64_t at_ns);

/* Another verdict for a flow that has ended, where more was learnt since.  When and in which phase
 * stay. */
void flow_revise(struct flow *f, enum verdict v, enum side by, enum certainty c,
                 const char *reason);

/* Replaces a heap text of the record by a copy (NULL: by nothing). */
void flow_set_text(char **field, const char *text);
void flow_set_span(char **field, struct span text);

/* Makes *to (zeroed) a copy of its own.  False when memory is out: *to is zeroed. */
bool flow_copy(struct flow *to, const struct flow *from);

/* Frees what hangs off the record and zeroes it. */
void flow_fini(struct flow *f);

/* Steps through the notes of one kind: start with *at = 0; NULL at the end. */
const char *flow_next_note(const struct flow *f, enum note_kind kind, unsigned *index,
                           uint32_t *at);
/* The last note of that kind and index, or "". */
const char *flow_find_note(const struct flow *f, enum note_kind kind, unsigned index);

/* The flow's sentences in the locale of the process (flow/words.h); never NULL.  The advice of a
 * flow that is fine is "". */
const char *flow_cause(const struct flow *f);
const char *flow_advice(const struct flow *f);

/* The same in a language tag's language ("ja", "ja-JP"), for answers that follow Accept-Language;
 * English for tongues that are not spoken.  Needs no locale installed; any thread. */
const char *flow_cause_in(const struct flow *f, const char *language);
const char *flow_advice_in(const struct flow *f, const char *language);

const char *flow_source_name(enum source s);
const char *flow_warning_name(enum warning w);
const char *flow_warning_sentence(enum warning w); /* one clause for the manual */

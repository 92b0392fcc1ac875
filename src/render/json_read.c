#include "render/json_read.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/num.h"
#include "render/date.h"

/* An object that is being read: the first value that is wrong is told, and ends it. */
struct reader {
    struct flow *flow;
    const struct json_read_more *more;
    struct err *err;
    bool failed;
};

static void fail(struct reader *r, const char *key, const char *what)
{
    if (!r->failed)
        err_set(r->err, "\"%s\" %s", key, what);
    r->failed = true;
}

/* The text of a member; NULL where it is null or absent. */
static const char *get_text(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && !json_is_string(value))
        fail(r, key, "is no text");
    return json_string_value(value);
}

static uint64_t get_number(struct reader *r, const json_t *object, const char *key, uint64_t max)
{
    const json_t *value = json_object_get(object, key);
    json_int_t n = json_integer_value(value);

    if (!value || json_is_null(value))
        return 0;
    if (!json_is_integer(value) || n < 0 || (uint64_t)n > max) {
        fail(r, key, "is no number, or too large a one");
        return 0;
    }
    return (uint64_t)n;
}

/* An array, or NULL where there is none. */
static const json_t *get_array(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && !json_is_array(value))
        fail(r, key, "is no list");
    return json_is_array(value) ? value : NULL;
}

static const json_t *get_object(struct reader *r, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value && !json_is_null(value) && !json_is_object(value))
        fail(r, key, "is no object");
    return json_is_object(value) ? value : NULL;
}

/* Microseconds as nanoseconds; a century is enough. */
static uint64_t get_us(struct reader *r, const json_t *object, const char *key)
{
    return get_number(r, object, key, 100ull * 366 * 86400 * 1000000) * NS_PER_US;
}

static uint64_t get_id(struct reader *r, const json_t *object, const char *key)
{
    const char *text = get_text(r, object, key);
    uint64_t id = 0;

    if (text && (strlen(text) != 16 || !num_parse_hex(span_of(text), UINT64_MAX, &id)))
        fail(r, key, "is no id");
    return id;
}

typedef const char *(*name_fn)(unsigned n);

/* The number of a name, where `name` gives those of [0, count); a text that is none of them, or
 * none at all, is wrong. */
static unsigned find_name(struct reader *r, const char *text, const char *key, unsigned count,
                          name_fn name)
{
    for (unsigned i = 0; text && i < count; i++)
        if (strcmp(name(i), text) == 0)
            return i;
    fail(r, key, "is a word that this version does not know");
    return 0;
}

static const char *phase_name_at(unsigned n)
{
    return phase_name((enum phase)n);
}

static const char *step_name_at(unsigned n)
{
    return phase_step_name((enum step_kind)n);
}

static const char *outcome_name_at(unsigned n)
{
    return phase_outcome_name((enum outcome)n);
}

static const char *source_name_at(unsigned n)
{
    return flow_source_name((enum source)n);
}

static const char *side_name_at(unsigned n)
{
    return verdict_side_name((enum side)n);
}

static const char *certainty_name_at(unsigned n)
{
    return verdict_certainty_name((enum certainty)n);
}

static const char *verdict_name_at(unsigned n)
{
    return verdict_get_info((enum verdict)n)->name;
}

static const char *warning_name_at(unsigned n)
{
    return flow_warning_name((enum warning)n);
}

/* A name that stands for an address (tcpdump's text) is not one: it stays in the JSON alone. */
static void read_endpoint(struct reader *r, const json_t *o, const char *key, struct endpoint *e)
{
    const char *text = get_text(r, o, key);

    if (text && !endpoint_parse(span_of(text), e))
        *e = (struct endpoint){0};
}

static void read_who(struct reader *r, const json_t *o)
{
    struct flow *f = r->flow;

    read_endpoint(r, o, "client", &f->client);
    read_endpoint(r, o, "proxy", &f->proxy);
    read_endpoint(r, o, "target_address", &f->address);
    flow_set_text(&f->target, get_text(r, o, "target"));
    flow_set_text(&f->parent, get_text(r, o, "parent"));
    flow_set_text(&f->method, get_text(r, o, "method"));
    flow_set_text(&f->url, get_text(r, o, "url"));
    flow_set_text(&f->user, get_text(r, o, "user"));
    flow_set_text(&f->rule, get_text(r, o, "rule"));
}

static void read_start(struct reader *r, const json_t *o)
{
    const char *text = get_text(r, o, "start");

    if (!text || !date_parse_rfc3339(span_of(text), &r->flow->start_ns))
        fail(r, "start", "is no moment");
}

static void note_detail(struct reader *r, const json_t *o, enum note_kind kind, unsigned index)
{
    const char *detail = get_text(r, o, "detail");

    if (detail && *detail)
        flow_note(r->flow, kind, index, "%s", detail);
}

static void read_steps(struct reader *r, const json_t *phase)
{
    const json_t *steps = get_array(r, phase, "steps");

    for (size_t i = 0; i < json_array_size(steps) && !r->failed; i++) {
        const json_t *o = json_array_get(steps, i);
        unsigned step = find_name(r, get_text(r, o, "step"), "step", STEP_KIND_COUNT, step_name_at);

        flow_step(r->flow, step, get_us(r, o, "duration_us"));
        note_detail(r, o, NOTE_STEP, step);
    }
}

static void read_phases(struct reader *r, const json_t *o)
{
    const json_t *phases = get_array(r, o, "phases");

    for (size_t i = 0; i < json_array_size(phases) && !r->failed; i++) {
        const json_t *p = json_array_get(phases, i);
        unsigned phase = find_name(r, get_text(r, p, "phase"), "phase", PHASE_COUNT, phase_name_at);
        unsigned outcome =
            find_name(r, get_text(r, p, "outcome"), "outcome", OUTCOME_COUNT, outcome_name_at);

        r->flow->outcomes[phase] = (uint8_t)outcome;
        r->flow->phases[phase].start_ns = get_us(r, p, "start_us");
        r->flow->phases[phase].duration_ns = get_us(r, p, "duration_us");
        note_detail(r, p, NOTE_PHASE, phase);
        read_steps(r, p);
    }
}

static void read_tls(struct reader *r, const json_t *o)
{
    const json_t *tls = get_object(r, o, "tls");

    if (!tls)
        return;
    r->flow->tls = calloc(1, sizeof *r->flow->tls);
    if (!r->flow->tls) {
        fail(r, "tls", "needs memory, which is out");
        return;
    }
    flow_set_text(&r->flow->tls->sni, get_text(r, tls, "sni"));
    flow_set_text(&r->flow->tls->version, get_text(r, tls, "version"));
    flow_set_text(&r->flow->tls->cipher, get_text(r, tls, "cipher"));
    flow_set_text(&r->flow->tls->issuer, get_text(r, tls, "issuer"));
    flow_set_text(&r->flow->tls->alpn, get_text(r, tls, "alpn"));
}

static void read_leg(struct reader *r, const json_t *tcp, const char *key, struct flow_leg *leg)
{
    const json_t *o = get_object(r, tcp, key);

    if (!o)
        return;
    leg->known = true;
    leg->rtt_us = (uint32_t)get_number(r, o, "rtt_us", UINT32_MAX);
    leg->retransmissions = (uint32_t)get_number(r, o, "retransmissions", UINT32_MAX);
    leg->mss = (uint32_t)get_number(r, o, "mss", UINT32_MAX);
    leg->pmtu = (uint32_t)get_number(r, o, "pmtu", UINT32_MAX);
    leg->unacked = get_number(r, o, "unacked", INT64_MAX);
}

static void read_redirects(struct reader *r, const json_t *o)
{
    const json_t *all = get_array(r, o, "redirects");

    for (size_t i = 0; i < json_array_size(all) && !r->failed; i++) {
        const json_t *redirect = json_array_get(all, i);
        uint64_t status = get_number(r, redirect, "status", 999);
        const char *location = get_text(r, redirect, "location");

        if (status)
            flow_note(r->flow, NOTE_REDIRECT, 0, "%llu %s", (unsigned long long)status,
                      location ? location : "");
        else
            flow_note(r->flow, NOTE_REDIRECT, 0, "%s", location ? location : "");
    }
}

/* The texts of a list, each noted. */
static void read_notes(struct reader *r, const json_t *o, const char *key, enum note_kind kind)
{
    const json_t *all = get_array(r, o, key);

    for (size_t i = 0; i < json_array_size(all) && !r->failed; i++) {
        const char *text = json_string_value(json_array_get(all, i));

        if (text)
            flow_note(r->flow, kind, 0, "%s", text);
        else
            fail(r, key, "has something that is no text");
    }
}

static void read_warnings(struct reader *r, const json_t *o)
{
    const json_t *all = get_array(r, o, "warnings");

    for (size_t i = 0; i < json_array_size(all) && !r->failed; i++) {
        unsigned w = find_name(r, json_string_value(json_array_get(all, i)), "warnings",
                               WARNING_COUNT, warning_name_at);

        r->flow->warnings |= (uint16_t)(1u << w);
    }
}

/* Whether a piece of evidence is a warning's detail: then it is noted as that. */
static bool read_detail(struct reader *r, const char *text)
{
    for (unsigned i = 0; i < WARNING_COUNT; i++) {
        const char *name = flow_warning_name(i);
        size_t len = strlen(name);

        if (r->flow->warnings & 1u << i && strncmp(text, name, len) == 0 &&
            strncmp(text + len, ": ", 2) == 0) {
            flow_note(r->flow, NOTE_WARNING, i, "%s", text + len + 2);
            return true;
        }
    }
    return false;
}

static void read_evidence(struct reader *r, const json_t *o)
{
    const json_t *all = get_array(r, o, "evidence");
    struct span reason = r->more ? r->more->reason : (struct span){NULL, 0};

    flow_set_span(&r->flow->reason, reason);
    for (size_t i = 0; i < json_array_size(all) && !r->failed; i++) {
        const char *text = json_string_value(json_array_get(all, i));

        if (!text)
            fail(r, "evidence", "has something that is no text");
        else if (!(i == 0 && reason.ptr && span_equal(span_of(text), reason)) &&
                 !read_detail(r, text))
            flow_evidence(r->flow, "%s", text);
    }
}

/* A flow under way has ended in nothing: it is in the last phase that it reached. */
static void read_ended_in(struct reader *r, const json_t *o)
{
    const char *in = get_text(r, o, "ended_in");
    struct flow *f = r->flow;

    f->ended = in || f->verdict != VERDICT_OPEN;
    if (f->ended)
        f->phase = f->ended_in = (uint8_t)find_name(r, in, "ended_in", PHASE_COUNT, phase_name_at);
    for (unsigned i = 0; !f->ended && i < PHASE_COUNT; i++)
        if (f->outcomes[i] != OUTCOME_NONE)
            f->phase = (uint8_t)i;
}

static void read_ending(struct reader *r, const json_t *o)
{
    struct flow *f = r->flow;
    const char *by = get_text(r, o, "ended_by");

    f->verdict =
        (uint8_t)find_name(r, get_text(r, o, "verdict"), "verdict", VERDICT_COUNT, verdict_name_at);
    read_ended_in(r, o);
    f->ended_by = (uint8_t)find_name(r, by ? by : "", "ended_by", SIDE_COUNT, side_name_at);
    f->certainty = (uint8_t)find_name(r, get_text(r, o, "certainty"), "certainty",
                                      CERTAINTY_INFERRED + 1, certainty_name_at);
    read_warnings(r, o);
    read_evidence(r, o);
}

static void read_object(struct reader *r, const json_t *o)
{
    struct flow *f = r->flow;
    const json_t *tcp;

    f->id = get_id(r, o, "id");
    f->source =
        (uint8_t)find_name(r, get_text(r, o, "source"), "source", SOURCE_COUNT, source_name_at);
    read_start(r, o);
    f->duration_ns = get_us(r, o, "duration_us");
    read_who(r, o);
    read_notes(r, o, "reported", NOTE_REPORTED);
    f->status = (uint16_t)get_number(r, o, "status", 999);
    f->status_sent = r->more && r->more->own_answer;
    f->bytes_up = get_number(r, o, "bytes_up", INT64_MAX);
    f->bytes_down = get_number(r, o, "bytes_down", INT64_MAX);
    read_phases(r, o);
    read_tls(r, o);
    tcp = get_object(r, o, "tcp");
    read_leg(r, tcp, "client", &f->client_leg);
    read_leg(r, tcp, "upstream", &f->upstream_leg);
    read_redirects(r, o);
    f->superseded_by = get_id(r, o, "superseded_by");
    read_ending(r, o);
}

bool json_read_flow(struct flow *f, struct span json, const struct json_read_more *more,
                    struct err *err)
{
    struct reader r = {.flow = f, .more = more, .err = err};
    json_error_t error;
    json_t *o = json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &error);

    *f = (struct flow){0};
    if (!json_is_object(o)) {
        err_set(err, "it is no JSON object%s%s", o ? "" : ": ", o ? "" : error.text);
        json_decref(o);
        return false;
    }
    read_object(&r, o);
    json_decref(o);
    if (r.failed)
        flow_fini(f);
    return !r.failed;
}

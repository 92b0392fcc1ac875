/* tests/unit/render/sample.h - the flows that the renderers' tests show. */
#pragma once

#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "flow/flow.h"

#define SAMPLE_WALL_NS (1795410000 * NS_PER_S + 123456789) /* 2026-11-23T05:00:00.123456789Z */

/* English and UTC, whatever the tester's own surroundings are. */
static inline int sample_setup(void **state)
{
    (void)state;
    setenv("LC_ALL", "C", 1);
    unsetenv("LANGUAGE");
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

/* A tunnel of 812 ms that went well, with everything that a flow may have. */
static inline void sample_tunnel(struct flow *f)
{
    *f = (struct flow){0};
    flow_begin(f, SOURCE_SERVE, 0x5f2c, 1000 * NS_PER_MS, SAMPLE_WALL_NS);
    endpoint_parse(SPAN_LIT("10.40.40.1:40220"), &f->client);
    endpoint_parse(SPAN_LIT("10.10.10.1:80"), &f->proxy);
    endpoint_parse(SPAN_LIT("[2001:db8::80]:443"), &f->address);
    flow_set_text(&f->target, "updates.example.net:443");
    flow_set_text(&f->method, "CONNECT");
    flow_set_text(&f->user, "fmc");
    flow_set_text(&f->rule, "updates");
    f->status = 200;
    f->bytes_up = 1834;
    f->bytes_down = 5321;
    flow_phase(f, PHASE_REQUEST, 1000 * NS_PER_MS);
    flow_phase(f, PHASE_ANSWER, 1000 * NS_PER_MS + 90000);
    flow_step(f, STEP_KIND_AUTHORIZE, 2000);
    flow_step(f, STEP_KIND_DIAL, 3100000);
    flow_note(f, NOTE_STEP, STEP_KIND_DIAL, "[2001:db8::80]:443");
    flow_skip(f, PHASE_EXCHANGE, OUTCOME_SKIPPED);
    flow_phase(f, PHASE_TRANSFER, 1004 * NS_PER_MS);
    flow_note(f, NOTE_PHASE, PHASE_TRANSFER, "quiet at the end");
    flow_phase(f, PHASE_CLOSE, 1800 * NS_PER_MS);
    f->client_leg = (struct flow_leg){true, 412, 0, 1460, 1500, 0};
    f->tls = calloc(1, sizeof *f->tls);
    flow_set_text(&f->tls->sni, "updates.example.net");
    flow_set_text(&f->tls->version, "TLSv1.3");
    flow_note(f, NOTE_REPORTED, 0, "watch");
    flow_note(f, NOTE_REDIRECT, 0, "302 https://updates.example.net/healthcheck");
    flow_evidence(f, "[2001:db8::80]:443 connected after 3100 us");
    flow_warn(f, WARNING_IDLE_CLOSED, "idle-timeout of %d s", 60);
    flow_end(f, VERDICT_OK, SIDE_CLIENT, CERTAINTY_SEEN, 1812 * NS_PER_MS + 345000);
}

/* A black hole that was told from outside; all texts are as hostile as they can be. */
static inline void sample_hostile(struct flow *f)
{
    static const char evil[] = "a\x1b[31m\r\nX: \"y\\\xff\xc2\x9b\xe2\x80\xae<b>";

    *f = (struct flow){0};
    flow_begin(f, SOURCE_EXPLAIN, 1, 0, SAMPLE_WALL_NS);
    flow_set_text(&f->target, evil);
    flow_set_text(&f->method, evil);
    flow_set_text(&f->user, evil);
    flow_set_text(&f->rule, evil);
    flow_set_text(&f->parent, evil);
    flow_set_text(&f->reason, evil);
    f->tls = calloc(1, sizeof *f->tls);
    flow_set_text(&f->tls->sni, evil);
    flow_set_text(&f->tls->issuer, evil);
    flow_skip(f, PHASE_CONNECT, OUTCOME_UNKNOWN);
    flow_phase(f, PHASE_TLS, 0);
    flow_step(f, STEP_KIND_DIAL, 5000);
    for (unsigned kind = NOTE_EVIDENCE; kind <= NOTE_REDIRECT; kind++)
        flow_note(f, kind,
                  kind == NOTE_PHASE  ? PHASE_TLS
                  : kind == NOTE_STEP ? STEP_KIND_DIAL
                                      : 0,
                  "%s", evil);
    flow_warn(f, WARNING_RETRANSMISSIONS, "%s", evil);
    f->superseded_by = 0xabc;
    flow_end(f, VERDICT_MTU_BLACKHOLE, SIDE_NETWORK, CERTAINTY_INFERRED, 200 * NS_PER_S);
}

/* True when only printable ASCII, newlines and whole UTF-8 sequences above U+009F are in it. */
static inline int sample_is_clean(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if ((c < 0x20 && c != '\n') || c == 0x7f || c == 0xff ||
            (c == 0xc2 && (unsigned char)s.ptr[i + 1] < 0xa0))
            return 0;
        if (c == 0xe2 && (unsigned char)s.ptr[i + 1] == 0x80)
            return 0;
    }
    return 1;
}

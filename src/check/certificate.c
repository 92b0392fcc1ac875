#include "check/certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flow/inspectors.h"
#include "net/tls.h"
#include "wire/cert.h"

struct flow_tls *certificate_tls_of(struct flow *f)
{
    if (!f->tls)
        f->tls = calloc(1, sizeof *f->tls);
    return f->tls;
}

/* The leaf of what was shown; false when there is none that can be read. */
static bool read_leaf(struct tls *t, const char *host, struct cert *out)
{
    unsigned char *der;
    size_t len = tls_get_certificate(t, 0, &der);
    bool ok = len > 0 && cert_read((struct span){(const char *)der, len}, host, out);

    tls_free_der(der);
    return ok;
}

void certificate_read(struct tls *t, const char *host, const struct tls_facts *facts,
                      struct certificate *out, struct flow *f)
{
    struct flow_tls *tls = certificate_tls_of(f);
    struct cert leaf;

    *out = (struct certificate){.verified = facts->verified};
    out->known = read_leaf(t, host, &leaf);
    if (!out->known)
        return;
    snprintf(out->issuer, sizeof out->issuer, "%s", leaf.issuer);
    memcpy(out->fingerprint, leaf.fingerprint, sizeof out->fingerprint);
    out->inspector = inspectors_find(span_of(leaf.issuer));
    out->is_local = facts->verified && tls_has_local_root(t);
    if (tls)
        flow_set_text(&tls->issuer, leaf.issuer);
}

static void write_day(int64_t at, char out[16])
{
    time_t t = (time_t)at;
    struct tm tm;

    if (!gmtime_r(&t, &tm) || strftime(out, 16, "%Y-%m-%d", &tm) == 0)
        snprintf(out, 16, "?");
}

void certificate_note(struct tls *t, const char *host, int64_t now_s, struct flow *f)
{
    char from[16], until[16];
    struct cert leaf;
    const char *inspector;

    if (!read_leaf(t, host, &leaf)) {
        flow_evidence(f, "no certificate that can be read was shown");
        return;
    }
    write_day(leaf.not_before, from);
    write_day(leaf.not_after, until);
    flow_evidence(f, "certificate of %s, for %s%s", leaf.subject,
                  leaf.names_len ? leaf.names : "no name",
                  leaf.names_len > leaf.names_shown ? " and others" : "");
    flow_evidence(f, "made by %s%s, good from %s to %s%s",
                  leaf.self_signed ? "itself" : leaf.issuer, leaf.ca ? " (it is a CA)" : "", from,
                  until, cert_is_current(&leaf, now_s) ? "" : ": not today");
    if (!leaf.is_for_host)
        flow_evidence(f, "it is not for %s", host);
    inspector = inspectors_find(span_of(leaf.issuer));
    if (inspector)
        flow_evidence(f,
                      "its issuer is an inspector's: %s; this machine does not trust the CA of "
                      "that product",
                      inspector);
}

#include "flow/anonymize.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "flow/masked.h"

#define TEXT_MAX (64u * 1024)
#define KNOWN_MAX 12

struct anonymize {
    struct standin standins;
    struct masked_original originals[MASKED_ORIGINALS_MAX];
    unsigned originals_len;
};

struct anonymize *anonymize_new(void)
{
    return calloc(1, sizeof(struct anonymize));
}

void anonymize_free(struct anonymize *a)
{
    if (!a)
        return;
    standin_fini(&a->standins);
    free(a);
}

void anonymize_add(struct anonymize *a, const char *original, const char *stand_in)
{
    if (!*original || a->originals_len == MASKED_ORIGINALS_MAX)
        return;
    a->originals[a->originals_len].original = original;
    a->originals[a->originals_len++].stand_in = stand_in;
}

/* ---- fields of a flow */

/* The stand-in of a text: terminated, in `out`; "" when memory is out. */
static const char *make(struct anonymize *a, struct buf *out, masked_fn put_it, const char *text,
                        const struct masked_known *known, unsigned known_len)
{
    struct masked m = {.standins = &a->standins,
                       .originals = a->originals,
                       .originals_len = a->originals_len,
                       .known = known,
                       .known_len = known_len,
                       .out = out,
                       .ok = true};

    buf_consume(out, out->len);
    put_it(&m, span_of(text));
    if (!m.ok || !buf_append(out, "", 1)) {
        buf_consume(out, out->len);
        return "";
    }
    return buf_span(out).ptr;
}

static void know(struct masked_known *known, unsigned *n, struct span text, enum standin_kind kind)
{
    if (text.len > 0 && *n < KNOWN_MAX)
        known[(*n)++] = (struct masked_known){text, kind};
}

/* The host of "host:port" or of a URL, without brackets; an address is found without being known.
 */
static struct span host_of(const char *text)
{
    struct span s = span_of(text);
    const char *scheme = text ? strstr(text, "://") : NULL;
    size_t len = 0;

    if (scheme)
        s = span_of(scheme + 3);
    for (size_t i = 0; i < s.len && !strchr("/?#", s.ptr[i]); i++)
        if (s.ptr[i] == '@') {
            s = (struct span){s.ptr + i + 1, s.len - i - 1};
            i = (size_t)-1;
        }
    while (len < s.len && !strchr(":/?#[", s.ptr[len]))
        len++;
    if (len > 1 && s.ptr[len - 1] == '.')
        len--;
    return (struct span){s.ptr, len};
}

static unsigned gather_known(const struct flow *f, struct masked_known known[KNOWN_MAX])
{
    unsigned n = 0, index;
    uint32_t at = 0;
    const char *name;

    know(known, &n, host_of(f->target), STANDIN_HOST);
    know(known, &n, host_of(f->url), STANDIN_HOST);
    know(known, &n, host_of(f->parent), STANDIN_HOST);
    know(known, &n, span_of(f->user), STANDIN_USER);
    know(known, &n, span_of(f->rule), STANDIN_RULE);
    if (f->tls) {
        know(known, &n, span_of(f->tls->sni), STANDIN_HOST);
        if (f->tls->cipher && masked_is_cipher(span_of(f->tls->cipher)))
            know(known, &n, span_of(f->tls->cipher), STANDIN_COUNT);
    }
    while ((name = flow_next_note(f, NOTE_NAME, &index, &at)))
        know(known, &n, host_of(name), STANDIN_HOST);
    return n;
}

static masked_fn put_of_note(enum note_kind kind)
{
    switch (kind) {
    case NOTE_NAME:
        return masked_put_authority;
    case NOTE_REPORTED:
        return masked_put_rule;
    case NOTE_EVIDENCE:
    case NOTE_PHASE:
    case NOTE_STEP:
    case NOTE_WARNING:
    case NOTE_REDIRECT:
        break;
    }
    return masked_put_text;
}

static struct notes make_notes(struct anonymize *a, const struct flow *f, struct buf *out,
                               const struct masked_known *known, unsigned known_len)
{
    const struct notes *old = &f->notes;
    struct flow fresh = {0};

    for (uint32_t at = 0; at < old->len;) {
        enum note_kind kind = (enum note_kind)old->bytes[at];
        unsigned index = (unsigned char)old->bytes[at + 1];
        const char *text = old->bytes + at + 2;

        at += (uint32_t)strlen(text) + 3;
        flow_note(&fresh, kind, index, "%s",
                  make(a, out, put_of_note(kind), text, known, known_len));
    }
    return fresh.notes;
}

static void replace_fields(struct anonymize *a, struct flow *f, struct buf *out,
                           const struct masked_known *known, unsigned known_len)
{
    struct flow_tls none = {0}, *tls = f->tls ? f->tls : &none;
    const struct {
        char **field;
        masked_fn put_it;
    } fields[] = {
        {&f->reason, masked_put_text},      {&f->target, masked_put_authority},
        {&f->parent, masked_put_authority}, {&f->url, masked_put_url},
        {&f->user, masked_put_user},        {&f->rule, masked_put_rule},
        {&f->method, masked_put_token},     {&tls->sni, masked_put_host},
        {&tls->version, masked_put_token},  {&tls->cipher, masked_put_cipher},
        {&tls->issuer, masked_put_issuer},  {&tls->alpn, masked_put_token},
    };
    char *fresh[ARRAY_LEN(fields)] = {0};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) /* known names are needed to the last */
        if (*fields[i].field)
            flow_set_text(&fresh[i],
                          make(a, out, fields[i].put_it, *fields[i].field, known, known_len));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        free(*fields[i].field);
        *fields[i].field = fresh[i];
    }
}

void anonymize_flow(struct anonymize *a, struct flow *f)
{
    struct endpoint *const ends[] = {&f->client, &f->proxy, &f->address};
    struct masked_known known[KNOWN_MAX];
    unsigned known_len = gather_known(f, known);
    struct notes fresh;
    struct buf out;

    buf_init(&out, TEXT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        standin_replace_addr(&a->standins, &ends[i]->addr);
        ends[i]->scope = 0;
    }
    fresh = make_notes(a, f, &out, known, known_len); /* known names borrow from the old ones, */
    replace_fields(a, f, &out, known, known_len);     /* and from the fields */
    free(f->notes.bytes);
    f->notes = fresh;
    buf_fini(&out);
}

char *anonymize_text(struct anonymize *a, const char *text)
{
    struct buf out;
    char *copy;

    buf_init(&out, TEXT_MAX);
    copy = strdup(make(a, &out, masked_put_text, text, NULL, 0));
    buf_fini(&out);
    return copy;
}

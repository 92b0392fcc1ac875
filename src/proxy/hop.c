#include "proxy/hop.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "net/tls.h"

bool hop_load_tls(const struct config *c, struct tls_context **out, struct err *err)
{
    struct tls_client_options o = {.ca = c->upstream.ca, .verify = true, .alpn = "http/1.1"};

    *out = NULL;
    if (!c->parent || !c->upstream.tls)
        return true;
    *out = tls_context_new_client(&o, err);
    if (!*out)
        err_prefix(err, "%s", c->upstream_file);
    return *out != NULL;
}

static char *dup_endpoint(const struct parent *p)
{
    char text[300];
    int n = snprintf(text, sizeof text, p->addr.family == AF_INET6 ? "[%s]:%u" : "%s:%u", p->host,
                     p->port);

    return n < (int)sizeof text ? strdup(text) : NULL;
}

/* Other settings are other credentials: what is known of one says nothing of the other. */
static uint64_t mark_of(const struct hop *h)
{
    const char *user = h->login.user ? h->login.user : "";
    const char *password = h->login.password ? h->login.password : "";
    struct span parts[] = {span_of(h->text), span_of(h->by_tls ? "tls" : ""), span_of(user),
                           span_of(password)};

    return trial_mark(parts, ARRAY_LEN(parts));
}

struct hop *hop_new(const struct config *c, struct tls_context *tls, uint32_t serial,
                    struct trial *trial)
{
    const struct config_upstream *u = &c->upstream;
    struct hop *h = calloc(1, sizeof *h);

    if (!h)
        return NULL;
    h->refs = 1;
    h->serial = serial;
    h->addr = c->parent->addr;
    h->port = c->parent->port;
    h->by_tls = u->tls;
    h->tls = tls ? tls_context_ref(tls) : NULL;
    h->host = strdup(c->parent->host);
    h->text = dup_endpoint(c->parent);
    if (h->host && h->text && login_init(&h->login, u->user, u->password, LOGIN_ANY)) {
        login_share(&h->login, trial, mark_of(h));
        return h;
    }
    hop_unref(h);
    return NULL;
}

struct hop *hop_ref(struct hop *h)
{
    h->refs++;
    return h;
}

void hop_unref(struct hop *h)
{
    if (!h || --h->refs > 0)
        return;
    login_fini(&h->login);
    tls_context_unref(h->tls);
    free(h->host);
    free(h->text);
    free(h);
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool hop_is_same(const struct hop *h, const struct config *c)
{
    const struct config_upstream *u = &c->upstream;
    const char *password = u->user && !u->password ? "" : u->password;

    return strcmp(h->host, c->parent->host) == 0 && h->port == c->parent->port &&
           h->by_tls == u->tls && is_same_text(h->login.user, u->user) &&
           (!u->user || is_same_text(h->login.password, password));
}

bool hop_may_prove(struct hop *h, const void *s, uint64_t now_ns, uint64_t until_ns)
{
    if (!h->prover && trial_take(h->login.trial, now_ns, until_ns)) {
        h->prover = s;
        h->proves_until_ns = until_ns;
    }
    return h->prover == s;
}

void hop_end_proof(struct hop *h, const void *s)
{
    if (h->prover != s)
        return;
    h->prover = NULL;
    trial_give_back(h->login.trial, h->proves_until_ns);
}

void hop_set_tls(struct hop *h, struct tls_context *tls)
{
    struct tls_context *before = h->tls;

    h->tls = tls ? tls_context_ref(tls) : NULL;
    tls_context_unref(before);
}

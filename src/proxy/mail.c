#include "proxy/mail.h"

#include <stdlib.h>

bool mail_send(struct worker *w, struct mail m)
{
    struct mail *copy = malloc(sizeof *copy);

    if (!copy)
        return false;
    *copy = m;
    if (worker_send(w, copy))
        return true;
    free(copy);
    return false;
}

bool mail_send_config(struct worker *w, struct config *c, struct tls_context *parent_tls,
                      struct accounts *accounts)
{
    struct mail m = {.kind = MAIL_CONFIG, .config = config_ref(c)};

    m.parent_tls = parent_tls ? tls_context_ref(parent_tls) : NULL;
    m.accounts = accounts ? accounts_ref(accounts) : NULL;
    if (mail_send(w, m))
        return true;
    config_unref(c);
    tls_context_unref(m.parent_tls);
    accounts_unref(m.accounts);
    return false;
}

bool mail_send_accounts(struct worker *w, struct accounts *accounts)
{
    struct mail m = {.kind = MAIL_ACCOUNTS};

    if (!accounts)
        return true;
    m.accounts = accounts_ref(accounts);
    if (mail_send(w, m))
        return true;
    accounts_unref(accounts);
    return false;
}

bool mail_send_listeners(struct worker *w, const struct listeners *l)
{
    struct mail m = {.kind = MAIL_LISTENERS};

    m.listeners = listeners_of_worker(l, w->number, &m.listeners_len);
    if (m.listeners && mail_send(w, m))
        return true;
    free(m.listeners);
    return false;
}

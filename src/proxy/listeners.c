#include "proxy/listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/sock.h"
#include "net/tls.h"
#include "proxy/notify.h"

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const struct listeners_one *find_old(const struct listeners *old,
                                            const struct endpoint *asked, uint32_t mss)
{
    for (unsigned i = 0; old && i < old->len; i++)
        if (old->all[i].mss == mss && old->all[i].asked.port == asked->port &&
            addr_is_equal(&old->all[i].asked.addr, &asked->addr))
            return &old->all[i];
    return NULL;
}

bool listeners_check(const struct config_listener *asked, unsigned len, struct err *err)
{
    for (unsigned i = 0; i < len; i++) {
        struct tls_context *tls;

        if (!asked[i].tls_certificate)
            continue;
        tls = tls_context_new_listener(asked[i].tls_certificate, asked[i].tls_key, err);
        if (!tls) {
            err_prefix(err, "%s:%d", asked[i].file, asked[i].line);
            return false;
        }
        tls_context_unref(tls);
    }
    return true;
}

/* Whether some listener of `old` is on that address, with whatever options. */
static bool is_address_of(const struct listeners *old, const struct endpoint *at)
{
    for (unsigned i = 0; old && i < old->len; i++)
        if (old->all[i].at.port == at->port && addr_is_equal(&old->all[i].at.addr, &at->addr))
            return true;
    return false;
}

/* Loads the listener's certificate; one that cannot be read any more (privileges were dropped)
 * stays. */
static bool load_tls(struct listeners_one *one, const struct config_listener *c,
                     const struct listeners_one *old, struct err *err)
{
    if (!c->tls_certificate)
        return true;
    one->certificate = strdup(c->tls_certificate);
    one->key = strdup(c->tls_key);
    one->tls = tls_context_new_listener(c->tls_certificate, c->tls_key, err);
    if (one->tls)
        return true;
    if (old && old->tls && is_same_text(old->certificate, one->certificate) &&
        is_same_text(old->key, one->key) && access(c->tls_key, R_OK) < 0) {
        log_warning("%s; the certificate in use stays", err->text);
        one->tls = tls_context_ref(old->tls);
        return true;
    }
    err_prefix(err, "%s:%d", c->file ? c->file : "listen", c->line);
    return false;
}

/* One socket a worker, all on the port that the first one got.  0 or -errno. */
static int open_sockets(struct listeners_one *one, unsigned workers, bool is_ours)
{
    int err = is_ours ? 0 : sock_probe_listen(&one->at);

    for (unsigned w = 0; err == 0 && w < workers; w++) {
        one->fds[w] = sock_listen(&one->at, one->mss, true);
        err = one->fds[w] < 0 ? one->fds[w] : 0;
        if (err == 0)
            sock_get_local(one->fds[w], &one->at);
    }
    return err;
}

/* `old` is the same listener before a reload, or NULL; `is_ours`: one of ours is on that address.
 */
static bool open_one(struct listeners_one *one, const struct config_listener *c, unsigned workers,
                     const struct listeners_one *old, bool is_ours, struct err *err)
{
    char text[ENDPOINT_TEXT_MAX];
    int failed;

    *one = (struct listeners_one){.asked = c->at, .at = c->at, .mss = c->mss};
    one->fds = calloc(workers, sizeof *one->fds);
    if (!one->fds) {
        err_set(err, "out of memory");
        return false;
    }
    for (unsigned w = 0; w < workers; w++)
        one->fds[w] = -1;
    if (!load_tls(one, c, old, err))
        return false;
    if (old) {
        one->at = old->at;
        memcpy(one->fds, old->fds, workers * sizeof *one->fds);
        return true;
    }
    failed = open_sockets(one, workers, is_ours);
    if (failed < 0) {
        endpoint_write(&c->at, text);
        err_set(err, "cannot listen on %s: %s%s", text, strerror(-failed),
                failed == -EADDRINUSE ? " (is another proxy running? `ss -ltnp` tells)"
                : failed == -EACCES   ? " (ports below 1024 need root)"
                                      : "");
    }
    return failed == 0;
}

/* Takes the i-th inherited socket; the others than worker 0 get none. */
static bool inherit_one(struct listeners_one *one, int fd, const struct config_listener *asked,
                        unsigned len, unsigned workers, struct err *err)
{
    *one = (struct listeners_one){.fds = calloc(workers, sizeof *one->fds)};
    if (!one->fds) {
        err_set(err, "out of memory");
        return false;
    }
    for (unsigned w = 0; w < workers; w++)
        one->fds[w] = w == 0 ? fd : -1;
    if (sock_adopt_listener(fd) < 0 || !sock_get_local(fd, &one->at)) {
        err_set(err, "descriptor %d from the service manager is no listening TCP socket", fd);
        return false;
    }
    one->asked = one->at;
    for (unsigned k = 0; k < len; k++)
        if (asked[k].at.port == one->at.port)
            return load_tls(one, &asked[k], NULL, err);
    return true;
}

static bool is_kept(const struct listeners *old, int fd, unsigned w)
{
    for (unsigned i = 0; old && i < old->len; i++)
        if (old->all[i].fds[w] == fd)
            return true;
    return false;
}

static void one_fini(struct listeners_one *one, unsigned workers, bool close_all,
                     const struct listeners *keep)
{
    for (unsigned w = 0; one->fds && close_all && w < workers; w++)
        if (one->fds[w] >= 0 && !is_kept(keep, one->fds[w], w))
            close(one->fds[w]);
    tls_context_unref(one->tls);
    free(one->certificate);
    free(one->key);
    free(one->fds);
}

/* Prepares for `n` listeners. */
static bool make_room(struct listeners *l, unsigned n, unsigned workers, struct err *err)
{
    *l = (struct listeners){.workers = workers, .all = calloc(n ? n : 1, sizeof *l->all)};
    if (!l->all)
        err_set(err, "out of memory");
    return l->all != NULL;
}

/* Undoes what was opened, but for what `old` has too. */
static bool give_up(struct listeners *l, const struct listeners *old)
{
    for (unsigned i = 0; i < l->len; i++)
        one_fini(&l->all[i], l->workers, true, old);
    free(l->all);
    *l = (struct listeners){0};
    return false;
}

bool listeners_open(struct listeners *l, const struct config_listener *asked, unsigned len,
                    unsigned workers, const struct listeners *old, struct err *err)
{
    if (!make_room(l, len, workers, err))
        return false;
    while (l->len < len) {
        const struct config_listener *c = &asked[l->len++];

        if (!open_one(&l->all[l->len - 1], c, workers, find_old(old, &c->at, c->mss),
                      is_address_of(old, &c->at), err))
            return give_up(l, old);
    }
    return true;
}

bool listeners_inherit(struct listeners *l, unsigned n, const struct config_listener *asked,
                       unsigned len, unsigned workers, struct err *err)
{
    if (!make_room(l, n, workers, err))
        return false;
    while (l->len < n) {
        int fd = NOTIFY_FIRST_FD + (int)l->len++;

        if (!inherit_one(&l->all[l->len - 1], fd, asked, len, workers, err))
            return give_up(l, NULL);
    }
    return true;
}

struct worker_listener *listeners_of_worker(const struct listeners *l, unsigned w, unsigned *len)
{
    struct worker_listener *own = calloc(l->len ? l->len : 1, sizeof *own);

    *len = 0;
    for (unsigned i = 0; own && i < l->len; i++)
        own[(*len)++] = (struct worker_listener){l->all[i].fds[w], l->all[i].at,
                                                 tls_context_ref(l->all[i].tls)};
    return own;
}

void listeners_fini(struct listeners *l, bool close_all)
{
    for (unsigned i = 0; i < l->len; i++)
        one_fini(&l->all[i], l->workers, close_all, NULL);
    free(l->all);
    *l = (struct listeners){0};
}

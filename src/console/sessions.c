#include "console/sessions.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/hash.h"

static void draw(char out[SESSIONS_TOKEN_HEX + 1])
{
    unsigned char bytes[SESSIONS_TOKEN_HEX / 2];

    hash_random(bytes, sizeof bytes);
    digest_write_hex(bytes, sizeof bytes, out);
    out[SESSIONS_TOKEN_HEX] = '\0';
}

static bool is_over(const struct sessions *s, const struct console_session *one, uint64_t now_ns)
{
    return !one->begin_ns || now_ns - one->begin_ns >= s->lifetime_ns ||
           now_ns - one->used_ns >= s->idle_ns;
}

struct console_session *sessions_begin(struct sessions *s, struct span name, uint64_t now_ns,
                                       char cookie[SESSIONS_TOKEN_HEX + 1])
{
    struct console_session *one = &s->all[0];

    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        if (is_over(s, &s->all[i], now_ns))
            sessions_end(&s->all[i]);
        if (s->all[i].used_ns < one->used_ns)
            one = &s->all[i];
    }
    draw(cookie);
    *one = (struct console_session){.begin_ns = now_ns, .used_ns = now_ns};
    digest_of(DIGEST_SHA256, &(struct span){cookie, SESSIONS_TOKEN_HEX}, 1, one->hash);
    draw(one->csrf);
    snprintf(one->name, sizeof one->name, "%.*s", (int)name.len, name.ptr);
    return one;
}

struct console_session *sessions_find(struct sessions *s, struct span cookie, uint64_t now_ns)
{
    unsigned char hash[32];

    if (cookie.len != SESSIONS_TOKEN_HEX)
        return NULL;
    digest_of(DIGEST_SHA256, &cookie, 1, hash);
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        struct console_session *one = &s->all[i];

        if (is_over(s, one, now_ns) || !digest_equal(hash, one->hash, sizeof hash))
            continue;
        one->used_ns = now_ns;
        return one;
    }
    return NULL;
}

struct console_session *sessions_touch(struct sessions *s, const char *csrf, uint64_t now_ns)
{
    for (unsigned i = 0; i < SESSIONS_MAX; i++) {
        struct console_session *one = &s->all[i];

        if (is_over(s, one, now_ns) || strcmp(one->csrf, csrf) != 0)
            continue;
        one->used_ns = now_ns;
        return one;
    }
    return NULL;
}

void sessions_end(struct console_session *session)
{
    explicit_bzero(session, sizeof *session);
}

void sessions_end_of(struct sessions *s, struct span name)
{
    for (unsigned i = 0; i < SESSIONS_MAX; i++)
        if (s->all[i].begin_ns && span_equal(span_of(s->all[i].name), name))
            sessions_end(&s->all[i]);
}

#include "flow/verdict.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"

/* Columns of verdict.def in short. */
enum { SERVE = SOURCE_BIT_SERVE, CHECK = SOURCE_BIT_CHECK, EXPLAIN = SOURCE_BIT_EXPLAIN };
#define N_(msgid) msgid

static const struct verdict_info table[] = {
#define V(id, name, blame, status, proxy_status, sources, meaning, how, cause, advice)             \
    [VERDICT_##                                                                                    \
        id] = {name, SIDE_##blame, status, proxy_status, sources, meaning, how, cause, advice},
#include "flow/verdict.def"
#undef V
};
static_assert(ARRAY_LEN(table) == VERDICT_COUNT, "a verdict has no row");

const struct verdict_info *verdict_get_info(enum verdict v)
{
    assert(v < VERDICT_COUNT);
    return &table[v];
}

enum verdict verdict_find(struct span name)
{
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        if (span_equal(name, span_of(table[v].name)))
            return (enum verdict)v;
    return VERDICT_COUNT;
}

bool verdict_is_success(enum verdict v)
{
    return v == VERDICT_OK || v == VERDICT_OPEN;
}

/* The connection to the target or the parent; VERDICT_COUNT: nothing that the network did. */
static enum verdict upstream_errno(int err)
{
    switch (err) {
    case ECONNREFUSED:
        return VERDICT_UPSTREAM_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENONET:
    case EAFNOSUPPORT: /* a host without IPv6 */
    case EACCES:       /* a `prohibit` route */
    case EPERM:        /* a local firewall's REJECT */
        return VERDICT_UPSTREAM_UNREACHABLE;
    case ETIMEDOUT:
        return VERDICT_UPSTREAM_TIMEOUT;
    case ECONNRESET:
    case EPIPE:
        return VERDICT_RESET_BY_TARGET;
    default:
        return VERDICT_COUNT;
    }
}

/* The client's connection was made long ago: what fails there is the way back to it. */
static enum verdict client_errno(int err)
{
    switch (err) {
    case ECONNRESET:
    case EPIPE:
        return VERDICT_RESET_BY_CLIENT;
    case ETIMEDOUT:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        return VERDICT_STALLED;
    default:
        return VERDICT_COUNT;
    }
}

enum verdict verdict_from_errno(enum side side, int err)
{
    enum verdict v = VERDICT_COUNT;

    if (side == SIDE_CLIENT)
        v = client_errno(err);
    else if (side == SIDE_TARGET || side == SIDE_PARENT)
        v = upstream_errno(err);
    if (v != VERDICT_COUNT)
        return v;

    switch (err) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL: /* connect: no local port is free */
        return VERDICT_OVERLOADED;
    default:
        return VERDICT_PROXY_ERROR;
    }
}

const char *verdict_errno_text(int err)
{
    const char *text = strerrordesc_np(err);

    return text ? text : "an unknown error";
}

const char *verdict_side_name(enum side side)
{
    static const char *const names[] = {
        [SIDE_NOBODY] = "",       [SIDE_CLIENT] = "client", [SIDE_PROXY] = "proxy",
        [SIDE_PARENT] = "parent", [SIDE_TARGET] = "target", [SIDE_NETWORK] = "network",
    };
    static_assert(ARRAY_LEN(names) == SIDE_COUNT, "a side has no name");

    assert(side < SIDE_COUNT);
    return names[side];
}

const char *verdict_certainty_name(enum certainty c)
{
    return c == CERTAINTY_SEEN ? "seen" : "inferred";
}

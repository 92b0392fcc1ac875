/* What parses is written in a form that parses to the same again. */
#include <assert.h>

#include "fuzz.h"
#include "wire/authority.h"

static void check(bool good, const struct authority *a, size_t size)
{
    char text[AUTHORITY_TEXT_MAX], host[AUTHORITY_HOST_MAX];
    struct authority again;

    if (!good) {
        assert(a->bad_what && a->bad_offset <= size);
        return;
    }
    assert(a->port != 0 && a->host_len > 0 && strlen(a->host) == a->host_len);
    memcpy(host, a->host, sizeof host);
    size_t len = authority_write(a, text);
    assert(len < sizeof text && authority_parse((struct span){text, len}, &again));
    assert(strcmp(host, again.host) == 0 && again.port == a->port);
    assert(addr_is_equal(&a->addr, &again.addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct authority a;

    memset(&a, 0, sizeof a);
    check(authority_parse(text, &a), &a, size);
    check(authority_parse_default(text, 80, &a), &a, size);
    check(authority_parse_absolute(text, false, &a), &a, size);
    check(authority_parse_absolute(text, true, &a), &a, size);
    return 0;
}

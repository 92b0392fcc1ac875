/* check/url: URLs of the command line, and what Location fields make of them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "check/url.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = {(const char *)data, size}, first = span_cut(&rest, '\n');
    struct url base = {0}, next = {0};
    struct err err;

    if (!url_parse(&base, first, &err)) {
        assert(!base.text && *err.text);
        return 0;
    }
    assert(base.at.port && base.at.path.len > 0);
    if (url_join(&next, &base, rest, &err)) {
        struct url again = {0};
        char target[AUTHORITY_TEXT_MAX], same[AUTHORITY_TEXT_MAX];

        assert(url_parse(&again, span_of(next.text), &err));
        url_write_target(&next, target);
        url_write_target(&again, same);
        assert(strcmp(target, same) == 0);
        url_fini(&again);
    }
    url_fini(&next);
    url_fini(&base);
    return 0;
}

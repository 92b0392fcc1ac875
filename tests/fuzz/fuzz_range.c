/* A range that is read can be relied on: it lies inside what it is of. */
#include <assert.h>

#include "fuzz.h"
#include "wire/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size}, rest = text;
    struct range_content r;

    if (range_parse_content(text, &r)) {
        assert(!r.satisfied || (r.first <= r.last && r.last < r.total));
        assert(r.satisfied || r.total != RANGE_UNKNOWN);
    }
    struct span etag = span_cut(&rest, '\n'), date = span_cut(&rest, '\n');
    struct span validator = range_find_validator(etag, date, rest);

    assert(validator.len == 0 || range_is_validator(validator));
    for (size_t i = 0; i < validator.len; i++)
        assert(validator.ptr[i] != '\r' && validator.ptr[i] != '\0');
    return 0;
}

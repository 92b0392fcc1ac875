/* cli/flow_line: a line of the history's flows from the control socket. */
#include <assert.h>

#include "cli/flow_line.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span line = {(const char *)data, size};
    struct flow_line l;
    struct err err = {""};

    if (!flow_line_read(&l, line, &err)) {
        assert(*err.text && !l.root);
        return 0;
    }
    if (l.is_end)
        assert(l.file && l.why && l.next >= 0 && l.last >= 0);
    else
        assert(l.row.seq >= 0 && l.row.json.ptr > line.ptr && l.row.json.ptr[0] == '{' &&
               l.row.json.ptr + l.row.json.len + 1 == line.ptr + line.len);
    flow_line_fini(&l);
    return 0;
}

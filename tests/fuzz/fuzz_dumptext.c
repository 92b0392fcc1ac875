/* One line of tcpdump's text: whatever is read stands on the line, and numbers have their limits.
 */
#include <assert.h>

#include "fuzz.h"
#include "wire/dumptext.h"

static void check_inside(struct span part, struct span whole)
{
    assert(part.len == 0 ||
           (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void check_end(const struct dumptext_end *e, struct span line)
{
    check_inside(e->name, line);
    check_inside(e->service, line);
    assert(e->at.addr.family == 0 || e->name.len == 0);
    assert(e->at.port == 0 || e->service.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span line = {(const char *)data, size};
    struct dumptext d;
    uint32_t offset;
    uint8_t bytes[16];

    assert(dumptext_parse(line, &d) == (d.kind != DUMPTEXT_OTHER));
    assert(d.prefix_len <= size && d.sacks_len <= PACKET_SACKS_MAX);
    assert(d.options_len <= 40 || d.options_len == DUMPTEXT_UNKNOWN_LEN);
    check_inside(d.interface, line);
    check_inside(d.http, line);
    check_end(&d.from, line);
    check_end(&d.to, line);
    check_end(&d.about, line);
    if (d.kind == DUMPTEXT_TCP)
        assert((d.from.at.addr.family || d.from.name.len) &&
               (d.to.at.addr.family || d.to.name.len));
    assert(dumptext_parse_hex(line, &offset, bytes) <= sizeof bytes);
    return 0;
}

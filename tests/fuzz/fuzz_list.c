/* fuzz_list.c - the loader of list files: any bytes are a list or a refusal, and what was taken can
 * be asked. */
#include "fuzz.h"
#include "policy/listfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size}, rest = text;
    struct addr zero = {.family = AF_INET};
    struct err err;
    struct listfile *l = listfile_parse(text, "fuzz", &err);

    if (!l)
        return 0;
    while (rest.len > 0)
        domains_has(&l->names, span_cut(&rest, '\n'));
    domains_has(&l->names, text);
    cidr_has(&l->networks, &zero);
    listfile_unref(l);
    return 0;
}

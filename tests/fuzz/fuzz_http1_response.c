#include "fuzz.h"
#include "head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_head(http1_parse_response, (struct span){(const char *)data, size});
    return 0;
}

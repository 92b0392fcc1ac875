/* textshow <TEXT: the packets that viaduct reads in a text of tcpdump's, a line each. */
#include "../unit/capture/textshow.h"

#include <stdlib.h>

#define TEXT_MAX (64u << 20)

int main(void)
{
    char *bytes = malloc(TEXT_MAX);
    size_t len = bytes ? fread(bytes, 1, TEXT_MAX, stdin) : 0;

    if (!bytes || ferror(stdin))
        return 1;
    textshow_all((struct span){bytes, len}, stdout);
    free(bytes);
    return 0;
}

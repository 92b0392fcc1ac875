/* pac_print http|https LISTENER [NO_PROXY...]: the PAC file that the proxy would give out, for
 * JavaScript engines to evaluate. */
#include <stdio.h>
#include <string.h>

#include "proxy/pac.h"

int main(int argc, char **argv)
{
    static char memory[1 << 20];
    struct pen p;

    if (argc < 3)
        return 2;
    const struct pac pac = {argv[2], strcmp(argv[1], "https") == 0, (const char *const *)argv + 3,
                            (unsigned)argc - 3};
    pen_init_fixed(&p, memory, sizeof memory);
    pac_write(&p, &pac);
    fwrite(memory, 1, pen_len(&p), stdout);
    return p.full ? 3 : 0;
}

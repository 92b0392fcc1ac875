/* doc/manual.c - writes a page of the manual: a frame by hand, with the program's own table in the
 * place of "@LIST@".
 *
 * usage: manual LIST FRAME > PAGE; the lists are below.  Runs at build time only. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "cli/command.h"
#include "config/config.h"
#include "console/manual.h"
#include "flow/manual.h"

static const struct {
    const char *name;
    void (*print)(FILE *out);
} lists[] = {
    {"api", console_print_manual},      {"commands", command_print_manual},
    {"config", config_print_manual},    {"flow", flow_print_manual},
    {"openapi", console_print_openapi}, {"upstream", config_print_upstream_manual},
};

static int write_page(FILE *frame, void (*print)(FILE *out))
{
    char line[1024];
    int found = 0;

    while (fgets(line, sizeof line, frame)) {
        if (strcmp(line, "@LIST@\n") == 0) {
            print(stdout);
            found++;
        } else {
            fputs(line, stdout);
        }
    }
    return found == 1 && !ferror(frame) && fflush(stdout) == 0 ? EXIT_OK : EXIT_SYSTEM;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: manual LIST FRAME\n", stderr);
        return EXIT_USAGE;
    }
    FILE *frame = fopen(argv[2], "re");
    if (!frame) {
        fprintf(stderr, "manual: cannot open %s: %s\n", argv[2], strerror(errno));
        return EXIT_SYSTEM;
    }
    int status = EXIT_USAGE;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (strcmp(lists[i].name, argv[1]) == 0)
            status = write_page(frame, lists[i].print);
    }
    fclose(frame);
    if (status != EXIT_OK)
        fprintf(stderr, "manual: %s: no list \"%s\", or no line @LIST@ in it\n", argv[2], argv[1]);
    return status;
}

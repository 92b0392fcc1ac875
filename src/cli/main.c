/* cli/main.c - finds the command and hands over. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "flow/words.h"

static bool is_option(const char *arg, const char *brief, const char *full)
{
    return strcmp(arg, brief) == 0 || strcmp(arg, full) == 0;
}

/* Whether `-h` stands among a command's arguments: it is answered here, for all commands alike. */
static bool asks_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (is_option(argv[i], "-h", "--help"))
            return true;
    }
    return false;
}

/* A standard stream that was closed gets a descriptor of its own, or the first socket would take
 * its number and the access log would be written into it.  Each is opened the wrong way round, so
 * that its use still fails as it would have. */
static bool fill_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    }
    return true;
}

static int run(int argc, char **argv)
{
    if (argc < 1) {
        command_print_overview(stderr);
        return EXIT_USAGE;
    }
    if (is_option(argv[0], "-h", "--help")) {
        command_print_overview(stdout);
        return EXIT_OK;
    }
    if (is_option(argv[0], "-V", "--version")) {
        puts("viaduct " VIADUCT_VERSION);
        return EXIT_OK;
    }
    const struct command *c = command_find(argv[0]);
    if (!c)
        return command_unknown_error(argv[0]);
    if (asks_help(argc, argv)) {
        command_print_help(c);
        return EXIT_OK;
    }
    char title[64]; /* what getopt puts in front of its messages */
    snprintf(title, sizeof title, "viaduct %s", c->name);
    argv[0] = title;
    return c->run(argc, argv);
}

/* 0, or why not all was written.  stdio keeps that a write failed, and not why; a pipe that nobody
 * reads any more still tells. */
static int find_output_error(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

    if (fflush(stdout) != 0)
        return errno;
    if (!ferror(stdout))
        return 0;
    return poll(&out, 1, 0) > 0 && out.revents & POLLERR ? EPIPE : EIO;
}

int main(int argc, char **argv)
{
    if (!fill_standard_streams())
        return EXIT_SYSTEM; /* and nowhere to say why */
    words_init();
    int status = run(argc - 1, argv + 1);
    int error = find_output_error();
    if (error) {
        fprintf(stderr, "viaduct: cannot write to standard output: %s\n", strerror(error));
        return EXIT_SYSTEM;
    }
    return status;
}

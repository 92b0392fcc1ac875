#include "cli/secret.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <termios.h>
#include <unistd.h>

#include "base/util.h"
#include "wire/authn.h"

static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
static volatile sig_atomic_t interrupted; /* the signal that ended a question */

static void note_signal(int sig)
{
    interrupted = sig;
}

void secret_forbid_core(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    prctl(PR_SET_DUMPABLE, 0);
}

/* One line without its end, byte by byte: what follows is for the next question. */
static bool read_line(char out[SECRET_MAX], struct err *err)
{
    size_t len = 0;

    for (;;) {
        char c;
        ssize_t n = read(STDIN_FILENO, &c, 1);

        if (n < 0 && errno == EINTR && !interrupted)
            continue;
        if (n < 0) {
            err_set(err, interrupted ? "interrupted" : "cannot read the password: %s",
                    strerror(errno));
            return false;
        }
        if (n == 0 && len == 0) {
            err_set(err, "no password: the input ended");
            return false;
        }
        if (n == 0 || c == '\n')
            break;
        if (len == SECRET_MAX - 1) {
            err_set(err, "a password has at most %d bytes", SECRET_MAX - 1);
            return false;
        }
        out[len++] = c;
    }
    len -= len > 0 && out[len - 1] == '\r';
    out[len] = '\0';
    if (memchr(out, 0, len) || !authn_is_text((struct span){out, len})) {
        err_set(err, "a password is UTF-8 without control characters");
        return false;
    }
    if (len == 0)
        err_set(err, "the password is empty");
    return len > 0;
}

static bool ask(const char *prompt, char out[SECRET_MAX], struct err *err)
{
    fprintf(stderr, "%s: ", prompt);
    bool ok = read_line(out, err);
    fputc('\n', stderr);
    return ok;
}

static bool ask_twice(const char *prompt, bool twice, char out[SECRET_MAX], struct err *err)
{
    char again[SECRET_MAX];
    bool ok = ask(prompt, out, err);

    if (ok && twice) {
        ok = ask("Once more", again, err);
        if (ok && strcmp(out, again) != 0) {
            err_set(err, "the two passwords differ");
            ok = false;
        }
        explicit_bzero(again, sizeof again);
    }
    return ok;
}

/* Echo off, the question, echo on; a signal meanwhile takes effect once the terminal is right. */
static bool ask_terminal(const char *prompt, bool twice, char out[SECRET_MAX], struct err *err)
{
    struct sigaction old[ARRAY_LEN(caught)], note = {.sa_handler = note_signal};
    struct termios shown, hidden;

    if (tcgetattr(STDIN_FILENO, &shown) != 0) {
        err_set(err, "cannot turn off the terminal's echo: %s", strerror(errno));
        return false;
    }
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    interrupted = 0;
    for (size_t i = 0; i < ARRAY_LEN(caught); i++)
        sigaction(caught[i], &note, &old[i]); /* without SA_RESTART: read() ends */
    bool ok = tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
    if (ok)
        ok = ask_twice(prompt, twice, out, err);
    else
        err_set(err, "cannot turn off the terminal's echo: %s", strerror(errno));
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    for (size_t i = 0; i < ARRAY_LEN(caught); i++)
        sigaction(caught[i], &old[i], NULL);
    if (interrupted)
        raise(interrupted);
    return ok;
}

bool secret_read(const char *prompt, bool twice, char out[SECRET_MAX], struct err *err)
{
    bool ok = isatty(STDIN_FILENO) ? ask_terminal(prompt, twice, out, err) : read_line(out, err);

    if (!ok)
        explicit_bzero(out, SECRET_MAX);
    return ok;
}

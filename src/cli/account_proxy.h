/* cli/account_proxy.h - the running proxy and its accounts file: it is told who changed it, asked
 * whether it has taken the change up, and for its accounts where the file may not be read.
 *
 * The file is the truth: nothing here changes it, and no failure here is one of the command.  The
 * command line's one thread. */
#pragma once

#include <stdbool.h>

/* After `file` was changed: tells the proxy that works with it, if one runs, and waits for it; says
 * on standard error what came of it.  `change`: "add", "remove", "passwd", "import". */
void account_proxy_tell(const char *file, const char *change, const char *name);

/* Prints the accounts in `file` as the proxy tells them, as `account list` does.  False: none runs
 * that works with it, or it may not be asked, and nothing was printed. */
bool account_proxy_list(const char *file);

/* Prints a line of `account list`; `has` is asked by the name of an algorithm, or "hash". */
void account_proxy_print(const char *name, const char *realm, bool disabled,
                         bool (*has)(const void *owner, const char *word), const void *owner);

/* Says on standard error when the proxy that works with `file` has refused it as it is. */
void account_proxy_warn(const char *file);

/* policy/access_build.h - makes a struct access from the statements of an `access` block.
 *
 * config/ brings the words (it knows the grammar and the places); what the words mean is known
 * here.  Set-up code: errors are texts, config/ puts file:line:column in front. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/span.h"
#include "policy/access.h"

struct access_builder;
struct access_build_rule;

/* `previous` (may be NULL): lists of it whose file did not change (path, device, inode, size,
 * mtime) are shared.  NULL when out of memory. */
struct access_builder *access_builder_new(const struct access *previous);
void access_builder_free(struct access_builder *b); /* also after access_builder_finish */

/* `list NAME file PATH`: loads the file now (one name, .name, *.name, address or network a line, #
 * comments).  False with *err ("social.txt:12: …" for a bad line; all bad lines are counted, the
 * first 10 named). */
bool access_builder_add_list(struct access_builder *b, struct span name, const char *path,
                             struct err *err);

/* `allow|deny [report] NAME [off] {…}`: NULL with *err for a duplicate (same kind and name) or a
 * bad name. `private` and `ports` replace the built-in rules of these names, in their order; `off`
 * (deny only, only those two) removes one. */
struct access_build_rule *access_builder_add_rule(struct access_builder *b, bool allow, bool report,
                                                  struct span name, bool off, const char *file,
                                                  int line, struct err *err);

/* One statement inside a rule: `words[0]` is the keyword (from to port method user authenticated
 * hours sni max-download max-upload idle-timeout lifetime rate), conditions may have "not" as
 * words[1].  False with *err and *bad = index of the word that is wrong.  sni, rate and limits on a
 * deny are errors; so is a keyword twice. */
bool access_builder_add_term(struct access_builder *b, struct access_build_rule *rule,
                             const struct span *words, unsigned n, unsigned *bad, struct err *err);

/* The keywords and what each takes, for help, the manual and "did you mean". */
struct access_keyword {
    const char *name, *takes, *help;
    bool condition; /* may be negated */
};
const struct access_keyword *access_builder_keywords(unsigned *n);

/* Whether some rule asks for a user (user, authenticated). */
bool access_builder_needs_user(const struct access_builder *b);

/* References to unknown lists: calls `problem` for each (file, line, text) and returns NULL; so it
 * does, without a word more, when a list did not load, which access_builder_add_list has told. Else
 * the access.  With no rules added at all, the default rule `allow local { from loopback; }` is put
 * in (authenticated: then `allow local { authenticated; }` instead).  `has_block`: an access block
 * was there, so nothing is put in. */
struct access *access_builder_finish(struct access_builder *b, bool has_block, bool authenticated,
                                     void (*problem)(void *arg, const char *file, int line,
                                                     const char *text),
                                     void *arg);

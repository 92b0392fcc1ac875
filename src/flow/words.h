/* flow/words.h - sentences in the reader's language, out of po/ by GNU gettext.
 *
 * What po/ holds is also compiled in, so that Japanese can be answered to a client that asks for it
 * on a machine without a Japanese locale or an installed catalogue.  Texts are UTF-8 and static.
 * After words_init any thread may call any function. */
#pragma once

#define N_(msgid) msgid /* marks a sentence for po/ */

/* Follows the environment's locale for messages and characters, and finds the installed catalogues.
 * Once, first thing in main, and the environment stays as it is from then on; without it the
 * compiled-in words still follow the environment. */
void words_init(void);

/* `msgid` in the language of a tag ("ja", "ja-JP") or a locale ("ja_JP.UTF-8"); `msgid` itself when
 * there is no such translation. */
const char *words_in(const char *msgid, const char *language);

/* `msgid` in the language that the environment asks for, as gettext(3) reads it (LANGUAGE, LC_ALL,
 * LC_MESSAGES, LANG), whether that locale is installed or not.  `msgid` is a text of the program.
 */
const char *words_local(const char *msgid);

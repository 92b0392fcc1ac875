/* config/lexer.h - the one grammar of all files: text in, statements out, one after the other.
 *
 *   statement = NAME { WORD } ( ";" | "{" { statement } "}" )
 *   WORD      = characters other than space ; { } " # | "quoted, with \" \\ \n escapes"
 *   comment   = "#" to the end of the line
 *
 * What is wrong with the text itself (bytes, quotes, a missing ; or }) is reported here; reading
 * goes on behind it. Knows no setting's meaning.  One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "config/report.h"

struct word {
    struct span text; /* without quotes and escapes; lives as long as the lexer and its text */
    int line, column;
    bool quoted;
};

enum statement_end { STATEMENT_PLAIN, STATEMENT_BLOCK, STATEMENT_CLOSE, STATEMENT_EOF };

struct statement {
    const struct word *words; /* [0] is the name; valid until the next lexer_next */
    unsigned len; /* 0 for a block without a name (reported already), for } and at the end */
};

/* Whether `word` names a setting of `scope`. */
typedef bool (*lexer_is_name_fn)(int scope, struct span word);

struct lexer {
    const char *file;
    struct config_report *report;
    struct span text;
    size_t at;        /* of the next byte */
    int line, column; /* of the next byte */
    char *store;      /* the unescaped quotes */
    size_t stored;
    struct word *words;
    unsigned words_len, words_cap;
    bool failed; /* out of memory: what came back is not the whole text */
    bool guards; /* the file has passwords or their digests: the caller says so, and no message
                    shows a word that may be (part of) one */
};

/* Borrows `file` and `text`. */
void lexer_init(struct lexer *lx, const char *file, struct span text, struct config_report *report);
void lexer_fini(struct lexer *lx);

/* The next statement.  A word that is_name knows in `scope` and that stands first on its line,
 * unquoted, inside a statement shows that a ; is missing before it: reported, and the statement
 * ends there.  is_name may be NULL. */
enum statement_end lexer_next(struct lexer *lx, lexer_is_name_fn is_name, int scope,
                              struct statement *out);

/* Reads past the } of a block just opened, whatever is in it. */
void lexer_skip_block(struct lexer *lx);

/* The word for a message, as report_word writes it; returns `out`.  Of a file that is guarded only
 * what is no secret: the first word of a line, where it is not quoted, up to a = or : in it.  A
 * quote that is missing, or a ; too much, makes any other word part of a password. */
const char *lexer_show_word(const struct lexer *lx, const struct word *w,
                            char out[REPORT_WORD_MAX]);

/* The same for a name that is not known: one that `hint` has a near one for, and that looks like a
 * name, is no secret either. */
const char *lexer_show_name(const struct lexer *lx, const struct word *w, const char *hint,
                            char out[REPORT_WORD_MAX]);

/* Where the next byte stands. */
struct place lexer_place(const struct lexer *lx);
struct place lexer_word_place(const struct lexer *lx, const struct word *w);

/* config/report.h - collects the problems of a load, each with its place.
 *
 * Words of a file are shown quoted, cut and with control characters as \xNN: a problem is one safe
 * line. */
#pragma once

#include "base/span.h"
#include "config/config.h"

/* More are counted, not kept: a file of garbage must not become a list of a million texts. */
#define REPORT_ITEMS_MAX 200

struct place {
    const char *file;
    int line, column; /* from 1; 0: the file as a whole; a column counts characters, not bytes */
};

void report_error(struct config_report *r, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void report_warning(struct config_report *r, struct place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A text marked with N_ in the language of the report's reader; formats stay formats. */
const char *report_words(const struct config_report *r, const char *msgid)
    __attribute__((format_arg(2)));

/* Puts items `from` … into the order of their places; equals keep theirs. */
void report_sort(struct config_report *r, unsigned from);

#define REPORT_WORD_MAX 96
/* The word in quotes, fit for a terminal; returns `out`. */
const char *report_word(struct span word, char out[REPORT_WORD_MAX]);

#define REPORT_HINT_MAX 96
/* ` (did you mean "x"?)` for the nearest of `names`, or "". */
const char *report_hint(struct span word, const char *const *names, unsigned n,
                        char out[REPORT_HINT_MAX]);

/* cli/explain_page.h - the page of `explain --html`: to a file, which is whole or not there, or to
 * standard output.  The command line's one thread. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "capture/source.h"
#include "cli/explain_keep.h"

struct explain_page {
    FILE *file;   /* NULL: not open */
    char *path;   /* where it goes in the end; NULL: it is written in place */
    char *beside; /* what is written meanwhile */
};

struct explain_page_facts {
    const struct capture_seen *seen;
    const struct explain_keep *keep;
    const char *const *names;
    size_t names_len;
    const char *interface;
    const char *trouble; /* what was said of the capture */
};

/* Makes the file, so that what cannot be written is told before all is read. */
bool explain_page_open(struct explain_page *page, const char *path, struct err *err);

/* Writes it and puts it in place.  False: *err says why, and what stood there stands. */
bool explain_page_write(struct explain_page *page, const struct explain_page_facts *facts,
                        struct err *err);

/* Safe on a zeroed one; takes away what was not put in place. */
void explain_page_close(struct explain_page *page);

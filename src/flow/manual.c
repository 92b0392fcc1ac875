#include "flow/manual.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/util.h"
#include "flow/flow.h"

#define LINE_MAX_LEN 78 /* mdoc sources keep their lines below 80 */

/* One word; at a line's beginning nothing may be taken for a macro. */
static void print_word(FILE *out, const char *word, size_t len, bool capital, bool first)
{
    if (first && (*word == '.' || *word == '\''))
        fputs("\\&", out);
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '\\')
            fputs("\\e", out);
        else
            fputc(capital && i == 0 ? toupper((unsigned char)word[i]) : word[i], out);
    }
}

/* A text of the tables, filled into lines.  A clause gets a sentence's capital and full stop. */
static void print_text(FILE *out, const char *text, bool is_clause)
{
    size_t column = 0;

    for (bool begin = true; *text; begin = false) {
        size_t len = strcspn(text, " ");

        if (!begin) {
            bool fits = column + 1 + len <= LINE_MAX_LEN;

            fputc(fits ? ' ' : '\n', out);
            column = fits ? column + 1 : 0;
        }
        print_word(out, text, len, begin && is_clause, column == 0);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
    fputs(is_clause ? ".\n" : "\n", out);
}

static void print_sources(FILE *out, unsigned sources)
{
    static const char *const names[] = {"serve", "check", "explain"};
    const char *between = "";

    fputs(".Pp\n.Em \"Made by\" :\n", out);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (sources & 1u << i) {
            fprintf(out, "%s%s", between, names[i]);
            between = ", ";
        }
    }
    fputs(".\n", out);
}

static void print_verdict(FILE *out, const struct verdict_info *v)
{
    fprintf(out, ".It Sy %s\n", v->name);
    print_text(out, v->meaning, true);
    if (v->status && v->proxy_status)
        fprintf(out, "Answered with status %d and the error\n.Ql %s .\n", v->status,
                v->proxy_status);
    else if (v->status)
        fprintf(out, "Answered with status %d.\n", v->status);
    print_sources(out, v->sources);
    fputs(".Pp\n.Em \"From what\" :\n", out);
    print_text(out, v->how, true);
    if (*v->advice) {
        fputs(".Pp\n.Em Advice :\n", out);
        print_text(out, v->advice, false);
    }
}

static void print_verdicts(FILE *out)
{
    fputs("These are the verdicts.\n"
          "Three sources make them:\n"
          ".Cm serve ,\n"
          "the proxy, of its own traffic;\n"
          ".Cm check ,\n"
          "an active probe; and\n"
          ".Cm explain ,\n"
          "packet captures.\n"
          "They differ in a verdict only where one of them cannot see; then the coarser\n"
          "one is inferred.\n"
          "The status is what\n"
          ".Cm serve\n"
          "usually answers its client with, the error is the type in the\n"
          ".Ql Proxy-Status\n"
          "field of that answer.\n"
          ".Bl -tag -width Ds\n",
          out);
    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        print_verdict(out, verdict_get_info((enum verdict)v));
    fputs(".El\n", out);
}

static void print_item(FILE *out, const char *name, const char *sentence)
{
    fprintf(out, ".It Sy %s\n", name);
    print_text(out, sentence, true);
}

static void print_phases(FILE *out)
{
    fputs(".Ss Phases\n"
          "In their order.\n"
          "A phase that was reached came out\n"
          ".Ql ok\n"
          "or\n"
          ".Ql failed ;\n"
          "one that this flow does not have is\n"
          ".Ql skipped ,\n"
          "one that could not be seen is\n"
          ".Ql unknown .\n"
          ".Bl -tag -width Ds\n",
          out);
    for (unsigned p = 0; p < PHASE_COUNT; p++)
        print_item(out, phase_name((enum phase)p), phase_sentence((enum phase)p));
    fputs(".El\n"
          ".Pp\n"
          "Inside\n"
          ".Ql answer ,\n"
          "the proxy also times its own steps:\n"
          ".Bl -tag -width Ds\n",
          out);
    for (unsigned s = 0; s < STEP_KIND_COUNT; s++)
        print_item(out, phase_step_name((enum step_kind)s), phase_step_sentence((enum step_kind)s));
    fputs(".El\n", out);
}

static void print_warnings(FILE *out)
{
    fputs(".Ss Warnings\n"
          "Beside its verdict a flow may have warnings; they are no failures.\n"
          ".Bl -tag -width Ds\n",
          out);
    for (unsigned w = 0; w < WARNING_COUNT; w++)
        print_item(out, flow_warning_name((enum warning)w), flow_warning_sentence((enum warning)w));
    fputs(".El\n", out);
}

void flow_print_manual(FILE *out)
{
    print_verdicts(out);
    print_phases(out);
    print_warnings(out);
}

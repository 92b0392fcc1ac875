#include "proxy/page.h"

#include "render/escape.h"
#include "render/jsonw.h"

#define FACT_MAX 300   /* bytes of a text from outside */
#define EVIDENCE_MAX 8 /* items */
#define EVIDENCE_ROOM                                                                              \
    4096 /* an item of 300 bytes takes at most six times that, and the page's end follows */

/* One line below the advice, under the name that the flow's JSON has for it. */
struct fact {
    const char *name, *value; /* value NULL: left out */
};

#define FACTS 5

struct page {
    struct pen *pen;
    const struct flow *flow;
    const char *language, *phrase, *verdict, *cause, *advice;
    int status;
    struct fact facts[FACTS];
};

static struct span cut(const char *text)
{
    return (struct span){text, strnlen(text, FACT_MAX)};
}

/* Whom the evidence tells nothing that he may not know: denials and our own faults keep theirs, as
 * it may hold addresses and names of the inside; the log has it. */
static bool shows_evidence(enum verdict v)
{
    return v == VERDICT_BAD_REQUEST || v == VERDICT_REQUEST_TIMEOUT || v == VERDICT_SIZE_LIMIT ||
           v == VERDICT_UPSTREAM_UNRESOLVED || v == VERDICT_UPSTREAM_REFUSED ||
           v == VERDICT_UPSTREAM_UNREACHABLE || v == VERDICT_UPSTREAM_FAILED ||
           v == VERDICT_UPSTREAM_TIMEOUT;
}

/* The next item of evidence to show, or NULL: all were, or the room gets short. */
static const char *next_evidence(const struct page *g, uint32_t *at, unsigned *count)
{
    unsigned index;

    if (!shows_evidence(g->flow->verdict) || *count == EVIDENCE_MAX ||
        pen_left(g->pen) < EVIDENCE_ROOM)
        return NULL;
    ++*count;
    return flow_next_note(g->flow, NOTE_EVIDENCE, &index, at);
}

static void write_text(const struct page *g)
{
    struct pen *p = g->pen;
    uint32_t at = 0;
    unsigned count = 0;
    const char *item;

    pen_u64(p, (uint64_t)g->status);
    pen_char(p, ' ');
    pen_text(p, g->phrase);
    pen_text(p, ": ");
    pen_text(p, g->verdict);
    pen_text(p, "\n\n");
    escape_text(p, span_of(g->cause));
    pen_char(p, '\n');
    escape_text(p, span_of(g->advice));
    pen_text(p, "\n\n");
    for (unsigned i = 0; i < FACTS; i++) {
        if (!g->facts[i].value)
            continue;
        pen_text(p, g->facts[i].name);
        pen_text(p, ": ");
        escape_text(p, cut(g->facts[i].value));
        pen_char(p, '\n');
    }
    while ((item = next_evidence(g, &at, &count))) {
        pen_text(p, "evidence: ");
        escape_text(p, cut(item));
        pen_char(p, '\n');
    }
}

static void write_json(const struct page *g)
{
    struct jsonw w = {.pen = g->pen};
    uint32_t at = 0;
    unsigned count = 0;
    const char *item;

    jsonw_open(&w, '{');
    jsonw_member_text(&w, "verdict", g->verdict);
    jsonw_member_u64(&w, "status", (uint64_t)g->status);
    jsonw_member_text(&w, "cause", g->cause);
    jsonw_member_text(&w, "advice", g->advice);
    for (unsigned i = 0; i < FACTS; i++) {
        jsonw_key(&w, g->facts[i].name);
        if (g->facts[i].value)
            jsonw_span(&w, cut(g->facts[i].value));
        else
            jsonw_null(&w);
    }
    jsonw_key(&w, "evidence");
    jsonw_open(&w, '[');
    while ((item = next_evidence(g, &at, &count)))
        jsonw_span(&w, cut(item));
    jsonw_close(&w, ']');
    jsonw_close(&w, '}');
    pen_char(g->pen, '\n');
}

/* Everything up to the content; `title` is our own text. */
static void open_html(struct pen *p, const char *language, const char *title)
{
    pen_text(p, "<!DOCTYPE html>\n<html lang=\"");
    pen_text(p, language);
    pen_text(p,
             "\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    pen_text(p, title);
    pen_text(p, "</title>\n<style>\n"
                ":root { color-scheme: light dark; }\n"
                "body { max-width: 40em; margin: 3em auto; padding: 0 1em; font: 16px/1.5 "
                "system-ui, sans-serif; }\n"
                "h1 { font-size: 1.4em; }\n"
                "dl { display: grid; grid-template-columns: max-content 1fr; gap: .3em 1em; }\n"
                "dt { opacity: .7; }\n"
                "dd { margin: 0; overflow-wrap: anywhere; }\n"
                "dd, code { font-family: ui-monospace, monospace; }\n"
                "</style>\n</head>\n<body>\n<main>\n");
}

static void close_html(struct pen *p)
{
    pen_text(p, "</main>\n</body>\n</html>\n");
}

static void write_element(struct pen *p, const char *open, struct span text, const char *close)
{
    pen_text(p, open);
    escape_html(p, text);
    pen_text(p, close);
}

static void write_html(const struct page *g)
{
    struct pen *p = g->pen;
    uint32_t at = 0;
    unsigned count = 0;
    const char *item;

    open_html(p, g->language, g->phrase);
    write_element(p, "<h1>", span_of(g->cause), "</h1>\n");
    if (*g->advice)
        write_element(p, "<p>", span_of(g->advice), "</p>\n");
    pen_text(p, "<dl>\n<dt>verdict</dt><dd>");
    pen_text(p, g->verdict);
    pen_text(p, "</dd>\n<dt>status</dt><dd>");
    pen_u64(p, (uint64_t)g->status);
    pen_text(p, "</dd>\n");
    for (unsigned i = 0; i < FACTS; i++) {
        if (!g->facts[i].value)
            continue;
        write_element(p, "<dt>", span_of(g->facts[i].name), "</dt>");
        write_element(p, "<dd>", cut(g->facts[i].value), "</dd>\n");
    }
    while ((item = next_evidence(g, &at, &count)))
        write_element(p, "<dt>evidence</dt><dd>", cut(item), "</dd>\n");
    pen_text(p, "</dl>\n");
    close_html(p);
}

void page_write_flow(struct pen *p, enum answer_format format, const char *language, int status,
                     const struct flow *f)
{
    static void (*const writers[])(const struct page *) = {
        [ANSWER_TEXT] = write_text, [ANSWER_JSON] = write_json, [ANSWER_HTML] = write_html};
    char id[17] = "";
    struct pen id_pen;
    const struct page g = {
        .pen = p,
        .flow = f,
        .language = language,
        .phrase = answer_reason_phrase(status),
        .verdict = verdict_get_info(f->verdict)->name,
        .cause = flow_cause_in(f, language),
        .advice = flow_advice_in(f, language),
        .status = status,
        .facts = {{"target", f->target},
                  {"rule", f->rule},
                  {"reason", f->reason},
                  {"ended_in", phase_name(f->phase)},
                  {"id", id}},
    };

    pen_init_fixed(&id_pen, id, sizeof id - 1);
    pen_hex(&id_pen, f->id);
    writers[format](&g);
}

/* The words of the page about this port. */
static const struct about_words {
    const char *language, *what, *missing, *use, *pac;
} abouts[] = {
    {"en", "This is viaduct, an HTTP proxy.", "There is no such page here.",
     "Use it like this:", "Automatic configuration for browsers (PAC):"},
    {"ja", "これは HTTP プロキシ viaduct です。", "ここにそのページはありません。",
     "次のように使います。", "ブラウザの自動設定 (PAC):"},
};

struct about {
    const struct about_words *words;
    bool found, tls;
    const char *listener;
};

typedef void (*escape_fn)(struct pen *, struct span);

static void write_url(struct pen *p, const struct about *t, escape_fn escape)
{
    pen_text(p, t->tls ? "https://" : "http://");
    escape(p, span_of(t->listener));
}

static void write_command(struct pen *p, const struct about *t, escape_fn escape)
{
    pen_text(p, "curl -x ");
    write_url(p, t, escape);
    pen_text(p, " https://www.example.com/");
}

static void write_pac_url(struct pen *p, const struct about *t, escape_fn escape)
{
    write_url(p, t, escape);
    pen_text(p, "/proxy.pac");
}

static void write_about_json(struct pen *p, const struct about *t)
{
    struct jsonw w = {.pen = p};

    jsonw_open(&w, '{');
    jsonw_member_text(&w, "proxy", "viaduct");
    jsonw_member_text(&w, "listener", t->listener);
    jsonw_member_u64(&w, "status", t->found ? 200 : 404);
    jsonw_member_text(&w, "about", t->words->what);
    if (!t->found)
        jsonw_member_text(&w, "error", t->words->missing);
    jsonw_key(&w, "pac");
    pen_char(p, '"');
    write_pac_url(p, t, escape_json);
    pen_text(p, "\",\"use\":\"");
    write_command(p, t, escape_json);
    pen_text(p, "\"}\n");
}

static void write_about_html(struct pen *p, const struct about *t)
{
    open_html(p, t->words->language, t->found ? "viaduct" : answer_reason_phrase(404));
    write_element(p, "<h1>", span_of(t->words->what), "</h1>\n");
    if (!t->found)
        write_element(p, "<p>", span_of(t->words->missing), "</p>\n");
    write_element(p, "<p>", span_of(t->words->use), "</p>\n<p><code>");
    write_command(p, t, escape_html);
    write_element(p, "</code></p>\n<p>", span_of(t->words->pac), "</p>\n<p><code>");
    write_pac_url(p, t, escape_html);
    pen_text(p, "</code></p>\n");
    close_html(p);
}

static void write_about_text(struct pen *p, const struct about *t)
{
    pen_text(p, t->words->what);
    pen_char(p, '\n');
    if (!t->found) {
        pen_text(p, t->words->missing);
        pen_char(p, '\n');
    }
    pen_text(p, t->words->use);
    pen_text(p, "\n\n    ");
    write_command(p, t, escape_text);
    pen_text(p, "\n\n");
    pen_text(p, t->words->pac);
    pen_text(p, "\n\n    ");
    write_pac_url(p, t, escape_text);
    pen_char(p, '\n');
}

void page_write_about(struct pen *p, enum answer_format format, const char *language, bool found,
                      bool tls, const char *listener)
{
    static void (*const writers[])(struct pen *,
                                   const struct about *) = {[ANSWER_TEXT] = write_about_text,
                                                            [ANSWER_JSON] = write_about_json,
                                                            [ANSWER_HTML] = write_about_html};
    const struct about t = {&abouts[strcmp(language, "ja") == 0], found, tls, listener};

    writers[format](p, &t);
}

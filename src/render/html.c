#include "render/html.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/util.h"
#include "flow/rank.h"
#include "flow/words.h"
#include "render/date.h"
#include "render/escape.h"
#include "render/human.h"
#include "render/render.h"
#include "render/say.h"

#define NAMES_MAX 50
#define TEXT_MAX (1u << 20) /* of one flow */

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fff;--sheet:#f5f6f8;--ink:#1c2330;--faint:#5b6577;"
    "--line:#dde1e8;--good:#1f8a4c;--bad:#c02b2b;--warn:#b06a00;--up:#8a4fd0;--down:#1d6fc4;"
    "--quiet:#5b657730;--link:#1459a8}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#14181f;--sheet:#1c222c;--ink:#e6eaf1;"
    "--faint:#9aa5b8;--line:#333c4a;--good:#4cc07a;--bad:#ff7b72;--warn:#e3a23c;--up:#b48cf2;"
    "--down:#63abf5;--quiet:#9aa5b83a;--link:#7db4f7}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;"
    "overflow-wrap:anywhere}\n"
    "main{max-width:60rem;margin:0 auto;padding:1rem}\n"
    "h1{font-size:1.5rem;line-height:1.2;margin:.5rem 0}\n"
    "h2{font-size:1.15rem;margin:2rem 0 .5rem}\n"
    "h3{font-size:.95rem;margin:1.2rem 0 .4rem}\n"
    "a{color:var(--link)}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.5rem 0}\n"
    "dt{color:var(--faint)}dd{margin:0;min-width:0}\n"
    ".trouble{border-left:4px solid var(--warn);background:var(--sheet);padding:.5rem .8rem;"
    "white-space:pre-wrap;font-size:.9rem}\n"
    "table{border-collapse:collapse;width:100%;font-size:.95rem}\n"
    "th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;"
    "border-bottom:1px solid var(--line)}\n"
    "thead th{color:var(--faint);font-weight:500;font-size:.85rem}\n"
    "tbody th{font-weight:600;width:1%;white-space:nowrap}\n"
    ".number{text-align:right;font-variant-numeric:tabular-nums;width:1%;white-space:nowrap}\n"
    ".bad{color:var(--bad)}.good{color:var(--good)}.mild{color:var(--warn)}\n"
    ".faint{color:var(--faint)}\n"
    "details.flow{border:1px solid var(--line);border-radius:8px;margin:.6rem 0;"
    "background:var(--paper)}\n"
    "details.flow>summary{cursor:pointer;padding:.55rem .8rem;border-radius:8px}\n"
    "details.flow[open]>summary{background:var(--sheet);border-bottom:1px solid var(--line);"
    "border-radius:8px 8px 0 0}\n"
    "summary:focus-visible,a:focus-visible{outline:2px solid var(--link);outline-offset:2px}\n"
    "summary strong{font-size:1rem}\n"
    "summary .what{display:block;font-size:.88rem;color:var(--faint);margin-left:1.1rem}\n"
    ".body{padding:.4rem .8rem 1rem}\n"
    ".body p{margin:.4rem 0}\n"
    ".cause{font-size:1.05rem}\n"
    ".advice{border-left:4px solid var(--link);padding-left:.8rem}\n"
    "ol,ul{padding-left:1.5rem;margin:.3rem 0}\n"
    "li{margin:.15rem 0}\n"
    "figure{margin:.4rem 0 0;overflow:hidden;padding:2px 1px}\n"
    "details.text{margin-top:1rem}\n"
    "details.text summary{cursor:pointer;color:var(--link)}\n"
    "pre{font:12px/1.45 ui-monospace,monospace;background:var(--sheet);padding:.7rem;"
    "border-radius:6px;overflow-x:auto;overflow-wrap:normal}\n"
    "@media(max-width:40rem){table,tbody,tr{display:block}thead{display:none}"
    "tr{border-bottom:1px solid var(--line);padding:.4rem 0}"
    "tbody th,tbody .number{display:inline-block;border:0;padding:0 .6rem 0 0;width:auto}"
    "td.meaning{display:block;border:0;padding:0}}\n"
    "@media print{details.flow{break-inside:avoid}}\n";

static void say(struct pen *p, const char *msgid)
{
    pen_text(p, words_local(msgid));
}

static void say_count(struct pen *p, const char *msgid, uint64_t n)
{
    char number[SAY_NUMBER_MAX];

    say_words(p, escape_html, msgid, say_number(number, n), NULL);
}

static void write_outside(struct pen *p, const char *text)
{
    escape_html(p, span_of(text));
}

/* ---- the head */

/* Styles are let in by their hash, everything else not at all. */
static void write_policy(struct pen *p)
{
    const struct span parts[] = {span_of(svg_style), span_of(style)};
    unsigned char hash[DIGEST_LEN_MAX];
    char text[DIGEST_BASE64_LEN(DIGEST_LEN_MAX)];
    size_t len = digest_of(DIGEST_SHA256, parts, ARRAY_LEN(parts), hash);

    pen_text(p, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                "style-src 'sha256-");
    pen_bytes(p, text, digest_write_base64(hash, len, text));
    pen_text(p, "'; base-uri 'none'; form-action 'none'\">\n");
}

static void write_head(struct pen *p, const struct html_page *page)
{
    pen_text(p, "<!DOCTYPE html>\n<html lang=\"");
    say(p, N_("en")); /* translators: the code of your language, as HTML's lang has it */
    pen_text(p, "\">\n<head>\n<meta charset=\"utf-8\">\n");
    write_policy(p);
    pen_text(p, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                "<meta name=\"referrer\" content=\"no-referrer\">\n<title>");
    say_count(p, N_("Flows explained: {1}"), page->flows);
    pen_text(p, "</title>\n<style>");
    pen_text(p, svg_style);
    pen_text(p, style);
    pen_text(p, "</style>\n</head>\n<body>\n<main>\n");
}

/* ---- what was read */

static void begin_fact(struct pen *p, const char *msgid)
{
    pen_text(p, "<dt>");
    say(p, msgid);
    pen_text(p, "</dt><dd>");
}

static void write_names(struct pen *p, const struct html_page *page)
{
    begin_fact(p, page->interface ? N_("interface") : N_("files"));
    if (page->interface)
        write_outside(p, page->interface);
    for (size_t i = 0; i < page->names_len && i < NAMES_MAX; i++) {
        pen_text(p, i ? ", " : "");
        write_outside(p, page->names[i]);
    }
    if (page->names_len > NAMES_MAX)
        say_count(p, N_(" and {1} more"), page->names_len - NAMES_MAX);
    pen_text(p, "</dd>\n");
}

static void write_facts(struct pen *p, const struct html_page *page)
{
    pen_text(p, "<dl>\n");
    write_names(p, page);
    begin_fact(p, page->is_text ? N_("lines") : N_("packets"));
    pen_u64(p, page->packets);
    pen_text(p, ", TCP ");
    pen_u64(p, page->tcp);
    pen_text(p, "</dd>\n");
    if (page->packets) {
        begin_fact(p, N_("time"));
        date_write_moment(p, page->first_ns);
        pen_text(p, ", ");
        human_duration(p, page->last_ns > page->first_ns ? page->last_ns - page->first_ns : 0);
        pen_text(p, "</dd>\n");
    }
    pen_text(p, "</dl>\n");
    if (page->trouble && *page->trouble) {
        pen_text(p, "<p class=\"trouble\">");
        for (struct span rest = span_of(page->trouble); rest.len > 0;) {
            escape_html(p, span_cut(&rest, '\n'));
            pen_text(p, rest.len > 0 ? "\n" : "");
        }
        pen_text(p, "</p>\n");
    }
}

/* ---- by verdict */

static void write_verdict(struct pen *p, const struct html_page *page, enum verdict v)
{
    const struct verdict_info *info = verdict_get_info(v);

    pen_text(p, "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\" class=\"");
    pen_text(p, verdict_is_success(v) ? "good\">" : "bad\">");
    pen_text(p, info->name);
    pen_text(p, "</th><td role=\"cell\" class=\"number\">");
    pen_u64(p, page->verdicts[v]);
    pen_text(p, "</td><td role=\"cell\" class=\"meaning\">");
    write_outside(p, words_local(info->cause));
    pen_text(p, "</td></tr>\n");
}

/* The worst first: ranks go from 0 up, and are few. */
static void write_verdicts(struct pen *p, const struct html_page *page)
{
    unsigned worst = 0;

    for (unsigned v = 0; v < VERDICT_COUNT; v++)
        if (rank_of_verdict((enum verdict)v) > worst)
            worst = rank_of_verdict((enum verdict)v);
    pen_text(p, "<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\"><th "
                "role=\"columnheader\" scope=\"col\">");
    say(p, N_("verdict"));
    pen_text(p, "</th><th role=\"columnheader\" scope=\"col\" class=\"number\">");
    say(p, N_("flows"));
    pen_text(p, "</th><th role=\"columnheader\" scope=\"col\" class=\"meaning\">");
    say(p, N_("cause"));
    pen_text(p, "</th></tr></thead>\n<tbody role=\"rowgroup\">\n");
    for (unsigned rank = worst + 1; rank-- > 0;)
        for (unsigned v = 0; v < VERDICT_COUNT; v++)
            if (page->verdicts[v] && rank_of_verdict((enum verdict)v) == rank)
                write_verdict(p, page, (enum verdict)v);
    pen_text(p, "</tbody>\n</table>\n");
    if (page->superseded) {
        pen_text(p, "<p class=\"faint\">");
        say_count(p, N_("407 that was answered by credentials, no failure: {1}"), page->superseded);
        pen_text(p, "</p>\n");
    }
}

static void write_warned(struct pen *p, const struct html_page *page)
{
    bool any = false;

    for (unsigned i = 0; i < WARNING_COUNT; i++) {
        if (!page->warned[i])
            continue;
        pen_text(p, any ? ", " : "<p class=\"faint\">");
        if (!any)
            say(p, N_("warnings, no failures:"));
        pen_text(p, any ? "" : " ");
        pen_text(p, flow_warning_name(i));
        pen_char(p, ' ');
        pen_u64(p, page->warned[i]);
        any = true;
    }
    pen_text(p, any ? "</p>\n" : "");
}

bool html_begin(struct buf *out, const struct html_page *page)
{
    struct pen p;

    pen_init_draft(&p, out);
    write_head(&p, page);
    pen_text(&p, "<h1>");
    say_count(&p, N_("Flows explained: {1}"), page->flows);
    pen_text(&p, page->failed ? ", <span class=\"bad\">" : ", <span class=\"good\">");
    say_count(&p, N_("failed: {1}"), page->failed);
    pen_text(&p, "</span></h1>\n");
    write_facts(&p, page);
    pen_text(&p, "<h2>");
    say(&p, N_("By verdict"));
    pen_text(&p, "</h2>\n");
    write_verdicts(&p, page);
    write_warned(&p, page);
    pen_text(&p, "<h2>");
    say(&p, N_("Flow by flow, the worst first"));
    pen_text(&p, "</h2>\n");
    if (page->shown < page->flows) {
        char shown[SAY_NUMBER_MAX], flows[SAY_NUMBER_MAX];

        pen_text(&p, "<p class=\"faint\">");
        say_words(&p, escape_html, N_("Here are {1} of {2} flows."), say_number(shown, page->shown),
                  say_number(flows, page->flows), NULL);
        pen_text(&p, "</p>\n");
    }
    return pen_end_draft(&p, out);
}

/* ---- a flow */

/* The texts of human.h are escaped for terminals; what HTML would misread is left to do. */
static void write_human(struct pen *p, const struct flow *f,
                        void (*write)(struct pen *p, const struct flow *f))
{
    struct pen draft;
    struct buf text;

    buf_init(&text, TEXT_MAX);
    pen_init_draft(&draft, &text);
    write(&draft, f);
    if (pen_end_draft(&draft, &text))
        escape_html(p, buf_span(&text));
    buf_fini(&text);
}

static void write_route(struct pen *p, const struct flow *f)
{
    static const struct {
        const char *before;
        enum side side;
    } sides[] = {{" from ", SIDE_CLIENT}, {" through ", SIDE_PROXY}, {" to ", SIDE_TARGET}};

    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        if (!human_has_side(f, sides[i].side))
            continue;
        pen_text(p, sides[i].before);
        human_side(p, f, sides[i].side);
    }
}

static const char *class_of(const struct flow *f)
{
    return rank_is_failure(f) ? "bad" : f->warnings ? "mild" : "good";
}

static void write_summary(struct pen *p, const struct flow *f)
{
    pen_text(p, "<summary><strong>#");
    pen_u64(p, f->id);
    pen_text(p, " <span class=\"");
    pen_text(p, class_of(f));
    pen_text(p, "\">");
    pen_text(p, verdict_get_info((enum verdict)f->verdict)->name);
    pen_text(p, "</span></strong> <span class=\"what\">");
    write_human(p, f, human_asked);
    pen_text(p, ", ");
    human_duration(p, f->duration_ns);
    pen_text(p, "</span></summary>\n");
}

static void write_paragraph(struct pen *p, const char *class, const char *text)
{
    if (!*text)
        return;
    pen_text(p, "<p class=\"");
    pen_text(p, class);
    pen_text(p, "\">");
    write_outside(p, text);
    pen_text(p, "</p>\n");
}

static void write_ending(struct pen *p, const struct flow *f)
{
    pen_text(p, "<p lang=\"en\"><strong class=\"");
    pen_text(p, class_of(f));
    pen_text(p, "\">");
    write_human(p, f, human_ending);
    pen_text(p, "</strong>");
    if (f->reason && *f->reason) {
        pen_text(p, ": ");
        write_outside(p, f->reason);
    }
    pen_text(p, "</p>\n");
    write_paragraph(p, "cause", flow_cause(f));
    write_paragraph(p, "advice", flow_advice(f));
    if (f->superseded_by) {
        pen_text(p, "<p>");
        say_count(p, N_("Answered by flow #{1}."), f->superseded_by);
        pen_text(p, "</p>\n");
    }
}

static void write_title(struct pen *p, const char *msgid)
{
    pen_text(p, "<h3>");
    say(p, msgid);
    pen_text(p, "</h3>\n");
}

static void write_evidence(struct pen *p, const struct flow *f)
{
    uint32_t at = 0;
    const char *text;
    bool any = false;

    while ((text = flow_next_note(f, NOTE_EVIDENCE, NULL, &at))) {
        if (!any) {
            write_title(p, N_("Evidence"));
            pen_text(p, "<ol lang=\"en\">\n");
        }
        pen_text(p, "<li>");
        write_outside(p, text);
        pen_text(p, "</li>\n");
        any = true;
    }
    pen_text(p, any ? "</ol>\n" : "");
}

static void write_warnings(struct pen *p, const struct flow *f)
{
    if (!f->warnings)
        return;
    write_title(p, N_("Warnings"));
    pen_text(p, "<ul lang=\"en\">\n");
    for (unsigned i = 0; i < WARNING_COUNT; i++) {
        const char *detail = flow_find_note(f, NOTE_WARNING, i);

        if (!(f->warnings & 1u << i))
            continue;
        pen_text(p, "<li><strong class=\"mild\">");
        pen_text(p, flow_warning_name(i));
        pen_text(p, *detail ? "</strong>: " : "</strong>");
        write_outside(p, detail);
        pen_text(p, "</li>\n");
    }
    pen_text(p, "</ul>\n");
}

static void begin_value(struct pen *p, const char *msgid)
{
    pen_text(p, "<dt>");
    say(p, msgid);
    pen_text(p, "</dt><dd lang=\"en\">");
}

static void write_value(struct pen *p, const char *msgid, const char *text)
{
    if (!text || !*text)
        return;
    begin_value(p, msgid);
    write_outside(p, text);
    pen_text(p, "</dd>\n");
}

static void write_tls(struct pen *p, const struct flow_tls *tls)
{
    const char *const texts[] = {tls->version, tls->cipher, tls->sni, tls->issuer, tls->alpn};
    static const char *const before[] = {" ", " ", ", name ", ", issuer ", ", protocol "};

    begin_value(p, N_("TLS"));
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (!texts[i] || !*texts[i])
            continue;
        pen_text(p, before[i]);
        write_outside(p, texts[i]);
    }
    pen_text(p, "</dd>\n");
}

static void write_values(struct pen *p, const struct flow *f)
{
    pen_text(p, "<dl>\n");
    begin_value(p, N_("request"));
    write_human(p, f, human_asked);
    pen_text(p, "</dd>\n");
    begin_value(p, N_("way"));
    write_human(p, f, write_route);
    pen_text(p, "</dd>\n");
    begin_value(p, N_("begun"));
    date_write_moment(p, f->start_ns);
    pen_text(p, "</dd>\n");
    if (f->status) {
        begin_value(p, N_("status"));
        pen_u64(p, f->status);
        pen_text(p, "</dd>\n");
    }
    write_value(p, N_("user"), f->user);
    write_value(p, N_("rule"), f->rule);
    write_value(p, N_("parent"), f->parent);
    begin_value(p, N_("bytes"));
    pen_text(p, "up ");
    human_bytes(p, f->bytes_up);
    pen_text(p, ", down ");
    human_bytes(p, f->bytes_down);
    pen_text(p, "</dd>\n");
    if (f->tls)
        write_tls(p, f->tls);
    pen_text(p, "</dl>\n");
}

static void write_text(struct pen *p, const struct flow *f)
{
    struct buf b;

    buf_init(&b, TEXT_MAX);
    pen_text(p, "<details class=\"text\"><summary>");
    say(p, N_("As text"));
    pen_text(p, "</summary>\n<pre lang=\"en\" tabindex=\"0\">");
    if (render_ladder(&b, f, false))
        for (struct span rest = buf_span(&b); rest.len > 0;) {
            escape_html(p, span_cut(&rest, '\n'));
            pen_char(p, '\n');
        }
    pen_text(p, "</pre></details>\n");
    buf_fini(&b);
}

static void write_drawings(struct pen *p, const struct flow *f, const struct svg_plot *plot)
{
    write_title(p, N_("Phases"));
    pen_text(p, "<figure>\n");
    svg_write_ladder(p, f, f->id);
    pen_text(p, "</figure>\n");
    if (!plot)
        return;
    write_title(p, N_("Bytes over time"));
    pen_text(p, "<figure>\n");
    svg_write_plot(p, plot, f->id);
    pen_text(p, "<figcaption>");
    svg_write_legend(p);
    pen_text(p, "</figcaption></figure>\n");
}

bool html_flow(struct buf *out, const struct flow *f, const struct svg_plot *plot, bool is_open)
{
    struct pen p;

    pen_init_draft(&p, out);
    pen_text(&p, "<details class=\"flow\" id=\"flow-");
    pen_u64(&p, f->id);
    pen_text(&p, is_open ? "\" open>" : "\">");
    write_summary(&p, f);
    pen_text(&p, "<div class=\"body\">\n");
    write_ending(&p, f);
    write_values(&p, f);
    write_drawings(&p, f, plot);
    write_evidence(&p, f);
    write_warnings(&p, f);
    write_text(&p, f);
    pen_text(&p, "</div></details>\n");
    return pen_end_draft(&p, out);
}

bool html_end(struct buf *out)
{
    return buf_printf(out, "</main>\n</body>\n</html>\n");
}

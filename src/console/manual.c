#include "console/manual.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/util.h"
#include "console/routes.h"

static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
static const char *const lower[] = {"get", "post", "put", "delete"};
static_assert(ARRAY_LEN(methods) == CONSOLE_METHODS, "a method has no name");

static const char *const rights[] = {
    [RIGHT_ANYBODY] = "anybody",
    [RIGHT_METRICS] = "anybody on loopback; elsewhere who has a bearer token or is logged in",
    [RIGHT_READ] = "who is logged in; who may open the control socket",
    [RIGHT_CHANGE] = "who is logged in, with X-CSRF-Token; root and the proxy's account at the "
                     "control socket",
};

enum kind { TEXT, NUMBER, FLAG, LIST };
static const struct {
    const char *mark, *words, *schema;
} kinds[] = {
    [TEXT] = {"", "", "{\"type\":\"string\"}"},
    [NUMBER] = {"(number)", ", a number", "{\"type\":\"integer\"}"},
    [FLAG] = {"(flag)", ", true or false", "{\"type\":\"boolean\"}"},
    [LIST] = {"(list)", ", a list of texts",
              "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"},
};

struct item {
    struct span name, what;
    enum kind kind;
    bool wanted;
};

/* Takes the marks behind a name: "name* (kind)". */
static void read_marks(struct item *item)
{
    item->kind = TEXT;
    for (unsigned i = NUMBER; i < ARRAY_LEN(kinds); i++) {
        size_t len = strlen(kinds[i].mark);

        if (item->name.len > len &&
            memcmp(item->name.ptr + item->name.len - len, kinds[i].mark, len) == 0) {
            item->kind = (enum kind)i;
            item->name = span_trim((struct span){item->name.ptr, item->name.len - len});
        }
    }
    item->wanted = item->name.len > 0 && item->name.ptr[item->name.len - 1] == '*';
    item->name.len -= item->wanted;
}

/* The items of routes.h, one after the other; false: there is none left. */
static bool next_item(const char **text, struct item *item)
{
    const char *end, *colon;

    if (!*text || !**text)
        return false;
    end = strchrnul(*text, '\n');
    colon = memchr(*text, ':', (size_t)(end - *text));
    item->name = (struct span){*text, (size_t)((colon ? colon : end) - *text)};
    item->what =
        colon ? span_trim((struct span){colon + 1, (size_t)(end - colon - 1)}) : SPAN_LIT("");
    read_marks(item);
    *text = *end ? end + 1 : end;
    return true;
}

static void print_items(FILE *out, const char *title, const char *text)
{
    struct item item;

    if (!text)
        return;
    fprintf(out, "\n%s:\n\n", title);
    while (next_item(&text, &item))
        fprintf(out, "- `%.*s`%s%s%s%.*s\n", (int)item.name.len, item.name.ptr,
                kinds[item.kind].words, item.wanted ? ", wanted" : "", item.what.len ? ": " : "",
                (int)item.what.len, item.what.ptr);
}

void console_print_manual(FILE *out)
{
    for (unsigned i = 0; i < routes_len; i++) {
        const struct route *r = &routes[i];

        fprintf(out, "### %s %s\n\n%s.\n", methods[r->method], r->path, r->summary);
        print_items(out, "Query", r->arguments);
        print_items(out, "Body", r->body);
        if (r->upload)
            fprintf(out, "\nBody: bytes, at most %u MiB.\n", r->body_max >> 20);
        fprintf(out, "\nAnswer: %s.\n\nFor: %s.\n\n", r->answer, rights[r->right]);
    }
}

/* --- OpenAPI ---------------------------------------------------------------------------------- */

static void print_string(FILE *out, struct span text)
{
    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            fputc('\\', out);
        fputc(text.ptr[i], out);
    }
    fputc('"', out);
}

/* "/flows/{}" has no name for its part: it is "id", or "name" where accounts are meant. */
static const char *part_name(const char *path)
{
    return strstr(path, "/accounts/") ? "name" : "id";
}

static void print_path(FILE *out, const char *path)
{
    const char *part = strstr(path, "{}");

    if (part)
        fprintf(out, "\"%.*s{%s}%s\"", (int)(part - path), path, part_name(path), part + 2);
    else
        fprintf(out, "\"%s\"", path);
}

static void print_parameters(FILE *out, const struct route *r)
{
    const char *text = r->arguments;
    struct item item;
    bool first = true;

    fputs("\"parameters\":[", out);
    if (strstr(r->path, "{}")) {
        fprintf(out,
                "{\"name\":\"%s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":"
                "\"string\"}}",
                part_name(r->path));
        first = false;
    }
    while (next_item(&text, &item)) {
        fputs(first ? "{\"name\":" : ",{\"name\":", out);
        print_string(out, item.name);
        fputs(",\"in\":\"query\",\"description\":", out);
        print_string(out, item.what);
        fprintf(out, ",\"schema\":%s}", kinds[item.kind].schema);
        first = false;
    }
    fputs("],", out);
}

static void print_properties(FILE *out, const char *text)
{
    struct item item;

    for (bool first = true; next_item(&text, &item); first = false) {
        fputs(first ? "" : ",", out);
        print_string(out, item.name);
        fprintf(out, ":{%.*s,\"description\":", (int)strlen(kinds[item.kind].schema) - 2,
                kinds[item.kind].schema + 1);
        print_string(out, item.what);
        fputs("}", out);
    }
}

static void print_wanted(FILE *out, const char *text)
{
    struct item item;
    bool first = true;

    while (next_item(&text, &item))
        if (item.wanted) {
            fputs(first ? ",\"required\":[" : ",", out);
            print_string(out, item.name);
            first = false;
        }
    fputs(first ? "" : "]", out);
}

static void print_body(FILE *out, const struct route *r)
{
    if (r->upload)
        fputs("\"requestBody\":{\"content\":{\"application/octet-stream\":{}}},", out);
    if (!r->body)
        return;
    fputs("\"requestBody\":{\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
          "\"properties\":{",
          out);
    print_properties(out, r->body);
    fputs("}", out);
    print_wanted(out, r->body);
    fputs("}}}},", out);
}

static void print_operation(FILE *out, const struct route *r)
{
    fprintf(out, "\"%s\":{\"summary\":", lower[r->method]);
    print_string(out, span_of(r->summary));
    fputs(",", out);
    print_parameters(out, r);
    print_body(out, r);
    fputs("\"responses\":{\"default\":{\"description\":", out);
    print_string(out, span_of(r->answer));
    fputs("}}}", out);
}

void console_print_openapi(FILE *out)
{
    for (unsigned i = 0; i < routes_len; i++) {
        bool goes_on = i > 0 && strcmp(routes[i].path, routes[i - 1].path) == 0;

        if (!goes_on) {
            fputs(i ? "},\n" : "", out);
            print_path(out, routes[i].path);
            fputs(":{", out);
        } else {
            fputs(",", out);
        }
        print_operation(out, &routes[i]);
    }
    fputs("}\n", out);
}

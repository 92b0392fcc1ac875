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

/* "name: what it means\n…", one after the other; false: there is none left. */
static bool next_item(const char **text, struct span *name, struct span *what)
{
    const char *end, *colon;

    if (!*text || !**text)
        return false;
    end = strchrnul(*text, '\n');
    colon = memchr(*text, ':', (size_t)(end - *text));
    *name = (struct span){*text, (size_t)((colon ? colon : end) - *text)};
    *what = colon ? span_trim((struct span){colon + 1, (size_t)(end - colon - 1)}) : SPAN_LIT("");
    *text = *end ? end + 1 : end;
    return true;
}

static void print_items(FILE *out, const char *title, const char *text)
{
    struct span name, what;

    if (!text)
        return;
    fprintf(out, "\n%s:\n\n", title);
    while (next_item(&text, &name, &what))
        fprintf(out, "- `%.*s`%s%.*s\n", (int)name.len, name.ptr, what.len ? ": " : "",
                (int)what.len, what.ptr);
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
    struct span name, what;
    bool first = true;

    fputs("\"parameters\":[", out);
    if (strstr(r->path, "{}")) {
        fprintf(out,
                "{\"name\":\"%s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":"
                "\"string\"}}",
                part_name(r->path));
        first = false;
    }
    while (next_item(&text, &name, &what)) {
        fputs(first ? "{\"name\":" : ",{\"name\":", out);
        print_string(out, name);
        fputs(",\"in\":\"query\",\"description\":", out);
        print_string(out, what);
        fputs(",\"schema\":{\"type\":\"string\"}}", out);
        first = false;
    }
    fputs("],", out);
}

static void print_body(FILE *out, const struct route *r)
{
    const char *text = r->body;
    struct span name, what;
    bool first = true;

    if (r->upload)
        fputs("\"requestBody\":{\"content\":{\"application/octet-stream\":{}}},", out);
    if (!text)
        return;
    fputs("\"requestBody\":{\"content\":{\"application/json\":{\"schema\":{\"type\":\"object\","
          "\"properties\":{",
          out);
    while (next_item(&text, &name, &what)) {
        fputs(first ? "" : ",", out);
        print_string(out, name);
        fputs(":{\"description\":", out);
        print_string(out, what);
        fputs("}", out);
        first = false;
    }
    fputs("}}}}},", out);
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

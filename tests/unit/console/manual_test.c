/* The description of the interface: whole, and of its table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "console/manual.h"
#include "console/routes.h"

static char *print(void (*to)(FILE *out), const char *front, const char *end)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    fputs(front, out);
    to(out);
    fputs(end, out);
    fclose(out);
    return text;
}

static void openapi_has_each_operation_once(void **state)
{
    char *text = print(console_print_openapi, "{", "}");
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *path;
    const char *name;
    unsigned n = 0;

    (void)state;
    assert_non_null(root);
    json_object_foreach(root, name, path)
    {
        assert_int_equal(name[0], '/');
        assert_null(strstr(name, "{}"));
        n += (unsigned)json_object_size(path);
    }
    assert_int_equal(n, routes_len);
    json_decref(root);
    free(text);
}

static void the_manual_has_each_route(void **state)
{
    char *text = print(console_print_manual, "", "");

    (void)state;
    for (unsigned i = 0; i < routes_len; i++) {
        assert_non_null(strstr(text, routes[i].path));
        assert_non_null(strstr(text, routes[i].summary));
        assert_true(strlen(routes[i].answer) > 0);
    }
    free(text);
}

static json_t *schema_of(json_t *root, const char *path)
{
    return json_object_get(
        json_object_get(
            json_object_get(
                json_object_get(
                    json_object_get(json_object_get(json_object_get(root, path), "post"),
                                    "requestBody"),
                    "content"),
                "application/json"),
            "schema"),
        "properties");
}

/* Who asks by the description alone has to know of each member what it is. */
static void the_kinds_of_members_are_told(void **state)
{
    static const struct {
        const char *path, *name, *type, *words;
    } cases[] = {
        {"/api/v1/upstream/validate", "port", "integer", "- `port`, a number\n"},
        {"/api/v1/upstream/validate", "enabled", "boolean", "- `enabled`, true or false\n"},
        {"/api/v1/upstream/validate", "no_proxy", "array", "- `no_proxy`, a list of texts: "},
        {"/api/v1/check", "url", "string", "- `url`, wanted\n"},
        {"/api/v1/accounts", "name", "string", "- `name`, wanted\n"},
    };
    char *text = print(console_print_openapi, "{", "}"),
         *words = print(console_print_manual, "", "");
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *member = json_object_get(schema_of(root, cases[i].path), cases[i].name);

        assert_string_equal(json_string_value(json_object_get(member, "type")), cases[i].type);
        assert_non_null(strstr(words, cases[i].words));
    }
    assert_non_null(strstr(text, "\"required\":[\"token\",\"name\",\"password\"]"));
    json_decref(root);
    free(text);
    free(words);
}

static void paths_lead_to_their_routes(void **state)
{
    static const struct {
        enum console_method method;
        const char *path, *route, *part, *allow;
    } cases[] = {
        {CONSOLE_GET, "/api/v1/flows/0123", "/api/v1/flows/{}", "0123", ""},
        {CONSOLE_GET, "/api/v1/jobs/x/events", "/api/v1/jobs/{}/events", "x", ""},
        {CONSOLE_DELETE, "/api/v1/jobs/x", "/api/v1/jobs/{}", "x", ""},
        {CONSOLE_GET, "/api/v1/jobs/x", NULL, NULL, "DELETE"},
        {CONSOLE_POST, "/api/v1/upstream", NULL, NULL, "GET, HEAD, PUT"},
        {CONSOLE_METHODS, "/api/v1/session", NULL, NULL, "GET, HEAD, POST, DELETE"},
        {CONSOLE_PUT, "/api/v1/accounts/a/b", "/api/v1/accounts/{}", "a/b", ""},
        {CONSOLE_PUT, "/api/v1/accounts/", NULL, NULL, ""},
        {CONSOLE_GET, "/api/v1/flows/", NULL, NULL, ""},
        {CONSOLE_GET, "/api/v1/flows/a/b", NULL, NULL, ""},
        {CONSOLE_GET, "/api/v1", NULL, NULL, ""},
        {CONSOLE_GET, "", NULL, NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request r = {.method = cases[i].method, .path = cases[i].path};
        char allow[64];
        const struct route *route = routes_find(&r, allow, sizeof allow);

        if (cases[i].route) {
            assert_non_null(route);
            assert_string_equal(route->path, cases[i].route);
            assert_string_equal(r.parts[0], cases[i].part);
        } else {
            assert_null(route);
            assert_string_equal(allow, cases[i].allow);
        }
        for (unsigned k = 0; k < REQUEST_PARTS; k++)
            free(r.parts[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openapi_has_each_operation_once),
        cmocka_unit_test(the_manual_has_each_route),
        cmocka_unit_test(the_kinds_of_members_are_told),
        cmocka_unit_test(paths_lead_to_their_routes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

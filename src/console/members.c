#include "console/members.h"

#include <jansson.h>

bool members_parse(struct members *m, struct span body, struct reply *reply)
{
    json_error_t at;
    json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &at);

    m->root = root;
    if (json_is_object(root))
        return true;
    if (root)
        reply_problem(reply, 400, "bad-json", NULL, "the body is an object of JSON");
    else
        reply_problem(reply, 400, "bad-json", NULL, "line %d, column %d: %s", at.line, at.column,
                      at.text);
    members_free(m);
    return false;
}

void members_free(struct members *m)
{
    json_decref(m->root);
    m->root = NULL;
}

static json_t *get(const struct members *m, const char *name)
{
    return json_object_get(m->root, name);
}

struct span members_get_text(const struct members *m, const char *name)
{
    json_t *j = get(m, name);

    return json_is_string(j) ? (struct span){json_string_value(j), json_string_length(j)}
                             : SPAN_LIT("");
}

bool members_has(const struct members *m, const char *name)
{
    return get(m, name) != NULL;
}

bool members_get_bool(const struct members *m, const char *name, bool otherwise)
{
    json_t *j = get(m, name);

    return json_is_boolean(j) ? json_is_true(j) : otherwise;
}

bool members_get_number(const struct members *m, const char *name, uint64_t most, uint64_t *out)
{
    json_t *j = get(m, name);

    if (!json_is_integer(j) || json_integer_value(j) < 0 || (uint64_t)json_integer_value(j) > most)
        return false;
    *out = (uint64_t)json_integer_value(j);
    return true;
}

bool members_get_item(const struct members *m, const char *name, unsigned i, struct span *out)
{
    json_t *j = json_array_get(get(m, name), i);

    if (!json_is_string(j))
        return false;
    *out = (struct span){json_string_value(j), json_string_length(j)};
    return true;
}

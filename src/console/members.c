#include "console/members.h"

#include <jansson.h>

static json_t *get(const struct members *m, const char *name)
{
    json_t *j = json_object_get(m->root, name);

    return json_is_null(j) ? NULL : j;
}

static bool is_list_of_texts(const json_t *j)
{
    if (!json_is_array(j))
        return false;
    for (size_t i = 0; i < json_array_size(j); i++)
        if (!json_is_string(json_array_get(j, i)))
            return false;
    return true;
}

/* What is wrong with a member; NULL: nothing. */
static const char *find_fault(const json_t *j, const struct member *known)
{
    if (!j)
        return known->wanted ? "it is missing" : NULL;
    switch (known->kind) {
    case MEMBER_TEXT:
        return json_is_string(j) ? NULL : "a string is wanted";
    case MEMBER_FLAG:
        return json_is_boolean(j) ? NULL : "true or false is wanted";
    case MEMBER_LIST:
        return is_list_of_texts(j) ? NULL : "an array of strings is wanted";
    case MEMBER_ANY:
        break;
    }
    return NULL;
}

static bool are_fit(const struct members *m, const struct member *known, struct reply *reply)
{
    for (; known->name; known++) {
        const char *fault = find_fault(get(m, known->name), known);

        if (!fault)
            continue;
        reply_problem(reply, 400, "unfit", known->name, "%s: %s", known->name, fault);
        return false;
    }
    return true;
}

bool members_parse(struct members *m, struct span body, const struct member *known,
                   struct reply *reply)
{
    json_error_t at;
    json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &at);

    m->root = root;
    if (json_is_object(root) && are_fit(m, known, reply))
        return true;
    if (json_is_object(root))
        ; /* told already */
    else if (root)
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

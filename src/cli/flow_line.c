#include "cli/flow_line.h"

#include <string.h>

#include <jansson.h>

#include "base/num.h"

static bool get_number(const json_t *root, const char *key, int64_t *out)
{
    const json_t *value = json_object_get(root, key);

    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0;
}

static bool get_bool(const json_t *root, const char *key, bool *out)
{
    const json_t *value = json_object_get(root, key);

    *out = json_is_true(value);
    return json_is_boolean(value);
}

static bool get_id(const json_t *root, uint64_t *out)
{
    const char *text = json_string_value(json_object_get(root, "id"));

    return text && strlen(text) == 16 && num_parse_hex(span_of(text), UINT64_MAX, out);
}

/* The flow's own bytes: the last member, behind others that have none in them.  In a string a quote
 * has a backslash before it, so the mark is none's part. */
static bool find_flow(struct span line, struct span *json)
{
    static const char mark[] = ",\"flow\":";
    const char *at = memmem(line.ptr, line.len, mark, sizeof mark - 1);

    if (!at || line.ptr[line.len - 1] != '}')
        return false;
    at += sizeof mark - 1;
    *json = (struct span){at, (size_t)(line.ptr + line.len - 1 - at)};
    return json->len >= 2 && json->ptr[0] == '{' && json->ptr[json->len - 1] == '}';
}

static bool read_row(struct flow_line *l, const json_t *root, struct span line)
{
    const json_t *reason = json_object_get(root, "reason");
    int64_t ended_us;

    if (!get_number(root, "seq", &l->row.seq) || !get_id(root, &l->row.id) ||
        !get_number(root, "ended_us", &ended_us) || !get_bool(root, "failed", &l->row.failed) ||
        !get_bool(root, "own_answer", &l->row.own_answer) || !find_flow(line, &l->row.json))
        return false;
    l->row.ended_us = (uint64_t)ended_us;
    if (json_is_string(reason))
        l->row.reason = (struct span){json_string_value(reason), json_string_length(reason)};
    return json_is_string(reason) || json_is_null(reason);
}

static bool read_end(struct flow_line *l, const json_t *root)
{
    const json_t *next = json_object_get(root, "next");
    int64_t lost;

    l->is_end = true;
    l->file = json_string_value(json_object_get(root, "file"));
    l->why = json_string_value(json_object_get(root, "why"));
    if (!get_number(root, "last", &l->last) || !get_number(root, "lost", &lost) || !l->file ||
        !l->why)
        return false;
    l->lost = (uint64_t)lost;
    return json_is_null(next) || (get_number(root, "next", &l->next) && l->next > 0);
}

bool flow_line_read(struct flow_line *l, struct span line, struct err *err)
{
    json_t *root = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);

    *l = (struct flow_line){.root = root};
    if (json_is_object(root) &&
        (json_is_object(json_object_get(root, "flow")) ? read_row(l, root, line)
                                                       : read_end(l, root)))
        return true;
    err_set(err, "the answer at the control socket makes no sense");
    flow_line_fini(l);
    return false;
}

void flow_line_fini(struct flow_line *l)
{
    json_decref(l->root);
    *l = (struct flow_line){0};
}

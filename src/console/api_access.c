/* console/api_access.c - the rules in their order with what they did, and the test box. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/access_test.h"
#include "console/handlers.h"
#include "console/members.h"

#define TEXT_MAX 512 /* bytes of a question's part */

static const struct totals_rule *find_hits(const struct totals *t, const char *name)
{
    for (unsigned i = 0; i < t->rules_len; i++)
        if (strcmp(t->rules[i].name, name) == 0)
            return &t->rules[i];
    return NULL;
}

static void write_rule(struct jsonw *w, const struct access_rule *rule)
{
    jsonw_member_text(w, "name", rule->name);
    jsonw_member_text(w, "action", rule->allow ? "allow" : "deny");
    jsonw_key(w, "report");
    jsonw_bool(w, rule->report);
    jsonw_key(w, "built_in");
    jsonw_bool(w, rule->line == 0);
    jsonw_member_text(w, "file", rule->line ? rule->file : NULL);
    jsonw_member_u64(w, "line", (uint64_t)rule->line);
}

/* Its conditions, as the file has them. */
static void write_terms(struct jsonw *w, const struct config *c, const char *name)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out) {
        config_show_rule(c, name, out);
        fclose(out);
    }
    jsonw_key(w, "text");
    jsonw_span(w, (struct span){text ? text : "", len});
    free(text);
}

static void write_hits(struct jsonw *w, const struct totals_rule *hits)
{
    jsonw_member_u64(w, "hits", hits ? hits->hits : 0);
    jsonw_member_u64(w, "denied", hits ? hits->denied : 0);
    jsonw_member_u64(w, "reports", hits ? hits->reports : 0);
    jsonw_member_u64(w, "last_us", hits ? hits->last_ns / 1000 : 0);
}

void access_get(struct request *r, struct reply *reply)
{
    const struct console_door *door = &console_get_options(r->console)->door;
    struct config *c = door->config(door->owner);
    struct reply_json j;
    struct totals t;

    if (!door->totals(door->owner, &t)) {
        reply_out_of_memory(reply);
        config_unref(c);
        return;
    }
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_key(&j.w, "rules");
    jsonw_open(&j.w, '[');
    for (unsigned i = 0; i < access_count_rules(c->access); i++) {
        const struct access_rule *rule = access_get_rule(c->access, i);

        jsonw_open(&j.w, '{');
        write_rule(&j.w, rule);
        write_terms(&j.w, c, rule->name);
        write_hits(&j.w, find_hits(&t, rule->name));
        jsonw_close(&j.w, '}');
    }
    jsonw_close(&j.w, ']');
    jsonw_member_text(&j.w, "default", "deny");
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    totals_free(&t);
    config_unref(c);
}

/* --- the test box ----------------------------------------------------------------------------- */

/* A member as a terminated text; NULL where it is missing or empty.  False: too long. */
static bool take(const struct members *m, const char *name, char out[TEXT_MAX + 1],
                 const char **text, struct reply *reply)
{
    struct span s = members_get_text(m, name);

    *text = NULL;
    if (s.len > TEXT_MAX || memchr(s.ptr, '\0', s.len)) {
        reply_problem(reply, 400, "unfit", name, "at most %d bytes", TEXT_MAX);
        return false;
    }
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    if (s.len)
        *text = out;
    return true;
}

static void write_matches(struct jsonw *w, const struct config *c, const struct access_answer *a)
{
    jsonw_key(w, "matches");
    jsonw_open(w, '[');
    for (unsigned i = 0; i < access_count_rules(c->access); i++) {
        int matches = access_rule_matches(c->access, i, &a->query, NULL);

        if (matches == 0)
            continue;
        jsonw_open(w, '{');
        write_rule(w, access_get_rule(c->access, i));
        jsonw_key(w, "surely");
        jsonw_bool(w, matches > 0);
        jsonw_close(w, '}');
    }
    jsonw_close(w, ']');
}

static void write_answer(struct reply *reply, const struct config *c, const struct access_test *t,
                         const struct access_answer *a)
{
    const struct access_rule *rule = a->decision.rule;
    struct reply_json j;
    struct buf text;

    buf_init(&text, 1u << 20);
    access_test_write(c, t, a, &text);
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_member_text(&j.w, "decision", access_test_word(a->decision.outcome));
    jsonw_key(&j.w, "rule");
    if (rule) {
        jsonw_open(&j.w, '{');
        write_rule(&j.w, rule);
        jsonw_close(&j.w, '}');
    } else {
        jsonw_null(&j.w);
    }
    write_matches(&j.w, c, a);
    jsonw_key(&j.w, "text");
    jsonw_span(&j.w, buf_span(&text));
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
    buf_fini(&text);
}

static void ask(const struct config *c, const struct members *m, struct reply *reply)
{
    char client[TEXT_MAX + 1], user[TEXT_MAX + 1], method[TEXT_MAX + 1], target[TEXT_MAX + 1];
    struct access_answer a;
    struct access_test t;
    struct err err;

    if (!take(m, "client", client, &t.client, reply) || !take(m, "user", user, &t.user, reply) ||
        !take(m, "method", method, &t.method, reply) ||
        !take(m, "target", target, &t.target, reply))
        return;
    if (!t.client)
        t.client = "127.0.0.1";
    if (!t.target)
        t.target = "";
    if (access_test_ask(c, &t, &a, &err))
        write_answer(reply, c, &t, &a);
    else
        reply_problem(reply, 400, "unfit", NULL, "%s", err.text);
}

static const struct member question[] = {
    {"client", MEMBER_TEXT, false}, {"user", MEMBER_TEXT, false}, {"method", MEMBER_TEXT, false},
    {"target", MEMBER_TEXT, false}, {NULL, MEMBER_ANY, false},
};

void access_test_post(struct request *r, struct reply *reply)
{
    const struct console_door *door = &console_get_options(r->console)->door;
    struct config *c = door->config(door->owner);
    struct members m;

    if (members_parse(&m, buf_span(&r->body), question, reply)) {
        ask(c, &m, reply);
        members_free(&m);
    }
    config_unref(c);
}

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/util.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/harmless.h"
#include "config/access_test.h"
#include "config/config.h"
#include "render/jsonw.h"

#define OUTPUT_MAX (1u << 20)
#define QUESTION_MAX (16u << 10)
#define RULES_MAX (16u << 20)

static struct config *load(const char *file)
{
    struct config_report report = {0};
    struct config *c = config_load(file ? file : config_default_path(), NULL, &report);

    for (unsigned i = 0; !c && i < report.len; i++)
        if (!report.items[i].warning)
            fprintf(stderr, "%s\n", report.items[i].text);
    config_report_fini(&report);
    return c;
}

static int status_of(const char *word)
{
    return strcmp(word, access_test_word(ACCESS_ALLOW)) == 0 ||
                   strcmp(word, access_test_word(ACCESS_RESOLVE)) == 0
               ? EXIT_OK
               : EXIT_VERDICT;
}

/* ---- by a file */

static int ask_file(const char *file, const struct access_test *t)
{
    struct config *c = load(file);
    struct access_answer a;
    struct buf text;
    struct err err;
    int status;

    if (!c)
        return EXIT_USAGE;
    access_test_learn();
    if (!access_test_ask(c, t, &a, &err)) {
        config_unref(c);
        return command_usage_error(&cmd_access, "%s", err.text);
    }
    buf_init(&text, OUTPUT_MAX);
    if (!access_test_write(c, t, &a, &text))
        fputs("viaduct access: out of memory\n", stderr);
    fwrite(buf_span(&text).ptr, 1, text.len, stdout);
    buf_fini(&text);
    status = status_of(access_test_word(a.decision.outcome));
    config_unref(c);
    return status;
}

/* ---- by the proxy that runs */

/* Its answer, as far as it is looked at. */
struct answer_in_force {
    json_t *root;
    const char *decision, *rule, *text; /* rule: "" where none decides */
};

static bool is_decision(const char *word)
{
    static const enum access_outcome all[] = {ACCESS_ALLOW, ACCESS_DENY, ACCESS_LOGIN,
                                              ACCESS_RESOLVE};

    for (size_t i = 0; word && i < ARRAY_LEN(all); i++)
        if (strcmp(word, access_test_word(all[i])) == 0)
            return true;
    return false;
}

static bool read_answer(struct answer_in_force *a, struct span bytes)
{
    const json_t *rule;

    a->root = json_loadb(bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, NULL);
    rule = json_object_get(a->root, "rule");
    a->decision = json_string_value(json_object_get(a->root, "decision"));
    a->text = json_string_value(json_object_get(a->root, "text"));
    a->rule = json_is_null(rule) ? "" : json_string_value(json_object_get(rule, "name"));
    return is_decision(a->decision) && a->text && a->rule;
}

static bool write_question(const struct access_test *t, struct buf *out)
{
    struct pen pen;
    struct jsonw w = {.pen = &pen};

    pen_init_draft(&pen, out);
    jsonw_open(&w, '{');
    jsonw_member_text(&w, "client", t->client);
    jsonw_member_text(&w, "user", t->user);
    jsonw_member_text(&w, "method", t->method);
    jsonw_member_text(&w, "target", t->target);
    jsonw_close(&w, '}');
    return pen_end_draft(&pen, out);
}

static enum control_result ask_proxy(const char *socket, const struct access_test *t,
                                     struct answer_in_force *a, struct err *err)
{
    struct control_request r = {"POST", "/api/v1/access/test", {"", 0}};
    enum control_result result = CONTROL_FAILED;
    struct buf question, answer;

    *a = (struct answer_in_force){0};
    buf_init(&question, QUESTION_MAX);
    buf_init(&answer, OUTPUT_MAX);
    if (write_question(t, &question)) {
        r.body = buf_span(&question);
        result = control_ask(socket, &r, &answer, err);
    } else {
        err_set(err, "the question is too long");
    }
    if (result == CONTROL_OK && !read_answer(a, buf_span(&answer))) {
        err_set(err, "the answer at the control socket makes no sense");
        result = CONTROL_FAILED;
    }
    buf_fini(&question);
    buf_fini(&answer);
    return result;
}

/* ---- whether the file is what is in force */

static bool is_same_text(const json_t *rule, const struct config *c, const char *name)
{
    const char *there = json_string_value(json_object_get(rule, "text"));
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bool same;

    if (out) {
        config_show_rule(c, name, out);
        fclose(out);
    }
    same = there && text && strcmp(there, text) == 0;
    free(text);
    return same;
}

static bool is_same_rule(const json_t *there, const struct config *c,
                         const struct access_rule *here)
{
    const char *name = json_string_value(json_object_get(there, "name"));
    const char *action = json_string_value(json_object_get(there, "action"));

    return name && action && strcmp(name, here->name) == 0 &&
           strcmp(action, here->allow ? "allow" : "deny") == 0 &&
           json_is_true(json_object_get(there, "report")) == here->report &&
           json_integer_value(json_object_get(there, "line")) == here->line &&
           is_same_text(there, c, here->name);
}

/* Whether the proxy has the rules of *c, line by line; also where it does not say. */
static bool has_rules(const char *socket, const struct config *c)
{
    struct control_request r = {"GET", "/api/v1/access", {"", 0}};
    struct buf answer;
    struct err err;
    json_t *root = NULL, *rules;
    bool same = true;

    buf_init(&answer, RULES_MAX);
    if (control_ask(socket, &r, &answer, &err) == CONTROL_OK)
        root = json_loadb(buf_span(&answer).ptr, answer.len, JSON_REJECT_DUPLICATES, NULL);
    rules = json_object_get(root, "rules");
    if (json_is_array(rules)) {
        same = json_array_size(rules) == access_count_rules(c->access);
        for (unsigned i = 0; same && i < access_count_rules(c->access); i++)
            same = is_same_rule(json_array_get(rules, i), c, access_get_rule(c->access, i));
    }
    json_decref(root);
    buf_fini(&answer);
    return same;
}

/* What a reload would change. */
static void tell_difference(const char *file, const char *socket, const struct config *c,
                            const struct access_test *t, const struct answer_in_force *in_force)
{
    struct access_answer a;
    struct buf text;
    struct err err;

    access_test_learn();
    if (!access_test_ask(c, t, &a, &err))
        return;
    buf_init(&text, OUTPUT_MAX);
    if (strcmp(access_test_word(a.decision.outcome), in_force->decision) != 0 ||
        strcmp(a.decision.rule ? a.decision.rule->name : "", in_force->rule) != 0) {
        fprintf(stderr, "viaduct access: %s differs from what is in force; after a reload:\n",
                file);
        if (access_test_write(c, t, &a, &text))
            fwrite(buf_span(&text).ptr, 1, text.len, stderr);
    } else if (!has_rules(socket, c)) {
        fprintf(
            stderr,
            "viaduct access: %s has other rules than are in force; after a reload the same rule "
            "would decide\n",
            file);
    }
    buf_fini(&text);
}

/* The file is looked at with the rights of who asks: without them nothing is said. */
static void compare(const char *file, const char *socket, const struct access_test *t,
                    const struct answer_in_force *in_force)
{
    struct config_report report = {0};
    struct config *c;

    if (!*file || access(file, R_OK) < 0)
        return;
    c = config_load(file, NULL, &report);
    if (c)
        tell_difference(file, socket, c, t, in_force);
    for (unsigned i = 0; !c && i < report.len; i++)
        if (!report.items[i].warning) {
            fprintf(stderr, "viaduct access: the file could not be put in force: %s\n",
                    report.items[i].text);
            break;
        }
    config_report_fini(&report);
    config_unref(c);
}

/* ---- which of both */

/* Whether the question is one at all; else it has been said. */
static bool is_fit(const struct access_test *t)
{
    struct config_report report = {0};
    struct config *c = config_load_main(NULL, &report);
    struct access_answer a;
    struct err err = {"out of memory"};
    bool fit = c && access_test_ask(c, t, &a, &err);

    if (!fit)
        command_usage_error(&cmd_access, "%s", err.text);
    config_report_fini(&report);
    config_unref(c);
    return fit;
}

static int test(const char *file, const struct access_test *t)
{
    struct control_instance instance;
    struct answer_in_force in_force = {0};
    char socket[CONTROL_PATH_MAX];
    enum control_result result;
    struct err err;
    int status;

    if (!is_fit(t))
        return EXIT_USAGE;
    control_find(socket);
    result = control_learn(socket, &instance, &err);
    if (result == CONTROL_OK && file && !control_is_same_file(file, instance.config))
        return ask_file(file, t);
    if (result == CONTROL_OK)
        result = ask_proxy(socket, t, &in_force, &err);
    if (result != CONTROL_OK) {
        json_decref(in_force.root);
        if (result != CONTROL_NOBODY)
            fprintf(stderr, "viaduct access: %s; this is what the file says\n", err.text);
        return ask_file(file, t);
    }
    harmless_print_lines(stdout, in_force.text);
    fflush(stdout);
    compare(instance.config, socket, t, &in_force);
    status = status_of(in_force.decision);
    json_decref(in_force.root);
    return status;
}

static int access_run(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"client", required_argument, NULL, 'C'},
        {"user", required_argument, NULL, 'u'},
        {"method", required_argument, NULL, 'm'},
        {NULL, 0, NULL, 0},
    };
    struct access_test question = {.client = "127.0.0.1"};
    const char *file = NULL;
    int option;

    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:", options, NULL)) >= 0) {
        switch (option) {
        case 'c':
            file = optarg;
            break;
        case 'C':
            question.client = optarg;
            break;
        case 'u':
            question.user = optarg;
            break;
        case 'm':
            question.method = optarg;
            break;
        default:
            return command_usage_error(
                &cmd_access, "\"%s\": no such option, or its value is missing", argv[optind - 1]);
        }
    }
    if (optind >= argc || strcmp(argv[optind], "test") != 0)
        return command_usage_error(&cmd_access, "say what to do: test");
    if (optind + 2 != argc)
        return command_usage_error(&cmd_access, "one TARGET is needed");
    question.target = argv[optind + 1];
    return test(file, &question);
}

const struct command cmd_access = {
    .name = "access",
    .synopsis = "test [-c FILE] [--client A] [--user U] [--method M] TARGET",
    .summary = "say which access rule would decide, without sending anything",
    .help =
        "TARGET        HOST:PORT (443 when left out) or a URL; a name is not looked up: where the\n"
        "              rules depend on its addresses, that is said\n"
        "-c FILE       instead of /etc/viaduct/viaduct.conf\n"
        "The proxy that runs here is asked, so that the rules are those in force; with -c where "
        "it\n"
        "runs by that very file, else the file is. Where the file would say otherwise, that is "
        "said.\n"
        "--client A    address of the client, instead of 127.0.0.1\n"
        "--user U      as if U had logged in\n"
        "--method M    instead of CONNECT (GET for an http URL)\n"
        "\n"
        "Exit status: 0 allowed, for some addresses at least; 1 denied, or a login is needed;\n"
        "2 usage or configuration error.\n",
    .run = access_run,
};

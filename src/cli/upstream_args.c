#include "cli/upstream_args.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/nearest.h"
#include "base/util.h"
#include "cli/command.h"
#include "cli/upstream_probe.h"

/* What each verb takes beside -c and --file. */
enum takes {
    TAKES_FIELDS = 1 << 0,
    TAKES_PASSWORD = 1 << 1,
    TAKES_URL = 1 << 2,
    TAKES_FORCE = 1 << 3,
    TAKES_JSON = 1 << 4,
    TAKES_SECRET = 1 << 5,
};
#define TAKES_TEST (TAKES_URL | TAKES_FORCE)

static const struct verb {
    const char *name;
    int words; /* behind it; -1: any number */
    unsigned takes;
} verbs[] = {
    [UPSTREAM_SHOW] = {"show", 0, TAKES_JSON},
    [UPSTREAM_SET] = {"set", -1, TAKES_FIELDS | TAKES_PASSWORD | TAKES_TEST | TAKES_JSON},
    [UPSTREAM_ENABLE] = {"enable", 0, TAKES_TEST},
    [UPSTREAM_DISABLE] = {"disable", 0, 0},
    [UPSTREAM_TEST] = {"test", 0, TAKES_URL | TAKES_JSON},
    [UPSTREAM_IMPORT] = {"import", 1, TAKES_PASSWORD | TAKES_TEST},
    [UPSTREAM_EXPORT] = {"export", 0, TAKES_SECRET},
};
static_assert(ARRAY_LEN(verbs) == UPSTREAM_COUNT, "a verb has no row");

/* The options; a field's `val` is OPTION_FIELD + its number. */
enum { OPTION_FIELD = 0x100, OPTION_PASSWORD = 0x200 };

static const struct upstream_option {
    struct option option;
    unsigned takes;
} options[] = {
    {{"config", required_argument, NULL, 'c'}, 0},
    {{"file", required_argument, NULL, 'F'}, 0},
    {{"enabled", required_argument, NULL, OPTION_FIELD + FORM_ENABLED}, TAKES_FIELDS},
    {{"host", required_argument, NULL, OPTION_FIELD + FORM_HOST}, TAKES_FIELDS},
    {{"port", required_argument, NULL, OPTION_FIELD + FORM_PORT}, TAKES_FIELDS},
    {{"user", required_argument, NULL, OPTION_FIELD + FORM_USER}, TAKES_FIELDS},
    {{"tls", required_argument, NULL, OPTION_FIELD + FORM_TLS}, TAKES_FIELDS},
    {{"ca", required_argument, NULL, OPTION_FIELD + FORM_CA}, TAKES_FIELDS},
    {{"no-proxy", required_argument, NULL, OPTION_FIELD + FORM_NO_PROXY}, TAKES_FIELDS},
    {{"smart-licensing", required_argument, NULL, OPTION_FIELD + FORM_SMART_LICENSING},
     TAKES_FIELDS},
    {{"password", optional_argument, NULL, OPTION_PASSWORD}, 0}, /* refused, with a reason */
    {{"password-file", required_argument, NULL, 'P'}, TAKES_PASSWORD},
    {{"password-stdin", no_argument, NULL, 'S'}, TAKES_PASSWORD},
    {{"url", required_argument, NULL, 'u'}, TAKES_URL},
    {{"force", no_argument, NULL, 'f'}, TAKES_FORCE},
    {{"json", no_argument, NULL, 'j'}, TAKES_JSON},
    {{"with-password", no_argument, NULL, 'w'}, TAKES_SECRET},
};

static const struct upstream_option *find_option(int val)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].option.val == val)
            return &options[i];
    return NULL;
}

/* Takes one option; false when memory is out. */
static bool take_option(struct upstream_args *a, int val, const char *value)
{
    switch (val) {
    case 'c':
        a->config = value;
        break;
    case 'F':
        a->file = value;
        break;
    case 'P':
        a->password_file = value;
        break;
    case 'S':
        a->password_file = "-";
        break;
    case 'u':
        a->url = value;
        break;
    case 'f':
        a->force = true;
        break;
    case 'j':
        a->json = true;
        break;
    case 'w':
        a->with_password = true;
        break;
    default:
        return form_set(&a->form, (enum form_field)(val - OPTION_FIELD), span_of(value));
    }
    return true;
}

/* What stands behind a = may be a secret. */
static int say_unknown_option(const char *word)
{
    const char *names[ARRAY_LEN(options)], *near = NULL;
    struct span name = {word, strcspn(word, "=")};

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        names[i] = options[i].option.val == OPTION_PASSWORD ? NULL : options[i].option.name;
    if (name.len > 2 && strncmp(word, "--", 2) == 0)
        near =
            nearest_find((struct span){word + 2, name.len - 2}, names, (unsigned)ARRAY_LEN(names));
    return command_usage_error(
        &cmd_upstream, "\"%.*s\": no such option, or its value is missing%s%s%s", (int)name.len,
        name.ptr, near ? " (did you mean --" : "", near ? near : "", near ? "?)" : "");
}

/* Reads all options; *given takes the last one of each kind, by `takes`. */
static int read_options(struct upstream_args *a, int argc, char **argv,
                        const struct upstream_option *given[ARRAY_LEN(options)])
{
    struct option longs[ARRAY_LEN(options) + 1] = {0};
    int val;

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        longs[i] = options[i].option;
    optind = 1;
    opterr = 0;
    while ((val = getopt_long(argc, argv, "c:", longs, NULL)) != -1) {
        const struct upstream_option *o = find_option(val);

        if (val == OPTION_PASSWORD)
            return command_usage_error(&cmd_upstream,
                                       "a password does not belong on the command line, for ps "
                                       "shows it to everybody: --password-file FILE or "
                                       "--password-stdin");
        if (!o)
            return say_unknown_option(argv[optind - 1]);
        given[o - options] = o;
        if (!take_option(a, val, optarg)) {
            fputs("viaduct upstream: out of memory\n", stderr);
            return EXIT_SYSTEM;
        }
    }
    return EXIT_OK;
}

static int check_verb(const struct verb *v, const struct upstream_args *a,
                      const struct upstream_option *const given[ARRAY_LEN(options)])
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (given[i] && given[i]->takes && !(given[i]->takes & v->takes))
            return command_usage_error(&cmd_upstream, "%s takes no --%s", v->name,
                                       given[i]->option.name);
    if (v->words >= 0 && a->words_len != v->words)
        return command_usage_error(
            &cmd_upstream, v->words ? "%s takes one FILE" : "%s takes no argument", v->name);
    return EXIT_OK;
}

static int say_unknown_verb(const char *word)
{
    const char *names[UPSTREAM_COUNT];
    char hint[NEAREST_HINT_MAX];

    for (unsigned i = 0; i < UPSTREAM_COUNT; i++)
        names[i] = verbs[i].name;
    nearest_write_hint(span_of(word), names, UPSTREAM_COUNT, hint);
    return command_usage_error(
        &cmd_upstream, "\"%s\" is none of show, set, enable, disable, test, import and export%s",
        word, hint);
}

int upstream_args_parse(struct upstream_args *a, int argc, char **argv)
{
    const struct upstream_option *given[ARRAY_LEN(options)] = {0};
    unsigned verb = 0;
    int status;

    a->url = UPSTREAM_PROBE_URL;
    status = read_options(a, argc, argv, given);
    if (status != EXIT_OK)
        return status;
    if (optind == argc)
        return command_usage_error(&cmd_upstream,
                                   "say show, set, enable, disable, test, import or export");
    while (verb < UPSTREAM_COUNT && strcmp(verbs[verb].name, argv[optind]) != 0)
        verb++;
    if (verb == UPSTREAM_COUNT)
        return say_unknown_verb(argv[optind]);
    a->verb = (enum upstream_verb)verb;
    a->words = argv + optind + 1;
    a->words_len = argc - optind - 1;
    return check_verb(&verbs[verb], a, given);
}

void upstream_args_fini(struct upstream_args *a)
{
    form_fini(&a->form);
}

#include "cli/account_proxy.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/control.h"
#include "cli/harmless.h"
#include "render/jsonw.h"
#include "render/say.h"

#define NOTICE_MAX (16u << 10)
#define ANSWER_MAX (16u << 20)
#define WAIT_NS (5 * NS_PER_S) /* for the proxy to take a change up */
#define LOOK_MS 20
#define WORD_MAX 512
#define NAME_COLUMNS 20

/* The proxy that works with `file`: its socket, and the file's real path. */
struct proxy {
    char socket[CONTROL_PATH_MAX];
    struct control_instance instance;
};

static enum control_result find(struct proxy *p, const char *file, struct err *err)
{
    enum control_result result;

    control_find(p->socket);
    result = control_learn(p->socket, &p->instance, err);
    if (result == CONTROL_OK && !control_is_same_file(file, p->instance.accounts))
        return CONTROL_NOBODY; /* another's accounts are none of its business */
    return result;
}

/* Asks; NULL with *result and *err: no answer that makes sense. */
static json_t *ask(const struct proxy *p, const struct control_request *r,
                   enum control_result *result, struct err *err)
{
    json_t *root = NULL;
    struct buf answer;

    buf_init(&answer, ANSWER_MAX);
    *result = control_ask(p->socket, r, &answer, err);
    if (*result == CONTROL_OK)
        root = json_loadb(buf_span(&answer).ptr, answer.len, JSON_REJECT_DUPLICATES, NULL);
    if (*result == CONTROL_OK && !json_is_boolean(json_object_get(root, "in_force"))) {
        err_set(err, "the answer at the control socket makes no sense");
        *result = CONTROL_FAILED;
        json_decref(root);
        root = NULL;
    }
    buf_fini(&answer);
    return root;
}

static json_t *ask_accounts(const struct proxy *p, enum control_result *result, struct err *err)
{
    const struct control_request r = {"GET", "/api/v1/accounts", {"", 0}};

    return ask(p, &r, result, err);
}

/* A text, with nothing in it that a terminal would obey. */
static const char *harmless(const json_t *text, char out[WORD_MAX])
{
    const char *in = json_string_value(text);

    return harmless_write(in ? in : "-", out, WORD_MAX);
}

/* ---- after a change */

static enum control_result notice(const struct proxy *p, const char *change, const char *name,
                                  struct err *err)
{
    struct control_request r = {"POST", "/api/v1/account-notices", {"", 0}};
    enum control_result result;
    struct buf body;
    struct pen pen;
    struct jsonw w = {.pen = &pen};

    buf_init(&body, NOTICE_MAX);
    pen_init_draft(&pen, &body);
    jsonw_open(&w, '{');
    jsonw_member_text(&w, "file", p->instance.accounts);
    jsonw_member_text(&w, "change", change);
    jsonw_member_text(&w, "name", name);
    jsonw_close(&w, '}');
    if (pen_end_draft(&pen, &body)) {
        r.body = buf_span(&body);
        json_decref(ask(p, &r, &result, err));
    } else {
        err_set(err, "the name is too long");
        result = CONTROL_FAILED;
    }
    buf_fini(&body);
    return result;
}

/* Digests hold for their realm: where that is not the proxy's, only Basic can log in. */
static void compare_realms(const json_t *root, const char *name)
{
    const json_t *accounts = json_object_get(root, "accounts");
    const char *ours = json_string_value(json_object_get(root, "realm"));

    for (size_t i = 0; ours && i < json_array_size(accounts); i++) {
        const json_t *a = json_array_get(accounts, i);
        const char *realm = json_string_value(json_object_get(a, "realm"));
        const char *its = json_string_value(json_object_get(a, "name"));
        char shown[2][WORD_MAX];

        if (!its || strcmp(its, name) != 0 || !realm || !*realm || strcmp(realm, ours) == 0)
            continue;
        fprintf(
            stderr,
            "viaduct account: its realm is \"%s\", the running proxy's is \"%s\": only Basic can "
            "log in; with -c, the proxy's configuration names the realm\n",
            harmless(json_object_get(a, "realm"), shown[0]),
            harmless(json_object_get(root, "realm"), shown[1]));
    }
}

/* Until the proxy has read the file as it is now, or refused it.  `name`: of the account that was
 * changed. */
static void wait_until_taken(const struct proxy *p, const char *name)
{
    uint64_t until_ns = clock_mono_ns() + WAIT_NS;
    enum control_result result;
    struct err err;
    json_t *root;
    bool taken = false, refused = false;

    do {
        root = ask_accounts(p, &result, &err);
        taken = json_is_true(json_object_get(root, "in_force"));
        refused = json_is_true(json_object_get(root, "refused"));
        if (taken)
            compare_realms(root, name);
        json_decref(root);
        if (!taken && !refused)
            poll(NULL, 0, LOOK_MS);
    } while (result == CONTROL_OK && !taken && !refused && clock_mono_ns() < until_ns);
    if (taken)
        fputs("the running proxy has taken it up\n", stderr);
    else if (result != CONTROL_OK)
        fprintf(stderr, "viaduct account: whether the running proxy takes it up is not known: %s\n",
                err.text);
    else
        fprintf(stderr,
                "viaduct account: the running proxy %s; its log says why, and it goes on with the "
                "accounts of before\n",
                refused ? "refuses the file" : "has not taken it up yet");
}

void account_proxy_tell(const char *file, const char *change, const char *name)
{
    struct proxy p;
    struct err err;
    enum control_result result = find(&p, file, &err);

    if (result == CONTROL_NOBODY)
        return;
    if (result != CONTROL_OK) {
        fprintf(stderr,
                "viaduct account: it is done, but a proxy that runs could not be asked: %s\n",
                err.text);
        return;
    }
    result = notice(&p, change, name, &err);
    if (result == CONTROL_NOBODY)
        return;
    if (result != CONTROL_OK)
        fprintf(stderr, "viaduct account: who did it is not in the proxy's audit log: %s\n",
                err.text);
    wait_until_taken(&p, name);
}

void account_proxy_warn(const char *file)
{
    enum control_result result;
    struct proxy p;
    struct err err;
    json_t *root;

    if (find(&p, file, &err) != CONTROL_OK)
        return;
    root = ask_accounts(&p, &result, &err);
    if (json_is_true(json_object_get(root, "refused")))
        fputs("viaduct account: the running proxy has refused this file, and goes on with the "
              "accounts of before\n",
              stderr);
    json_decref(root);
}

/* ---- the list */

static bool has_word(const void *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (text && strcmp(text, word) == 0)
            return true;
    }
    return false;
}

void account_proxy_print(const char *name, const char *realm, bool disabled,
                         bool (*has)(const void *owner, const char *word), const void *owner)
{
    static const char *const order[] = {"sha-256", "sha-512-256", "md5"};
    size_t columns = say_columns(span_of(name));

    printf("%s%*s realm %s:", name, columns < NAME_COLUMNS ? (int)(NAME_COLUMNS - columns) : 0, "",
           realm);
    for (size_t k = 0; k < ARRAY_LEN(order); k++)
        if (has(owner, order[k]))
            printf(" %s", order[k]);
    printf("%s%s\n", has(owner, "hash") ? " hash (Basic only)" : "", disabled ? " disabled" : "");
}

static void print_account(const json_t *a)
{
    char name[WORD_MAX], realm[WORD_MAX];

    account_proxy_print(
        harmless(json_object_get(a, "name"), name), harmless(json_object_get(a, "realm"), realm),
        json_is_true(json_object_get(a, "disabled")), has_word, json_object_get(a, "algorithms"));
}

bool account_proxy_list(const char *file)
{
    enum control_result result;
    struct proxy p;
    struct err err;
    const json_t *accounts;
    json_t *root;
    bool told;

    result = find(&p, file, &err);
    if (result == CONTROL_DENIED)
        fprintf(stderr, "viaduct account: %s\n", err.text);
    if (result != CONTROL_OK)
        return false;
    root = ask_accounts(&p, &result, &err);
    accounts = json_object_get(root, "accounts");
    for (size_t i = 0; i < json_array_size(accounts); i++)
        print_account(json_array_get(accounts, i));
    told = root != NULL;
    json_decref(root);
    return told;
}

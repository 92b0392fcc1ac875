#include "console/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "base/num.h"
#include "console/audit.h"

#define REPLY_MAX (16u << 20) /* bytes of a body */

const char *request_get_argument(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *request_get_cookie(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_COOKIE_KIND, name);
}

const char *request_get_field(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

bool request_get_number(const struct request *r, const char *name, uint64_t most,
                        uint64_t otherwise, uint64_t *out, struct reply *reply)
{
    const char *text = request_get_argument(r, name);

    *out = otherwise;
    if (!text || !*text)
        return true;
    if (num_parse_u64(span_of(text), most, out))
        return true;
    reply_problem(reply, 400, "bad-argument", name, "%s is a number of at most %llu", name,
                  (unsigned long long)most);
    return false;
}

/* The first of both that a list of languages names, in its order; weights are not looked at, as
 * browsers list by them. */
static const char *language_of(const char *list)
{
    struct span rest = span_of(list);

    while (rest.len) {
        struct span tag = span_trim(span_cut(&rest, ','));

        if (span_begins_nocase(tag, SPAN_LIT("ja")))
            return "ja";
        if (span_begins_nocase(tag, SPAN_LIT("en")))
            return "en";
    }
    return "en";
}

const char *request_get_language(const struct request *r)
{
    const char *chosen = request_get_cookie(r, "language");
    const char *accepted = request_get_field(r, "Accept-Language");

    if (chosen && (strcmp(chosen, "ja") == 0 || strcmp(chosen, "en") == 0))
        return *chosen == 'j' ? "ja" : "en";
    return language_of(accepted);
}

void request_audit(const struct request *r, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    audit_add(console_get_audit(r->console), r->who, fmt, ap);
    va_end(ap);
}

void reply_json_begin(struct reply *reply, struct reply_json *j)
{
    buf_fini(&reply->body);
    buf_init(&reply->body, REPLY_MAX);
    pen_init_draft(&j->pen, &reply->body);
    j->w = (struct jsonw){.pen = &j->pen};
}

void reply_json_end(struct reply *reply, struct reply_json *j)
{
    pen_char(&j->pen, '\n');
    if (!pen_end_draft(&j->pen, &reply->body))
        reply_out_of_memory(reply);
}

void reply_out_of_memory(struct reply *reply)
{
    static const char text[] = "{\"error\":\"out-of-memory\",\"message\":\"out of memory\"}\n";

    buf_fini(&reply->body);
    reply->fixed = (struct span){text, sizeof text - 1};
    reply->status = 503;
}

void reply_problem(struct reply *reply, int status, const char *code, const char *field,
                   const char *fmt, ...)
{
    struct reply_json j;
    char message[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    reply->status = status;
    reply_json_begin(reply, &j);
    jsonw_open(&j.w, '{');
    jsonw_member_text(&j.w, "error", code);
    jsonw_member_text(&j.w, "message", message);
    jsonw_member_text(&j.w, "field", field);
    jsonw_close(&j.w, '}');
    reply_json_end(reply, &j);
}

void reply_done(struct reply *reply)
{
    static const char text[] = "{\"ok\":true}\n";

    reply->fixed = (struct span){text, sizeof text - 1};
}

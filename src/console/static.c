#include "console/static.h"

#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "base/util.h"

#define VERSION_LEN 16 /* hexadecimal digits */

struct asset {
    const char *name, *type, *etag;
    const unsigned char *gzip;
    unsigned gzip_len, plain_len;
};

/* ASSETS_FOLDER and the table assets[]: made by assets.py of the files in assets/. */
#include "assets.inc"

/* The paths of pages: the same document, whose script shows what the path says. */
static const char *const pages[] = {"/",         "/connections", "/history",  "/diagnose",
                                    "/settings", "/access",      "/accounts", "/configuration"};

/* The document in the theme that was chosen in this browser. */
static const char *choose_document(const struct request *r)
{
    const char *theme = request_get_cookie(r, "theme");

    if (theme && strcmp(theme, "light") == 0)
        return "/index.html#light";
    return theme && strcmp(theme, "dark") == 0 ? "/index.html#dark" : "/index.html";
}

/* What stands behind the folder of the assets: of this version, of none, or, asked for by a page
 * that was opened before an update, of another.  Empty: the path is none of theirs. */
static const char *cut_folder(const char *path)
{
    static const char folder[] = "/assets/";
    size_t digits;

    if (strncmp(path, folder, strlen(folder)) != 0)
        return "";
    path += strlen(folder);
    digits = strspn(path, "0123456789abcdef");
    return digits == VERSION_LEN && path[digits] == '/' ? path + digits + 1 : path;
}

static const struct asset *find_named(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(assets); i++)
        if (strcmp(name, assets[i].name) == 0)
            return &assets[i];
    return NULL;
}

static const struct asset *find(const struct request *r)
{
    const char *name = cut_folder(r->path);

    for (unsigned i = 0; i < ARRAY_LEN(pages); i++)
        if (strcmp(r->path, pages[i]) == 0)
            return find_named(choose_document(r));
    return *name != '/' ? find_named(name) : NULL;
}

/* A file of this very version never changes. */
static bool is_lasting(const char *path)
{
    return strncmp(path, ASSETS_FOLDER, strlen(ASSETS_FOLDER)) == 0;
}

bool static_has(const struct request *r)
{
    return find(r) != NULL;
}

/* For the few clients that do not take it compressed. */
static bool unpack(const struct asset *a, struct buf *out)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)a->gzip, .avail_in = a->gzip_len};
    char *room;
    bool ok;

    buf_init(out, a->plain_len + 1);
    room = buf_reserve(out, a->plain_len + 1);
    if (!room || inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return false;
    z.next_out = (unsigned char *)room;
    z.avail_out = a->plain_len + 1;
    ok = inflate(&z, Z_FINISH) == Z_STREAM_END;
    inflateEnd(&z);
    if (ok)
        buf_commit(out, a->plain_len);
    return ok;
}

bool static_find(const struct request *r, struct reply *reply)
{
    const struct asset *a = find(r);
    const char *accepted = request_get_field(r, "Accept-Encoding");
    const char *known = request_get_field(r, "If-None-Match");

    if (!a)
        return false;
    reply->type = a->type;
    reply->etag = a->etag;
    reply->is_lasting = is_lasting(r->path);
    if (known && strstr(known, a->etag)) {
        reply->status = 304;
        return true;
    }
    if (accepted && strstr(accepted, "gzip")) {
        reply->fixed = (struct span){(const char *)a->gzip, a->gzip_len};
        reply->fixed_gzip = true;
    } else if (!unpack(a, &reply->body)) {
        reply_out_of_memory(reply);
    }
    return true;
}

/* Connections are found by an open-addressed index of numbers; the secrets themselves lie in chunks
 * that never move, so that no copy of one is left behind where it grew. */
#include "capture/secrets.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/hash.h"
#include "base/util.h"
#include "capture/conn.h"

#define CONNECTIONS_MAX (1u << 18) /* more are left out; 100 MB at most */
#define LINES_MAX (1u << 20)       /* that had secrets; more are not looked at */
#define CHUNK 512                  /* connections */
#define LINE_MAX_LEN 512           /* bytes; the longest that has a secret is shorter */
#define INDEX_MIN 1024

struct known {
    uint8_t random[32];
    struct secrets_of of;
};

struct secrets {
    struct known *chunks[CONNECTIONS_MAX / CHUNK];
    uint32_t len;       /* connections known */
    uint32_t lines;     /* with secrets, so far */
    uint32_t *index;    /* number + 1; 0: free */
    uint32_t index_cap; /* a power of two, at least twice `len` */
    bool has_logged;    /* a line of a key log came, of use or not */
    bool has_strange;   /* a line that is none of a key log */
    uint32_t line_len;  /* of what is held of a line that is not complete */
    bool line_lost;     /* it is too long: passed over up to its end */
    char line[LINE_MAX_LEN];
};

struct secrets *secrets_new(void)
{
    return calloc(1, sizeof(struct secrets));
}

void secrets_free(struct secrets *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < ARRAY_LEN(s->chunks) && s->chunks[i]; i++) {
        OPENSSL_cleanse(s->chunks[i], CHUNK * sizeof(struct known));
        free(s->chunks[i]);
    }
    free(s->index);
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
}

/* ---- the table */

static struct known *known_at(const struct secrets *s, uint32_t number)
{
    return &s->chunks[number / CHUNK][number % CHUNK];
}

/* The place in the index where this random is, or would be. */
static uint32_t *find_place(const struct secrets *s, const uint8_t random[32])
{
    uint32_t mask = s->index_cap - 1, at = (uint32_t)hash_bytes(random, 32) & mask;

    while (s->index[at] && memcmp(known_at(s, s->index[at] - 1)->random, random, 32) != 0)
        at = (at + 1) & mask;
    return &s->index[at];
}

/* Keeps the index at most half full.  False: out of memory, and it is as it was. */
static bool grow_index(struct secrets *s)
{
    uint32_t cap = s->index_cap ? s->index_cap * 2 : INDEX_MIN, *old = s->index;

    if (s->index_cap > s->len * 2)
        return true;
    s->index = calloc(cap, sizeof *s->index);
    if (!s->index) {
        s->index = old;
        return false;
    }
    s->index_cap = cap;
    for (uint32_t i = 0; i < s->len; i++)
        *find_place(s, known_at(s, i)->random) = i + 1;
    free(old);
    return true;
}

/* The entry of this random, made where there is none; NULL: no room for it. */
static struct known *get_known(struct secrets *s, const uint8_t random[32])
{
    struct known **chunk;
    uint32_t *place;

    if (!grow_index(s))
        return NULL;
    place = find_place(s, random);
    if (*place)
        return known_at(s, *place - 1);
    if (s->len == CONNECTIONS_MAX)
        return NULL;
    chunk = &s->chunks[s->len / CHUNK];
    if (!*chunk && !(*chunk = calloc(CHUNK, sizeof **chunk)))
        return NULL;
    *place = ++s->len;
    memcpy(known_at(s, s->len - 1)->random, random, 32);
    return known_at(s, s->len - 1);
}

/* ---- lines */

/* Where a label's secret goes, NULL for those that nothing here needs. */
static struct secret *find_secret(struct secrets_of *of, struct span label)
{
    const struct {
        struct span label;
        struct secret *secret;
    } labels[] = {
        {SPAN_LIT("CLIENT_RANDOM"), &of->master},
        {SPAN_LIT("CLIENT_HANDSHAKE_TRAFFIC_SECRET"), &of->handshake[UP]},
        {SPAN_LIT("SERVER_HANDSHAKE_TRAFFIC_SECRET"), &of->handshake[DOWN]},
        {SPAN_LIT("CLIENT_TRAFFIC_SECRET_0"), &of->traffic[UP]},
        {SPAN_LIT("SERVER_TRAFFIC_SECRET_0"), &of->traffic[DOWN]},
    };

    for (size_t i = 0; i < ARRAY_LEN(labels); i++)
        if (span_equal(labels[i].label, label))
            return labels[i].secret;
    return NULL;
}

/* "LABEL <random> <secret>", all hex; whatever else it is, it is left.  The newest line counts. */
static void add_line(struct secrets *s, struct span line)
{
    struct span label, random_hex, hex;
    struct secrets_of unused;
    uint8_t random[32];
    struct secret fresh = {.len = 0}, *place;
    struct known *known;

    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    line = span_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return;
    label = span_cut(&line, ' ');
    random_hex = span_cut(&line, ' ');
    hex = line;
    if (random_hex.len == 2 * sizeof random && hex.len > 0)
        s->has_logged = true;
    else
        s->has_strange = true;
    if (s->lines == LINES_MAX || !find_secret(&unused, label) || (hex.len != 64 && hex.len != 96) ||
        (span_equal(label, SPAN_LIT("CLIENT_RANDOM")) && hex.len != 96))
        return;
    if (!digest_parse_hex(random_hex, random, sizeof random) ||
        !digest_parse_hex(hex, fresh.bytes, hex.len / 2))
        return;
    fresh.len = (uint8_t)(hex.len / 2);
    known = get_known(s, random);
    if (known) {
        place = find_secret(&known->of, label);
        *place = fresh;
        s->lines++;
    }
    OPENSSL_cleanse(&fresh, sizeof fresh);
}

/* Puts the front of a line to what is held of it. */
static void hold(struct secrets *s, struct span part)
{
    if (part.len > sizeof s->line - s->line_len)
        s->line_lost = true;
    if (s->line_lost || part.len == 0)
        return;
    memcpy(s->line + s->line_len, part.ptr, part.len);
    s->line_len += (uint32_t)part.len;
}

void secrets_add(struct secrets *s, struct span lines)
{
    while (lines.len > 0) {
        long end = span_find(lines, '\n');
        struct span part = {lines.ptr, end < 0 ? lines.len : (size_t)end};

        hold(s, part);
        if (end < 0)
            return;
        if (s->line_lost)
            s->has_strange = true;
        else
            add_line(s, (struct span){s->line, s->line_len});
        s->line_len = 0;
        s->line_lost = false;
        lines.ptr += end + 1;
        lines.len -= (size_t)end + 1;
    }
}

bool secrets_load(struct secrets *s, const char *path, struct err *err)
{
    char piece[4096];
    size_t n;
    bool ok = true;
    FILE *f = fopen(path, "re");

    if (!f) {
        err_set(err, "cannot open %s: %s", path, strerror(errno));
        return false;
    }
    setvbuf(f, NULL, _IONBF, 0); /* no copy in a buffer that is not ours to wipe */
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        secrets_add(s, (struct span){piece, n});
    if (ferror(f)) {
        err_set(err, "cannot read %s: %s", path, strerror(errno));
        ok = false;
    }
    secrets_add(s, SPAN_LIT("\n"));
    if (ok && s->has_strange && !s->has_logged) {
        err_set(err, "%s: no line of it is \"LABEL RANDOM SECRET\", as a key log has them", path);
        ok = false;
    }
    OPENSSL_cleanse(piece, sizeof piece);
    fclose(f);
    return ok;
}

const struct secrets_of *secrets_find(const struct secrets *s, const uint8_t client_random[32])
{
    uint32_t number = s->index ? *find_place(s, client_random) : 0;

    return number ? &known_at(s, number - 1)->of : NULL;
}

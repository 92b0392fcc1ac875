/* Tried from the top: what is longer and rarer stands before what is short.  Bytes that any
 * protocol may begin with (a length, a number) are held to more than the first one. */
#include "flow/greeting.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/digest.h"
#include "base/util.h"

#define LINE_MAX_SHOWN 80
#define BYTES_SHOWN 8

typedef bool (*test_fn)(struct span first);

static uint8_t byte_at(struct span s, size_t at)
{
    return at < s.len ? (uint8_t)s.ptr[at] : 0;
}

static bool begins(struct span s, struct span with)
{
    return s.len >= with.len && memcmp(s.ptr, with.ptr, with.len) == 0;
}

static bool has(struct span s, const char *word)
{
    return memmem(s.ptr, s.len, word, strlen(word)) != NULL;
}

static struct span first_line(struct span s)
{
    size_t n = 0;

    while (n < s.len && n < LINE_MAX_SHOWN && s.ptr[n] != '\r' && s.ptr[n] != '\n' && s.ptr[n])
        n++;
    return (struct span){s.ptr, n};
}

static bool is_smtp(struct span s)
{
    struct span line = first_line(s);

    return (begins(s, SPAN_LIT("220 ")) || begins(s, SPAN_LIT("220-")) ||
            begins(s, SPAN_LIT("554 "))) &&
           (has(line, "SMTP") || has(line, "smtp") || has(line, "mail") || has(line, "Mail"));
}

static bool is_ftp(struct span s)
{
    struct span line = first_line(s);

    return (begins(s, SPAN_LIT("220 ")) || begins(s, SPAN_LIT("220-"))) &&
           (has(line, "FTP") || has(line, "ftp"));
}

static bool is_service(struct span s)
{
    return begins(s, SPAN_LIT("220 ")) || begins(s, SPAN_LIT("220-"));
}

/* A record of a server: an alert, or a handshake whose first message is a ServerHello. */
static bool is_tls_alert(struct span s)
{
    return byte_at(s, 0) == 21 && byte_at(s, 1) == 3 && s.len >= 3 && byte_at(s, 2) <= 4;
}

static bool is_tls_hello(struct span s)
{
    return byte_at(s, 0) == 22 && byte_at(s, 1) == 3 && byte_at(s, 2) <= 4 && byte_at(s, 5) == 2;
}

/* A frame's header: three bytes of length, type SETTINGS or GOAWAY, flags, stream 0. */
static bool is_http2(struct span s)
{
    return s.len >= 9 && byte_at(s, 0) == 0 && (byte_at(s, 3) == 4 || byte_at(s, 3) == 7) &&
           byte_at(s, 5) == 0 && byte_at(s, 6) == 0 && byte_at(s, 7) == 0 && byte_at(s, 8) == 0 &&
           byte_at(s, 4) <= 1;
}

static bool is_socks5(struct span s)
{
    return s.len == 2 && byte_at(s, 0) == 5 && (byte_at(s, 1) <= 2 || byte_at(s, 1) == 0xff);
}

static bool is_socks4(struct span s)
{
    return s.len == 8 && byte_at(s, 0) == 0 && byte_at(s, 1) >= 90 && byte_at(s, 1) <= 93;
}

/* A handshake of protocol 10 with its version's text, or an error packet (0xff). */
static bool is_mysql(struct span s)
{
    size_t len = byte_at(s, 0) | (size_t)byte_at(s, 1) << 8;

    return s.len > 5 && len > 0 && byte_at(s, 2) == 0 && byte_at(s, 3) <= 1 && len + 4 >= s.len &&
           ((byte_at(s, 4) == 10 && byte_at(s, 5) >= '3' && byte_at(s, 5) <= '9') ||
            byte_at(s, 4) == 0xff);
}

static bool is_telnet(struct span s)
{
    return s.len >= 3 && byte_at(s, 0) == 0xff && byte_at(s, 1) >= 251 && byte_at(s, 1) <= 254;
}

static bool is_old_http(struct span s)
{
    size_t at = 0;

    while (at < s.len && (s.ptr[at] == ' ' || s.ptr[at] == '\r' || s.ptr[at] == '\n'))
        at++;
    s = (struct span){s.ptr + at, s.len - at};
    return s.len >= 5 && *s.ptr == '<' &&
           (strncasecmp(s.ptr, "<html", 5) == 0 ||
            (s.len >= 9 && strncasecmp(s.ptr, "<!doctype", 9) == 0));
}

/* Who is known by a test, or by a text that it begins with; its first line is told where it has
 * one. */
static const struct {
    const char *name;
    struct span begin;
    test_fn test;
    bool has_line;
} protocols[] = {
    {"something whose HTTP is malformed", SPAN_INIT("HTTP/"), NULL, true},
    {"an SSH server", SPAN_INIT("SSH-"), NULL, true},
    {"a mail (SMTP) server", {NULL, 0}, is_smtp, true},
    {"an FTP server", {NULL, 0}, is_ftp, true},
    {"an FTP or mail server", {NULL, 0}, is_service, true},
    {"a mail (POP3) server", SPAN_INIT("+OK"), NULL, true},
    {"a Redis server", SPAN_INIT("-ERR"), NULL, true},
    {"a Redis server", SPAN_INIT("-DENIED"), NULL, true},
    {"a mail (IMAP) server", SPAN_INIT("* OK"), NULL, true},
    {"a mail (IMAP) server", SPAN_INIT("* PREAUTH"), NULL, true},
    {"a mail (IMAP) server", SPAN_INIT("* BYE"), NULL, true},
    {"a VNC server", SPAN_INIT("RFB 00"), NULL, true},
    {"an RTSP server", SPAN_INIT("RTSP/"), NULL, true},
    {"a SIP server", SPAN_INIT("SIP/2.0"), NULL, true},
    {"a streaming (ICY) server", SPAN_INIT("ICY "), NULL, true},
    {"an HTTP/2 peer", SPAN_INIT("PRI * HTTP/2"), NULL, false},
    {"a web server without HTTP/1", {NULL, 0}, is_old_http, false},
    {"a TLS server (it answered with an alert: this port wants https)",
     {NULL, 0},
     is_tls_alert,
     false},
    {"a TLS server (it answered with a ServerHello)", {NULL, 0}, is_tls_hello, false},
    {"an HTTP/2 server", {NULL, 0}, is_http2, false},
    {"a SOCKS5 proxy", {NULL, 0}, is_socks5, false},
    {"a SOCKS4 proxy", {NULL, 0}, is_socks4, false},
    {"a MySQL server", {NULL, 0}, is_mysql, false},
    {"a Telnet server", {NULL, 0}, is_telnet, false},
};

static bool is_text(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < ' ' || s.ptr[i] > '~')
            return false;
    return s.len > 0;
}

/* A line of words as it came; else some of the bytes in hex. */
static int write_unknown(struct span first, char out[GREETING_MAX])
{
    struct span line = first_line(first);
    char hex[BYTES_SHOWN * 2 + 1];
    size_t n = first.len < BYTES_SHOWN ? first.len : BYTES_SHOWN;

    if (n == 0)
        return snprintf(out, GREETING_MAX, "nothing at all");
    if (is_text(line))
        return snprintf(out, GREETING_MAX, "something that is not HTTP (it begins with \"%.*s\")",
                        (int)line.len, line.ptr);
    digest_write_hex(first.ptr, n, hex);
    hex[2 * n] = '\0';
    return snprintf(out, GREETING_MAX, "something that is not HTTP (its first bytes: %s)", hex);
}

size_t greeting_write(struct span first, char out[GREETING_MAX])
{
    struct span line = first_line(first);
    int n = -1;

    for (size_t i = 0; i < ARRAY_LEN(protocols) && n < 0; i++) {
        if (protocols[i].test ? !protocols[i].test(first) : !begins(first, protocols[i].begin))
            continue;
        n = protocols[i].has_line ? snprintf(out, GREETING_MAX, "%s (%.*s)", protocols[i].name,
                                             (int)line.len, line.ptr)
                                  : snprintf(out, GREETING_MAX, "%s", protocols[i].name);
    }
    if (n < 0)
        n = write_unknown(first, out);
    return (size_t)n < GREETING_MAX ? (size_t)n : GREETING_MAX - 1;
}

#include "flow/greeting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

#define BYTES(literal) SPAN_INIT(literal)

static void names_the_protocol(void **state)
{
    static const struct {
        struct span first;
        const char *want;
    } cases[] = {
        {BYTES("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
         "an SSH server (SSH-2.0-OpenSSH_9.2p1 Debian-2)"},
        {BYTES("220 mx.test ESMTP Postfix\r\n"),
         "a mail (SMTP) server (220 mx.test ESMTP Postfix)"},
        {BYTES("220 (vsFTPd 3.0.3)\r\n"), "an FTP server (220 (vsFTPd 3.0.3))"},
        {BYTES("220 ready\r\n"), "an FTP or mail server (220 ready)"},
        {BYTES("+OK Dovecot ready.\r\n"), "a mail (POP3) server (+OK Dovecot ready.)"},
        {BYTES("* OK [CAPABILITY IMAP4rev1] ready\r\n"),
         "a mail (IMAP) server (* OK [CAPABILITY IMAP4rev1] ready)"},
        {BYTES("-ERR unknown command\r\n"), "a Redis server (-ERR unknown command)"},
        {BYTES("RFB 003.008\n"), "a VNC server (RFB 003.008)"},
        {BYTES("\x15\x03\x01\x00\x02\x02\x46"),
         "a TLS server (it answered with an alert: this port wants https)"},
        {BYTES("\x16\x03\x03\x00\x5a\x02\x00"), "a TLS server (it answered with a ServerHello)"},
        {BYTES("\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03"), "an HTTP/2 server"},
        {BYTES("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00"), "an HTTP/2 server"},
        {BYTES("\x05\xff"), "a SOCKS5 proxy"},
        {BYTES("\x00\x5b\x00\x00\x00\x00\x00\x00"), "a SOCKS4 proxy"},
        {BYTES("\x4a\x00\x00\x00\x0a"
               "8.0.36\x00\x01"),
         "a MySQL server"},
        {BYTES("\xff\xfd\x18\xff\xfd\x20"), "a Telnet server"},
        {BYTES("<!DOCTYPE html>\n"), "a web server without HTTP/1"},
        {BYTES(""), "nothing at all"},
        {BYTES("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09"),
         "something that is not HTTP (its first bytes: 0001020304050607)"},
        {BYTES("\x05"), "something that is not HTTP (its first bytes: 05)"},
        {BYTES("HTTP/1.1 OK\r\n"), "something whose HTTP is malformed (HTTP/1.1 OK)"},
        {BYTES("2200 is a number"),
         "something that is not HTTP (it begins with \"2200 is a number\")"},
        {BYTES("\x1b[2J owned\r\n"),
         "something that is not HTTP (its first bytes: 1b5b324a206f776e)"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char got[GREETING_MAX];

        size_t len = greeting_write(cases[i].first, got);

        assert_int_equal(len, strlen(got));
        if (strcmp(got, cases[i].want) != 0)
            fail_msg("\"%s\", not \"%s\"", got, cases[i].want);
    }
}

static void a_long_line_is_cut(void **state)
{
    char first[4000], got[GREETING_MAX];

    (void)state;
    memset(first, 'x', sizeof first);
    memcpy(first, "SSH-", 4);
    assert_true(greeting_write((struct span){first, sizeof first}, got) < 100);
    assert_memory_equal(got, "an SSH server (SSH-xxx", 22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_protocol),
        cmocka_unit_test(a_long_line_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

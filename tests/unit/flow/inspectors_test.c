#include "flow/inspectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"

static void names_the_product(void **state)
{
    static const struct {
        const char *issuer, *want; /* NULL: none */
    } cases[] = {
        {"C=US, ST=California, O=Zscaler Inc., CN=Zscaler Intermediate Root CA (zscaler.net) (t)",
         "Zscaler"},
        {"CN=ca.acme.goskope.com, O=Acme", "Netskope"},
        {"O=Fortinet, CN=FGT70GTK24001265", "FortiGate (Fortinet)"},
        {"CN=Cisco Umbrella Secondary SubCA ams-SG, O=Cisco", "Cisco Umbrella"},
        {"CN=Forcepoint Cloud CA, O=Forcepoint LLC", "Forcepoint"},
        {"CN=Gateway CA - Cloudflare Managed G2", "Cloudflare Gateway"},
        {"CN=Kaspersky Anti-Virus Personal Root Certificate, O=AO Kaspersky Lab", "Kaspersky"},
        {"CN=Avast Web/Mail Shield Root, O=Avast Web/Mail Shield", "Avast"},
        {"CN=ESET SSL Filter CA, O=ESET, spol. s r. o.", "ESET"},
        {"CN=mitmproxy, O=mitmproxy", "mitmproxy"},
        {"CN=PortSwigger CA, O=PortSwigger", "Burp Suite (PortSwigger)"},
        {"CN=DO_NOT_TRUST_FiddlerRoot, O=DO_NOT_TRUST", "Fiddler"},
        {"CN=Charles Proxy CA (1 Jan 2026, host), O=XK72 Ltd", "Charles"},
        {"CN=ISRG Root X1, O=Internet Security Research Group", NULL},
        {"CN=DigiCert Global Root G2, O=DigiCert Inc", NULL},
        {"CN=Symantec Class 3 EV SSL CA - G3, O=Symantec Corporation", NULL},
        {"CN=Cisco XSSL-R2, O=Cisco Systems", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *got = inspectors_find(span_of(cases[i].issuer));

        if (!cases[i].want)
            assert_null(got);
        else
            assert_string_equal(got ? got : "none", cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_product),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

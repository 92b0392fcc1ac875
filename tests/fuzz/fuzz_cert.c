/* Certificates: texts that end, as many names as are counted, and the same whatever host is asked.
 */
#include <assert.h>
#include <string.h>

#include "fuzz.h"
#include "wire/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span der = {(const char *)data, size};
    struct cert a, b;
    bool ok = cert_read(der, "a.test", &a);

    assert(cert_read(der, "192.0.2.1", &b) == ok);
    a.is_for_host = b.is_for_host = false;
    assert(memcmp(a.fingerprint, b.fingerprint, sizeof a.fingerprint) == 0);
    assert(strcmp(a.subject, b.subject) == 0 && strcmp(a.names, b.names) == 0);
    assert(strlen(a.subject) < CERT_TEXT_MAX && strlen(a.issuer) < CERT_TEXT_MAX);
    assert(strlen(a.names) < CERT_NAMES_MAX && a.names_shown <= a.names_len);
    if (!ok)
        assert(a.names_len == 0 && !a.self_signed && *a.subject == '\0');
    return 0;
}

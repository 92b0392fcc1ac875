#include "flow/inspectors.h"

#include "base/util.h"

#define ISSUER_MAX 1024 /* bytes that are looked at */

/* A part of the issuer's text, in lower case.  Bare names of makers that have, or had, a public CA
 * of their own (Symantec, Trend Micro, Comodo) are left out. */
static const struct {
    struct span part;
    const char *product;
} inspectors[] = {
    {SPAN_INIT("zscaler"), "Zscaler"},
    {SPAN_INIT("netskope"), "Netskope"},
    {SPAN_INIT("goskope"), "Netskope"},
    {SPAN_INIT("blue coat"), "Blue Coat ProxySG (Symantec)"},
    {SPAN_INIT("bluecoat"), "Blue Coat ProxySG (Symantec)"},
    {SPAN_INIT("proxysg"), "Blue Coat ProxySG (Symantec)"},
    {SPAN_INIT("symantec web security"), "Symantec Web Security Service"},
    {SPAN_INIT("cloud services ca, o=symantec"), "Symantec Web Security Service"},
    {SPAN_INIT("fortigate"), "FortiGate (Fortinet)"},
    {SPAN_INIT("fortinet"), "FortiGate (Fortinet)"},
    {SPAN_INIT("palo alto networks"), "Palo Alto Networks firewall"},
    {SPAN_INIT("globalprotect"), "Palo Alto Networks firewall"},
    {SPAN_INIT("prisma access"), "Palo Alto Prisma Access"},
    {SPAN_INIT("cisco umbrella"), "Cisco Umbrella"},
    {SPAN_INIT("opendns"), "Cisco Umbrella"},
    {SPAN_INIT("ironport"), "Cisco Secure Web Appliance"},
    {SPAN_INIT("cisco-wsa"), "Cisco Secure Web Appliance"},
    {SPAN_INIT("cisco wsa"), "Cisco Secure Web Appliance"},
    {SPAN_INIT("cisco web security"), "Cisco Secure Web Appliance"},
    {SPAN_INIT("sophos"), "Sophos"},
    {SPAN_INIT("mcafee web gateway"), "McAfee Web Gateway (Skyhigh)"},
    {SPAN_INIT("skyhigh"), "Skyhigh Secure Web Gateway"},
    {SPAN_INIT("check point"), "Check Point"},
    {SPAN_INIT("checkpoint"), "Check Point"},
    {SPAN_INIT("forcepoint"), "Forcepoint"},
    {SPAN_INIT("websense"), "Forcepoint (Websense)"},
    {SPAN_INIT("barracuda"), "Barracuda"},
    {SPAN_INIT("sonicwall"), "SonicWall"},
    {SPAN_INIT("watchguard"), "WatchGuard"},
    {SPAN_INIT("fireware web ca"), "WatchGuard"},
    {SPAN_INIT("iboss"), "iboss"},
    {SPAN_INIT("menlo security"), "Menlo Security"},
    {SPAN_INIT("cloudflare gateway"), "Cloudflare Gateway"},
    {SPAN_INIT("gateway ca - cloudflare"), "Cloudflare Gateway"},
    {SPAN_INIT("cato networks"), "Cato Networks"},
    {SPAN_INIT("smoothwall"), "Smoothwall"},
    {SPAN_INIT("lightspeed"), "Lightspeed Systems"},
    {SPAN_INIT("untangle"), "Untangle"},
    {SPAN_INIT("kerio"), "Kerio Control"},
    {SPAN_INIT("olfeo"), "Olfeo"},
    {SPAN_INIT("kaspersky"), "Kaspersky"},
    {SPAN_INIT("avast"), "Avast"},
    {SPAN_INIT("avg web/mail shield"), "AVG"},
    {SPAN_INIT("norton web/mail shield"), "Norton"},
    {SPAN_INIT("eset ssl filter"), "ESET"},
    {SPAN_INIT("bitdefender"), "Bitdefender"},
    {SPAN_INIT("dr.web"), "Dr.Web"},
    {SPAN_INIT("doctor web"), "Dr.Web"},
    {SPAN_INIT("adguard"), "AdGuard"},
    {SPAN_INIT("squid"), "squid (ssl-bump)"},
    {SPAN_INIT("mitmproxy"), "mitmproxy"},
    {SPAN_INIT("portswigger"), "Burp Suite (PortSwigger)"},
    {SPAN_INIT("charles proxy"), "Charles"},
    {SPAN_INIT("do_not_trust_fiddler"), "Fiddler"},
    {SPAN_INIT("fiddlerroot"), "Fiddler"},
    {SPAN_INIT("owasp zap"), "OWASP ZAP"},
    {SPAN_INIT("zed attack proxy"), "OWASP ZAP"},
    {SPAN_INIT("proxyman"), "Proxyman"},
};

static bool contains(struct span text, struct span part)
{
    for (size_t at = 0; at + part.len <= text.len; at++)
        if (span_lower(text.ptr[at]) == *part.ptr &&
            span_equal_nocase((struct span){text.ptr + at, part.len}, part))
            return true;
    return false;
}

const char *inspectors_find(struct span issuer)
{
    struct span text = {issuer.ptr, issuer.len < ISSUER_MAX ? issuer.len : ISSUER_MAX};

    for (size_t i = 0; i < ARRAY_LEN(inspectors); i++)
        if (contains(text, inspectors[i].part))
            return inspectors[i].product;
    return NULL;
}

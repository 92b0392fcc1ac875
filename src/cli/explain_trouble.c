#include "cli/explain_trouble.h"

#include "base/util.h"
#include "flow/words.h"
#include "render/escape.h"
#include "render/human.h"
#include "render/say.h"

#define PROXIES_MAX 3 /* that a filter names */

static void begin(struct pen *p)
{
    pen_text(p, "viaduct explain: ");
    pen_text(p, words_local(N_("warning: ")));
}

static void write_count(struct pen *p, const char *msgid, uint64_t n)
{
    char number[SAY_NUMBER_MAX];

    if (!n)
        return;
    begin(p);
    say_words(p, escape_text, msgid, say_number(number, n), NULL);
    pen_char(p, '\n');
}

static void write_cut(struct pen *p, const struct capture_seen *seen)
{
    char cut[SAY_NUMBER_MAX], packets[SAY_NUMBER_MAX], len[SAY_NUMBER_MAX];

    if (!seen->cut || seen->is_text)
        return;
    begin(p);
    say_words(p, escape_text,
              N_("packets of which the capture has only the first bytes: {1} of {2}, snaplen {3}; "
                 "names, heads and TLS behind them cannot be read"),
              say_number(cut, seen->cut), say_number(packets, seen->packets),
              say_number(len, seen->snaplen), NULL);
    pen_char(p, '\n');
}

static void write_line(struct pen *p, const char *text)
{
    begin(p);
    escape_text(p, span_of(text));
    pen_char(p, '\n');
}

static void write_reading(struct pen *p, const struct explain_trouble *t)
{
    const struct capture_seen *seen = t->seen;

    if (t->trouble && *t->trouble)
        write_line(p, t->trouble);
    else if (seen->truncated)
        write_line(p,
                   words_local(N_("a file ends in the middle of a packet; it was read that far")));
    write_cut(p, seen);
    write_count(p, N_("packets dropped while the capture was taken: {1}"), seen->dropped);
    if (!seen->is_text)
        write_count(p,
                    N_("packets that contradict themselves, or are of an unknown link type: {1}"),
                    seen->bad);
    write_count(p, N_("times that the capture's clock ran back: {1}"), seen->back_steps);
    write_count(
        p,
        N_("attempts to connect without any answer that were only counted, too many at once: {1}"),
        t->counts->half_open_lost);
    write_count(p, N_("flows ended before their time, too many at once: {1}"), t->counts->evicted);
    if (!seen->tcp && !t->keep->flows)
        write_line(p, words_local(N_("there is no TCP connection in what was read")));
}

/* ---- the next capture */

static bool is_known(const struct flow *const *proxies, unsigned len, const struct flow *f)
{
    for (unsigned i = 0; i < len; i++)
        if (proxies[i]->proxy.port == f->proxy.port &&
            addr_is_equal(&proxies[i]->proxy.addr, &f->proxy.addr))
            return true;
    return false;
}

/* The proxies of the flows that were kept, or 0 where a filter of them would be too long, or leave
 * flows out that go direct. */
static unsigned find_proxies(const struct explain_keep *k, const struct flow *out[PROXIES_MAX])
{
    unsigned n = 0;

    for (unsigned i = 0; i < k->len; i++) {
        const struct flow *f = &k->items[i]->flow;

        if (!f->proxy.addr.family)
            return 0;
        if (is_known(out, n, f))
            continue;
        if (n == PROXIES_MAX)
            return 0;
        out[n++] = f;
    }
    return n;
}

/* "host 10.10.10.1 and tcp port 80"; an address that is known by name only: the port. */
static void write_filter(struct pen *p, const struct flow *f)
{
    const struct addr *a = &f->proxy.addr;
    char text[ENDPOINT_TEXT_MAX];

    pen_char(p, '(');
    if (a->family != ADDR_NAMED) {
        pen_text(p, "host ");
        pen_bytes(p, text, addr_write(a, text));
        pen_text(p, " and ");
    }
    pen_text(p, "tcp port ");
    pen_u64(p, f->proxy.port);
    pen_char(p, ')');
}

static void write_command(struct pen *p, const struct explain_trouble *t)
{
    const struct flow *proxies[PROXIES_MAX];
    unsigned n = find_proxies(t->keep, proxies);

    pen_text(p, "viaduct explain: ");
    pen_text(p, words_local(N_("a capture that shows more: ")));
    pen_text(p, "tcpdump -i ");
    escape_text(p, span_of(t->interface ? t->interface : "any"));
    pen_text(p, " -s 0 ");
    pen_text(p, t->seen->dropped ? "-B 65536 " : "");
    pen_text(p, "-w capture.pcap '");
    for (unsigned i = 0; i < n; i++) {
        write_filter(p, proxies[i]);
        pen_text(p, " or ");
    }
    pen_text(p, n ? "icmp or icmp6'\n" : "tcp or icmp or icmp6'\n");
}

bool explain_trouble_write(struct buf *out, const struct explain_trouble *t)
{
    struct pen p;

    pen_init_draft(&p, out);
    write_reading(&p, t);
    if ((t->seen->cut && !t->seen->is_text) || t->seen->dropped || t->keep->incomplete)
        write_command(&p, t);
    return pen_end_draft(&p, out);
}

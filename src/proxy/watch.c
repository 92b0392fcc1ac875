#include "proxy/watch.h"

#include <stdlib.h>

enum { RECORD_CIPHER_CHANGE = 20, RECORD_ALERT = 21, RECORD_DATA = 23, ALERT_CLOSE_NOTIFY = 0 };

/* An encrypted TLS 1.3 alert: two bytes, the inner type, and the tag of every common cipher. */
#define ALERT_13_LEN 19

struct watch *watch_new(void)
{
    struct watch *w = calloc(1, sizeof *w);

    if (w) {
        w->hello_up.max = TLSREC_HELLO_MAX;
        w->hello_down.max = TLSREC_HELLO_MAX;
    }
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    buf_fini(&w->hello_up);
    buf_fini(&w->hello_down);
    free(w);
}

static struct flow_tls *tls_of(struct flow *f)
{
    if (!f->tls)
        f->tls = calloc(1, sizeof *f->tls);
    return f->tls;
}

void watch_take_client_hello(struct flow *f, const struct tls_hello *h)
{
    struct flow_tls *t = tls_of(f);

    if (!t)
        return;
    if (h->sni.len)
        flow_set_span(&t->sni, h->sni);
    flow_set_text(&t->version, tlsrec_version_name(h->version));
}

static void take_server_hello(struct flow *f, const struct tls_hello *h)
{
    struct flow_tls *t = tls_of(f);

    if (!t)
        return;
    flow_set_text(&t->version, tlsrec_version_name(h->version));
    flow_set_text(&t->cipher, tlsrec_cipher_name(h->cipher));
    if (h->alpn.len)
        flow_set_span(&t->alpn, h->alpn);
}

/* Parses a hello out of `bytes` behind what was kept of it; keeps them while it is not whole. */
static enum parse collect(struct buf *kept, struct span bytes, struct tls_hello *h,
                          enum parse (*parse)(struct span, struct tls_hello *))
{
    struct span whole = bytes;
    enum parse parsed;

    if (kept->len > 0) {
        size_t room = kept->max - kept->len;

        if (!buf_append(kept, bytes.ptr, bytes.len < room ? bytes.len : room))
            return PARSE_BAD;
        whole = buf_span(kept);
    }
    parsed = parse(whole, h);
    if (parsed == PARSE_MORE && kept->len == 0 && !buf_append(kept, bytes.ptr, bytes.len))
        return PARSE_BAD;
    return parsed;
}

static void give_up(struct watch *w)
{
    w->decided = true;
    w->is_tls = false;
}

static enum stream_frame frame_of(const struct watch *w, const struct tlsrec *t, bool up)
{
    if (t->lost)
        return STREAM_FRAME_UNKNOWN;
    if (!tlsrec_is_boundary(t))
        return STREAM_FRAME_INSIDE;
    if (t->last_type == RECORD_ALERT) {
        if (t->alert_have == 2 && t->alert[1] != ALERT_CLOSE_NOTIFY)
            return STREAM_FRAME_ALERT;
        return STREAM_FRAME_CLOSED;
    }
    if (w->is_13 && t->last_type == RECORD_DATA && t->last_len == ALERT_13_LEN)
        return up && t->data_records == 1 ? STREAM_FRAME_ALERT : STREAM_FRAME_CLOSED;
    return STREAM_FRAME_BOUNDARY;
}

/* Whether the client went on after the target's hello.  An alert in place of its Finished is the
 * handshake's end, not what follows it; the empty cipher change of TLS 1.3 may stand before
 * either. */
static bool has_gone_on(const struct watch *w)
{
    const struct tlsrec *t = &w->up;

    if (!w->hello_target || t->lost)
        return w->hello_target;
    if (t->last_type == RECORD_CIPHER_CHANGE)
        return false;
    if (tlsrec_is_boundary(t))
        return frame_of(w, t, true) != STREAM_FRAME_ALERT;
    return t->left > 0 && t->last_type != RECORD_ALERT && t->last_len != ALERT_13_LEN;
}

void watch_see_up(struct watch *w, struct span bytes, struct flow *f)
{
    struct tls_hello h;

    if (w->decided && !w->is_tls)
        return;
    if (!w->hello_client) {
        switch (collect(&w->hello_up, bytes, &h, tlsrec_parse_client_hello)) {
        case PARSE_OK:
            w->hello_client = w->decided = w->is_tls = true;
            watch_take_client_hello(f, &h);
            buf_fini(&w->hello_up);
            break;
        case PARSE_MORE:
            w->decided = w->is_tls = true;
            break;
        case PARSE_BAD:
            give_up(w);
            return;
        }
    }
    tlsrec_follow(&w->up, bytes);
    w->through = w->through || has_gone_on(w);
}

void watch_see_down(struct watch *w, struct span bytes, struct flow *f)
{
    struct tls_hello h;

    if (!w->decided || !w->is_tls) {
        give_up(w); /* the target speaks first: not TLS */
        return;
    }
    tlsrec_follow(&w->down, bytes);
    if (w->hello_target || w->down.lost)
        return;
    if (collect(&w->hello_down, bytes, &h, tlsrec_parse_server_hello) != PARSE_OK)
        return; /* an alert, or not whole yet */
    take_server_hello(f, &h);
    buf_fini(&w->hello_down);
    if (h.hello_retry)
        return; /* another ClientHello and ServerHello follow; what they say is the same */
    w->hello_target = true;
    w->is_13 = h.version >= 0x0304;
}

void watch_gather(const struct watch *w, struct symptoms *y)
{
    const struct tlsrec *plain = NULL;

    y->is_tls = w->is_tls;
    if (!w->is_tls)
        return;
    y->hello_client = w->hello_client;
    y->hello_target = w->hello_target;
    y->frame_up = frame_of(w, &w->up, true);
    y->frame_down = frame_of(w, &w->down, false);
    if (y->frame_up == STREAM_FRAME_ALERT && w->up.last_type == RECORD_ALERT)
        plain = &w->up;
    if (y->frame_down == STREAM_FRAME_ALERT && w->down.last_type == RECORD_ALERT)
        plain = &w->down;
    if (plain) {
        y->alert_is_plain = true;
        y->alert = plain->alert[1];
        y->alert_name = tlsrec_alert_name(y->alert);
    }
}

/* Reassembles messages within their limit. */
#include "gateway/net/conn.h"

#include "gateway/net/deflate.h"
#include "gateway/net/pace.h"
#include "gateway/net/unpacker.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

/* How many bytes of one message the wire may bring. What comes out of a compressed one is bounded in deflate.c. */
static size_t rx_max(const struct conn *c, bool deflated)
{
    size_t max = (size_t)c->gw->opt->max_message;
    return deflated ? deflate_packed_max(max) : max;
}

static bool too_big(struct conn *c, size_t more, size_t max)
{
    size_t held = c->rx ? c->rx->len : 0;
    if (held <= max && more <= max - held) /* a reload may have lowered it */
        return false;
    conn_close(c, 1009, "message too big");
    return true;
}

static void message(struct conn *c, struct slice text)
{
    metric_add(METRIC_MESSAGES_IN, 1);
    c->messages_in++;
    if (c->gw->conn_watcher)
        c->gw->conn_watcher->in(c, text, c->rx_binary);
    c->gw->conn_events->message(c, text, c->rx_binary);
}

static void packed_message(struct conn *c, struct slice packed)
{
    struct slice text;
    enum unpacked result = deflate_unpack(c->gw->deflate, packed, &text);
    unpacker_charge(c->gw->unpacker, c, text.len);
    switch (result) {
    case UNPACKED:
        message(c, text);
        break;
    case UNPACK_MALFORMED:
        conn_close(c, 1007, "malformed compressed message");
        break;
    case UNPACK_TOO_BIG:
        conn_close(c, 1009, "message too big");
        break;
    }
    deflate_unpack_done(c->gw->deflate);
}

/* Takes note of a frame's reserved bit. libwebsockets lets it pass when the extension is agreed on, in every frame; RFC 7692
 * section 6 allows it in the first one of a message. */
static bool rsv1_is_misplaced(struct conn *c, const struct conn_fragment *f)
{
    if (f->first) {
        c->rx_deflated = f->rsv1;
        c->rx_continued = false;
    }
    if (f->rsv1 && (c->rx_continued || !c->deflate)) {
        conn_close(c, 1002, "misplaced reserved bit");
        return true;
    }
    if (!f->remaining)
        c->rx_continued = true;
    return false;
}

static void rx_put(struct conn *c, struct slice bytes, size_t max)
{
    if (!c->rx)
        c->rx = sg_calloc(1, sizeof(*c->rx));
    size_t cap = c->rx->cap;
    c->rx->max = max;
    buf_put_slice(c->rx, bytes);
    metric_add(METRIC_MEMORY_RECEIVING, (int64_t)c->rx->cap - (int64_t)cap);
}

static void whole_message(struct conn *c, struct slice bytes)
{
    if (c->rx_deflated)
        packed_message(c, bytes);
    else
        message(c, bytes);
}

/* The whole message lies in rx. */
static void held_message(struct conn *c)
{
    if (c->rx_deflated && !unpacker_admits(c->gw->unpacker, c)) {
        unpacker_wait(c->gw->unpacker, c);
        return;
    }
    whole_message(c, buf_slice(c->rx));
    conn_forget_received(c);
}

void conn_unpack(struct conn *c)
{
    if (c->state == CONN_OPEN)
        packed_message(c, buf_slice(c->rx));
    conn_forget_received(c);
}

void conn_receive(struct conn *c, struct slice bytes, struct conn_fragment f)
{
    if (unpacker_waits(c)) { /* these bytes were read before the reading ended */
        unpacker_stop(c);
        conn_unpack(c);
    }
    if (c->state != CONN_OPEN || c->peer_closed) /* nothing counts behind a close frame: RFC 6455 section 5.5.1 */
        return;
    metric_add(METRIC_BYTES_IN, (int64_t)bytes.len);
    c->bytes_in += bytes.len;
    if (f.first) {
        conn_forget_received(c);
        c->rx_binary = f.binary;
    }
    if (rsv1_is_misplaced(c, &f))
        return;
    size_t max = rx_max(c, c->rx_deflated);
    if (too_big(c, bytes.len + f.remaining, max))
        return;
    if (!f.remaining)
        pace_received(c, f.final ? bytes.len + (c->rx ? c->rx->len : 0) : 0);
    if (f.first && f.final && (!c->rx_deflated || unpacker_admits(c->gw->unpacker, c))) {
        whole_message(c, bytes);
        return;
    }
    rx_put(c, bytes, max);
    if (f.final)
        held_message(c);
}

void conn_announced(struct conn *c, size_t remaining)
{
    if (c->state == CONN_OPEN && remaining)
        too_big(c, remaining, rx_max(c, c->deflate));
}

void conn_pong(struct conn *c)
{
    c->missed_pongs = 0;
}

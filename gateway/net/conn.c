/* The life of a connection, which ends in one place. */
#include "gateway/net/conn.h"
#include "gateway/net/expiry.h"

#include <assert.h>
#include <stdio.h>

#include "gateway/base/clock.h"
#include "gateway/net/addresses.h"
#include "gateway/net/deflate.h"
#include "gateway/net/pace.h"
#include "gateway/net/socket.h"
#include "gateway/net/unpacker.h"
#include "gateway/net/users.h"
#include "gateway/observe/kernel.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/rejects.h"
#include "protocol/base/alloc.h"

enum {
    CLOSE_WAIT_MS = 5000,     /* for the peer's close frame */
    CLOSE_REASON_BYTES = 123, /* RFC 6455 section 5.5: control frames carry at most 125 bytes */
};

/* --- life --- */

static size_t peer_size(const struct dialect *d)
{
    return d->peer_size > sizeof(struct dialect_peer) ? d->peer_size : sizeof(struct dialect_peer);
}

struct slice conn_room_name(const struct conn *c)
{
    return slice_of((const char *)c + c->gw->conn_events->size + peer_size(c->dialect), c->room_len);
}

struct conn *conn_new(struct gateway *g, struct lws *wsi, const struct dialect *dialect, const struct grants *grants,
                      struct slice room)
{
    size_t size = g->conn_events->size + peer_size(dialect);
    struct conn *c = sg_calloc(1, size + room.len);
    if (room.len)
        memcpy((char *)c + size, room.ptr, room.len);
    c->room_len = (unsigned)room.len & 0x3FF;
    c->gw = g;
    c->wsi = wsi;
    c->id = ++g->conns->ids;
    c->dialect = dialect;
    c->grants = options_hold(grants);
    c->piece_max = CONN_PIECE_BYTES;
    c->opened_ms = clock_now_ms();
    c->errors_since_ms = (uint32_t)c->opened_ms;
    c->by_id.key = slice_of((const char *)&c->id, sizeof(c->id));
    map_insert(&g->conns->by_id, &c->by_id);
    list_append(&g->conns->open, &c->node);
    c->wheel_slot = (uint8_t)g->conns->wheel_at;
    list_append(&g->conns->wheel[c->wheel_slot], &c->wheel);
    metrics_connections(dialect, false, 1);
    metric_add(METRIC_CONNECTIONS_TOTAL, 1);
    return c;
}

static void on_expired(struct conn *c)
{
    if (c->gw->opt->token_expiry_anonymous)
        conn_regrant(c, &c->gw->opt->anonymous);
    else
        conn_close(c, CONN_CLOSE_TOKEN, "the token has expired");
}

void conn_open(struct conn *c)
{
    log_debug("connection opened conn=%llu remote=%s user=%s", (unsigned long long)c->id, remote_text(&c->remote),
              log_value(slice_str(c->grants->name)));
    expiry_watch(c, on_expired);
    c->gw->conn_events->opened(c);
}

static void detach(struct conn *c)
{
    if (c->detached)
        return;
    c->detached = true;
    c->gw->conn_events->closed(c);
}

static void drop_queue(struct conn *c)
{
    conn_begun_no_more(c);
    metric_add(METRIC_QUEUED_BYTES, -(int64_t)c->out.bytes);
    outq_deinit(&c->out);
}

/* What was begun stays, or the close frame would land in the middle of it. */
static void drop_unsent(struct conn *c)
{
    size_t bytes = c->out.bytes;
    outq_clear(&c->out);
    metric_add(METRIC_QUEUED_BYTES, (int64_t)c->out.bytes - (int64_t)bytes);
}

void conn_forget_received(struct conn *c)
{
    if (!c->rx)
        return;
    metric_add(METRIC_MEMORY_RECEIVING, -(int64_t)c->rx->cap);
    buf_deinit(c->rx);
    free(c->rx);
    c->rx = NULL;
}

struct close_row {
    int code; /* 0: any other */
    enum metric metric;
};

static enum metric close_metric(const struct close_row *rows, int code)
{
    while (rows->code && rows->code != code)
        rows++;
    return rows->metric;
}

/* Who closed is who said so first. */
static void count_close(const struct conn *c)
{
    static const struct close_row by_gateway[] = {
        {1001, METRIC_CLOSES_GATEWAY_1001}, {1002, METRIC_CLOSES_GATEWAY_1002},
        {1007, METRIC_CLOSES_GATEWAY_1007}, {1008, METRIC_CLOSES_GATEWAY_1008},
        {1009, METRIC_CLOSES_GATEWAY_1009}, {1012, METRIC_CLOSES_GATEWAY_1012},
        {1013, METRIC_CLOSES_GATEWAY_1013}, {CONN_CLOSE_TOKEN, METRIC_CLOSES_GATEWAY_4401},
        {0, METRIC_CLOSES_GATEWAY_OTHER}};
    static const struct close_row by_peer[] = {{1000, METRIC_CLOSES_PEER_1000},
                                               {1001, METRIC_CLOSES_PEER_1001},
                                               {1005, METRIC_CLOSES_PEER_1005},
                                               {1006, METRIC_CLOSES_PEER_1006},
                                               {0, METRIC_CLOSES_PEER_OTHER}};
    int peers = c->peer_close_code ? c->peer_close_code : 1006;
    metric_add(c->close_code ? close_metric(by_gateway, c->close_code) : close_metric(by_peer, peers), 1);
}

/* Who ended a connection, and how. */
struct end {
    const char *by, *why;
    int code;
    enum log_kind kind;
};

static bool is_violation(int code)
{
    return code == 1002 || code == 1003 || (code >= 1007 && code <= 1009);
}

static struct end end_of(const struct conn *c)
{
    if (c->close_code)
        return (struct end){"gateway", c->close_why, c->close_code,
                            is_violation(c->close_code) ? LOG_VIOLATION : LOG_CLOSED};
    if (c->peer_close_code)
        return (struct end){"peer", "closed by the peer", c->peer_close_code, LOG_CLOSED};
    if (c->gw->stopped)
        return (struct end){"gateway", "the gateway ended", 1006, LOG_CLOSED};
    return (struct end){"network", "connection lost", 1006, LOG_CLOSED};
}

static void log_end(const struct conn *c)
{
    struct end end = end_of(c);
    log_limited(end.kind, LOG_LEVEL_INFO,
                "connection closed conn=%llu user=%s remote=%s protocol=%s code=%d why=\"%s\" by=%s duration_ms=%lld "
                "messages_in=%u bytes_in=%llu messages_out=%u bytes_out=%llu",
                (unsigned long long)c->id, log_value(slice_str(c->grants->name)), remote_text(&c->remote),
                c->dialect->name, end.code, end.why, end.by, (long long)(clock_now_ms() - c->opened_ms), c->messages_in,
                (unsigned long long)c->bytes_in, c->messages_out, (unsigned long long)c->bytes_out);
}

void conn_dead(struct conn *c, int library_code)
{
    struct gateway *g = c->gw;
    if (library_code && !c->close_code && !c->peer_close_code) {
        c->close_code = (uint16_t)library_code;
        c->close_why = "malformed frame";
    }
    log_end(c);
    bool was_open = c->state == CONN_OPEN;
    pace_forget(c);
    metric_add(METRIC_UNREAD, -(c->reading_held != 0));
    c->reading_held = 0;
    c->state = CONN_DEAD;
    detach(c);
    if (list_linked(&c->closing))
        list_remove(was_open ? &g->conns->watched : &g->conns->closing, &c->closing);
    list_remove(&g->conns->wheel[c->wheel_slot], &c->wheel);
    list_remove(&g->conns->open, &c->node);
    map_remove(&g->conns->by_id, &c->by_id);
    drop_queue(c);
    unpacker_forget(c);
    conn_forget_received(c);
    metrics_connections(c->dialect, !was_open, -1);
    count_close(c);
    expiry_forget(c);
    addresses_leave(c);
    users_leave(c);
    options_release(c->grants);
    free(c);
}

void conn_end_turn(struct gateway *g)
{
    g->conns->pieces_bytes = 0;
    list_each(&g->conns->closing, n) detach(container_of(n, struct conn, closing));
}

void conn_regrant(struct conn *c, const struct grants *grants)
{
    if (c->state != CONN_OPEN)
        return; /* it keeps the old ones, for the log */
    if (!grants) {
        conn_close(c, c->grants->identity ? CONN_CLOSE_TOKEN : 1008, "token revoked");
        return;
    }
    const struct grants *old = c->grants;
    users_leave(c);
    c->grants = options_hold(grants);
    expiry_watch(c, on_expired);
    users_enter(c);
    c->gw->conn_events->regranted(c, old);
    options_release(old);
}

/* --- reading, or not --- */

/* What the peer has asked for and not taken, beyond what is being written to it. */
static size_t debt(const struct conn *c)
{
    return c->out.answers + c->owed;
}

/* Tells whether the peer took anything since the last time. Bytes of TLS's own make no difference: only change counts. */
bool conn_took_something(struct conn *c)
{
    uint64_t taken = c->bytes_out - kernel_unsent(socket_descriptor(c));
    bool something = taken != c->taken;
    c->taken = taken;
    return something;
}

void conn_watch(struct conn *c)
{
    c->watched = true;
    conn_took_something(c);
    c->close_deadline_ms = clock_now_ms() + c->gw->opt->stall_timeout_ms;
    list_append(&c->gw->conns->watched, &c->closing);
}

void conn_unwatch(struct conn *c)
{
    if (!c->watched)
        return;
    c->watched = false;
    list_remove(&c->gw->conns->watched, &c->closing);
}

void conn_weigh(struct conn *c)
{
    size_t budget = (size_t)c->gw->opt->queue_budget;
    if (c->state != CONN_OPEN)
        return;
    bool much = debt(c) > (c->reading_held & HOLD_ANSWERS ? budget / 2 : budget);
    hold_reading(c, HOLD_ANSWERS, much);
    if (!much && !(c->waits & WAIT_CALLS))
        conn_unwatch(c);
    else if (!c->watched)
        conn_watch(c);
}

void conn_wait_for_room(struct conn *c)
{
    if (!c->congested)
        socket_want_write(c);
    conn_weigh(c);
}

/* --- closing --- */

static struct frame *close_frame(int code, const char *why)
{
    size_t len = strnlen(why, CLOSE_REASON_BYTES);
    char bytes[4 + CLOSE_REASON_BYTES];
    bytes[0] = (char)0x88; /* FIN, opcode 8 */
    bytes[1] = (char)(len + 2);
    bytes[2] = (char)(code >> 8);
    bytes[3] = (char)(code & 0xff);
    memcpy(bytes + 4, why, len);
    return frame_new(slice_of(bytes, len + 4), 0);
}

void conn_close(struct conn *c, int code, const char *why)
{
    conn_close_saying(c, code, why, why);
}

void conn_close_saying(struct conn *c, int code, const char *why, const char *text)
{
    if (c->state != CONN_OPEN)
        return;
    struct frame *f = close_frame(code, text);
    if (code == 1013) /* it would not read the rest either */
        drop_unsent(c);
    conn_queue(c, f, OUTQ_OTHER);
    frame_unref(f);
    pace_forget(c);
    unpacker_stop(c);
    hold_reading(c, HOLD_ALL, false);
    conn_unwatch(c);
    c->state = CONN_CLOSING;
    metrics_connections(c->dialect, false, -1);
    metrics_connections(c->dialect, true, 1);
    c->close_code = (uint16_t)code;
    c->close_why = why;
    c->close_deadline_ms = clock_now_ms() + CLOSE_WAIT_MS;
    list_append(&c->gw->conns->closing, &c->closing);
    if (rejects_closed(code)) {
        char subject[32];
        snprintf(subject, sizeof(subject), "connection %llu", (unsigned long long)c->id);
        rejects_add(c->gw->rejects, code, remote_text(&c->remote), subject, why);
    }
    log_debug("closing connection conn=%llu remote=%s code=%d why=\"%s\"", (unsigned long long)c->id,
              remote_text(&c->remote), code, why);
}

bool conn_peer_closed(struct conn *c, int code)
{
    if (!c)
        return true;
    c->peer_closed = true;
    c->mute = true;
    c->peer_close_code = (uint16_t)code;
    return c->state == CONN_CLOSING && !c->out.len && !c->congested;
}

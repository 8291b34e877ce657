/* Reassembles messages within their limit, gathers waiting frames into one write per turn, keeps the peer alive by pings, and
 * ends connections in one place. */
#include "gateway/net/conn.h"

#include <assert.h>
#include <stdio.h>

#include "gateway/base/clock.h"
#include "gateway/net/deflate.h"
#include "gateway/net/pace.h"
#include "gateway/net/socket.h"
#include "gateway/net/unpacker.h"
#include "gateway/observe/kernel.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/rejects.h"
#include "protocol/base/alloc.h"

enum {
    GATHER_BYTES = 64 * 1024,                 /* what one write may leave behind in a full socket */
    WRITES_PER_TURN = 16,                     /* then others get their turn */
    PIECES_PER_TURN_BYTES = 16 * 1024 * 1024, /* of long messages, to all together */
    WAITING_MAX_BUDGETS = 128,
    BEGUN_MAX_BYTES = 64 * 1024 * 1024, /* of long messages that nobody has but those that took a part of them */
    CLOSE_WAIT_MS = 5000,               /* for the peer's close frame */
    MISSED_PONGS_MAX = 2,
    CLOSE_REASON_BYTES = 123, /* RFC 6455 section 5.5: control frames carry at most 125 bytes */
    ERROR_WINDOW_MS = 60 * 1000
};

/* --- life --- */

struct conn *conn_new(struct gateway *g, struct lws *wsi, const struct dialect *dialect, const struct grants *grants)
{
    struct conn *c = sg_calloc(1, sizeof(*c));
    c->gw = g;
    c->wsi = wsi;
    c->id = ++g->conns->ids;
    c->dialect = dialect;
    c->grants = options_hold(grants);
    c->piece_max = GATHER_BYTES;
    c->opened_ms = clock_now_ms();
    c->errors_since_ms = c->opened_ms;
    list_init(&c->subs);
    list_init(&c->dirty);
    list_init(&c->requests);
    list_init(&c->held);
    list_init(&c->calls);
    c->by_id.key = slice_of((const char *)&c->id, sizeof(c->id));
    map_insert(&g->conns->by_id, &c->by_id);
    list_append(&g->conns->open, &c->node);
    c->wheel_slot = (uint8_t)g->conns->wheel_at;
    list_append(&g->conns->wheel[c->wheel_slot], &c->wheel);
    metric_add(METRIC_CONNECTIONS, 1);
    metric_add(METRIC_CONNECTIONS_TOTAL, 1);
    return c;
}

void conn_open(struct conn *c)
{
    log_debug("connection opened conn=%llu remote=%s user=%s", (unsigned long long)c->id, remote_text(&c->remote),
              log_value(slice_str(c->grants->name)));
    c->gw->conn_events->opened(c);
}

static void detach(struct conn *c)
{
    if (c->detached)
        return;
    c->detached = true;
    c->gw->conn_events->closed(c);
}

static void begun_no_more(struct conn *c)
{
    if (list_linked(&c->begun))
        list_remove(&c->gw->conns->begun, &c->begun);
}

static void drop_queue(struct conn *c)
{
    begun_no_more(c);
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

static void rx_forget(struct conn *c)
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
        {1001, METRIC_CLOSES_GATEWAY_1001}, {1002, METRIC_CLOSES_GATEWAY_1002}, {1007, METRIC_CLOSES_GATEWAY_1007},
        {1008, METRIC_CLOSES_GATEWAY_1008}, {1009, METRIC_CLOSES_GATEWAY_1009}, {1012, METRIC_CLOSES_GATEWAY_1012},
        {1013, METRIC_CLOSES_GATEWAY_1013}, {0, METRIC_CLOSES_GATEWAY_OTHER}};
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
    rx_forget(c);
    metric_add(was_open ? METRIC_CONNECTIONS : METRIC_CONNECTIONS_CLOSING, -1);
    count_close(c);
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
        conn_close(c, 1008, "token revoked");
        return;
    }
    const struct grants *old = c->grants;
    c->grants = options_hold(grants);
    c->gw->conn_events->regranted(c, old);
    options_release(old);
}

/* --- receiving --- */

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
        c->gw->conn_watcher->in(c, text);
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
    rx_forget(c);
}

void conn_unpack(struct conn *c)
{
    if (c->state == CONN_OPEN)
        packed_message(c, buf_slice(c->rx));
    rx_forget(c);
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
        rx_forget(c);
        c->rx_binary = f.binary;
    }
    if (rsv1_is_misplaced(c, &f))
        return;
    size_t max = rx_max(c, c->rx_deflated);
    if (too_big(c, bytes.len + f.remaining, max))
        return;
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

/* --- writing --- */

/* Counted by write, not by frame: the histogram knows the writes and the messages too. */
static void count_written(struct conn *c, uint32_t messages, size_t bytes)
{
    c->messages_out += messages;
    c->bytes_out += bytes;
    metric_observe(HISTOGRAM_MESSAGES_PER_WRITE, messages);
    metric_add(METRIC_BYTES_OUT, (int64_t)bytes);
    metric_add(METRIC_QUEUED_BYTES, -(int64_t)bytes);
}

/* One piece: of a frame as it lies, or of several gathered into one buffer. */
static enum socket_result write_once(struct conn *c)
{
    static char gather[GATHER_BYTES];
    struct frame *f = outq_peek(&c->out);
    size_t rest = f->len - c->out.sent;
    if (rest > c->piece_max) {
        enum socket_result r = socket_write(c, f->bytes + c->out.sent, c->piece_max);
        count_written(c, 0, c->piece_max);
        if (!c->out.sent)
            list_append(&c->gw->conns->begun, &c->begun);
        outq_wrote(&c->out, c->piece_max);
        return r;
    }
    begun_no_more(c);
    if (c->out.len == 1) {
        enum socket_result r = socket_write(c, f->bytes + c->out.sent, rest);
        count_written(c, f->messages, rest);
        outq_pop(&c->out);
        return r;
    }
    size_t len = 0;
    uint32_t messages = 0;
    while ((f = outq_peek(&c->out)) && (rest = f->len - c->out.sent) <= c->piece_max - len) {
        memcpy(gather + len, f->bytes + c->out.sent, rest);
        len += rest;
        messages += f->messages;
        outq_pop(&c->out);
    }
    count_written(c, messages, len);
    return socket_write(c, gather, len);
}

static void become_congested(struct conn *c)
{
    c->congested = true;
    c->congested_since_ms = (uint32_t)clock_now_ms();
}

static bool is_full(const struct conn *c)
{
    return socket_buffered(c) || !kernel_has_room(socket_descriptor(c));
}

/* What was told in one turn may be very much. A socket that has room takes it piece by piece, as it was told; when it is full, the newest
 * has to do. */
static void shed(struct conn *c)
{
    const struct frame *begun = c->out.sent ? outq_peek(&c->out) : NULL;
    if (c->out.bytes - (begun ? begun->len - c->out.sent : 0) <= GATHER_BYTES) {
        c->unshed = false;
    } else if (is_full(c)) {
        c->unshed = false;
        c->gw->conn_events->shed(c);
    }
}

static bool waits_to_refill(const struct conn *c)
{
    return c->waits && c->state == CONN_OPEN && !c->mute;
}

static bool is_long(const struct conn *c)
{
    return outq_peek(&c->out)->len - c->out.sent > c->piece_max;
}

/* A message that takes several writes is written a piece at a time, when the kernel says that there is room for one: so
 * libwebsockets has nothing to copy, and others get their turn in between. */
static bool write_queue(struct conn *c, bool *refilled)
{
    for (int writes = 0; !c->congested; writes++) {
        if (!c->out.len && waits_to_refill(c)) {
            /* Each kind may go one write beyond the one before, so that none of them waits for another. */
            c->gw->conn_events->refill(c, GATHER_BYTES);
            *refilled = true;
        }
        if (!c->out.len || (c->mute && !c->out.sent))
            return true;
        if (writes == WRITES_PER_TURN) {
            socket_want_write(c);
            return true;
        }
        bool piece = is_long(c);
        if (piece && c->gw->conns->pieces_bytes >= PIECES_PER_TURN_BYTES) {
            become_congested(c);
            return true;
        }
        enum socket_result r = write_once(c);
        if (r == SOCKET_FAILED)
            return false;
        if (r == SOCKET_ALL && !piece)
            continue;
        become_congested(c);
        metric_add(METRIC_PARTIAL_WRITES, r == SOCKET_PARTIAL);
        c->gw->conns->pieces_bytes += piece ? c->piece_max : 0;
    }
    return true;
}

/* Without this libwebsockets calls back for us when it has written what it buffered. */
static void want_room(struct conn *c)
{
    bool wanted = c->congested && (c->out.sent || !socket_buffered(c));
    if (wanted == c->waits_for_room)
        return;
    c->waits_for_room = wanted;
    socket_want_room(c, wanted);
}

/* The usual case, for which nothing is asked twice: one frame, all of which the socket takes. */
static enum socket_result write_only_frame(struct conn *c)
{
    struct frame *f = outq_peek(&c->out);
    enum socket_result r = socket_write(c, f->bytes, f->len);
    count_written(c, f->messages, f->len);
    outq_pop_only(&c->out);
    if (r == SOCKET_PARTIAL) {
        become_congested(c);
        metric_add(METRIC_PARTIAL_WRITES, 1);
    }
    return r;
}

/* Not congested: nothing is half written, by us; and libwebsockets does not call while it has something buffered itself. */
static bool is_usual(const struct conn *c)
{
    return c->out.len == 1 && !c->congested && c->state == CONN_OPEN && !c->mute &&
           outq_peek(&c->out)->len <= c->piece_max;
}

__attribute__((noinline)) static bool write_all(struct conn *c)
{
    bool alive = true, had_room = !c->congested, refilled = false;
    c->congested = socket_buffered(c);
    if (!c->congested)
        alive = write_queue(c, &refilled);
    /* A refill brings the newest, and not too much of it. */
    c->unshed = c->congested && (had_room || c->unshed) && !refilled;
    if (c->unshed)
        shed(c);
    if (c->congested || c->waits_for_room)
        want_room(c);
    if (c->watched)
        conn_weigh(c);
    return alive && !(c->state == CONN_CLOSING && c->peer_closed && !c->out.len && !c->congested);
}

bool conn_write(struct conn *c)
{
    conn_settle(c->gw);
    if (is_usual(c)) {
        enum socket_result r = write_only_frame(c);
        if (r == SOCKET_FAILED)
            return false;
        if (r == SOCKET_ALL && !(c->waits & (WAIT_ANSWERS | WAIT_STATE)) && !c->watched)
            return true;
    }
    return write_all(c);
}

/* --- queueing --- */

static void queue(struct conn *c, struct frame *f, enum outq_kind kind)
{
    conn_settle(c->gw);
    if (!c->out.len)
        socket_want_write(c);
    outq_push(&c->out, f, kind);
    metric_add(METRIC_QUEUED_BYTES, (int64_t)f->len);
}

/* What this connection is sent for f. */
static struct frame *wire_form(struct conn *c, struct frame *f)
{
    return c->deflate ? deflate_twin(c->gw->deflate, f) : f;
}

void conn_push(struct conn *c, struct frame *f)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->gw->conn_watcher)
        c->gw->conn_watcher->out(c, f);
    queue(c, wire_form(c, f), OUTQ_STATE);
}

void conn_ask(struct conn *c, struct slice wire, uint32_t messages)
{
    if (c->state != CONN_OPEN)
        return;
    struct frame *f = frame_new(wire, messages);
    if (c->gw->conn_watcher)
        c->gw->conn_watcher->out(c, f);
    queue(c, wire_form(c, f), OUTQ_OTHER);
    frame_unref(f);
}

size_t conn_waiting_max(const struct conn *c)
{
    return WAITING_MAX_BUDGETS * (size_t)c->gw->opt->queue_budget;
}

void conn_answer_frame(struct conn *c, struct frame *f)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->gw->conn_watcher)
        c->gw->conn_watcher->out(c, f);
    f = wire_form(c, f);
    if (c->congested && c->out.answers && c->out.answers + f->len > conn_waiting_max(c)) {
        conn_close(c, 1013, "far too many answers wait");
        return;
    }
    queue(c, f, OUTQ_ANSWER);
    if (c->congested)
        conn_weigh(c);
}

void conn_answer(struct conn *c, struct slice wire, uint32_t messages)
{
    struct frame *f = frame_new(wire, messages);
    conn_answer_frame(c, f);
    frame_unref(f);
}

/* Error 8 is what the peer cannot help: Redis is away, a bound of ours is reached. */
static bool errs_too_often(struct conn *c, enum error_code code)
{
    int64_t now = clock_now_ms();
    if (code == ERROR_OTHER)
        return false;
    if (now - c->errors_since_ms >= ERROR_WINDOW_MS) {
        c->errors_since_ms = now;
        c->errors = 0;
    }
    return (int64_t)++c->errors > c->gw->opt->errors_per_minute;
}

void conn_error(struct conn *c, enum error_code code, struct slice text, enum kind kind, struct slice name,
                struct slice id)
{
    if (errs_too_often(c, code)) {
        conn_close(c, 1008, "too many errors");
        return;
    }
    metric_add((enum metric)(METRIC_ERRORS_1 + (int)code - 1), 1);
    struct buf *out = &c->gw->scratch;
    buf_reset(out);
    uint32_t messages = c->dialect->error(out, code, text, kind, name, id);
    conn_answer(c, buf_slice(out), messages);
}

/* --- reading, or not --- */

/* What the peer has asked for and not taken, beyond what is being written to it. */
static size_t debt(const struct conn *c)
{
    return c->out.answers + c->owed;
}

/* Tells whether the peer took anything since the last time. Bytes of TLS's own make no difference: only change counts. */
static bool took_something(struct conn *c)
{
    uint64_t taken = c->bytes_out - kernel_unsent(socket_descriptor(c));
    bool something = taken != c->taken;
    c->taken = taken;
    return something;
}

static void watch(struct conn *c)
{
    c->watched = true;
    took_something(c);
    c->close_deadline_ms = clock_now_ms() + c->gw->opt->stall_timeout_ms;
    list_append(&c->gw->conns->watched, &c->closing);
}

static void watch_no_more(struct conn *c)
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
        watch_no_more(c);
    else if (!c->watched)
        watch(c);
}

void conn_wait_for_room(struct conn *c)
{
    if (!c->congested)
        socket_want_write(c);
    conn_weigh(c);
}

/* Bytes that live only because this connection and others took a part of them; divided by these. */
static size_t kept_alone(const struct conn *c)
{
    const struct frame *f = outq_peek(&c->out);
    return f->begun == f->refs ? f->len / f->begun : 0;
}

/* A value that is large and changes is there once for all who keep up; who stopped in the middle of an older one keeps that. Together
 * they may keep so much, then those go that need the longest: they are the ones that keep the oldest. */
static void end_longest_begun(struct gateway *g)
{
    size_t bytes = 0;
    if (frame_bytes_live() <= BEGUN_MAX_BYTES)
        return;
    list_each(&g->conns->begun, n) bytes += kept_alone(container_of(n, struct conn, begun));
    while (bytes > BEGUN_MAX_BYTES && g->conns->begun.count) {
        struct conn *c = container_of(list_first(&g->conns->begun), struct conn, begun);
        bytes -= kept_alone(c);
        begun_no_more(c);
        conn_close(c, 1013, "takes too long for a large message");
        socket_kill(c); /* a close frame would have to wait for the rest */
    }
}

void conn_tick_stalled(struct gateway *g)
{
    end_longest_begun(g);
    int64_t now = clock_now_ms();
    struct list_node *n;
    while ((n = list_first(&g->conns->watched))) {
        struct conn *c = container_of(n, struct conn, closing);
        if (c->close_deadline_ms > now)
            return;
        bool stalled = !took_something(c);
        watch_no_more(c);
        if (stalled)
            conn_close(c, 1013, "takes nothing of what waits for it");
        else
            watch(c);
    }
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
    queue(c, f, OUTQ_OTHER);
    frame_unref(f);
    pace_forget(c);
    unpacker_stop(c);
    hold_reading(c, HOLD_ALL, false);
    watch_no_more(c);
    c->state = CONN_CLOSING;
    metric_add(METRIC_CONNECTIONS, -1);
    metric_add(METRIC_CONNECTIONS_CLOSING, 1);
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

/* --- the wheel --- */

static struct frame *ping_frame(void)
{
    /* FIN, opcode 9. It has a payload, because libwebsockets 4.3 does not report a pong without one. */
    static const char bytes[] = {(char)0x89, 4, 'l', 'i', 'v', 'e'};
    return frame_new(slice_of(bytes, sizeof(bytes)), 0);
}

/* A peer that takes what we have for it lives, however long the pings have to wait; and whose pongs are not read cannot miss any.
 * Whoever is watched ends when it takes nothing, and must not be looked at in between, or the watch sees a shorter time than it is to. */
static bool surely_lives(struct conn *c)
{
    return c->reading_held || c->watched || (c->congested && took_something(c));
}

static void ping(struct conn *c, struct frame *f)
{
    if (c->state != CONN_OPEN)
        return;
    if (surely_lives(c))
        c->missed_pongs = 0;
    if (c->missed_pongs >= MISSED_PONGS_MAX) {
        bool stuck = c->congested; /* then a close frame would never get out */
        conn_close(c, 1001, "ping timeout");
        if (stuck)
            socket_kill(c);
        return;
    }
    c->missed_pongs++;
    outq_trim(&c->out);
    if (!c->congested)
        queue(c, f, OUTQ_OTHER);
}

void conn_tick(struct gateway *g)
{
    g->conns->wheel_at = (g->conns->wheel_at + 1) % WHEEL_SLOTS;
    struct frame *f = ping_frame();
    list_each(&g->conns->wheel[g->conns->wheel_at], n) ping(container_of(n, struct conn, wheel), f);
    frame_unref(f);
    int64_t now = clock_now_ms();
    list_each(&g->conns->closing, n)
    {
        struct conn *c = container_of(n, struct conn, closing);
        if (now >= c->close_deadline_ms)
            socket_kill(c);
    }
}

/* Gathers waiting frames into one write per turn, and long ones into pieces. */
#include "gateway/net/conn.h"

#include "gateway/base/clock.h"
#include "gateway/net/socket.h"
#include "gateway/observe/kernel.h"
#include "gateway/observe/metrics.h"

enum {
    GATHER_BYTES = CONN_PIECE_BYTES,
    WRITES_PER_TURN = 16,                    /* then others get their turn */
    PIECES_PER_TURN_BYTES = 16 * 1024 * 1024 /* of long messages, to all together */
};

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
    conn_begun_no_more(c);
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

/* One client connection: what waits to be written to it, what arrives from it, its limits and its end. It knows neither
 * libwebsockets (ws.c, socket.c) nor what messages mean (conn_events). */
#ifndef SYNCGATE_GATEWAY_NET_CONN_H
#define SYNCGATE_GATEWAY_NET_CONN_H

#include "gateway/access/remote.h"
#include "gateway/core/core.h"
#include "gateway/net/allowance.h"
#include "gateway/net/conns.h"
#include "gateway/net/hold.h"
#include "gateway/net/outq.h"
#include "protocol/base/frame.h"
#include "protocol/dialect.h"

struct lws;
struct user;
struct expiry;

/* A new token heals it, whatever was wrong with the old one. */
enum { CONN_CLOSE_TOKEN = 4401 };

enum conn_state {
    CONN_OPEN,
    CONN_CLOSING, /* a close frame is queued or sent: input is dropped, nothing more is queued */
    CONN_DEAD     /* taken out of everything; freed by ws.c in the close callback */
};

/* What waits for room in a connection's queue, in the order in which it gets some. */
enum wait {
    WAIT_CALLS = 1,   /* what others want of the peer */
    WAIT_ANSWERS = 2, /* to its requests */
    WAIT_STATE = 4    /* what it missed, in its newest form */
};

/* The head of what upper rooms keep of a connection (conn_events, size). There are very many of them: the order leaves no holes. */
struct conn {
    struct list_node node; /* conns->open */
    struct map_node by_id; /* conns->by_id, key = id */
    struct gateway *gw;
    struct lws *wsi;
    uint64_t id; /* never reused: hold this, not the pointer, across an asynchronous gap */
    enum conn_state state;
    uint32_t messages_in; /* since it opened; for the log, as the three below */
    const struct dialect *dialect;
    const struct grants *grants; /* held (options_hold) */
    struct expiry *expiry;       /* NULL: they do not end */
    struct user *user;           /* users.c; NULL: it does not count */
    struct outq out;
    bool congested;       /* the socket did not take everything: state is conflated until it does */
    bool unshed;          /* congested: what waits was told while there was room, and may be very much */
    bool waits_for_room;  /* conn_write is called when the kernel has some */
    bool watched;         /* in conns->watched */
    uint8_t waits;        /* enum wait, together: for room */
    bool mute;            /* one side said goodbye: nothing follows the message that is under way */
    uint8_t reading_held; /* enum hold, together; 0: its requests are read */
    bool deflate;         /* permessage-deflate was agreed on */
    uint32_t messages_out;
    uint32_t piece_max; /* bytes of one write; what the socket does not take of more is copied */
    struct buf *rx;     /* the fragments of a message until it is whole, or what waits there; NULL: nothing */

    struct list_node paced;          /* pace.c: slowed or queued */
    int64_t empty_at_ns[ALLOWANCES]; /* allowance.c: its buckets, by enum allowance */
    uint32_t writes_in_flight;
    uint32_t write_bytes_in_flight;

    /* errors-per-minute window */
    uint32_t errors;
    uint32_t owed;            /* bytes that requests take which wait for room */
    uint32_t errors_since_ms; /* the low bits of clock_now_ms() */
    uint32_t over_since_ms;   /* likewise, while `over` */

    /* life */
    struct list_node wheel;      /* a slot of conns->wheel: when to ping */
    struct list_node closing;    /* conns->closing while CONN_CLOSING, conns->watched while conn_weigh says so */
    struct list_node begun;      /* conns->begun while a part of a long message was taken */
    int64_t close_deadline_ms;   /* the peer's time to answer, or to take something */
    uint64_t taken;              /* what the peer had taken when that was looked at last; only changes tell */
    uint16_t close_code;         /* ours; 0: we did not begin to close */
    uint16_t peer_close_code;    /* the peer's; 0: no close frame came */
    uint32_t congested_since_ms; /* the low bits of clock_now_ms(), while congested */
    const char *close_why;       /* a static sentence */
    int64_t opened_ms;
    uint64_t bytes_in, bytes_out;
    struct remote remote; /* the client, as far as trusted proxies tell */
    bool detached;        /* its subscriptions and calls have ended */
    bool peer_closed;     /* the peer sent its close frame */
    bool rx_binary : 1;
    bool rx_deflated : 1;       /* the message that arrives is compressed */
    bool rx_continued : 1;      /* its first frame is over */
    bool counted : 1;           /* addresses.c */
    unsigned over : ALLOWANCES; /* allowance.c: those that it is over */
    uint8_t wheel_slot;
    uint8_t missed_pongs;
    unsigned room_len : 10;   /* of what lies behind the peer */
    unsigned slowed_slot : 6; /* allowance.c, while HOLD_RATE */
};

/* What a connection means is told to whoever is handed in here (core.h, conn_events). */
struct conn_events {
    size_t
        size; /* of the struct that begins with struct conn; behind it lie what the dialect keeps, and the name of the room */
    void (*opened)(struct conn *c);
    void (*message)(struct conn *c, struct slice bytes, bool binary);
    /* c->grants are new. */
    void (*regranted)(struct conn *c, const struct grants *old);
    /* There is room for what waits (c->waits): each kind may queue until there are that many bytes more than for the one before. */
    void (*refill)(struct conn *c, size_t step);
    /* It stopped reading, and what was told and not sent yet is too much: state frames are to be thrown away. */
    void (*shed)(struct conn *c);
    /* Something is going to be queued: what was held back in this turn (g->holds_back) goes first. */
    void (*before_queue)(struct gateway *g);
    /* Its subscriptions and calls end. Once, not while anybody may be walking them. */
    void (*closed)(struct conn *c);
};

/* Somebody who looks at the messages that pass, as they are without compression (core.h, conn_watcher). */
struct conn_watcher {
    void (*in)(const struct conn *c, struct slice bytes, bool binary);
    void (*out)(const struct conn *c, const struct frame *f);
};

/* --- called by ws.c --- */

/* conn_new makes the connection, conn_open starts it (the peer may be sent something at once). In between `deflate` may be
 * set. room: copied, see conn_room_name. */
struct conn *conn_new(struct gateway *g, struct lws *wsi, const struct dialect *dialect, const struct grants *grants,
                      struct slice room);
void conn_open(struct conn *c);
/* conn_dead: the socket is gone; frees. library_code: what libwebsockets closed with by itself, 0 when it did not. */
void conn_dead(struct conn *c, int library_code);

struct conn_fragment {
    bool first, final; /* of the message */
    bool binary;
    bool rsv1;        /* of the WebSocket frame: the message is compressed */
    size_t remaining; /* bytes of the WebSocket frame that are still to come */
};
void conn_receive(struct conn *c, struct slice bytes, struct conn_fragment f);
/* conn_announced: a frame header announced this many more bytes. */
void conn_announced(struct conn *c, size_t remaining);
void conn_pong(struct conn *c);
/* conn_write writes what waits, gathered. False: the socket failed or is done, close it. */
bool conn_write(struct conn *c);
/* conn_peer_closed: the peer sent a close frame with this code, 1005 for one without. True when ours was sent before, so that nothing
 * is left to say. */
bool conn_peer_closed(struct conn *c, int code);

/* --- called by the gateway --- */

/* conn_end_turn ends the subscriptions and calls of connections that began to close in this turn: not earlier, because somebody
 * may have been walking them. */
void conn_end_turn(struct gateway *g);
/* conn_tick: call WHEEL_SLOTS times per ping interval: pings, missed pongs, closes that nobody answered. */
void conn_tick(struct gateway *g);
/* conn_tick_stalled closes with 1013 who has to take much and took nothing for --stall-timeout, and who keeps alive what nobody else
 * needs when that is too much. Call it a few times in that time. */
void conn_tick_stalled(struct gateway *g);

/* conn_unpack: the compressed message that waits in `rx` is due (for unpacker.c). */
void conn_unpack(struct conn *c);

/* --- between the files of a connection --- */

enum { CONN_PIECE_BYTES = 64 * 1024 }; /* what one write may leave behind in a full socket */

/* conn_queue queues a frame and asks for a write in this turn. It takes its own reference. conn_wire_form: what this connection is sent
 * for f. */
void conn_queue(struct conn *c, struct frame *f, enum outq_kind kind);
struct frame *conn_wire_form(struct conn *c, struct frame *f);
/* conn_begun_no_more: no long message is under way. */
void conn_begun_no_more(struct conn *c);
/* conn_forget_received: what arrived of a message that is not whole. */
void conn_forget_received(struct conn *c);
/* conn_watch: it has to take something until close_deadline_ms, or is closed. */
void conn_watch(struct conn *c);
void conn_unwatch(struct conn *c);
/* conn_took_something: since the last time. Bytes of TLS's own make no difference: only change counts. */
bool conn_took_something(struct conn *c);

/* --- called by everybody --- */

/* conn_room_name: what stood behind the route's path. */
struct slice conn_room_name(const struct conn *c);

/* conn_push queues a frame and asks for a write in this turn. The queue takes its own reference. Not for congested
 * connections: state is conflated there (fanout.c), answers go through conn_answer. */
void conn_push(struct conn *c, struct frame *f);
/* conn_settle tells first what was held back in this turn, so that the order in which Redis told us is the order in which it is queued. */
static inline void conn_settle(struct gateway *g)
{
    if (g->holds_back)
        g->conn_events->before_queue(g);
}
/* conn_waits: something of this kind waits for room, or nothing any more. */
static inline void conn_waits(struct conn *c, enum wait what, bool on)
{
    c->waits = (uint8_t)(on ? c->waits | what : c->waits & ~what);
}
/* conn_room: may something be queued that can as well wait? What waits says so (conn_waits, conn_wait_for_room), and is asked for when
 * there is room (conn_events, refill). */
static inline bool conn_room(const struct conn *c)
{
    enum { ROOM_BYTES = 64 * 1024 };
    return !c->congested && c->out.bytes < ROOM_BYTES;
}
/* conn_wait_for_room: something waits for room. */
void conn_wait_for_room(struct conn *c);
/* conn_weigh looks at what waits for this connection to read, when that became more or less. Over the queue budget its requests are
 * not read any more until less waits, and it is watched whether it takes anything. */
void conn_weigh(struct conn *c);
/* conn_waiting_max: bytes that others may make wait for one connection. */
size_t conn_waiting_max(const struct conn *c);
/* conn_answer queues what must not be conflated: answers and errors. `wire` holds whole messages (frame_begin/end).
 * A congested connection for which more than conn_waiting_max waits is closed with 1013. */
void conn_answer(struct conn *c, struct slice wire, uint32_t messages);
void conn_answer_frame(struct conn *c, struct frame *f);
/* conn_tell likewise queues what comes of others and no newer state says again: a call, the end of an item. Only when there is room. */
void conn_tell(struct conn *c, struct slice wire, uint32_t messages);
/* conn_answer_scratch answers with what gateway->scratch holds, if that is a message and the connection still open. */
static inline void conn_answer_scratch(struct conn *c, uint32_t messages)
{
    if (c->state == CONN_OPEN && messages > 0)
        conn_answer(c, buf_slice(&c->gw->scratch), messages);
}
/* conn_error tells the peer in the words of its dialect, which may be silence or the end, counts the error, and closes with 1008 beyond
 * errors-per-minute, in which error 8 does not count. kind NONE, name.ptr NULL and id.ptr NULL mean: not known. */
void conn_error(struct conn *c, enum error_code code, struct slice text, enum kind kind, struct slice name,
                struct slice id);
/* conn_close queues a close frame with this code after everything that is queued, and lets the peer answer it for some
 * seconds. Safe anywhere, also inside the connection's own callbacks; the connection is not freed during the call. */
void conn_close(struct conn *c, int code, const char *why);
/* conn_close_saying likewise; the peer is told `text` instead of `why`, which is for the log and kept. */
void conn_close_saying(struct conn *c, int code, const char *why, const char *text);
/* conn_regrant: from now on these grants count, of newer options; NULL: the token is no longer known, it closes
 * (1008, or CONN_CLOSE_TOKEN when it was a signed one). */
void conn_regrant(struct conn *c, const struct grants *grants);
/* conn_find: the open connection with that id, or NULL. */
static inline struct conn *conn_find(const struct gateway *g, uint64_t id)
{
    return conns_find(g->conns, id);
}

#endif

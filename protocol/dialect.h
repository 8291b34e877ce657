/* What a protocol ("dialect") must provide: the bytes of one message in, any number of actions out; state in, wire bytes out. Pure:
 * no socket, clock, random or log. A dialect is one folder under protocol/ and one row in protocol/dialects.c; the rest of the gateway
 * speaks only this vocabulary and names no dialect. */
#ifndef SYNCGATE_PROTOCOL_DIALECT_H
#define SYNCGATE_PROTOCOL_DIALECT_H

#include "protocol/base/buf.h"
#include "protocol/window.h"

enum kind { KIND_NONE, KIND_VAR, KIND_LIST, KIND_FUNCTION, KINDS };

/* What can be wrong, by its numbers in SockSync v1 (docs/protocol.md). Results of calls carry them through Redis. A dialect has
 * codes, or silence, of its own for them: struct dialect, error. */
enum error_code {
    ERROR_FUNC = 1, /* unknown, not available for the type, or subscription missing */
    ERROR_TYPE = 2,
    ERROR_NAME = 3, /* malformed, unknown or hidden */
    ERROR_ID = 4,
    ERROR_MISSING = 5, /* required field absent */
    ERROR_ARGUMENTS = 6,
    ERROR_JSON = 7,
    ERROR_OTHER = 8
};

/* --- what a dialect asks for --- */

enum action_op {
    ACTION_NONE,  /* nothing */
    ACTION_REPLY, /* bytes: to this connection, in its place among the answers, never conflated */
    ACTION_FAULT, /* `error`, `text` and whatever of kind, name, id is set: counted, and told as the dialect's `error` does */
    ACTION_FAULT_IF_KNOWN, /* the same if the name is known, otherwise error 3 */
    ACTION_CLOSE,          /* close the WebSocket: close_code, text */
    ACTION_SUBSCRIBE, /* kind, name; list: has_id, or page and page_size as of get; silent, wait, interval_ms. Function: this peer
                              executes it */
    ACTION_UNSUBSCRIBE, /* kind, name; list: has_id */
    ACTION_UNSUBSCRIBE_ALL,
    ACTION_GET,         /* kind, name; list: has_id, or page and page_size (0 = the owner's maximum) */
    ACTION_SET,         /* kind, name, value; list: id, or without one index */
    ACTION_SET_ALL,     /* list: name, items_json */
    ACTION_INSERT,      /* list: name, index, value, id; without one the gateway makes one that nobody else gets */
    ACTION_DELETE,      /* list: name, id, or without one index */
    ACTION_MOVE,        /* list: name, id, index: its final place */
    ACTION_CALL,        /* function: name, id, has_value: args (a JSON object) in `value` */
    ACTION_RETURN,      /* function: name, id, has_value */
    ACTION_AUTH,        /* value: the token that it shows from now on, decoded */
    ACTION_CALL_FAILED, /* function: id, error, text_json (the message as JSON string, may be empty) */
    ACTION_OPS
};

/* An index: the end of the list, whatever its length is when Redis carries it out. For insert and move. */
enum { ACTION_END = -1 };

/* Slices are borrowed: from the message, or from the dialect's scratch memory, valid until it is asked for anything again. */
struct action {
    enum action_op op;
    enum kind kind;    /* KIND_NONE when not known to be well-formed */
    uint32_t tag;      /* writes: not 0, and `answer` is told how it ended */
    struct slice name; /* decoded UTF-8; ptr NULL when not known to be well-formed (or longer than 512 bytes) */
    struct slice id;   /* canonical JSON text: decimal integer, or string with minimal escapes */
    bool has_id;
    bool has_value;
    bool wait;          /* subscribe: also to a name that is not there yet */
    bool silent;        /* subscribe: the state is not told before it is asked for */
    struct slice value; /* JSON text exactly as written (byte for byte) */
    int64_t page;
    int64_t page_size;   /* 0 = not given */
    int64_t interval_ms; /* subscribe: the least time between two updates, 0 = every change */
    int64_t
        index; /* of the whole list; ACTION_END: behind its last item; INT64_MAX: out of range, but let Redis look for the id first */
    struct slice items_json; /* the array as written */
    enum error_code error;
    const char *text;       /* a static sentence */
    struct slice text_json; /* ACTION_CALL_FAILED */
    int close_code;
    uint32_t messages;          /* ACTION_REPLY: in `bytes` … */
    size_t bytes_at, bytes_len; /* … which lie here in the list's `bytes` */
};

/* What one message asked for, in order. Bounded: a message that asks for more than ACTIONS_MAX is refused whole. */
enum { ACTIONS_MAX = 16 };
struct actions {
    struct action list[ACTIONS_MAX];
    size_t len;
    bool overflow;
    int64_t due_ms;    /* when `tick` wants to be called, by the clock that it is told; 0: never, -1: as before */
    struct buf *bytes; /* of replies */
};

static inline void actions_init(struct actions *as, struct buf *bytes)
{
    as->len = 0;
    as->overflow = false;
    as->due_ms = -1;
    as->bytes = bytes;
    buf_reset(bytes);
}

/* actions_add: the next one, all zero but `op`. With the list full it is one that will not be carried out. */
struct action *actions_add(struct actions *as, enum action_op op);
/* actions_reply makes `a`, the last of them, a reply: what was put into as->bytes since it held `from` bytes, whole messages
 * (frame_begin/frame_end). */
void actions_reply(const struct actions *as, struct action *a, size_t from, uint32_t messages);

/* --- one connection, as its dialect sees it --- */

/* The answers to "may this peer do this to that name" (docs/protocol.md, rows 19 and 20, asked as one question). */
enum access {
    ACCESS_OK,
    ACCESS_UNKNOWN,      /* not registered or hidden: error 3 */
    ACCESS_UNSUBSCRIBED, /* the name is known, the rule is violated: error 1 */
    ACCESS_UNRESOLVED    /* the rule is violated; whether the name is known takes a question to Redis */
};

struct dialect_peer;

struct dialect_limits {
    int max_depth;       /* nesting of a message; the message object counts as 1 */
    int value_depth;     /* nesting of a value that is kept or passed on */
    size_t max_items;    /* elements of one set_all */
    bool index_absolute; /* `insert` frames carry the absolute index instead of the page-relative one */
};

/* What a dialect may ask of the connection it serves. Made by the gateway's peer, faked in tests. */
struct dialect_host {
    enum access (*access)(struct dialect_peer *peer, enum action_op op, enum kind kind, struct slice name,
                          const struct slice *id);
    /* room: what stands behind the route's path, percent-decoded; empty for a route without one. Lives as long as the peer. */
    struct slice (*room)(const struct dialect_peer *peer);
    const struct dialect_limits *(*limits)(const struct dialect_peer *peer);
};

/* The head of a dialect's own struct (peer_size), which lies behind the connection, zeroed when it opens. */
struct dialect_peer {
    const struct dialect_host *host;
};

/* How a write with a tag ended. */
struct answer {
    enum answer_what {
        ANSWER_WRITTEN, /* number: the new revision */
        ANSWER_REFUSED, /* error, text: why */
        ANSWER_AWAY     /* it is not known whether it happened */
    } what;
    uint32_t tag;
    int64_t number;
    enum error_code error;
    const char *text;
};

/* --- state as wire bytes: made once for all peers of one dialect that follow the same --- */

/* Encoders append whole messages (frame_begin/frame_end) to `out`; each returns how many. Names are decoded UTF-8. */
struct var_codec {
    uint32_t (*set)(struct buf *out, struct slice name, struct slice value);
};

struct list_codec {
    uint32_t (*page)(struct buf *out, struct slice name, const struct page *p);
    /* steps: what page_compare found, in its order, and set_count when it says so. */
    uint32_t (*steps)(struct buf *out, struct slice name, const struct dialect_limits *limits, const struct page *to,
                      const struct page_steps *steps);
    /* Both NULL: single items cannot be subscribed to. gone: it left the list itself. */
    uint32_t (*item_set)(struct buf *out, struct slice name, const struct entry *e);
    uint32_t (*item_delete)(struct buf *out, struct slice name, struct slice id, bool gone);
};

struct call_codec {
    uint32_t (*call)(struct buf *out, struct slice name, struct slice id, struct slice args);
    /* value.ptr NULL: none. */
    uint32_t (*ret)(struct buf *out, struct slice name, struct slice id, struct slice value);
};

/* Where a dialect is spoken. */
struct route {
    const char *path;        /* without a slash at its end; NULL ends the table */
    bool with_room;          /* any path below it, too: the rest is the room */
    const char *subprotocol; /* Sec-WebSocket-Protocol; NULL: none is selected */
};

struct dialect {
    const char *name; /* "socksync", for logs and metrics */
    const struct route *routes;
    size_t peer_size; /* 0: struct dialect_peer alone */

    /* open speaks first. May be NULL, as all that follow but `receive` and `error`. */
    void (*open)(struct dialect_peer *peer, struct actions *out);
    /* receive decides what one whole message asks for. `bytes` need not be NUL-terminated. Never fails: a bad message is
     * ACTION_FAULT or ACTION_CLOSE. Not re-entrant: slices in `out` live until the next call of any of these. */
    void (*receive)(struct dialect_peer *peer, struct slice bytes, bool binary, struct actions *out);
    void (*answer)(struct dialect_peer *peer, const struct answer *a, struct actions *out);
    void (*tick)(struct dialect_peer *peer, int64_t now_ms, struct actions *out);
    /* close: the connection goes; frees what the peer's struct holds. */
    void (*close)(struct dialect_peer *peer);

    /* NULL: that kind is not spoken. */
    const struct var_codec *var;
    const struct list_codec *list;
    const struct call_codec *call;

    /* about: the name that a message is about, for people who look on; ours: the gateway sent it. It lies in the message or in `scratch`,
     * which does not grow; ptr NULL: none, or it takes longer to find out. */
    struct slice (*about)(struct slice message, bool ours, struct buf *scratch);

    /* error: the frame for a fault, 0 for silence. */
    uint32_t (*error)(struct buf *out, enum error_code code, struct slice text, enum kind kind, struct slice name,
                      struct slice id);
    /* closes: the close code with which a fault ends the connection, 0 when it goes on. NULL: it always goes on. */
    int (*closes)(enum error_code code);
    /* signed_in: the answer to ACTION_AUTH. user.ptr NULL: nobody is named. expires_s: since 1970, 0 for never. */
    uint32_t (*signed_in)(struct buf *out, struct slice user, int64_t expires_s);
    /* waiting: the name is unknown, and the subscription stays all the same. */
    uint32_t (*waiting)(struct buf *out, struct slice text, enum kind kind, struct slice name, struct slice id);
    /* offered, withdrawn: a name that this peer may write (variable or list) or call (function) from now on, or no longer. */
    uint32_t (*offered)(struct buf *out, enum kind kind, struct slice name);
    uint32_t (*withdrawn)(struct buf *out, enum kind kind, struct slice name);
};

#endif

/* What a protocol ("dialect") must provide: bytes of one message in, one action out; views in, wire bytes out.
 * Pure: no socket, clock, random or log. The gateway core speaks only this vocabulary, so a sibling protocol is one more
 * table like `socksync_dialect`. */
#ifndef SYNCGATE_PROTOCOL_DIALECT_H
#define SYNCGATE_PROTOCOL_DIALECT_H

#include "protocol/base/buf.h"
#include "protocol/window.h"

enum kind { KIND_NONE, KIND_VAR, KIND_LIST, KIND_FUNCTION, KINDS };

/* Error codes of SockSync v1 (docs/protocol.md); other dialects translate when they encode. */
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

/* What the bytes of one message ask for. */
enum action_op {
    ACTION_NONE,           /* nothing to do (an error frame without a usable id) */
    ACTION_FAULT,          /* answer with `error`, `text` and whatever of kind, name, id is set */
    ACTION_FAULT_IF_KNOWN, /* the subscription rule is violated: if the name is known answer `error`/`text`, else error 3 */
    ACTION_CLOSE,          /* close the WebSocket with `close_code` (1007) */
    ACTION_SUBSCRIBE,      /* kind, name; list: has_id */
    ACTION_UNSUBSCRIBE, /* kind, name; list: has_id */
    ACTION_UNSUBSCRIBE_ALL,
    ACTION_PING,    /* perhaps an id; answer with `pong` */
    ACTION_GET,     /* kind, name; list: has_id, or page and page_size (0 = the owner's maximum) */
    ACTION_SET,     /* kind, name, value; list: id */
    ACTION_SET_ALL, /* list: name, page, total, items_json and items/items_len */
    ACTION_INSERT,  /* list: name, index, id, value */
    ACTION_DELETE,  /* list: name, id */
    ACTION_CALL,    /* function: name, id, has_value: args (a JSON object) in `value` */
    ACTION_RETURN,  /* function: name, id, has_value */
    ACTION_CALL_FAILED /* an error frame that carries an id: error (code), text_json (the message as JSON string, may be empty), id */
};

struct action_item {
    struct slice id;    /* canonical JSON text */
    struct slice value; /* as written */
};

/* All slices are borrowed: from the message or from the dialect's scratch memory, valid until the next receive. */
struct action {
    enum action_op op;
    enum kind kind;    /* KIND_NONE when not known to be well-formed */
    struct slice name; /* decoded UTF-8; ptr NULL when not known to be well-formed (or longer than 512 bytes) */
    struct slice id;   /* canonical JSON text: decimal integer, or string with minimal escapes */
    bool has_id;
    struct slice value; /* JSON text exactly as written (byte for byte) */
    bool has_value;
    int64_t page;
    int64_t page_size;   /* 0 = not given */
    int64_t interval_ms; /* subscribe: the least time between two updates (from max_rate), 0 = every change */
    bool wait;           /* subscribe: also to a name that is not there yet */
    int64_t index;       /* not negative; INT64_MAX: out of range, but let Redis look for the id first */
    int64_t total;
    struct slice items_json; /* the array as written */
    const struct action_item *items;
    size_t items_len;
    enum error_code error;
    const char *text;       /* static sentence for ACTION_FAULT* */
    struct slice text_json; /* ACTION_CALL_FAILED */
    int close_code;
};

/* The answers to "may this peer do this to that name" (docs/protocol.md, rows 19 and 20, asked as one question). */
enum access {
    ACCESS_OK,
    ACCESS_UNKNOWN,      /* not registered or hidden: error 3 */
    ACCESS_UNSUBSCRIBED, /* the name is known, the rule is violated: error 1 */
    ACCESS_UNRESOLVED    /* the rule is violated; whether the name is known takes a question to Redis */
};

/* dialect_peer is what a dialect may ask of the connection it serves. Embedded by the gateway's session, faked in tests. */
struct dialect_peer {
    enum access (*access)(struct dialect_peer *peer, enum action_op op, enum kind kind, struct slice name,
                          const struct slice *id);
};

struct dialect_limits {
    int max_depth;       /* nesting; the message object counts as 1 */
    size_t max_items;    /* elements of one set_all */
    bool index_absolute; /* `insert` frames carry the absolute index instead of the page-relative one */
};

struct dialect {
    const char *name;        /* "socksync", for logs and metrics */
    const char *subprotocol; /* Sec-WebSocket-Protocol, "socksync.v1" */

    /* receive decides what one whole message asks for. `text` need not be NUL-terminated. Never fails: a bad message is
     * ACTION_FAULT or ACTION_CLOSE. Not re-entrant: the slices in `out` live until the next call. */
    void (*receive)(const struct dialect_limits *limits, struct dialect_peer *peer, struct slice text, bool binary,
                    struct action *out);

    /* Encoders append whole messages (frame_begin/frame_end) to `out`; each returns how many. Names are decoded UTF-8. */
    uint32_t (*var_set)(struct buf *out, struct slice name, struct slice value);
    uint32_t (*item_set)(struct buf *out, struct slice name, const struct entry *e);
    uint32_t (*item_delete)(struct buf *out, struct slice name, struct slice id, bool gone);
    uint32_t (*page)(struct buf *out, struct slice name, const struct page *p);
    /* steps: what page_compare found, in its order; then set_count when it says so. */
    uint32_t (*steps)(struct buf *out, struct slice name, const struct dialect_limits *limits, const struct page *to,
                      const struct page_steps *steps);
    uint32_t (*error)(struct buf *out, enum error_code code, struct slice text, enum kind kind, struct slice name,
                      struct slice id);
    /* waiting: the name is unknown (error 3), and the subscription stays all the same. */
    uint32_t (*waiting)(struct buf *out, struct slice text, enum kind kind, struct slice name, struct slice id);
    uint32_t (*subscribe)(struct buf *out, enum kind kind, struct slice name);
    uint32_t (*unsubscribe)(struct buf *out, enum kind kind, struct slice name);
    uint32_t (*call)(struct buf *out, struct slice name, struct slice id, struct slice args);
    /* value.ptr NULL: no value field. */
    uint32_t (*ret)(struct buf *out, struct slice name, struct slice id, struct slice value);
    /* id.ptr NULL: no id field. */
    uint32_t (*pong)(struct buf *out, struct slice id);
};

#endif

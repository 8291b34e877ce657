/* What connections asked for and did not get yet. */
#ifndef SYNCGATE_GATEWAY_STATE_REQUEST_H
#define SYNCGATE_GATEWAY_STATE_REQUEST_H

#include "gateway/state/sub.h"

/* Something a connection asked for that takes an answer from Redis first, or room for the answer. */
struct request {
    struct list_node
        in_item; /* or in subscriber_of(conn)->held: it waits for room, and is looked at when there is some */
    struct list_node in_conn;
    struct list_node in_deadlines; /* registry, oldest first; not while held */
    struct topic
        *topic; /* NULL: an answer that waits for room behind others; of what follows it has `held` and `wire` */
    struct conn *conn;
    struct slice wire;   /* whole messages … */
    uint32_t messages;   /* … so many */
    uint64_t reads;      /* of the topic, begun before this request */
    bool subscribe;      /* else: get */
    bool held;           /* in conn->held */
    bool silent;         /* nothing is sent, unless it fails */
    uint32_t slots;      /* of its page's window, which is kept for it */
    struct view *view;   /* list page */
    struct watch *watch; /* list item */
    int64_t deadline_ms;
    char wire_bytes[];
};

/* request_new: among those of the topic that wait for Redis. slots: what the window of its view has room for. */
struct request *request_new(struct topic *t, struct conn *c, bool subscribe, struct view *view, uint32_t slots,
                            struct watch *watch);
void request_free(struct request *q);
/* request_target: what it asks about, as of a subscription. */
const void *request_target(const struct request *q);
/* request_fail answers an error and frees; a pending subscription that waited for it ends, unless it waits for the name, or was answered. */
void request_fail(struct request *q, enum error_code code, const char *text);
/* request_fail_unknown answers error 3 (and keeps a subscription that wants to wait for the name), but only on the strength of a read
 * that began after the request: somebody may have created the name just before asking, and that change may be on its way still.
 * False: such a read has to come first. */
bool request_fail_unknown(struct request *q);
/* request_hold: true when the connection has no room for an answer, or older requests of it wait for that: then the request costs
 * no more than itself, and gets the newest state as its answer later. It is no longer among its topic's. */
bool request_hold(struct request *q);
/* request_release: back to those that wait for Redis. */
void request_release(struct request *q);
/* request_hold_reply: when requests of this connection wait for room an answer that is there already waits behind them, and is sent in
 * its place. False: there are none. */
bool request_hold_reply(struct conn *c, struct slice wire, uint32_t messages);
/* request_send_reply sends one that waited, and frees it. */
void request_send_reply(struct request *q);

#endif

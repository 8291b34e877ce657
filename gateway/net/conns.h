/* All connections of one process: those that are open, and in what state the others end. */
#ifndef SYNCGATE_GATEWAY_NET_CONNS_H
#define SYNCGATE_GATEWAY_NET_CONNS_H

#include "gateway/core/core.h"

struct conn;

enum { WHEEL_SLOTS = 32 };

/* conn.c writes the fields; who only looks may walk `open`, in the order of their ids. */
struct conns {
    struct list open;    /* struct conn, by node: all that there are, closing ones included */
    struct map by_id;    /* struct conn */
    uint64_t ids;        /* last one given */
    struct list closing; /* struct conn that wait for the peer's close frame */
    struct list watched; /* struct conn that have to take something, or are closed with 1013 */
    struct list begun;   /* struct conn that took a part of a long message, the longest ago first */
    size_t pieces_bytes; /* of long messages, written in this turn */
    struct list wheel[WHEEL_SLOTS];
    size_t wheel_at;
};

struct conns *conns_new(void);
void conns_free(struct conns *cs); /* all of them must be gone; NULL is allowed */

/* conns_find: the open connection with that id, or NULL. */
struct conn *conns_find(const struct conns *cs, uint64_t id);

#endif

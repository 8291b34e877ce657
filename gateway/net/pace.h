/* How fast peers may send and ask, and how much of what Redis is asked may be under way: for one connection, and for all together. Over a
 * bound the connection is not read from until it is less, so nothing that was read is refused for it. What one read of the socket
 * brought is dealt with still. */
#ifndef SYNCGATE_GATEWAY_NET_PACE_H
#define SYNCGATE_GATEWAY_NET_PACE_H

#include "gateway/net/conn.h"

struct pace *pace_new(void);
void pace_free(struct pace *p); /* connections must be gone; NULL is allowed */

/* pace_received: a frame came, or the last one of a message of so many bytes; pace_answer: it is answered so many bytes. Both count in a
 * second only (allowance.h). */
void pace_received(struct conn *c, size_t bytes);
void pace_answer(struct conn *c, size_t bytes);

/* pace_begins: Redis is sent something that has to be answered: a write, a call, a question. bytes: of what goes with it. */
void pace_begins(struct conn *c, size_t bytes);
/* pace_ends: it was answered, or its link is lost. The connection may be gone. */
void pace_ends(struct gateway *g, uint64_t conn, size_t bytes);

/* pace_asked: this connection gave cause to ask Redis, now or in turn: for a name, a page or an item that is not known here.
 * requests, slots: of it that wait for an answer, and the room of their windows; 0 for what is no request. */
void pace_asked(struct conn *c, size_t requests, size_t slots);
/* pace_waits: one of its requests waits for Redis from here on, or no more. slots: of the window that is kept for its answer. */
void pace_waits(struct conn *c, uint32_t slots);
void pace_waits_no_more(struct conn *c, uint32_t slots);
/* pace_answered: fewer of its requests wait. */
void pace_answered(struct conn *c, size_t requests, size_t slots);

/* pace_forget: the connection ends; why it was not read from makes no difference any more. */
void pace_forget(struct conn *c);
/* pace_tick: call every ALLOWANCE_TICK_MS; pace_end_turn: after each turn. They read on from who waited; who is
 * over a rate for too long is handed to `close`, which is conn_close. */
void pace_tick(struct gateway *g, slowed_close_fn *close);
void pace_end_turn(struct gateway *g);

#endif

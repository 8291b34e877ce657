/* What the messages of a connection ask for, carried out. */
#ifndef SYNCGATE_GATEWAY_PEER_PEER_H
#define SYNCGATE_GATEWAY_PEER_PEER_H

#include "gateway/net/conn.h"

/* A connection that opens is told the functions it may call and the names it may write (literal grants). Its messages become
 * subscriptions, questions, writes and calls. When its grants change, what is not granted any more ends, and it is told (error 3 for
 * each, which counts as nobody's fault); what is new is announced. When it closes everything it had ends. */
extern const struct conn_events peer_events;

struct peers *peers_new(struct gateway *g);
void peers_free(struct peers *ps); /* connections must be gone; NULL is allowed */

#endif

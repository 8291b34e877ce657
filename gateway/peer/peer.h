/* What a connection means: applies the actions of its dialect to items and calls, and answers the dialect's questions about
 * grants and subscriptions. */
#ifndef SYNCGATE_GATEWAY_PEER_PEER_H
#define SYNCGATE_GATEWAY_PEER_PEER_H

#include "gateway/net/conn.h"

/* peer_open: announces the functions the peer may call and the names it may write (literal grants). */
void peer_open(struct conn *c);
/* peer_close ends everything the connection had: subscriptions, requests, calls. */
/* peer_regrant: c->grants are new, `old` are those before. Ends what is not granted any more and says so (error 3 for each
 * subscription and served function), and announces what became or ceased to be writable or callable. */
void peer_regrant(struct conn *c, const struct grants *old);
void peer_close(struct conn *c);
/* peer_message applies one whole message. */
void peer_message(struct conn *c, struct slice text, bool binary);

#endif

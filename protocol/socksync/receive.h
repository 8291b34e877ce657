/* From the bytes of one message to one action. Rows of checks, in the order of docs/protocol.md, "What is checked". */
#ifndef SYNCGATE_PROTOCOL_SOCKSYNC_RECEIVE_H
#define SYNCGATE_PROTOCOL_SOCKSYNC_RECEIVE_H

#include "protocol/dialect.h"

/* receive_message is `receive` of struct dialect. What `out` borrows lives until the next call, or as long as `text`. */
void receive_message(struct dialect_peer *peer, struct slice text, bool binary, struct actions *out);

#endif

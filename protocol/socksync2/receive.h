/* From the bytes of one message of SockSync v2 to its actions. Rows of checks, in the order of docs/protocol-v2.md, "What is
 * checked". */
#ifndef SYNCGATE_PROTOCOL_SOCKSYNC2_RECEIVE_H
#define SYNCGATE_PROTOCOL_SOCKSYNC2_RECEIVE_H

#include "protocol/dialect.h"

/* v2_receive is `receive` of struct dialect. What `out` borrows lives until the next call, or as long as `text`. */
void v2_receive(struct dialect_peer *peer, struct slice text, bool binary, struct actions *out);

#endif

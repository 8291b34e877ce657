/* SockSync v1: named variables, lists and functions as JSON messages over WebSocket text frames.
 * The wire contract is docs/protocol.md; this is its place in the gateway's vocabulary. */
#ifndef SYNCGATE_PROTOCOL_SOCKSYNC_SOCKSYNC_H
#define SYNCGATE_PROTOCOL_SOCKSYNC_SOCKSYNC_H

#include "protocol/dialect.h"

enum { SOCKSYNC_ITEM_ID_MAX = 256 }; /* bytes of decoded text */

extern const struct dialect socksync_dialect;

#endif

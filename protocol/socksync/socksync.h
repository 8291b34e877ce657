/* SockSync v1: named variables, lists and functions as JSON messages over WebSocket text frames.
 * The wire contract is docs/protocol.md; this is its place in the gateway's vocabulary. */
#ifndef SYNCGATE_PROTOCOL_SOCKSYNC_SOCKSYNC_H
#define SYNCGATE_PROTOCOL_SOCKSYNC_SOCKSYNC_H

#include "protocol/dialect.h"

/* Limits of the vocabulary, in bytes of decoded text. */
enum {
    SOCKSYNC_NAME_MAX = 512,
    SOCKSYNC_ITEM_ID_MAX = 256,
    SOCKSYNC_CALL_ID_MAX = 128,
    SOCKSYNC_DEPTH_OVERHEAD = 4 /* a value may nest max_depth less this */
};

extern const struct dialect socksync_dialect;

#endif

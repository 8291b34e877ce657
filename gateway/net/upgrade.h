/* The handshake of a WebSocket: checked before it is accepted, and what was agreed on. */
#ifndef SYNCGATE_GATEWAY_NET_UPGRADE_H
#define SYNCGATE_GATEWAY_NET_UPGRADE_H

#include "gateway/access/remote.h"
#include "gateway/core/core.h"
#include "gateway/net/deflate.h"
#include "protocol/dialects.h"

struct lws;
struct lws_extension;
struct lws_process_html_args;

enum { UPGRADE_NAME_BYTES = 128 };

/* From upgrade_check to the established connection, which follow each other in one call: one per process. */
struct upgrade {
    struct dialect_match match;  /* the room lies in `target` */
    const struct grants *grants; /* held; NULL: nobody's yet */
    struct remote remote;
    struct deflate_offer offer;
    bool deflate; /* the extension is active */
    char chosen
        [UPGRADE_NAME_BYTES]; /* names of two rows of libwebsockets' protocol table: the selected sub-protocol, or empty … */
    char any[UPGRADE_NAME_BYTES]; /* … and one that the client offers and is not told back; empty otherwise */
    char target[512];
};

/* upgrade_forget lets the grants go that the last handshake left. */
void upgrade_forget(struct upgrade *u);
/* upgrade_check answers a request that is no good with its refusal. Returns what the callback of libwebsockets must return. */
int upgrade_check(struct gateway *g, struct lws *wsi);

/* permessage-deflate: the table for libwebsockets, and what its callbacks of the handshake ask. */
const struct lws_extension *upgrade_extensions(void);
bool upgrade_grants_extension(struct upgrade *u);
int upgrade_add_parameters(const struct upgrade *u, struct lws_process_html_args *args);

#endif

/* How many connections an address has, and how often it knocks: --connections-per-address, --handshakes-per-address. Of IPv6 a /64
 * counts as one. Loopback, unix sockets and trusted proxies stand for many and are not counted, unless a trusted proxy says for whom.
 * Of one process: each worker counts its own. */
#ifndef SYNCGATE_GATEWAY_NET_ADDRESSES_H
#define SYNCGATE_GATEWAY_NET_ADDRESSES_H

#include "gateway/net/conn.h"

struct addresses *addresses_new(void);
void addresses_free(struct addresses *as); /* NULL is allowed; connections must be gone */

/* addresses_refusal: NULL when a handshake from there may go on; else a static sentence about why not, and it is counted. */
const char *addresses_refusal(struct addresses *as, const struct options *opt, const struct remote *remote);
/* addresses_enter: the connection is there, c->remote is known. addresses_leave: it ends. addresses_recount: other options count. */
void addresses_enter(struct conn *c);
void addresses_leave(struct conn *c);
void addresses_recount(struct gateway *g);

#endif

/* When a connection's token ends. Costs nothing where tokens do not end. */
#ifndef SYNCGATE_GATEWAY_NET_EXPIRY_H
#define SYNCGATE_GATEWAY_NET_EXPIRY_H

struct conn;

typedef void expired_fn(struct conn *c);
/* expiry_watch: the connection's grants are new; `on_expired` is called when their token has ended and the grace is over. expiry_forget:
 * it goes. */
void expiry_watch(struct conn *c, expired_fn *on_expired);
void expiry_forget(struct conn *c);

#endif

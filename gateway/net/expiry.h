/* The end of a connection's token: what happens then, and when. Costs nothing where tokens do not end. */
#ifndef SYNCGATE_GATEWAY_NET_EXPIRY_H
#define SYNCGATE_GATEWAY_NET_EXPIRY_H

struct conn;

/* expiry_watch: the connection's grants are new. expiry_forget: it goes. */
void expiry_watch(struct conn *c);
void expiry_forget(struct conn *c);

#endif

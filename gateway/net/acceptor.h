/* Accepts connections on a listening socket that somebody else opened: libwebsockets or whoever started us. */
#ifndef SYNCGATE_GATEWAY_NET_ACCEPTOR_H
#define SYNCGATE_GATEWAY_NET_ACCEPTOR_H

#include <stdbool.h>

struct acceptor;
struct event_base;

/* acceptor_new is for `fd` (made non-blocking), from acceptor_watch(a, true) on. Each connection is handed to on_socket, which owns it
 * then. */
struct acceptor *acceptor_new(struct event_base *base, int fd, void (*on_socket)(void *arg, int fd), void *arg);
void acceptor_watch(struct acceptor *a, bool on);
/* acceptor_free returns the socket, which stays open. */
int acceptor_free(struct acceptor *a);

#endif

/* Accepts connections on a listening socket that somebody else opened, for libwebsockets, which can only use its own. */
#ifndef SYNCGATE_GATEWAY_ACCEPTOR_H
#define SYNCGATE_GATEWAY_ACCEPTOR_H

struct acceptor;
struct event_base;

/* acceptor_new watches `fd` (non-blocking; taken over). Each connection is handed to on_socket, which owns it then. */
struct acceptor *acceptor_new(struct event_base *base, int fd, void (*on_socket)(void *arg, int fd), void *arg);
/* acceptor_free closes the socket here; whoever passed it may hold it still, and then connections wait in it. */
void acceptor_free(struct acceptor *a);

#endif

/* Sockets that a supervisor opened and passed on (the protocol of sd_listen_fds(3)): LISTEN_PID names us, LISTEN_FDS says how many
 * stand from descriptor 3 on. */
#ifndef SYNCGATE_GATEWAY_NET_ACTIVATION_H
#define SYNCGATE_GATEWAY_NET_ACTIVATION_H

#include "gateway/config/options.h"

enum { ACTIVATION_MAX = 32 };

/* activation_take fills `fds` and returns how many there are, 0 when nothing was passed to us; -1 (logged) when something was that
 * nobody can connect to. The descriptors are not inherited any further by programs, and the variables are gone. Call it once. */
int activation_take(int fds[ACTIVATION_MAX]);

/* activation_is_unix: what kind of address the socket has; activation_name writes it as --listen
 * would have it. */
bool activation_is_unix(int fd);
void activation_name(int fd, char *out, size_t size);
/* activation_listens_beyond_loopback: is any address that this program listens at, passed or not, reachable from beyond this
 * machine? */
bool activation_listens_beyond_loopback(const struct options *o);

#endif

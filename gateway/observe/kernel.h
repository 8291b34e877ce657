/* What the kernel keeps about a socket anyway: how much still waits in it and how far away the peer is. Asked for when somebody
 * looks, so that no connection has to keep it. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_KERNEL_H
#define SYNCGATE_GATEWAY_OBSERVE_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

struct kernel_view {
    int64_t unsent; /* bytes in the send buffer that the peer has not acknowledged */
    bool tcp;       /* what follows is known: not on a unix socket */
    int64_t rtt_us;
    int64_t lost; /* segments sent again */
};

/* kernel_unsent: bytes in the send buffer that the peer has not acknowledged; 0 when there is no such socket any more. */
uint64_t kernel_unsent(int fd);

/* kernel_has_room: the socket takes something now. */
bool kernel_has_room(int fd);

/* kernel_look: false when there is no such socket any more. */
bool kernel_look(int fd, struct kernel_view *out);

#endif

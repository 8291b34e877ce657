/* One non-blocking stream of bytes to Redis: a unix socket, TCP, or TLS over TCP with the server's name checked.
 * Knows nothing of Redis' protocol nor of the event loop. SIGPIPE must be ignored by the process when TLS is used. */
#ifndef SYNCGATE_REDIS_WIRE_H
#define SYNCGATE_REDIS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct ssl_st;

struct wire {
    int fd;               /* -1: closed */
    struct ssl_st *ssl;   /* NULL: plain */
    bool write_blocked;   /* the last wire_write stopped because the socket is full */
    bool read_needs_room; /* TLS cannot read on before it has written something of its own */
    bool ended;           /* the peer closed it in order */
    char why[160];        /* what ended it, after a failure */
};

void wire_init(struct wire *w);
/* wire_connect starts connecting; the socket is writable when that has ended, see wire_connected. Returns false when it failed
 * at once. TCP sockets send small writes without delay and notice a dead peer by keepalive probes. */
bool wire_connect(struct wire *w, const struct sockaddr *address, socklen_t len);
/* wire_connected, when the socket became writable for the first time: whether connecting succeeded. */
bool wire_connected(struct wire *w);
/* wire_secure puts TLS around a connected wire; the handshake happens with the first reads and writes. The certificate must be
 * valid for `host` (a name or an address) and signed by ca_file's authorities, or by the system's when that is NULL. Without a
 * host whoever answers is believed: for peers that nobody can stand in front of. */
bool wire_secure(struct wire *w, const char *host, const char *ca_file);
/* wire_read and wire_write return the bytes moved, 0 when nothing can be moved at present, -1 when the wire is broken. */
ssize_t wire_read(struct wire *w, void *room, size_t size);
ssize_t wire_write(struct wire *w, const void *bytes, size_t len);
/* wire_close may be called on a closed wire; `why` stays. */
void wire_close(struct wire *w);

#endif

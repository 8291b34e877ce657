/* A connection to a server, plain or TLS, that never blocks. */
#ifndef SYNCGATE_BENCH_STREAM_H
#define SYNCGATE_BENCH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bench/url.h"

struct ssl_st;

struct stream {
    int fd; /* -1: none */
    struct ssl_st *ssl;
};

enum stream_state { STREAM_FAILED = -1, STREAM_BUSY = 0, STREAM_OPEN = 1 };

/* stream_verify: certificates are checked unless this is called with false. */
void stream_verify(bool on);
/* stream_connect begins; receive_buffer > 0 limits what the kernel takes in. errno says why it is false. */
bool stream_connect(struct stream *s, const struct url *to, int receive_buffer);
/* stream_open goes on with it; to be called when the socket is writable first, and then at every event. */
enum stream_state stream_open(struct stream *s, const struct url *to);
/* stream_read, stream_write: bytes; 0 end; -1 with errno, EAGAIN when there is nothing to do now. */
ssize_t stream_read(struct stream *s, void *out, size_t size);
ssize_t stream_write(struct stream *s, const void *data, size_t len);
/* stream_pending: bytes that TLS has decrypted already and that epoll therefore does not tell of. */
bool stream_pending(const struct stream *s);
/* stream_close resets the connection, so that no port stays in TIME_WAIT. */
void stream_close(struct stream *s);

#endif

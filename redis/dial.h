/* A conversation over a wire that waits: for a program that asks somebody a few things and ends. Every call takes the time,
 * by the monotonic clock, until which it waits; DIAL_FOREVER is for callers with an alarm. Resolving a name waits as long as the
 * resolver does. */
#ifndef SYNCGATE_REDIS_DIAL_H
#define SYNCGATE_REDIS_DIAL_H

#include <stdint.h>

#include "redis/wire.h"

#define DIAL_FOREVER INT64_MAX

/* Whom to call: a host and a port, or a unix socket. */
struct dial {
    const char *host, *port; /* NULL with unix_path */
    const char *unix_path;   /* NULL with host */
    bool tls;
    bool unverified;     /* see wire_secure */
    const char *ca_file; /* NULL: the system's authorities */
};

int64_t dial_now_ms(void);
/* dial_open connects; TLS shakes hands with the first bytes. False: w->why says what is wrong, and the wire is closed. */
bool dial_open(struct wire *w, const struct dial *to, int64_t until_ms);
/* dial_write writes all or fails; dial_read returns what is there, at least one byte, 0 when the peer has closed, -1 after a
 * failure. */
bool dial_write(struct wire *w, const void *bytes, size_t len, int64_t until_ms);
ssize_t dial_read(struct wire *w, void *room, size_t size, int64_t until_ms);

#endif

/* How each kind of server is talked to. */
#ifndef SYNCGATE_BENCH_DIALECT_H
#define SYNCGATE_BENCH_DIALECT_H

#include "bench/client.h"

struct dialect {
    const char *subprotocol; /* NULL: none */
    enum ws_opcode opcode;   /* of what is sent */
    const char *path;        /* in place of "/" */
    /* After the upgrade: appends the first message to `out`; client_is_ready when nothing is waited for. */
    void (*open)(struct client *c, const char *name, struct bytes *out);
    void (*message)(struct client *c, const char *p, size_t len, int64_t now_ns);
    /* Appends the message that publishes; NULL: clients do not publish. */
    void (*publish)(struct bytes *out, const char *name, const char *payload, size_t len);
};

const struct dialect *dialect_of(enum kind kind);

#endif

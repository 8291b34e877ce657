/* WebSocket frames (RFC 6455), both sides: headers only, no fragments put together. */
#ifndef SYNCGATE_BENCH_WSFRAME_H
#define SYNCGATE_BENCH_WSFRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "bench/bytes.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct wsframe {
    size_t head, payload; /* bytes */
    unsigned char opcode;
    bool fin, compressed, masked;
    unsigned char mask[4];
};

/* wsframe_head reads a header: its length, or 0 when bytes are missing. */
static inline size_t wsframe_head(const char *bytes, size_t len, struct wsframe *out)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (len < 2)
        return 0;
    out->fin = p[0] & 0x80;
    out->compressed = p[0] & 0x40;
    out->opcode = p[0] & 0x0f;
    out->masked = p[1] & 0x80;
    out->payload = p[1] & 0x7f;
    out->head = 2;
    if (out->payload >= 126) {
        size_t wide = out->payload == 126 ? 2 : 8;
        if (len < 2 + wide)
            return 0;
        out->payload = 0;
        for (size_t i = 0; i < wide; i++)
            out->payload = out->payload << 8 | p[2 + i];
        out->head += wide;
    }
    if (out->masked) {
        if (len < out->head + 4)
            return 0;
        for (size_t i = 0; i < 4; i++)
            out->mask[i] = p[out->head + i];
        out->head += 4;
    }
    return out->head;
}

/* wsframe_put_head appends the header of a server's frame. */
void wsframe_put_head(struct bytes *out, enum ws_opcode opcode, size_t payload);
/* wsframe_put_masked appends a whole frame of a client. */
void wsframe_put_masked(struct bytes *out, enum ws_opcode opcode, const char *payload, size_t len);

#endif

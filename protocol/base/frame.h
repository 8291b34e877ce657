/* A frame is an immutable, refcounted run of bytes ready for the wire: one or more whole WebSocket messages, each
 * with its own (unmasked, server to client) header in front, so that one frame serves every subscriber of the same view
 * and several frames leave in one write. It never leaves its loop: the count is not atomic. */
#ifndef SYNCGATE_PROTOCOL_BASE_FRAME_H
#define SYNCGATE_PROTOCOL_BASE_FRAME_H

#include <assert.h>

#include "protocol/base/buf.h"

struct frame {
    uint32_t refs;
    uint32_t messages; /* WebSocket messages inside */
    uint32_t begun;    /* of refs: queues that wrote a part of it (outq.c) */
    size_t len;
    const void *of;     /* whose state it tells: to be compared, never looked into; NULL: nobody's */
    struct frame *twin; /* its compressed form, which it owns; itself when there is none, NULL until somebody asks */
    char bytes[];       /* wire bytes: header, payload, header, payload … */
};

/* frame_begin opens a message at the end of `out` and returns its mark; frame_end closes it, writing the header
 * (RFC 6455 section 5.2: FIN, text, 7/16/64-bit length). Any number of messages may follow one another in one buffer. */
size_t frame_begin(struct buf *out);
void frame_end(struct buf *out, size_t mark);
/* frame_end_binary closes a binary message. */
void frame_end_binary(struct buf *out, size_t mark);

/* frame_new copies wire bytes made by frame_begin/frame_end into a new frame with one reference, the caller's. */
struct frame *frame_new(struct slice wire, uint32_t messages);
struct frame *frame_ref(struct frame *f);
/* frame_unref drops one reference; the last one frees (frame_free, for nobody else). NULL is allowed. */
void frame_free(struct frame *f);
static inline void frame_unref(struct frame *f)
{
    if (!f)
        return;
    assert(f->refs > 0);
    if (--f->refs == 0)
        frame_free(f);
}
/* frame_bytes_live: memory of all frames that there are. */
size_t frame_bytes_live(void);

#endif

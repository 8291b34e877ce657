/* The frames that wait for one connection, in order. It holds references only; bytes are gathered when they are written. */
#ifndef SYNCGATE_GATEWAY_NET_OUTQ_H
#define SYNCGATE_GATEWAY_NET_OUTQ_H

#include <assert.h>

#include "protocol/base/frame.h"

enum outq_kind {
    OUTQ_STATE,  /* may be thrown away: the newest state does as well */
    OUTQ_ANSWER, /* the peer asked for it */
    OUTQ_OTHER,  /* what comes of others and is not state: kept, and no debt of its own */
    OUTQ_NONE    /* none of them */
};

struct outq_slot {
    struct frame *frame;
    enum outq_kind kind;
};

enum { OUTQ_RING_KEPT = 32 }; /* slots; a larger ring is given back as soon as nothing waits */

struct outq {
    struct outq_slot *ring;  /* NULL while `one` is enough */
    struct outq_slot one;    /* an idle connection needs no more: a ring is made for the second frame that waits */
    uint32_t head, len, cap; /* cap is a power of two */
    size_t bytes;            /* that are still to be written */
    size_t sent;             /* bytes of the oldest frame that are written already */
    size_t answers;          /* bytes of OUTQ_ANSWER that nobody has begun to write */
};

void outq_deinit(struct outq *q);
/* outq_trim gives the ring back when nothing waits. */
void outq_trim(struct outq *q);
/* outq_push takes a reference of its own. */
void outq_push(struct outq *q, struct frame *f, enum outq_kind kind);
/* outq_peek returns the oldest frame, borrowed, or NULL. */
struct frame *outq_peek(const struct outq *q);
/* outq_pop drops the oldest frame; outq_pop_only likewise, when it is the only one and not begun. */
void outq_pop(struct outq *q);
static inline void outq_pop_only(struct outq *q)
{
    assert(q->len == 1 && !q->sent);
    if (q->cap > OUTQ_RING_KEPT) {
        outq_pop(q);
        return;
    }
    q->len = 0;
    q->bytes = q->answers = 0;
    frame_unref(q->ring ? q->ring[q->head].frame : q->one.frame);
}
/* outq_wrote: so many more bytes of the oldest frame were written; the last one drops it. */
void outq_wrote(struct outq *q, size_t bytes);
/* outq_shed drops all state but a frame whose beginning was written; returns how many messages that were. Appends to `of` whose
 * state it was (frame.h), a pointer for each frame but for one that is of the same as the one before. */
size_t outq_shed(struct outq *q, struct buf *of);
/* outq_clear drops all but a frame whose beginning was written. */
void outq_clear(struct outq *q);

#endif

/* The frames that wait for one connection, in order. It holds references only; bytes are gathered when they are written. */
#ifndef SYNCGATE_GATEWAY_OUTQ_H
#define SYNCGATE_GATEWAY_OUTQ_H

#include "protocol/base/frame.h"

struct outq_slot {
    struct frame *frame;
    bool answer; /* not to be thrown away */
};

struct outq {
    struct outq_slot *ring;  /* NULL while `one` is enough */
    struct outq_slot one;    /* an idle connection needs no more: a ring is made for the second frame that waits */
    uint32_t head, len, cap; /* cap is a power of two */
    size_t bytes;
};

void outq_deinit(struct outq *q);
/* outq_trim gives the ring back when nothing waits. */
void outq_trim(struct outq *q);
/* outq_push takes a reference of its own. */
void outq_push(struct outq *q, struct frame *f, bool answer);
/* outq_peek returns the oldest frame, borrowed, or NULL. */
struct frame *outq_peek(const struct outq *q);
/* outq_pop drops the oldest frame. */
void outq_pop(struct outq *q);
/* outq_shed drops everything but answers; returns how many messages that were. */
size_t outq_shed(struct outq *q);

#endif

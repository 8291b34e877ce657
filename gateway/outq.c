/* A ring of frame references. It grows by doubling and is given back when it runs empty, so that an idle connection costs
 * nothing here. */
#include "gateway/outq.h"

#include <assert.h>
#include "protocol/base/alloc.h"

enum { RING_FIRST = 8, RING_KEPT = 32 };

void outq_deinit(struct outq *q)
{
    while (outq_peek(q))
        outq_pop(q);
    free(q->ring);
    *q = (struct outq){0};
}

static void grow(struct outq *q)
{
    uint32_t cap = q->cap ? q->cap * 2 : RING_FIRST;
    struct outq_slot *ring = sg_malloc(cap * sizeof(*ring));
    for (uint32_t i = 0; i < q->len; i++)
        ring[i] = q->ring[(q->head + i) & (q->cap - 1)];
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
}

void outq_push(struct outq *q, struct frame *f, bool answer)
{
    if (q->len == q->cap)
        grow(q);
    q->ring[(q->head + q->len) & (q->cap - 1)] = (struct outq_slot){frame_ref(f), answer};
    q->len++;
    q->bytes += f->len;
}

struct frame *outq_peek(const struct outq *q)
{
    return q->len ? q->ring[q->head].frame : NULL;
}

void outq_pop(struct outq *q)
{
    assert(q->len > 0);
    struct frame *f = q->ring[q->head].frame;
    q->head = (q->head + 1) & (q->cap - 1);
    q->len--;
    assert(q->bytes >= f->len);
    q->bytes -= f->len;
    frame_unref(f);
    if (q->len == 0 && q->cap > RING_KEPT) {
        free(q->ring);
        *q = (struct outq){0};
    }
}

size_t outq_shed(struct outq *q)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < q->len; i++) {
        struct outq_slot slot = q->ring[(q->head + i) & (q->cap - 1)];
        if (slot.answer) {
            q->ring[(q->head + kept++) & (q->cap - 1)] = slot;
        } else {
            q->bytes -= slot.frame->len;
            frame_unref(slot.frame);
        }
    }
    size_t dropped = q->len - kept;
    q->len = kept;
    return dropped;
}

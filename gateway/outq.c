/* A ring of frame references that grows by doubling, and is only there while more than one frame had to wait. */
#include "gateway/outq.h"

#include <assert.h>
#include "gateway/metrics.h"
#include "protocol/base/alloc.h"

enum { RING_FIRST = 8, RING_KEPT = 32 };

static struct outq_slot *at(struct outq *q, uint32_t i)
{
    return q->ring ? &q->ring[(q->head + i) & (q->cap - 1)] : &q->one;
}

static void count_ring(const struct outq *q, int sign)
{
    metric_add(METRIC_MEMORY_QUEUES, sign * (int64_t)(q->cap * sizeof(*q->ring)));
}

static void free_ring(struct outq *q)
{
    count_ring(q, -1);
    free(q->ring);
    *q = (struct outq){0};
}

void outq_deinit(struct outq *q)
{
    while (q->len)
        outq_pop(q);
    free_ring(q);
}

void outq_trim(struct outq *q)
{
    if (q->len || !q->ring)
        return;
    free_ring(q);
}

static void grow(struct outq *q)
{
    uint32_t cap = q->ring ? q->cap * 2 : RING_FIRST;
    struct outq_slot *ring = sg_malloc(cap * sizeof(*ring));
    for (uint32_t i = 0; i < q->len; i++)
        ring[i] = *at(q, i);
    count_ring(q, -1);
    free(q->ring);
    q->ring = ring;
    q->cap = cap;
    count_ring(q, 1);
    q->head = 0;
}

void outq_push(struct outq *q, struct frame *f, bool answer)
{
    if (q->len == (q->ring ? q->cap : 1))
        grow(q);
    *at(q, q->len++) = (struct outq_slot){frame_ref(f), answer};
    q->bytes += f->len;
}

struct frame *outq_peek(const struct outq *q)
{
    if (q->len == 0)
        return NULL;
    return q->ring ? q->ring[q->head].frame : q->one.frame;
}

void outq_pop(struct outq *q)
{
    assert(q->len > 0);
    struct frame *f = at(q, 0)->frame;
    if (q->ring)
        q->head = (q->head + 1) & (q->cap - 1);
    q->len--;
    assert(q->bytes >= f->len);
    q->bytes -= f->len;
    frame_unref(f);
    if (q->cap > RING_KEPT)
        outq_trim(q);
}

size_t outq_shed(struct outq *q)
{
    uint32_t kept = 0;
    size_t dropped = 0;
    for (uint32_t i = 0; i < q->len; i++) {
        struct outq_slot slot = *at(q, i);
        if (slot.answer) {
            *at(q, kept++) = slot;
        } else {
            q->bytes -= slot.frame->len;
            dropped += slot.frame->messages;
            frame_unref(slot.frame);
        }
    }
    q->len = kept;
    return dropped;
}

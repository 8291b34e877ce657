/* A ring of frame references that grows by doubling, and is only there while more than one frame had to wait. */
#include "gateway/net/outq.h"

#include <assert.h>
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

enum { RING_FIRST = 8 };

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

void outq_push(struct outq *q, struct frame *f, enum outq_kind kind)
{
    if (q->len == (q->ring ? q->cap : 1))
        grow(q);
    *at(q, q->len++) = (struct outq_slot){frame_ref(f), kind};
    q->bytes += f->len;
    if (kind == OUTQ_ANSWER)
        q->answers += f->len;
}

struct frame *outq_peek(const struct outq *q)
{
    if (q->len == 0)
        return NULL;
    return q->ring ? q->ring[q->head].frame : q->one.frame;
}

/* The frame no longer waits; so many bytes of it were written. */
static void forget(struct outq *q, const struct outq_slot *slot, size_t sent)
{
    assert(q->bytes >= slot->frame->len - sent);
    q->bytes -= slot->frame->len - sent;
    if (slot->kind == OUTQ_ANSWER && !sent)
        q->answers -= slot->frame->len;
}

void outq_pop(struct outq *q)
{
    assert(q->len > 0);
    const struct outq_slot *oldest = at(q, 0);
    struct frame *f = oldest->frame;
    f->begun -= q->sent > 0;
    forget(q, oldest, q->sent);
    q->sent = 0;
    if (q->ring)
        q->head = (q->head + 1) & (q->cap - 1);
    q->len--;
    frame_unref(f);
    if (q->cap > OUTQ_RING_KEPT)
        outq_trim(q);
}

void outq_wrote(struct outq *q, size_t bytes)
{
    const struct outq_slot *oldest = at(q, 0);
    assert(q->len > 0 && bytes <= oldest->frame->len - q->sent);
    if (bytes == oldest->frame->len - q->sent) {
        outq_pop(q);
        return;
    }
    if (oldest->kind == OUTQ_ANSWER && !q->sent)
        q->answers -= oldest->frame->len;
    oldest->frame->begun += !q->sent;
    q->sent += bytes;
    q->bytes -= bytes;
}

static bool is_dropped(const struct outq *q, uint32_t i, const struct outq_slot *slot, enum outq_kind kept)
{
    return slot->kind < kept && !(i == 0 && q->sent);
}

/* Drops what is below `kept`, in the order of the kinds, but never the rest of a frame that was begun. of: may be NULL. */
static size_t drop(struct outq *q, enum outq_kind kept, struct buf *of)
{
    uint32_t len = 0;
    size_t dropped = 0;
    const void *last = NULL;
    for (uint32_t i = 0; i < q->len; i++) {
        struct outq_slot slot = *at(q, i);
        if (!is_dropped(q, i, &slot, kept)) {
            *at(q, len++) = slot;
            continue;
        }
        if (of && slot.frame->of != last)
            buf_put(of, &slot.frame->of, sizeof(slot.frame->of));
        last = slot.frame->of;
        forget(q, &slot, 0);
        dropped += slot.frame->messages;
        frame_unref(slot.frame);
    }
    q->len = len;
    return dropped;
}

size_t outq_shed(struct outq *q, struct buf *of)
{
    return drop(q, OUTQ_ANSWER, of);
}

void outq_clear(struct outq *q)
{
    drop(q, OUTQ_NONE, NULL);
}

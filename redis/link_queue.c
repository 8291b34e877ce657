/* What was asked and is not answered yet, in order; and how a command looks on the wire. */
#include <assert.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "redis/link_parts.h"

void queue_put(struct queue *q, struct awaited a)
{
    if (q->len == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 64;
        struct awaited *ring = sg_malloc(cap * sizeof *ring);
        for (size_t i = 0; i < q->len; i++)
            ring[i] = q->ring[(q->head + i) & (q->cap - 1)];
        free(q->ring);
        *q = (struct queue){.ring = ring, .cap = cap, .len = q->len};
    }
    q->ring[(q->head + q->len++) & (q->cap - 1)] = a;
}

struct awaited *queue_peek(struct queue *q)
{
    return q->len ? &q->ring[q->head] : NULL;
}

struct awaited queue_take(struct queue *q)
{
    assert(q->len > 0);
    struct awaited a = q->ring[q->head];
    q->head = (q->head + 1) & (q->cap - 1);
    q->len--;
    return a;
}

static size_t decimal_len(size_t n)
{
    size_t len = 1;
    while (n >= 10) {
        n /= 10;
        len++;
    }
    return len;
}

size_t link_encoded_len(size_t argc, const struct slice *argv)
{
    size_t len = 3 + decimal_len(argc);
    for (size_t i = 0; i < argc && len <= OUTBOX_MAX; i++)
        len += argv[i].len <= OUTBOX_MAX ? 5 + decimal_len(argv[i].len) + argv[i].len : OUTBOX_MAX;
    return len;
}

void link_encode(struct buf *out, size_t argc, const struct slice *argv)
{
    buf_put_char(out, '*');
    buf_put_i64(out, (int64_t)argc);
    buf_put_lit(out, "\r\n");
    for (size_t i = 0; i < argc; i++) {
        buf_put_char(out, '$');
        buf_put_i64(out, (int64_t)argv[i].len);
        buf_put_lit(out, "\r\n");
        buf_put_slice(out, argv[i]);
        buf_put_lit(out, "\r\n");
    }
}

/* An owned, growing byte buffer with a maximum and a sticky failure: put, put, put, check `failed` once. */
#ifndef SYNCGATE_PROTOCOL_BASE_BUF_H
#define SYNCGATE_PROTOCOL_BASE_BUF_H

#include "protocol/base/slice.h"

struct buf {
    char *ptr;
    size_t len;
    size_t cap;
    size_t max;  /* puts beyond it set `failed` and change nothing */
    bool failed; /* sticky until buf_reset */
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);
/* buf_reset empties the buffer and forgets a failure; the memory stays. */
void buf_reset(struct buf *b);
/* buf_trim gives memory above `keep` bytes back when the buffer is empty. */
void buf_trim(struct buf *b, size_t keep);

/* buf_reserve returns room for len bytes at the end (then buf.len += what was used), NULL on failure. */
char *buf_reserve(struct buf *b, size_t len);
void buf_put(struct buf *b, const void *bytes, size_t len);
void buf_put_slice(struct buf *b, struct slice s);
void buf_put_char(struct buf *b, char c);
void buf_put_i64(struct buf *b, int64_t n);
#define buf_put_lit(b, literal) buf_put((b), (literal), sizeof(literal) - 1)

static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->ptr, b->len};
}

#endif

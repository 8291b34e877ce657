/* The growing buffer: doubles up to its maximum, and remembers the first put that did not fit.
 * Its size may follow what a peer sent, so even an allocation that fails is a sticky failure, not an abort. */
#include "protocol/base/buf.h"

#include <stdlib.h>

enum { BUF_FIRST_CAP = 64, I64_DIGITS_MAX = 20 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_deinit(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

static bool resize(struct buf *b, size_t cap)
{
    char *ptr = realloc(b->ptr, cap);
    if (!ptr)
        return false;
    b->ptr = ptr;
    b->cap = cap;
    return true;
}

void buf_trim(struct buf *b, size_t keep)
{
    if (b->len > 0 || b->cap <= keep)
        return;
    if (keep > 0) {
        (void)resize(b, keep); /* keeping more than asked for does no harm */
        return;
    }
    free(b->ptr);
    b->ptr = NULL;
    b->cap = 0;
}

/* grow makes room for `need` bytes in all; need is at most b->max. */
static bool grow(struct buf *b, size_t need)
{
    size_t cap = b->cap < b->max / 2 ? b->cap * 2 : b->max;
    if (cap < need)
        cap = need;
    if (cap < BUF_FIRST_CAP)
        cap = BUF_FIRST_CAP;
    return resize(b, cap);
}

char *buf_reserve(struct buf *b, size_t len)
{
    if (b->failed)
        return NULL;
    if (b->len > b->max || len > b->max - b->len) {
        b->failed = true;
        return NULL;
    }
    if ((!b->ptr || len > b->cap - b->len) && !grow(b, b->len + len)) {
        b->failed = true;
        return NULL;
    }
    return b->ptr + b->len;
}

void buf_put(struct buf *b, const void *bytes, size_t len)
{
    char *room = buf_reserve(b, len);
    if (!room || len == 0)
        return;
    memcpy(room, bytes, len);
    b->len += len;
}

void buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.ptr, s.len);
}

void buf_put_char(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_put_i64(struct buf *b, int64_t n)
{
    char text[I64_DIGITS_MAX];
    size_t at = sizeof text;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (n < 0)
        text[--at] = '-';
    buf_put(b, text + at, sizeof text - at);
}

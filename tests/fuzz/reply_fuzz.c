/* Whatever a server sends: the reader says ready, more or broken, and the same whatever the pieces in which it came. */
#include "redis/reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* touch reads all of a tree, so that the sanitizer sees what is not there. */
/* NOLINTNEXTLINE(misc-no-recursion): at most REPLY_DEPTH_MAX levels */
static uint64_t touch(const struct reply *r)
{
    uint64_t sum = (uint64_t)r->type * 31 + (uint64_t)r->integer;
    for (size_t i = 0; i < r->text.len; i++)
        sum = sum * 31 + (unsigned char)r->text.ptr[i];
    bool has_elements = r->type == REPLY_ARRAY || r->type == REPLY_PUSH;
    for (size_t i = 0; has_elements && i < r->len; i++)
        sum = sum * 31 + touch(reply_at(r, i));
    return sum;
}

/* read_all sums up all replies; `broken` says how it ended. */
static uint64_t read_all(struct slice bytes, size_t piece, bool *broken)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *r;
    enum reply_next next = REPLY_MORE;
    uint64_t sum = 0;
    while (bytes.len > 0 && next != REPLY_BROKEN) {
        size_t n = bytes.len < piece ? bytes.len : piece;
        reply_reader_feed(reader, slice_of(bytes.ptr, n));
        bytes = slice_of(bytes.ptr + n, bytes.len - n);
        while ((next = reply_reader_next(reader, &r)) == REPLY_READY)
            sum = sum * 31 + touch(r);
    }
    *broken = next == REPLY_BROKEN;
    reply_reader_free(reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    bool broken_whole, broken_bytes;
    uint64_t whole = read_all(bytes, size ? size : 1, &broken_whole);
    uint64_t by_bytes = read_all(bytes, 1, &broken_bytes);
    if (whole != by_bytes || broken_whole != broken_bytes)
        abort();
    return 0;
}

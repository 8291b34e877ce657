/* Any bytes as the head of a request: what is told of it lies inside of it, and more bytes change no verdict that was given. */
#include <stdint.h>
#include <stdlib.h>

#include "gateway/net/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static void check_within(struct slice inner, struct slice outer)
{
    must(!inner.ptr || (inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len));
}

static enum head_verdict judge(struct slice bytes, struct head *out)
{
    enum head_verdict verdict = head_judge(bytes, out);
    check_within(out->path, bytes);
    check_within(out->forwarded_for, bytes);
    must(verdict != HEAD_REFUSED || (out->status >= 400 && out->status < 600 && out->why));
    must(verdict != HEAD_MORE || bytes.len <= HEAD_BYTES_MAX);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of((const char *)data, size);
    struct head whole, part;
    enum head_verdict verdict = judge(bytes, &whole);
    /* As it arrives in two pieces. */
    enum head_verdict early = judge(slice_of(bytes.ptr, size / 2), &part);
    must(early == HEAD_MORE || early == verdict);
    return 0;
}

/* A slice is a borrowed run of bytes: pointer and length, not NUL-terminated, never owned.
 * Whoever hands one out says for how long it stays valid. */
#ifndef SYNCGATE_PROTOCOL_BASE_SLICE_H
#define SYNCGATE_PROTOCOL_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr; /* may be NULL only when len is 0 */
    size_t len;
};

#define SLICE_LIT(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_NONE         ((struct slice){NULL, 0})

static inline struct slice slice_of(const char *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

static inline struct slice slice_str(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* slice_put copies the bytes to *at, which must have room, moves *at behind them, and returns the copy. */
static inline struct slice slice_put(char **at, struct slice s)
{
    struct slice copy = {*at, s.len};
    if (s.len > 0)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

/* slice_cut takes everything before the first `delim` off the front of `*rest` (and drops the delimiter).
 * Returns false, leaving both untouched, when there is none. */
bool slice_cut(struct slice *rest, char delim, struct slice *head);

/* slice_i64 reads the whole slice as a canonical decimal integer (optional '-', no leading zeros, no '+').
 * Returns false when it is anything else or does not fit. */
bool slice_i64(struct slice text, int64_t *out);

#endif

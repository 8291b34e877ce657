/* What is published: a JSON string that begins with a mark, the number of the publish and the time of it. */
#ifndef SYNCGATE_BENCH_PAYLOAD_H
#define SYNCGATE_BENCH_PAYLOAD_H

#include <string.h>

#include "bench/bytes.h"

#define PAYLOAD_MARK "@sg:"
enum { PAYLOAD_MARK_BYTES = 4, PAYLOAD_SEQ_DIGITS = 12, PAYLOAD_TIME_DIGITS = 14 };
enum { PAYLOAD_HEAD = PAYLOAD_MARK_BYTES + PAYLOAD_SEQ_DIGITS + PAYLOAD_TIME_DIGITS };

/* payload_put appends the JSON string, `size` bytes with its quotes. seq < 0: without the mark. */
void payload_put(struct bytes *out, size_t size, int64_t seq, int64_t time_ns);

static inline int64_t payload_digits(const char *p, unsigned count)
{
    int64_t n = 0;
    for (unsigned i = 0; i < count; i++) {
        /* '0' to '9', 'a' to 'f'; anything else gives a number that was never published. */
        unsigned char c = (unsigned char)p[i];
        n = n << 4 | (int64_t)((c & 15U) + (c >> 6) * 9U);
    }
    return n;
}

/* payload_at reads the mark that begins at p. False when there is none. */
static inline bool payload_at(const char *p, size_t len, int64_t *seq, int64_t *time_ns)
{
    if (len < PAYLOAD_HEAD || memcmp(p, PAYLOAD_MARK, PAYLOAD_MARK_BYTES) != 0)
        return false;
    *seq = payload_digits(p + PAYLOAD_MARK_BYTES, PAYLOAD_SEQ_DIGITS);
    *time_ns = payload_digits(p + PAYLOAD_MARK_BYTES + PAYLOAD_SEQ_DIGITS, PAYLOAD_TIME_DIGITS);
    return true;
}

#endif

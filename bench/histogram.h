/* Durations in buckets that are 1/64 of their power of two wide: percentiles within 1.6 %, without keeping each value. */
#ifndef SYNCGATE_BENCH_HISTOGRAM_H
#define SYNCGATE_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 6, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS };

struct histogram {
    uint64_t count;
    int64_t sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t v)
{
    if (v < (1U << HISTOGRAM_SUB_BITS))
        return (unsigned)v;
    unsigned shift = 63U - (unsigned)__builtin_clzll(v) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)((v >> shift) & ((1U << HISTOGRAM_SUB_BITS) - 1));
}

/* histogram_add: a negative value counts as 0. */
static inline void histogram_add(struct histogram *h, int64_t value)
{
    if (value < 0)
        value = 0;
    h->count++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
    h->buckets[histogram_bucket((uint64_t)value)]++;
}

/* histogram_at: the value below which this share (0..1) lies; the upper end of its bucket, at most the maximum. 0 when empty. */
int64_t histogram_at(const struct histogram *h, double share);
double histogram_mean(const struct histogram *h);

#endif

/* How many values fell into which range: buckets whose upper bounds double, and one for everything above. A value costs a few
 * instructions, whatever the number of buckets. */
#ifndef SYNCGATE_GATEWAY_BASE_HISTOGRAM_H
#define SYNCGATE_GATEWAY_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BUCKETS_MAX = 20 };

/* Bucket i takes the values up to and including 2^(shift + i), the last one everything above. */
struct histogram_shape {
    uint8_t shift;
    uint8_t buckets; /* with an upper bound: 1 to HISTOGRAM_BUCKETS_MAX */
};

/* All zero is an empty one. How many there were is the sum of the buckets. */
struct histogram {
    int64_t sum;
    int64_t buckets[HISTOGRAM_BUCKETS_MAX + 1];
};

static inline size_t histogram_bucket(struct histogram_shape shape, int64_t value)
{
    uint64_t above = value > 0 ? ((uint64_t)value - 1) >> shape.shift : 0;
    size_t i = above ? 64 - (size_t)__builtin_clzll(above) : 0;
    return i < shape.buckets ? i : shape.buckets;
}

/* histogram_add counts `times` times the same value. */
static inline void histogram_add(struct histogram *h, struct histogram_shape shape, int64_t value, int64_t times)
{
    h->sum += value * times;
    h->buckets[histogram_bucket(shape, value)] += times;
}

/* histogram_bound: the largest value of bucket i < shape.buckets. */
static inline int64_t histogram_bound(struct histogram_shape shape, size_t i)
{
    return INT64_C(1) << (shape.shift + i);
}

int64_t histogram_count(const struct histogram *h);

#endif

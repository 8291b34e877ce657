/* The way back from buckets to values. */
#include "bench/histogram.h"

#include <math.h>

static int64_t upper_end(unsigned bucket)
{
    unsigned group = bucket >> HISTOGRAM_SUB_BITS;
    uint64_t sub = bucket & ((1U << HISTOGRAM_SUB_BITS) - 1);
    if (group == 0)
        return (int64_t)sub;
    unsigned shift = group - 1;
    return (int64_t)((((1ULL << HISTOGRAM_SUB_BITS) + sub + 1) << shift) - 1);
}

int64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)h->count), seen = 0;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        seen += h->buckets[b];
        if (seen >= wanted && seen > 0)
            return upper_end(b) < h->max ? upper_end(b) : h->max;
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->count ? (double)h->sum / (double)h->count : 0;
}

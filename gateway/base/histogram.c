/* Only what is not on a hot path is here. */
#include "gateway/base/histogram.h"

int64_t histogram_count(const struct histogram *h)
{
    int64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BUCKETS_MAX; i++)
        count += h->buckets[i];
    return count;
}

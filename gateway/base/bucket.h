/* A bucket that empties with time, kept as the time at which it is empty: 8 bytes, and nothing has to run while nobody asks. It holds
 * what BUCKET_SECONDS let through. */
#ifndef SYNCGATE_GATEWAY_BASE_BUCKET_H
#define SYNCGATE_GATEWAY_BASE_BUCKET_H

#include <stdint.h>

enum { BUCKET_SECONDS = 5 };

#define BUCKET_NS       INT64_C(1000000000)
#define BUCKET_FULL_NS  (BUCKET_SECONDS * BUCKET_NS)
#define BUCKET_AHEAD_NS (INT64_C(1) << 61) /* seventy years: no debt is larger, so no sum overflows */

/* bucket_put pours `amount` in, not negative, of which so many a second flow out. Returns how long it takes to empty it: more than
 * BUCKET_FULL_NS is more than it holds. */
static inline int64_t bucket_put(int64_t *empty_at_ns, int64_t now_ns, int64_t amount, int64_t per_second)
{
    int64_t from = *empty_at_ns > now_ns ? *empty_at_ns : now_ns;
    int64_t ahead = from - now_ns;
    if (amount > BUCKET_AHEAD_NS / BUCKET_NS)
        amount = BUCKET_AHEAD_NS / BUCKET_NS;
    ahead += amount * BUCKET_NS / per_second;
    if (ahead > BUCKET_AHEAD_NS)
        ahead = BUCKET_AHEAD_NS;
    *empty_at_ns = now_ns + ahead;
    return ahead;
}

#endif

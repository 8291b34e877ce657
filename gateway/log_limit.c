/* The bucket is kept as what was taken out of it, in thousandths, which flow back with the milliseconds. */
#include "gateway/log_limit.h"

enum { THOUSAND = 1000 };

static void refill(struct log_limit *l, int64_t now_ms)
{
    int64_t passed_ms = now_ms - l->at_ms;
    l->at_ms = now_ms;
    if (passed_ms >= l->spent / l->per_second + 1) /* compared by division: the product may not fit */
        l->spent = 0;
    else
        l->spent -= passed_ms * l->per_second;
}

bool log_limit_take(struct log_limit *l, int64_t now_ms)
{
    refill(l, now_ms);
    if (l->spent > (l->burst - 1) * THOUSAND) {
        l->refused++;
        return false;
    }
    l->spent += THOUSAND;
    return true;
}

uint64_t log_limit_report(struct log_limit *l)
{
    uint64_t refused = l->refused;
    l->refused = 0;
    return refused;
}

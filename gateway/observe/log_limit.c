/* The bucket is kept as what was taken out of it, in parts of a line of which the rate gives one back per millisecond. */
#include "gateway/observe/log_limit.h"

enum { LINE = 60 * 1000 };

static void refill(struct log_limit *l, int64_t now_ms)
{
    int64_t passed_ms = now_ms - l->at_ms;
    l->at_ms = now_ms;
    if (passed_ms >= l->spent / l->per_minute + 1) /* compared by division: the product may not fit */
        l->spent = 0;
    else
        l->spent -= passed_ms * l->per_minute;
}

bool log_limit_take(struct log_limit *l, int64_t now_ms)
{
    refill(l, now_ms);
    if (l->spent > (l->burst - 1) * LINE) {
        l->refused++;
        return false;
    }
    l->spent += LINE;
    return true;
}

uint64_t log_limit_end(struct log_limit *l)
{
    uint64_t refused = l->refused;
    l->refused = l->seen = 0;
    l->held = 0;
    return refused;
}

uint64_t log_limit_report(struct log_limit *l)
{
    bool goes_on = l->refused > l->seen;
    bool began = goes_on && l->held == 0;
    if (began || !goes_on || l->held >= LOG_LIMIT_HELD_MAX) {
        uint64_t refused = log_limit_end(l);
        l->held = goes_on;
        return refused;
    }
    l->seen = l->refused;
    l->held++;
    return 0;
}

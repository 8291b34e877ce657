/* Bytes from Redis that make no sense: one counter, one line. */
#include "gateway/garbage.h"

#include "gateway/log.h"
#include "gateway/metrics.h"

void garbage_dropped(const char *what)
{
    metric_add(METRIC_BAD_CHANGES, 1);
    log_limited(LOG_GARBAGE, LOG_LEVEL_WARN, "dropped malformed bytes from redis what=%s", what);
}

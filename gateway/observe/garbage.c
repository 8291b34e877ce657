/* Bytes from Redis that make no sense: one counter, one line. */
#include "gateway/observe/garbage.h"

#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"

void garbage_dropped(const char *what)
{
    metric_add(METRIC_BAD_CHANGES, 1);
    log_limited(LOG_GARBAGE, LOG_LEVEL_WARN, "dropped malformed bytes from redis what=%s", what);
}

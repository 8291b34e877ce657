/* How many lines of one kind may be written: a token bucket that counts what it refuses. Pure. */
#ifndef SYNCGATE_GATEWAY_LOG_LIMIT_H
#define SYNCGATE_GATEWAY_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct log_limit {
    int64_t per_second, burst; /* both at least 1 */
    int64_t spent;             /* thousandths of a line; 0: the bucket is full. So that zeroed memory is a fresh one */
    int64_t at_ms;             /* when that was so */
    uint64_t refused;          /* since the last log_limit_report */
};

/* log_limit_take: may one more line be written now? `now_ms` never goes back. */
bool log_limit_take(struct log_limit *l, int64_t now_ms);
/* log_limit_report returns how many lines were refused since the last report. */
uint64_t log_limit_report(struct log_limit *l);

#endif

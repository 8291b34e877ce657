/* How many lines of one kind may be written: a token bucket that counts what it refuses. Pure. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_LOG_LIMIT_H
#define SYNCGATE_GATEWAY_OBSERVE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

struct log_limit {
    int64_t per_minute, burst; /* both at least 1 */
    int64_t spent;             /* 60 000 for a line; 0: the bucket is full. So that zeroed memory is a fresh one */
    int64_t at_ms;             /* when that was so */
    uint64_t refused;          /* since they were last told */
    uint64_t seen;             /* of them, at the last log_limit_report */
    unsigned held;             /* reports in a row that told nothing because it goes on; 0: it does not */
};

/* log_limit_take: may one more line be written now? `now_ms` never goes back. */
bool log_limit_take(struct log_limit *l, int64_t now_ms);
/* log_limit_report returns how many lines were refused, when that is to be told: when it has begun, when none was since the last report,
 * and with every LOG_LIMIT_HELD_MAX-th report in between. Otherwise 0. */
enum { LOG_LIMIT_HELD_MAX = 60 };
uint64_t log_limit_report(struct log_limit *l);
/* log_limit_end returns all that were not told. */
uint64_t log_limit_end(struct log_limit *l);

#endif

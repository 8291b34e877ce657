/* A connection to Redis: commands sent without waiting, and some that are waited for. */
#ifndef SYNCGATE_BENCH_REDIS_H
#define SYNCGATE_BENCH_REDIS_H

#include "bench/loop.h"
#include "bench/resp.h"
#include "bench/stream.h"

struct redis {
    struct loop *loop;
    struct watch watch;
    struct stream stream;
    struct bytes in, out; /* fill `out` with commands, then redis_flush */
    int64_t unanswered;   /* raise it with each command put into `out` */
    int64_t errors;
    char error[256]; /* the first error reply */
};

/* redis_init connects and authenticates, waiting for it. Ends the program when that fails. */
void redis_init(struct redis *r, struct loop *loop, const struct url *to);
void redis_deinit(struct redis *r);
/* redis_flush sends what is in `out`; replies are read by the loop, error replies counted. A lost connection ends the program. */
void redis_flush(struct redis *r);
/* redis_wait sends what is in `out` and waits until everything is answered. The reply of the last command is in `values`, valid
 * until the next call; how many values it has. */
size_t redis_wait(struct redis *r, struct resp_value *values, size_t max);
/* redis_calls: how often this command ran (INFO commandstats); "" counts all commands. -1 when Redis does not tell. */
int64_t redis_calls(struct redis *r, const char *command);

#endif

/* Sends what is published, in one of several ways. */
#ifndef SYNCGATE_BENCH_PUBLISHER_H
#define SYNCGATE_BENCH_PUBLISHER_H

#include "bench/client.h"
#include "bench/redis.h"

struct publisher;

/* publisher_new connects, waiting for Redis. NULL when nothing is published. */
struct publisher *publisher_new(struct loop *loop, const struct options *opt, struct clients *clients);
void publisher_free(struct publisher *p);
/* publisher_ready: false while a connection is under way. */
bool publisher_ready(const struct publisher *p);
/* publisher_prepare creates the variables and lists, publisher_clean removes them. */
void publisher_prepare(struct publisher *p);
void publisher_clean(struct publisher *p);
/* publisher_put takes a publish; publisher_flush sends all that were taken since the last. */
void publisher_put(struct publisher *p, int64_t name, int64_t seq, int64_t time_ns);
void publisher_flush(struct publisher *p);
/* publisher_idle: everything was sent and answered. */
bool publisher_idle(const struct publisher *p);
/* publisher_redis: its connection, NULL when it has none. */
struct redis *publisher_redis(struct publisher *p);
/* publisher_error: the first refusal, NULL when there was none. */
const char *publisher_error(const struct publisher *p);

#endif

/* The planned end of one process: it stops being ready, stops listening, sends its clients to other gateways one after the
 * other, and leaves when the last has gone. */
#ifndef SYNCGATE_GATEWAY_LIFECYCLE_DRAIN_H
#define SYNCGATE_GATEWAY_LIFECYCLE_DRAIN_H

#include "gateway/core/core.h"

struct conn;

/* What a drain has to do with work that is under way, of which it knows nothing. */
struct drain_events {
    void (*begun)(struct gateway *g);           /* no new work from here on */
    bool (*busy)(const struct conn *c);         /* closed late, so that its work may end */
    size_t (*unheard)(const struct gateway *g); /* results that have to be told when all clients are gone */
};

struct drain *drain_new(struct gateway *g, const struct drain_events *events);
void drain_free(struct drain *d);

/* drain_begin starts it, once: from here on g->draining says 503 at /readyz and executors are not chosen for new calls. After
 * opt->drain_delay_ms listening ends (g->closed_doors), and then opt->drain_seconds are what the closes are spread over. The
 * last one gone ends the loop with g->exit_code 0. */
void drain_begin(struct drain *d);
/* drain_signal: SIGTERM or SIGINT came. The first one begins, the second one (stop.h: not the same again) ends the loop at once with exit code 1. What
 * drain_begin did before is not counted, so that a supervisor may stop what was drained. */
void drain_signal(struct drain *d, int number);
/* drain_program drains every process of the program: this one, or through their parent all workers. */
void drain_program(struct drain *d);

/* drain_wait_max_ms: the longest time a client is told to wait before it connects again, when `clients` of one program are
 * closed over `period_ms`. */
int64_t drain_wait_max_ms(int64_t clients, int64_t period_ms);
/* drain_remaining: how many of `first` connections may be open when `left_ms` of `period_ms` are left. */
size_t drain_remaining(size_t first, int64_t left_ms, int64_t period_ms);

#endif

/* Starting a libevent timer, in our units. */
#ifndef SYNCGATE_GATEWAY_BASE_TIMER_H
#define SYNCGATE_GATEWAY_BASE_TIMER_H

#include <event2/event.h>
#include <stdint.h>

/* timer_start: an assigned event fires after ms (>= 0), or every ms with EV_PERSIST. One that runs starts anew. */
static inline void timer_start(struct event *timer, int64_t ms)
{
    struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    event_add(timer, &tv);
}

#endif

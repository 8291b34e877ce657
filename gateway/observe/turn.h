/* How long a turn of the event loop took, and how long the changes that came in it. A part of the metrics: one per process. The
 * clock is read at most twice per turn, never per delivery. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_TURN_H
#define SYNCGATE_GATEWAY_OBSERVE_TURN_H

#include <stdint.h>

/* Microseconds of the monotonic clock. */
int64_t turn_now_us(void);

/* turn_begins: something arrived. The first of a turn takes the time. */
void turn_begins(void);
/* turn_change: a change is applied whose bytes were read from Redis at that time. */
void turn_change(int64_t read_us);
/* turn_ends, after everything was written. heard_us: when Redis was last heard, in this turn or before. */
void turn_ends(int64_t heard_us);

#endif

/* The two clocks, in milliseconds. */
#ifndef SYNCGATE_GATEWAY_BASE_CLOCK_H
#define SYNCGATE_GATEWAY_BASE_CLOCK_H

#include <stdint.h>

/* Of the monotonic clock (coarse, a few ms). */
int64_t clock_now_ms(void);
/* Likewise, to the millisecond: for what is promised. */
int64_t clock_exact_ms(void);
/* Since 1970, for people. */
int64_t clock_wall_ms(void);

#endif

/* Says in the log that Redis is still awaited: every few seconds at first, then more and more rarely. Why it is away, the link says. */
#ifndef SYNCGATE_GATEWAY_PROCESS_WAITING_H
#define SYNCGATE_GATEWAY_PROCESS_WAITING_H

#include <stdbool.h>
#include <stdint.h>

struct waiting {
    int64_t seconds; /* since it is awaited */
    int64_t next;    /* to be told at */
};

enum { WAITING_FIRST_S = 3, WAITING_MOST_S = 300 };

/* waiting_second, once a second: whether it is to be told now that Redis is away for w->seconds. */
bool waiting_second(struct waiting *w, bool up);

#endif

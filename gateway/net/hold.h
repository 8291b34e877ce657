/* Why a connection is not read from: any number of reasons, each of which begins and ends by itself. */
#ifndef SYNCGATE_GATEWAY_NET_HOLD_H
#define SYNCGATE_GATEWAY_NET_HOLD_H

#include <stdbool.h>

struct conn;

enum hold {
    HOLD_WRITES = 1,    /* Redis is slower than its writes (pace.c) */
    HOLD_ANSWERS = 2,   /* it does not take what it asked for */
    HOLD_UNPACKING = 4, /* its compressed message waits (unpacker.c) */
    HOLD_REQUESTS = 8,  /* too many of its requests wait for Redis (pace.c, as those below) */
    HOLD_RATE = 16,     /* it is over one of its rates (allowance.c) */
    HOLD_REDIS = 32,    /* Redis has too much to do for all */
    HOLD_ALL = 63
};

/* hold_reading: begins or ends one of them. */
void hold_reading(struct conn *c, enum hold why, bool on);

#endif

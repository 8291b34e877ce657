/* All topics of one gateway: what the files of this room share of the registry. topics.c makes it. */
#ifndef SYNCGATE_GATEWAY_STATE_REGISTRY_H
#define SYNCGATE_GATEWAY_STATE_REGISTRY_H

#include "gateway/core/core.h"
#include "gateway/state/reads.h"

struct topics {
    struct gateway *g;
    struct map by_key;     /* struct topic */
    struct map subs;       /* struct sub */
    struct list all;       /* struct topic; the sweep takes from the front and puts to the back */
    struct list idle;      /* struct topic without users, longest first */
    struct list deadlines; /* struct request, oldest first: all wait equally long */
    struct list refused;   /* struct topic whose read Redis refused; tried again after a while */
    struct reads reads;
    bool going_on;        /* inside go_on */
    bool link_full;       /* the link did not take a read */
    size_t sweeping;      /* questions of the sweep in flight */
    struct topic *untold; /* whose subscribers are not told yet what arrived in this turn (topic_var.c) … */
    struct buf burst;     /* … and what that is */
    int64_t sweep_credit; /* topics that may be swept now, times the sweep interval in ms */
};

#endif

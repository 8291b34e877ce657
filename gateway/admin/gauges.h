/* Gauges and counters that are known elsewhere and only need to be put among the metrics, now and then. */
#ifndef SYNCGATE_GATEWAY_ADMIN_GAUGES_H
#define SYNCGATE_GATEWAY_ADMIN_GAUGES_H

#include "gateway/core/core.h"

/* gauges_refresh: about once a second (other workers tell them too), and before this process tells its metrics itself. */
void gauges_refresh(struct gateway *g);

#endif

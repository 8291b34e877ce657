/* What the page shows under --dev, so that a first visit sees something move and has a list to play with: first values for the names
 * `demo:*`, and a clock. Only names that somebody here is subscribed to, and that never were in Redis, are made; what anybody else
 * wrote is left alone. */
#ifndef SYNCGATE_GATEWAY_PROCESS_DEMO_H
#define SYNCGATE_GATEWAY_PROCESS_DEMO_H

#include "gateway/core/core.h"

/* demo_second: call it once per second. Does nothing without --dev. */
void demo_second(struct gateway *g);

#endif

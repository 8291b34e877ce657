/* Is this process ready for clients? */
#ifndef SYNCGATE_GATEWAY_LIFECYCLE_READY_H
#define SYNCGATE_GATEWAY_LIFECYCLE_READY_H

#include "gateway/core/core.h"

/* ready_refusal: why /readyz does not say 200, a static sentence; NULL when it does. */
const char *ready_refusal(const struct gateway *g);

#endif

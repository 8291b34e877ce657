/* Whether this process takes one more connection: not more than it may have, not when it holds more memory than it may, not when
 * hardly a descriptor is left, not when it is about to end. */
#ifndef SYNCGATE_GATEWAY_NET_ADMISSION_H
#define SYNCGATE_GATEWAY_NET_ADMISSION_H

#include "gateway/core/core.h"

struct admission *admission_new(struct gateway *g);
void admission_free(struct admission *a);

/* admission_refusal: NULL when an upgrade on this descriptor may go on; else a static sentence about why not, and it is counted. Cheap: it comes
 * before all other work for the request. */
const char *admission_refusal(struct admission *a, int fd);
/* admission_tick: call about once a second. Looks at the memory again, and gives back what a crowd left behind. */
void admission_tick(struct admission *a);

#endif

/* How often somebody told this process to stop. Pure. */
#ifndef SYNCGATE_GATEWAY_LIFECYCLE_STOP_H
#define SYNCGATE_GATEWAY_LIFECYCLE_STOP_H

#include <stdint.h>

enum { STOP_SAME_MS = 1000 };

struct stop {
    int times;
    int number; /* of the last signal that counted */
    int64_t at_ms;
};

/* stop_signal takes note of a SIGTERM or SIGINT and returns the how many-th it is; 0 when it is the last one again, within a second:
 * timeout(1) signals the process and its group, systemd may signal all there is. The other of the two counts at once. */
int stop_signal(struct stop *s, int number, int64_t now_ms);

#endif

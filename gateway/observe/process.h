/* The metrics that every process has, whatever its trade: processor time, memory, descriptors. Read from /proc when asked for. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_PROCESS_H
#define SYNCGATE_GATEWAY_OBSERVE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* process_begin notes what does not change: when this process began, and its limit of descriptors. `values` by enum metric. */
void process_begin(int64_t *values);
/* process_sample fills in the rest for a process of ours; false when it is not there (any more). */
bool process_sample(pid_t pid, int64_t *values);

#endif

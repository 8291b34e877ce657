/* Children that nobody here started: the first process of a container inherits whatever loses its parent, and a program may have
 * been started by a shell that had children. Ended and not waited for, they stay in the table of processes for ever. */
#ifndef SYNCGATE_GATEWAY_PROCESS_REAP_H
#define SYNCGATE_GATEWAY_PROCESS_REAP_H

#include <stdbool.h>
#include <sys/types.h>

/* reap_strangers waits for those that have ended, without blocking, up to the first one for which `is_ours` says true: that one is for
 * its owner to wait for, who looks often. */
void reap_strangers(bool (*is_ours)(const void *arg, pid_t pid), const void *arg);

#endif

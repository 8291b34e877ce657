/* `syncgate --selftest`: tries out the Redis of these options as gateways use it, and prints a table with cures. Names of its own
 * only; nothing stays. */
#ifndef SYNCGATE_GATEWAY_COMMAND_SELFTEST_H
#define SYNCGATE_GATEWAY_COMMAND_SELFTEST_H

#include <stdio.h>

#include "gateway/config/options.h"

/* selftest_run: the exit code, 0 when all is well. Takes a few seconds at most, unless Redis hangs: then 5 s for each answer. */
int selftest_run(const struct options *o, FILE *to);

#endif

/* `syncgate --healthcheck [URL]`: asks a gateway that runs whether it is well, as containers and supervisors want it: one HTTP
 * request, the answer is the exit code. */
#ifndef SYNCGATE_GATEWAY_COMMAND_HEALTHCHECK_H
#define SYNCGATE_GATEWAY_COMMAND_HEALTHCHECK_H

#include "gateway/config/options.h"

enum { HEALTHCHECK_LIMIT_S = 3 };

/* healthcheck_run asks the URL of the options, or else their first listen address for /healthz (fetch.h), prints one line on
 * standard error when the answer is no, and returns the exit code of the program: 0 when the answer was 200. Takes
 * HEALTHCHECK_LIMIT_S at most, then ends the process with 1. */
int healthcheck_run(const struct options *o);

#endif

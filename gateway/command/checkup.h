/* `syncgate --check-config[=full]`: what a start would read and try, without starting. It may be run beside a gateway that runs
 * with the same options, and disturbs nothing. */
#ifndef SYNCGATE_GATEWAY_COMMAND_CHECKUP_H
#define SYNCGATE_GATEWAY_COMMAND_CHECKUP_H

#include "gateway/command/findings.h"
#include "gateway/config/options.h"

/* checkup_run: the exit code. The options were read and found good before. Faults go to `err`; with o->full there is a table of
 * everything on `to`. */
int checkup_run(const struct options *o, FILE *to, FILE *err);
/* checkup_files: certificate and key, if there are any. */
void checkup_files(const struct options *o, struct findings *f);

#endif

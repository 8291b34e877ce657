/* `syncgate --top [URL] [--once]`: a gateway that runs, in a terminal, from what it tells under /admin/. Plain ANSI; asks once a
 * second. q or Ctrl-C ends it. Where standard output is no terminal, and with --once, it is printed once, as text. */
#ifndef SYNCGATE_GATEWAY_COMMAND_TERMINAL_H
#define SYNCGATE_GATEWAY_COMMAND_TERMINAL_H

#include "gateway/config/options.h"

/* terminal_run: the exit code, 1 when the gateway cannot be asked (with --once; else that is shown, and asked again). */
int terminal_run(const struct options *o);

#endif

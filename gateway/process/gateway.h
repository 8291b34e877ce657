/* The gateway of one process: the event loop with everything that hangs on it, from the listening sockets to the Redis
 * link. One call runs it from start to clean end; main and workers decide how many processes do that. */
#ifndef SYNCGATE_GATEWAY_PROCESS_GATEWAY_H
#define SYNCGATE_GATEWAY_PROCESS_GATEWAY_H

#include "gateway/config/options.h"

/* gateway_run listens on o->listen, connects to Redis at `redis_url` (never NULL: the option's, or the embedded server's
 * "unix:PATH"), prints one line with the URL of the page per address once it accepts, and serves until SIGTERM or SIGINT has
 * been drained (drain.h; a second signal ends it at once). It installs its own handlers for these two signals, for SIGUSR1,
 * which drains too, and for SIGHUP, which reads the configuration again (reload.h).
 *
 * worker    the number every log line and metric carries; -1 when this is the only process. With a number >= 0 several
 *           processes share the port (SO_REUSEPORT).
 * on_second is called once it listens, and about once a second from the loop, with `arg`; it must not block. May be NULL.
 *
 * Returns the exit code of the process: 0 after a clean drain, 1 when it could not start (logged) or was ended at once.
 * `o` and `redis_url` are borrowed for the duration of the call. */
int gateway_run(const struct options *o, const char *redis_url, int worker, void (*on_second)(void *), void *arg);

#endif

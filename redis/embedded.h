/* The private redis-server of a gateway that was started without a Redis address: a child process on a unix socket with a data
 * folder of its own, started again with backoff when it dies, stopped (saved) at exit. */
#ifndef SYNCGATE_REDIS_EMBEDDED_H
#define SYNCGATE_REDIS_EMBEDDED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct embedded;

/* embedded_start creates the folder (mode 0700), refuses when another process holds it (lock file), and starts
 * `redis-server` (found in PATH, or $SYNCGATE_REDIS_SERVER) with --port 0, append-only persistence, and the child bound to
 * our life (PR_SET_PDEATHSIG). It waits until the socket answers PING (bounded, ~10 s). Blocking; call before the loop.
 * Returns NULL and a sentence in `why` on failure. */
struct embedded *embedded_start(const char *data_dir, char *why, size_t why_size);
const char *embedded_socket(const struct embedded *e);
/* embedded_pid: the redis-server, 0 while none runs. */
pid_t embedded_pid(const struct embedded *e);
/* embedded_reap: call on SIGCHLD or every second; starts the child again when it has died. Returns true when it was restarted. */
bool embedded_reap(struct embedded *e);
/* embedded_stop: SIGTERM, waits (bounded), SIGKILL; frees. */
void embedded_stop(struct embedded *e);

#endif

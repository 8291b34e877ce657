/* The parent of several gateway processes: starts them, starts one again when it dies, passes signals on, waits. */
#ifndef SYNCGATE_GATEWAY_PROCESS_WORKERS_H
#define SYNCGATE_GATEWAY_PROCESS_WORKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct workers_job {
    /* The whole life of worker 0, 1, …, in its own process; what it returns is the exit code. SIGTERM and SIGINT are
     * delivered again there, and reach it through the parent only; SIGUSR1 and SIGHUP stay blocked until it says otherwise. SIGTERM too when the parent dies. */
    int (*run)(void *arg, int worker);
    void (*on_second)(void *arg); /* in the parent, about once a second; may be NULL */
    void (*on_reload)(void *arg); /* in the parent at SIGHUP, before it is passed on; may be NULL */
    void (*on_ready)(
        void *arg); /* in the parent, once, when every worker has beaten; this one and the next two may be NULL */
    void (*on_well)(void *arg); /* in the parent, about once a second, unless a worker that lives has stopped beating */
    void (*on_stopping)(void *arg); /* in the parent, once, when the end begins */
    void *arg;
};

/* workers_run forks `count` (> 0) workers and returns when all have ended: after SIGTERM or SIGINT (passed on; a
 * second one, as stop.h counts, as the other of the two, which counts at once there; the third as SIGKILL), after SIGUSR1 (from outside or a worker; passed on to all), or because one could not even start. A worker that ends otherwise is started
 * again with backoff. Returns the exit code of the program: 0 when every worker ended with 0 after a signal. */
int workers_run(size_t count, const struct workers_job *job);

/* workers_beat: called by a worker when it serves, and about once a second from then on. Elsewhere it does nothing. */
void workers_beat(void);

/* workers_own: is this process a worker of ours? False outside of workers_run. */
bool workers_own(pid_t pid);

#endif

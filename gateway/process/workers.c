/* Keeps a table of processes. The signals that matter are blocked and taken one by one in a loop, so nothing here runs in a
 * signal handler. */
#include "gateway/process/workers.h"
#include "gateway/lifecycle/stop.h"
#include "gateway/observe/log.h"
#include "protocol/base/alloc.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10000,
    SETTLED_MS = 60000, /* a worker that lived so long starts again without backoff */
    START_MS = 5000,    /* a first run that ends in failure before that could not start */
    TURN_MS = 1000,
    SILENT_MS = 10000, /* a worker that has not beaten for so long hangs */
    SIGNALS_BEFORE_KILL = 2
};

/* What a worker tells its parent, in memory that both have. */
struct pulse {
    _Atomic int64_t beaten_ms; /* 0: not yet */
};

static struct pulse *own_pulse;     /* NULL: we are no worker */
static struct workers *the_workers; /* NULL: we are no parent */

struct worker {
    struct pulse *pulse;
    pid_t pid; /* 0: waits to be started */
    int number;
    int64_t started_ms;
    int64_t due_ms;     /* pid 0: when it is started */
    int64_t backoff_ms; /* before the next start */
    bool started_once;
};

struct workers {
    const struct workers_job *job;
    struct worker *table;
    size_t count;
    sigset_t signals;  /* what the loop takes */
    sigset_t previous; /* what was blocked before, and is in the workers */
    struct stop told;  /* to stop */
    int first;         /* the signal that said so first */
    struct pulse *pulses;
    bool ready; /* said so */
    bool stopping;
    bool failed;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- starting --------------------------------------------------------------------------------------------- */

/* A group of its own keeps a terminal's Ctrl-C from reaching the worker twice. */
static _Noreturn void live(const struct workers *w, const struct worker *worker, pid_t parent)
{
    own_pulse = worker->pulse;
    the_workers = NULL;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* died before the line above */
        _exit(1);
    sigset_t mask = w->previous;
    sigaddset(&mask, SIGUSR1); /* the gateway lets these two in when it is ready for them */
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    exit(w->job->run(w->job->arg, worker->number));
}

static void start(struct workers *w, struct worker *worker)
{
    pid_t parent = getpid();
    fflush(NULL); /* or the child would write it again */
    worker->started_ms = now_ms();
    worker->pulse->beaten_ms = 0;
    pid_t pid = fork();
    if (pid == 0)
        live(w, worker, parent);
    if (pid < 0) {
        log_error("cannot start worker=%d why=%s", worker->number, strerror(errno));
        worker->due_ms = worker->started_ms + BACKOFF_MAX_MS;
        return;
    }
    worker->pid = pid;
    log_debug("started worker=%d pid=%d", worker->number, (int)pid);
}

static void start_due(struct workers *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->table[i].pid == 0 && w->table[i].due_ms <= now_ms())
            start(w, &w->table[i]);
    }
}

/* --- ending ----------------------------------------------------------------------------------------------- */

static void signal_all(const struct workers *w, int signal)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->table[i].pid > 0)
            kill(w->table[i].pid, signal);
    }
}

static void begin_end(struct workers *w)
{
    if (!w->stopping && w->job->on_stopping)
        w->job->on_stopping(w->job->arg);
    w->stopping = true;
}

static void stop(struct workers *w)
{
    begin_end(w);
    signal_all(w, SIGTERM);
}

/* Not counted as a signal to stop: one that follows does not end what is being drained. */
static void on_drain_signal(struct workers *w)
{
    if (w->stopping)
        return;
    log_info("draining workers=%zu", w->count);
    begin_end(w);
    signal_all(w, SIGUSR1);
}

/* A worker may have been told by the same one who told us, so the first signal is passed on as it is, and the second one is told from
 * it by its number. */
static void on_stop_signal(struct workers *w, int number)
{
    int times = stop_signal(&w->told, number, now_ms());
    if (times == 0)
        return;
    log_info("stopping workers=%zu signals=%d", w->count, times);
    begin_end(w);
    if (times == 1)
        w->first = number;
    int other = w->first == SIGTERM ? SIGINT : SIGTERM;
    signal_all(w, times > SIGNALS_BEFORE_KILL ? SIGKILL : times == 1 ? number : other);
}

/* Here first: a worker that is started from now on starts with what is new. */
static void on_reload_signal(const struct workers *w)
{
    if (w->job->on_reload)
        w->job->on_reload(w->job->arg);
    signal_all(w, SIGHUP);
}

static void schedule(struct worker *worker, int64_t lived_ms)
{
    if (lived_ms >= SETTLED_MS)
        worker->backoff_ms = BACKOFF_FIRST_MS;
    worker->due_ms = now_ms() + worker->backoff_ms;
    log_warn("restarting worker=%d in_ms=%lld", worker->number, (long long)worker->backoff_ms);
    worker->backoff_ms = worker->backoff_ms * 2 < BACKOFF_MAX_MS ? worker->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void log_end(const struct worker *worker, int status, int64_t lived_ms)
{
    if (WIFSIGNALED(status))
        log_error("worker died worker=%d signal=%s lived_ms=%lld", worker->number, strsignal(WTERMSIG(status)),
                  (long long)lived_ms);
    else
        log_line(WEXITSTATUS(status) == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
                 "worker ended worker=%d code=%d lived_ms=%lld", worker->number, WEXITSTATUS(status),
                 (long long)lived_ms);
}

static bool is_stop(int number)
{
    return number == SIGTERM || number == SIGINT;
}

static void on_end(struct workers *w, struct worker *worker, int status)
{
    int64_t lived_ms = now_ms() - worker->started_ms;
    bool good =
        WIFEXITED(status) ? WEXITSTATUS(status) == 0 : is_stop(WTERMSIG(status)); /* before it had a handler for it */
    bool could_not_start =
        !worker->started_once && WIFEXITED(status) && WEXITSTATUS(status) != 0 && lived_ms < START_MS;
    log_end(worker, status, lived_ms);
    worker->pid = 0;
    worker->started_once = true;
    if (w->stopping) {
        w->failed = w->failed || !good;
    } else if (could_not_start) { /* a port that is taken and the like: the others would end so too */
        w->failed = true;
        stop(w);
    } else {
        schedule(worker, lived_ms);
    }
}

/* Each by its own id: other children of this process are somebody else's to wait for. */
static void reap(struct workers *w)
{
    for (size_t i = 0; i < w->count; i++) {
        struct worker *worker = &w->table[i];
        int status;
        if (worker->pid > 0 && waitpid(worker->pid, &status, WNOHANG) == worker->pid)
            on_end(w, worker, status);
    }
}

bool workers_own(pid_t pid)
{
    for (size_t i = 0; the_workers && i < the_workers->count; i++) {
        if (the_workers->table[i].pid == pid)
            return true;
    }
    return false;
}

/* --- how they are ------------------------------------------------------------------------------------------ */

void workers_beat(void)
{
    if (!own_pulse)
        return;
    bool first = own_pulse->beaten_ms == 0;
    own_pulse->beaten_ms = now_ms();
    if (first)
        kill(getppid(), SIGCHLD); /* wakes it: it looks at all of us then */
}

static void look_for_readiness(struct workers *w)
{
    for (size_t i = 0; i < w->count && !w->ready; i++) {
        if (w->pulses[i].beaten_ms == 0)
            return;
    }
    if (w->ready)
        return;
    w->ready = true;
    if (w->job->on_ready)
        w->job->on_ready(w->job->arg);
}

/* One that is dead is about to be started again; one that hangs is not. */
static bool all_beat(const struct workers *w)
{
    for (size_t i = 0; i < w->count; i++) {
        const struct worker *worker = &w->table[i];
        int64_t last_ms = worker->pulse->beaten_ms > 0 ? worker->pulse->beaten_ms : worker->started_ms;
        if (worker->pid > 0 && now_ms() - last_ms > SILENT_MS)
            return false;
    }
    return true;
}

static void on_second(struct workers *w)
{
    if (w->job->on_second)
        w->job->on_second(w->job->arg);
    if (w->job->on_well && all_beat(w))
        w->job->on_well(w->job->arg);
}

/* --- the loop --------------------------------------------------------------------------------------------- */

static bool any_lives(const struct workers *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->table[i].pid > 0)
            return true;
    }
    return false;
}

/* Until a signal comes, the next worker is due or the turn of a second ends. */
static void wait_for_signal(struct workers *w, int64_t until_ms)
{
    for (size_t i = 0; i < w->count && !w->stopping; i++) {
        if (w->table[i].pid == 0 && w->table[i].due_ms < until_ms)
            until_ms = w->table[i].due_ms;
    }
    int64_t left_ms = until_ms - now_ms();
    if (left_ms < 0)
        left_ms = 0;
    struct timespec timeout = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
    int signal = sigtimedwait(&w->signals, NULL, &timeout);
    if (is_stop(signal))
        on_stop_signal(w, signal);
    else if (signal == SIGUSR1)
        on_drain_signal(w);
    else if (signal == SIGHUP)
        on_reload_signal(w);
}

static void loop(struct workers *w)
{
    int64_t second_ms = now_ms() + TURN_MS;
    while (!w->stopping || any_lives(w)) {
        if (!w->stopping)
            start_due(w);
        wait_for_signal(w, second_ms);
        reap(w);
        look_for_readiness(w);
        if (now_ms() >= second_ms) {
            second_ms = now_ms() + TURN_MS;
            on_second(w);
        }
    }
}

int workers_run(size_t count, const struct workers_job *job)
{
    assert(count > 0);
    struct workers w = {.job = job, .count = count, .table = sg_calloc(count, sizeof(*w.table))};
    w.pulses = mmap(NULL, count * sizeof(*w.pulses), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w.pulses == MAP_FAILED)
        abort(); /* out of memory */
    for (size_t i = 0; i < count; i++)
        w.table[i] = (struct worker){
            .pulse = &w.pulses[i], .number = (int)i, .due_ms = now_ms(), .backoff_ms = BACKOFF_FIRST_MS};
    sigemptyset(&w.signals);
    sigaddset(&w.signals, SIGTERM);
    sigaddset(&w.signals, SIGINT);
    sigaddset(&w.signals, SIGUSR1);
    sigaddset(&w.signals, SIGHUP);
    sigaddset(&w.signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &w.signals, &w.previous);
    the_workers = &w;
    loop(&w);
    the_workers = NULL;
    /* All but the news of children stay blocked: they may come once more, and it ends already. */
    sigemptyset(&w.signals);
    sigaddset(&w.signals, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &w.signals, NULL);
    munmap(w.pulses, count * sizeof(*w.pulses));
    free(w.table);
    return w.failed ? 1 : 0;
}

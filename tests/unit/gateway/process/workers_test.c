/* The parent of workers, with workers that only report what happens to them. Every report comes through one pipe, whose end
 * says that no process of a case is left. */
#include "gateway/observe/log.h"
#include "gateway/process/workers.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct report {
    /* S: started; T, I, U, H: got SIGTERM, SIGINT, SIGUSR1, SIGHUP; in the parent: '.' a second, w: all are well, r: ready, h: reloads,
     * e: the end begins */
    char what;
    int number;
    pid_t pid;
};

/* How the workers of a case behave. */
struct behaviour {
    int terms;     /* SIGTERMs or SIGUSR1s a worker takes before it returns; each is reported */
    int code;      /* what it returns then */
    int stillborn; /* the worker that returns 3 at once; -1: none */
    bool reports_seconds;
    bool beats;          /* its workers say that they are ready */
    bool reports_parent; /* what else the parent is called for */
    int pipe[2];
};

static void report(const struct behaviour *b, char what, int number)
{
    struct report r = {what, number, getpid()};
    if (write(b->pipe[1], &r, sizeof(r)) != (ssize_t)sizeof(r))
        _exit(99);
}

static sigset_t sigterm(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGHUP);
    return set;
}

static int work(void *arg, int number)
{
    const struct behaviour *b = arg;
    sigset_t term = sigterm();
    report(b, 'S', number);
    if (number == b->stillborn)
        _exit(3);
    if (b->beats)
        workers_beat();
    for (int i = 0; i < b->terms;) {
        int signal;
        sigwait(&term, &signal);
        report(b, signal == SIGTERM ? 'T' : signal == SIGINT ? 'I' : signal == SIGUSR1 ? 'U' : 'H', number);
        i += signal != SIGHUP;
    }
    _exit(b->code); /* not through CUnit's end */
}

static void second(void *arg)
{
    const struct behaviour *b = arg;
    if (b->reports_seconds)
        report(b, '.', -1);
}

static void ready(void *arg)
{
    report(arg, 'r', -1);
}

static void well(void *arg)
{
    report(arg, 'w', -1);
}

static void reload(void *arg)
{
    report(arg, 'h', -1);
}

static void stopping(void *arg)
{
    report(arg, 'e', -1);
}

/* Runs workers_run in a process of its own and returns its id. */
static pid_t begin(struct behaviour *b, size_t count)
{
    CU_ASSERT_EQUAL_FATAL(pipe(b->pipe), 0);
    fflush(NULL);
    pid_t parent = fork();
    CU_ASSERT_TRUE_FATAL(parent >= 0);
    if (parent == 0) {
        struct workers_job job = {.run = work, .on_second = second, .arg = b};
        if (b->reports_parent) {
            job.on_ready = ready;
            job.on_well = well;
            job.on_reload = reload;
            job.on_stopping = stopping;
        }
        sigset_t term = sigterm(); /* blocked in the workers from their first moment, so that none is missed */
        sigprocmask(SIG_BLOCK, &term, NULL);
        log_init(LOG_LEVEL_ERROR, -1);
        close(b->pipe[0]);
        _exit(workers_run(count, &job));
    }
    close(b->pipe[1]);
    return parent;
}

/* The next report that does not come each second; what is 0 when everybody is gone. */
static struct report next(const struct behaviour *b)
{
    struct report r = {0};
    do {
        if (read(b->pipe[0], &r, sizeof(r)) != (ssize_t)sizeof(r))
            return (struct report){0};
    } while (r.what == '.' || r.what == 'w');
    return r;
}

/* Reads `count` reports of one kind, from workers that differ; pids by number. */
static void expect(const struct behaviour *b, char what, int count, pid_t *pids)
{
    unsigned seen = 0;
    for (int i = 0; i < count; i++) {
        struct report r = next(b);
        CU_ASSERT_EQUAL_FATAL(r.what, what);
        CU_ASSERT_TRUE_FATAL(r.number >= 0 && r.number < count);
        seen |= 1u << r.number;
        if (pids)
            pids[r.number] = r.pid;
    }
    CU_ASSERT_EQUAL(seen, (1u << count) - 1);
}

/* Nobody is left, and the parent ended with this code. */
static void expect_end(const struct behaviour *b, pid_t parent, int code)
{
    int status;
    CU_ASSERT_EQUAL(next(b).what, 0);
    CU_ASSERT_EQUAL_FATAL(waitpid(parent, &status, 0), parent);
    CU_ASSERT_TRUE(WIFEXITED(status));
    CU_ASSERT_EQUAL(WEXITSTATUS(status), code);
    close(b->pipe[0]);
}

static void test_stop(void)
{
    static const int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < 2; i++) {
        struct behaviour b = {.terms = 1, .stillborn = -1};
        pid_t parent = begin(&b, 3);
        expect(&b, 'S', 3, NULL);
        kill(parent, signals[i]);
        expect(&b, signals[i] == SIGTERM ? 'T' : 'I', 3, NULL);
        expect_end(&b, parent, 0);
    }
}

static void test_bad_end(void)
{
    struct behaviour b = {.terms = 1, .code = 1, .stillborn = -1};
    pid_t parent = begin(&b, 2);
    expect(&b, 'S', 2, NULL);
    kill(parent, SIGTERM);
    expect(&b, 'T', 2, NULL);
    expect_end(&b, parent, 1);
}

/* Twice, because the second time waits for a longer backoff. */
static void test_restart(void)
{
    struct behaviour b = {.terms = 1, .stillborn = -1};
    pid_t pids[2], parent = begin(&b, 2);
    expect(&b, 'S', 2, pids);
    for (int i = 0; i < 2; i++) {
        kill(pids[1], SIGKILL);
        struct report r = next(&b);
        CU_ASSERT_EQUAL(r.what, 'S');
        CU_ASSERT_EQUAL(r.number, 1);
        CU_ASSERT_NOT_EQUAL(r.pid, pids[1]);
        pids[1] = r.pid;
    }
    kill(parent, SIGTERM);
    expect(&b, 'T', 2, NULL);
    expect_end(&b, parent, 0);
}

/* One that was told to end by somebody else comes back. */
static void test_restart_after_good_end(void)
{
    struct behaviour b = {.terms = 1, .stillborn = -1};
    pid_t pids[2], parent = begin(&b, 2);
    expect(&b, 'S', 2, pids);
    kill(pids[0], SIGTERM);
    CU_ASSERT_EQUAL(next(&b).what, 'T');
    struct report r = next(&b);
    CU_ASSERT_EQUAL(r.what, 'S');
    CU_ASSERT_EQUAL(r.number, 0);
    kill(parent, SIGTERM);
    expect(&b, 'T', 2, NULL);
    expect_end(&b, parent, 0);
}

static void test_could_not_start(void)
{
    struct behaviour b = {.terms = 1, .stillborn = 1};
    pid_t parent = begin(&b, 2);
    int started = 0, told = 0;
    for (struct report r = next(&b); r.what != 0; r = next(&b)) {
        started += r.what == 'S';
        told += r.what == 'T';
    }
    CU_ASSERT_EQUAL(started, 2);
    CU_ASSERT_EQUAL(told, 1); /* the good one, which does not stay alone */
    expect_end(&b, parent, 1);
}

static void test_second_signal(void)
{
    struct behaviour b = {.terms = 2, .code = 1, .stillborn = -1};
    pid_t parent = begin(&b, 2);
    expect(&b, 'S', 2, NULL);
    kill(parent, SIGTERM);
    expect(&b, 'T', 2, NULL);
    kill(parent, SIGINT);
    expect(&b, 'I', 2, NULL);
    expect_end(&b, parent, 1);
}

static void test_third_signal_kills(void)
{
    struct behaviour b = {.terms = 1000, .stillborn = -1};
    pid_t parent = begin(&b, 2);
    expect(&b, 'S', 2, NULL);
    kill(parent, SIGTERM);
    expect(&b, 'T', 2, NULL);
    kill(parent, SIGINT);
    expect(&b, 'I', 2, NULL);
    kill(parent, SIGTERM);
    expect_end(&b, parent, 1);
}

static void test_parent_dies(void)
{
    struct behaviour b = {.terms = 1, .stillborn = -1};
    pid_t parent = begin(&b, 2);
    int status;
    expect(&b, 'S', 2, NULL);
    kill(parent, SIGKILL);
    expect(&b, 'T', 2, NULL);
    CU_ASSERT_EQUAL(next(&b).what, 0);
    CU_ASSERT_EQUAL(waitpid(parent, &status, 0), parent);
    close(b.pipe[0]);
}

static void test_seconds(void)
{
    struct behaviour b = {.terms = 1, .stillborn = -1, .reports_seconds = true};
    pid_t parent = begin(&b, 1);
    expect(&b, 'S', 1, NULL);
    struct report r;
    CU_ASSERT_EQUAL_FATAL(read(b.pipe[0], &r, sizeof(r)), (ssize_t)sizeof(r));
    CU_ASSERT_EQUAL(r.what, '.');
    CU_ASSERT_EQUAL(r.pid, parent);
    kill(parent, SIGTERM);
    CU_ASSERT_EQUAL(next(&b).what, 'T');
    expect_end(&b, parent, 0);
}

static void test_beats_and_signals(void)
{
    struct behaviour b = {.terms = 1, .stillborn = -1, .beats = true, .reports_parent = true};
    pid_t parent = begin(&b, 2);
    expect(&b, 'S', 2, NULL);
    CU_ASSERT_EQUAL_FATAL(next(&b).what, 'r');
    for (int i = 0; i < 2; i++) {
        kill(parent, SIGHUP);
        CU_ASSERT_EQUAL(next(&b).what, 'h'); /* the parent is first */
        expect(&b, 'H', 2, NULL);
    }
    kill(parent, SIGUSR1);
    CU_ASSERT_EQUAL(next(&b).what, 'e');
    expect(&b, 'U', 2, NULL);
    expect_end(&b, parent, 0);
}

static void test_ready_takes_all(void)
{
    struct behaviour b = {.terms = 1, .stillborn = -1, .reports_parent = true}; /* nobody beats */
    pid_t parent = begin(&b, 2);
    struct report r;
    expect(&b, 'S', 2, NULL);
    CU_ASSERT_EQUAL_FATAL(read(b.pipe[0], &r, sizeof(r)), (ssize_t)sizeof(r));
    CU_ASSERT_EQUAL(r.what, 'w'); /* they may be starting still */
    kill(parent, SIGTERM);
    CU_ASSERT_EQUAL(next(&b).what, 'e');
    expect(&b, 'T', 2, NULL);
    expect_end(&b, parent, 0);
}

UNIT_MAIN("gateway/process/workers", UNIT(test_stop), UNIT(test_bad_end), UNIT(test_restart),
          UNIT(test_restart_after_good_end), UNIT(test_could_not_start), UNIT(test_second_signal),
          UNIT(test_third_signal_kills), UNIT(test_parent_dies), UNIT(test_seconds), UNIT(test_beats_and_signals),
          UNIT(test_ready_takes_all))

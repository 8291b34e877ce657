/* A real redis-server of a test's own, on a unix socket in a folder of its own, and a loop that runs until something has
 * happened. Everything aborts when the test cannot go on. */
#ifndef SYNCGATE_TESTS_UNIT_REDIS_SERVER_H
#define SYNCGATE_TESTS_UNIT_REDIS_SERVER_H

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Only how long a broken test hangs: no test waits for the time itself. */
enum { PATIENCE_MS = 20000 };

struct server {
    pid_t pid;
    char dir[64];
    char socket[96];
};

static inline void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "cannot go on: %s (%s)\n", what, strerror(errno));
    abort();
}

static inline int64_t server_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A look at something that tells nobody when it happens, every few milliseconds. */
static inline void server_look_later(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* server_connect returns a blocking connection, or -1. */
static inline int server_connect(const struct server *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", s->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0)
        return fd;
    close(fd);
    return -1;
}

/* server_say sends one inline command and reads the first bytes of the answer into `answer`. */
static inline bool server_say(const struct server *s, const char *command, char *answer, size_t size)
{
    int fd = server_connect(s);
    if (fd < 0)
        return false;
    ssize_t got = -1;
    if (write(fd, command, strlen(command)) == (ssize_t)strlen(command))
        got = read(fd, answer, size - 1);
    close(fd);
    answer[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static inline void server_exec(const struct server *s, const char *const *more)
{
    const char *argv[32] = {"redis-server", "--port",    "0",        "--unixsocket", s->socket, "--dir",
                            s->dir,         "--save",    "",         "--appendonly", "yes",     "--appendfsync",
                            "always",       "--logfile", "redis.log"};
    size_t argc = 15;
    for (; more && *more && argc < 31; more++)
        argv[argc++] = *more;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execvp(argv[0], (char **)argv);
    _exit(127);
}

/* server_run starts the server (again) in its folder and waits until it answers. `more`: further options, NULL at the end. */
static inline void server_run(struct server *s, const char *const *more)
{
    char answer[64];
    unlink(s->socket);
    s->pid = fork();
    must(s->pid >= 0, "fork");
    if (s->pid == 0)
        server_exec(s, more);
    int64_t until = server_now_ms() + PATIENCE_MS;
    while (!server_say(s, "PING\r\n", answer, sizeof answer) || strncmp(answer, "-LOADING", 8) == 0) {
        must(server_now_ms() < until && waitpid(s->pid, NULL, WNOHANG) == 0, "redis-server did not start");
        server_look_later();
    }
}

static inline void server_start(struct server *s, const char *const *more)
{
    signal(SIGPIPE, SIG_IGN);
    snprintf(s->dir, sizeof s->dir, "/tmp/syncgate-test-XXXXXX");
    must(mkdtemp(s->dir) != NULL, "mkdtemp");
    snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->dir);
    server_run(s, more);
}

static inline void server_kill(struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static inline int server_unlink(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void server_remove(const char *dir)
{
    nftw(dir, server_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void server_stop(struct server *s)
{
    if (s->pid)
        server_kill(s);
    server_remove(s->dir);
}

static inline void loop_give_up(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

/* loop_until runs the loop until `*flag` is at least `wanted`. Returns false when it lost patience. */
static inline bool loop_until(struct event_base *base, const int *flag, int wanted)
{
    bool late = false;
    struct event *end = evtimer_new(base, loop_give_up, &late);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    evtimer_add(end, &patience);
    while (*flag < wanted && !late)
        event_base_loop(base, EVLOOP_ONCE);
    event_free(end);
    return *flag >= wanted;
}

#endif

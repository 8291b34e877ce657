/* A redis-server child in its own process group (the terminal's Ctrl-C is ours to handle), tied to our life by the kernel.
 * The lock of the folder is inherited by the child: it stays taken until the last of the two is gone. */
#include "redis/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/alloc.h"

enum {
    START_MS = 10 * 1000, /* until the socket answers */
    LOCK_MS = 10 * 1000,  /* for the redis-server of a gateway that was killed to end */
    STOP_MS = 10 * 1000,  /* from SIGTERM to SIGKILL */
    ANSWER_MS = 1000,     /* one PING */
    LOOK_MS = 5,          /* between two looks while waiting */
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MAX_MS = 10 * 1000,
    STEADY_MS = 30 * 1000 /* a child that lived this long starts the backoff anew */
};

static const char socket_name[] = "redis.sock", lock_name[] = "syncgate.lock";

struct embedded {
    char *dir;    /* absolute */
    char *socket; /* what to connect to */
    int dir_fd;   /* for a socket path that would be too long */
    int lock_fd;
    pid_t pid; /* 0: not running */
    int64_t started_ms, next_start_ms, backoff_ms;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void look_later(void)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)LOOK_MS * 1000000}, NULL);
}

/* --- the folder --- */

static bool open_folder(struct embedded *e, const char *data_dir, char *why, size_t why_size)
{
    if (mkdir(data_dir, 0700) != 0 && errno != EEXIST) {
        snprintf(why, why_size, "cannot create %s: %s", data_dir, strerror(errno));
        return false;
    }
    e->dir = realpath(data_dir, NULL);
    e->dir_fd = e->dir ? open(e->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (e->dir_fd >= 0)
        return true;
    snprintf(why, why_size, "cannot use %s: %s", data_dir, strerror(errno));
    return false;
}

static pid_t holder_of(int lock_fd)
{
    char text[32] = "";
    ssize_t len = pread(lock_fd, text, sizeof text - 1, 0);
    return len > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void write_holder(int lock_fd)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(lock_fd, 0) != 0 || pwrite(lock_fd, text, (size_t)len, 0) != len)
        return; /* the lock holds without it */
}

/* When the gateway that had the folder was killed, its redis-server still has the lock while it saves. */
static bool lock_folder(struct embedded *e, char *why, size_t why_size)
{
    int64_t until_ms = now_ms() + LOCK_MS;
    e->lock_fd = openat(e->dir_fd, lock_name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (e->lock_fd < 0) {
        snprintf(why, why_size, "cannot create %s/%s: %s", e->dir, lock_name, strerror(errno));
        return false;
    }
    while (flock(e->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        pid_t holder = holder_of(e->lock_fd);
        bool lives = holder > 0 && (kill(holder, 0) == 0 || errno == EPERM);
        if (lives || now_ms() >= until_ms) {
            snprintf(why, why_size, "%s is in use by another process (%d)", e->dir, (int)holder);
            return false;
        }
        look_later();
    }
    write_holder(e->lock_fd);
    return true;
}

/* A path that does not fit into a socket's address is reached through the folder's descriptor, which forks inherit. */
static void name_socket(struct embedded *e)
{
    char path[PATH_MAX + sizeof socket_name + 1];
    snprintf(path, sizeof path, "%s/%s", e->dir, socket_name);
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        snprintf(path, sizeof path, "/proc/self/fd/%d/%s", e->dir_fd, socket_name);
    e->socket = sg_text(path);
}

/* --- the child --- */

/* The child runs this between fork and exec: nothing here takes memory or locks. */
static void become_server(const struct embedded *e, pid_t parent, int failed_fd)
{
    const char *program = getenv("SYNCGATE_REDIS_SERVER");
    /* Persistence by the append-only file alone; a gateway may fall behind further than Redis' own limit for subscribers. With one
     * database the functions need not ask which one they are in. */
    const char *argv[] = {program && *program ? program : "redis-server",
                          "--port",
                          "0",
                          "--dir",
                          e->dir,
                          "--unixsocket",
                          socket_name,
                          "--unixsocketperm",
                          "700",
                          "--databases",
                          "1",
                          "--daemonize",
                          "no",
                          "--appendonly",
                          "yes",
                          "--appendfsync",
                          "everysec",
                          "--save",
                          "",
                          "--logfile",
                          "redis.log",
                          "--client-output-buffer-limit",
                          "pubsub",
                          "256mb",
                          "64mb",
                          "60",
                          NULL};
    sigset_t none;
    sigemptyset(&none);
    for (int signal_number = 1; signal_number < NSIG; signal_number++)
        signal(signal_number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* not SIGKILL: it saves what it has */
    if (getppid() != parent)          /* we were too late for the signal */
        _exit(0);
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    fcntl(e->lock_fd, F_SETFD, 0);
    execvp(argv[0], (char *const *)argv);
    int error = errno;
    if (write(failed_fd, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

/* spawn returns 0, or the errno of what failed, exec too. */
static int spawn(struct embedded *e)
{
    int pipe_fds[2], error = 0;
    pid_t parent = getpid();
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return errno;
    e->started_ms = now_ms();
    e->pid = fork();
    if (e->pid == 0)
        become_server(e, parent, pipe_fds[1]);
    if (e->pid < 0)
        error = errno;
    close(pipe_fds[1]);
    /* The pipe closes when exec succeeds, so this does not wait for Redis. */
    if (!error && read(pipe_fds[0], &error, sizeof error) == (ssize_t)sizeof error)
        waitpid(e->pid, NULL, 0);
    close(pipe_fds[0]);
    if (error)
        e->pid = 0;
    return error;
}

/* has_ended collects the child when it has ended. Somebody else may have collected it. */
static bool has_ended(struct embedded *e)
{
    pid_t ended = waitpid(e->pid, NULL, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return false;
    e->pid = 0;
    return true;
}

/* answers: whether Redis says anything at all; that it is still loading is for the link to wait out. */
static bool answers(const struct embedded *e)
{
    static const char ping[] = "PING\r\n";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char first;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(at.sun_path, e->socket, strlen(e->socket));
    bool good = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                send(fd, ping, sizeof ping - 1, MSG_NOSIGNAL) == (ssize_t)sizeof ping - 1 &&
                poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, ANSWER_MS) == 1 && read(fd, &first, 1) == 1;
    if (fd >= 0)
        close(fd);
    return good;
}

static bool start_and_wait(struct embedded *e, char *why, size_t why_size)
{
    int error = spawn(e);
    if (error) {
        snprintf(why, why_size, "cannot run redis-server (from PATH or SYNCGATE_REDIS_SERVER): %s", strerror(error));
        return false;
    }
    int64_t until_ms = now_ms() + START_MS;
    while (!answers(e)) {
        if (has_ended(e)) {
            snprintf(why, why_size, "redis-server ended at once; %s/redis.log may say why", e->dir);
            return false;
        }
        if (now_ms() >= until_ms) {
            snprintf(why, why_size, "redis-server does not answer; %s/redis.log may say why", e->dir);
            return false;
        }
        look_later();
    }
    return true;
}

/* --- life --- */

struct embedded *embedded_start(const char *data_dir, char *why, size_t why_size)
{
    struct embedded *e = sg_calloc(1, sizeof *e);
    e->dir_fd = e->lock_fd = -1;
    e->backoff_ms = BACKOFF_FIRST_MS;
    if (!open_folder(e, data_dir, why, why_size) || !lock_folder(e, why, why_size))
        goto fail;
    name_socket(e);
    /* One that a killed redis-server left would be taken for the new one's. */
    unlinkat(e->dir_fd, socket_name, 0);
    if (start_and_wait(e, why, why_size))
        return e;
fail:
    embedded_stop(e);
    return NULL;
}

const char *embedded_socket(const struct embedded *e)
{
    return e->socket;
}

/* A child that ends soon after it was started is started again later and later. */
static void plan_restart(struct embedded *e)
{
    int64_t now = now_ms();
    if (now - e->started_ms >= STEADY_MS) {
        e->backoff_ms = BACKOFF_FIRST_MS;
        e->next_start_ms = now;
        return;
    }
    e->next_start_ms = e->started_ms + e->backoff_ms;
    e->backoff_ms = e->backoff_ms * 2 < BACKOFF_MAX_MS ? e->backoff_ms * 2 : BACKOFF_MAX_MS;
}

pid_t embedded_pid(const struct embedded *e)
{
    return e->pid;
}

bool embedded_reap(struct embedded *e)
{
    if (e->pid && !has_ended(e))
        return false;
    if (e->next_start_ms == 0)
        plan_restart(e);
    if (now_ms() < e->next_start_ms)
        return false;
    e->next_start_ms = 0;
    return spawn(e) == 0;
}

void embedded_stop(struct embedded *e)
{
    if (!e)
        return;
    int64_t until_ms = now_ms() + STOP_MS;
    if (e->pid)
        kill(e->pid, SIGTERM);
    while (e->pid && !has_ended(e)) {
        if (now_ms() >= until_ms)
            kill(e->pid, SIGKILL);
        look_later();
    }
    if (e->lock_fd >= 0)
        close(e->lock_fd);
    if (e->dir_fd >= 0)
        close(e->dir_fd);
    free(e->dir);
    free(e->socket);
    free(e);
}

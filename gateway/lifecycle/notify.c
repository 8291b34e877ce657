/* Sends and forgets: a supervisor that does not listen is no reason to wait, and there is nobody to tell. */
#include "gateway/lifecycle/notify.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "gateway/observe/log.h"

static struct {
    int fd; /* 0: nobody listens */
    struct sockaddr_un to;
    socklen_t to_len;
    bool watched;
} notify;

static bool is_watched(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    return usec && strtoll(usec, NULL, 10) > 0 && (!pid || strtol(pid, NULL, 10) == (long)getpid());
}

static void open_socket(const char *path)
{
    size_t len = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || len >= sizeof(notify.to.sun_path)) {
        log_warn("NOTIFY_SOCKET is no path of a socket: nobody is told that we are ready");
        return;
    }
    notify.to.sun_family = AF_UNIX;
    memcpy(notify.to.sun_path, path, len);
    if (path[0] == '@') /* a name in the abstract namespace */
        notify.to.sun_path[0] = '\0';
    notify.to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    notify.fd = fd > 0 ? fd : 0;
}

void notify_begin(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (path && *path)
        open_socket(path);
    notify.watched = is_watched();
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_forget(void)
{
    if (notify.fd)
        close(notify.fd);
    notify.fd = 0;
}

static void say(const char *text)
{
    if (notify.fd &&
        sendto(notify.fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&notify.to, notify.to_len) < 0)
        log_debug("the supervisor does not listen");
}

void notify_ready(void)
{
    say("READY=1");
}

void notify_reloading(void)
{
    struct timespec now;
    char text[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    say(text);
}

void notify_stopping(void)
{
    say("STOPPING=1");
}

void notify_alive(void)
{
    if (notify.watched)
        say("WATCHDOG=1");
}

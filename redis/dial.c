/* poll() around the calls of a wire, which never wait themselves. */
#include "redis/dial.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

int64_t dial_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool fail(struct wire *w, const char *why)
{
    snprintf(w->why, sizeof(w->why), "%s", why);
    return false;
}

/* False when the time is over. */
static bool wait_for(const struct wire *w, short events, int64_t until_ms)
{
    struct pollfd at = {.fd = w->fd, .events = events};
    for (;;) {
        int64_t left = until_ms == DIAL_FOREVER ? -1 : until_ms - dial_now_ms();
        if (until_ms != DIAL_FOREVER && left < 0)
            left = 0;
        int n = poll(&at, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (n > 0)
            return true;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

/* --- connecting ------------------------------------------------------------------------------------------- */

static bool connect_to(struct wire *w, const struct sockaddr *address, socklen_t len, int64_t until_ms)
{
    if (!wire_connect(w, address, len))
        return false;
    bool in_time = wait_for(w, POLLOUT, until_ms);
    if (in_time && wire_connected(w))
        return true;
    if (!in_time)
        fail(w, "no connection in time");
    wire_close(w);
    return false;
}

static bool connect_unix(struct wire *w, const char *path, int64_t until_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(address.sun_path))
        return fail(w, "the path of the socket is too long");
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    len = path[0] == '@' ? offsetof(struct sockaddr_un, sun_path) + len : sizeof(address);
    return connect_to(w, (struct sockaddr *)&address, (socklen_t)len, until_ms);
}

static bool connect_host(struct wire *w, const struct dial *to, int64_t until_ms)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *all;
    int error = getaddrinfo(to->host, to->port, &hints, &all);
    if (error)
        return fail(w, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    bool good = false;
    for (const struct addrinfo *one = all; one && !good; one = one->ai_next)
        good = connect_to(w, one->ai_addr, one->ai_addrlen, until_ms);
    freeaddrinfo(all);
    return good;
}

bool dial_open(struct wire *w, const struct dial *to, int64_t until_ms)
{
    wire_init(w);
    bool good = to->unix_path ? connect_unix(w, to->unix_path, until_ms) : connect_host(w, to, until_ms);
    if (good && to->tls)
        good = wire_secure(w, to->unverified ? NULL : to->host, to->ca_file);
    if (!good)
        wire_close(w);
    return good;
}

/* --- talking ---------------------------------------------------------------------------------------------- */

bool dial_write(struct wire *w, const void *bytes, size_t len, int64_t until_ms)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = wire_write(w, at, len);
        if (n < 0)
            return false;
        if (n == 0 && !wait_for(w, w->write_blocked ? POLLOUT : POLLIN, until_ms))
            return fail(w, "no answer in time");
        at += n;
        len -= (size_t)n;
    }
    return true;
}

ssize_t dial_read(struct wire *w, void *room, size_t size, int64_t until_ms)
{
    for (;;) {
        ssize_t n = wire_read(w, room, size);
        if (n > 0)
            return n;
        if (n < 0)
            return w->ended ? 0 : -1;
        if (!wait_for(w, w->read_needs_room ? POLLOUT : POLLIN, until_ms)) {
            fail(w, "no answer in time");
            return -1;
        }
    }
}

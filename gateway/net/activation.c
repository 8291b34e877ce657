/* Everything is checked before it is used: a descriptor that is something else would fail much later, and quietly. */
#include "gateway/net/activation.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/observe/log.h"

enum { FIRST_FD = 3 };

static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    if (!text || !*text)
        return 0;
    long n = strtol(text, &end, 10);
    return *end ? 0 : n;
}

static bool listens(int fd)
{
    int type = 0, accepts = 0;
    socklen_t len = sizeof(int);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) == 0 && accepts;
}

static bool prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return listens(fd) && flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

int activation_take(int fds[ACTIVATION_MAX])
{
    long count = number_of("LISTEN_PID") == (long)getpid() ? number_of("LISTEN_FDS") : 0;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (count < 0 || count > ACTIVATION_MAX) {
        log_error("cannot use the sockets that were passed count=%ld most=%d", count, (int)ACTIVATION_MAX);
        return -1;
    }
    for (int i = 0; i < (int)count; i++) {
        fds[i] = FIRST_FD + i;
        if (!prepare(fds[i])) {
            log_error("what was passed is not a stream socket that listens descriptor=%d", fds[i]);
            return -1;
        }
    }
    return (int)count;
}

static struct sockaddr_storage address_of(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        a.ss_family = AF_UNSPEC;
    return a;
}

bool activation_is_unix(int fd)
{
    return address_of(fd).ss_family == AF_UNIX;
}

static bool beyond_loopback(int fd)
{
    struct sockaddr_storage a = address_of(fd);
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&a)->sin6_addr;
    if (a.ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)&a)->sin_addr.s_addr) >> 24 != 127;
    if (a.ss_family == AF_INET6)
        return !IN6_IS_ADDR_LOOPBACK(v6) && !(IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
    return a.ss_family != AF_UNIX;
}

bool activation_listens_beyond_loopback(const struct options *o)
{
    for (size_t i = 0; i < o->sockets_len; i++) {
        if (beyond_loopback(o->sockets[i]))
            return true;
    }
    return o->sockets_len == 0 && options_listens_beyond_loopback(o);
}

void activation_name(int fd, char *out, size_t size)
{
    struct sockaddr_storage a = address_of(fd);
    char host[INET6_ADDRSTRLEN] = "";
    if (a.ss_family == AF_UNIX) {
        const char *path = ((const struct sockaddr_un *)&a)->sun_path;
        snprintf(out, size, "unix:%s%s", *path ? "" : "@", *path ? path : path + 1);
    } else if (a.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(out, size, "%s:%u", host, (unsigned)ntohs(v4->sin_port));
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(out, size, "[%s]:%u", host, (unsigned)ntohs(v6->sin6_port));
    }
}

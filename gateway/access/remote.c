/* Addresses between the kernel, text, and the few bytes that are kept of them. */
#include "gateway/access/remote.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static struct remote from_v4(const struct in_addr *a)
{
    struct remote r = {.family = AF_INET};
    memcpy(r.address, a, sizeof(*a));
    return r;
}

static struct remote from_v6(const struct in6_addr *a)
{
    struct remote r = {.family = AF_INET6};
    if (IN6_IS_ADDR_V4MAPPED(a)) {
        r.family = AF_INET;
        memcpy(r.address, a->s6_addr + 12, 4);
    } else {
        memcpy(r.address, a, sizeof(*a));
    }
    return r;
}

struct remote remote_of_socket(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage largest;
    } a = {.largest = {0}};
    socklen_t len = sizeof(a);
    if (getpeername(fd, &a.any, &len) == 0) {
        if (a.any.sa_family == AF_UNIX)
            return (struct remote){.family = AF_UNIX};
        if (a.any.sa_family == AF_INET)
            return from_v4(&a.v4.sin_addr);
        if (a.any.sa_family == AF_INET6)
            return from_v6(&a.v6.sin6_addr);
    }
    return (struct remote){.family = AF_UNSPEC};
}

bool remote_parse(struct slice s, struct remote *out)
{
    char text[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *out = from_v4(&v4);
        return true;
    }
    if (inet_pton(AF_INET6, text, &v6) != 1)
        return false;
    *out = from_v6(&v6);
    return true;
}

size_t remote_network(const struct remote *r, unsigned char key[REMOTE_NETWORK_BYTES])
{
    size_t len = r->family == AF_INET ? 4 : r->family == AF_INET6 ? 8 : 0;
    key[0] = r->family;
    memcpy(key + 1, r->address, len);
    return len + 1;
}

bool remote_is_local(const struct remote *r)
{
    if (r->family == AF_INET)
        return r->address[0] == 127;
    if (r->family == AF_INET6)
        return memcmp(r->address, &in6addr_loopback, sizeof(r->address)) == 0;
    return r->family == AF_UNIX;
}

const char *remote_text(const struct remote *r)
{
    static char text[INET6_ADDRSTRLEN];
    if (r->family == AF_UNIX)
        return "unix";
    return inet_ntop(r->family, r->address, text, sizeof(text)) ? text : "unknown";
}

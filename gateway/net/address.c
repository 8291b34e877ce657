/* libwebsockets says why it cannot listen in its log alone, and tries again for ever unless the address is in use. So it is tried out
 * with a socket of our own first. */
#include "gateway/net/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gateway/observe/log.h"

const char *address_parse(const char *text, struct address *out)
{
    *out = (struct address){0};
    if (strncmp(text, "unix:", 5) == 0) {
        out->unix_socket = true;
        if (snprintf(out->host, sizeof(out->host), "%s", text + 5) >= 108)
            return "path too long for a unix socket";
        return NULL;
    }
    const char *colon = strrchr(text, ':');
    if (!colon || !isdigit((unsigned char)colon[1]))
        return "ADDR:PORT expected";
    char *end;
    long port = strtol(colon + 1, &end, 10);
    if (*end || port > 65535)
        return "bad port";
    out->port = (int)port;
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    snprintf(out->host, sizeof(out->host), "%.*s", (int)(bracketed ? len - 2 : len), text + (bracketed ? 1 : 0));
    if (strcmp(out->host, "localhost") == 0)
        memcpy(out->host, "127.0.0.1", sizeof("127.0.0.1"));
    struct in_addr v4;
    out->v4_only = inet_pton(AF_INET, out->host, &v4) == 1;
    if (strcmp(out->host, "0.0.0.0") == 0 || strcmp(out->host, "::") == 0 || strcmp(out->host, "*") == 0)
        out->host[0] = '\0';
    return NULL;
}

/* Each returns 0 or the errno. */

static int try_bind(int family, bool shared, const void *address, socklen_t len)
{
    int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    bool good = family == AF_UNIX || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0;
    good = good && (family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0);
    good = good && (!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0);
    int error = good && bind(fd, address, len) == 0 ? 0 : errno;
    close(fd);
    return error;
}

static int try_v4(const struct address *a, bool shared)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)a->port)};
    if (a->host[0] && inet_pton(AF_INET, a->host, &to.sin_addr) != 1)
        return EADDRNOTAVAIL;
    return try_bind(AF_INET, shared, &to, sizeof(to));
}

static int try_v6(const struct address *a, bool shared)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)a->port)};
    if (a->host[0] && inet_pton(AF_INET6, a->host, &to.sin6_addr) != 1)
        return EADDRNOTAVAIL;
    return try_bind(AF_INET6, shared, &to, sizeof(to));
}

static int try_unix(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    struct stat there;
    if (len >= sizeof(to.sun_path))
        return ENAMETOOLONG;
    memcpy(to.sun_path, path, len);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (path[0] == '@') {
        to.sun_path[0] = '\0';
        return try_bind(AF_UNIX, false, &to, size);
    }
    if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode))
        return EEXIST;
    unlink(path);
    int error = try_bind(AF_UNIX, false, &to, size);
    if (!error)
        unlink(path);
    return error;
}

/* Every interface means both families, as far as this machine has them. */
const char *address_fault(const struct address *a, bool shared)
{
    int error;
    if (a->unix_socket)
        error = try_unix(a->host);
    else if (a->v4_only)
        error = try_v4(a, shared);
    else if (a->host[0])
        error = try_v6(a, shared);
    else
        error = (error = try_v4(a, shared)) ? error : try_v6(a, shared);
    bool no_v6_here = error == EAFNOSUPPORT && !a->host[0];
    return error && !no_v6_here ? strerror(error) : NULL;
}

const char *address_cure(const char *fault)
{
    if (strcmp(fault, strerror(EADDRINUSE)) == 0)
        return "another program listens there, perhaps another gateway: end it, or name another port with --listen";
    if (strcmp(fault, strerror(EACCES)) == 0)
        return "ports below 1024 need CAP_NET_BIND_SERVICE (or another port); a socket needs a folder one may write to";
    if (strcmp(fault, strerror(EADDRNOTAVAIL)) == 0)
        return "this machine has no such address: `ip addr` lists those it has; * is all of them";
    return NULL;
}

void address_complain(const char *text, const char *fault)
{
    const char *cure = address_cure(fault);
    log_error("cannot listen on %s: %s%s%s", text, fault, cure ? "; " : "", cure ? cure : "");
}

bool address_usable(const struct options *o, bool shared)
{
    for (size_t i = 0; i < o->listen_len && o->sockets_len == 0; i++) {
        struct address a;
        const char *fault = address_parse(o->listen[i], &a);
        if (!fault)
            fault = address_fault(&a, shared && !a.unix_socket);
        if (fault) {
            address_complain(o->listen[i], fault);
            return false;
        }
    }
    return true;
}

static bool is_readable(const char *flag, const char *path)
{
    FILE *f = fopen(path, "re");
    int first = f ? fgetc(f) : EOF;
    const char *fault = !f || ferror(f) ? strerror(errno) : first == EOF ? "it is empty" : NULL;
    if (f)
        fclose(f);
    if (fault)
        log_error("cannot read --%s file=%s why=%s", flag, log_value(slice_str(path)), log_value(slice_str(fault)));
    return !fault;
}

bool address_files_readable(const struct options *o)
{
    return (!o->tls_cert || is_readable("tls-cert", o->tls_cert)) &&
           (!o->tls_key || is_readable("tls-key", o->tls_key));
}

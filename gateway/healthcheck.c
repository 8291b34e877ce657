/* One HTTP request over a plain socket. The limit is an alarm: it covers name look-up, connecting and an answer that drips. */
#include "gateway/healthcheck.h"
#include "protocol/base/slice.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- where to ask ----------------------------------------------------------------------------------------- */

/* Copies with a NUL behind; false when there is no room. */
static bool copy(char *to, size_t size, struct slice from)
{
    if (from.len >= size)
        return false;
    memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return true;
}

static bool take_port(struct healthcheck *out, struct slice port)
{
    int64_t number;
    return slice_i64(port, &number) && number > 0 && number <= 65535 && copy(out->port, sizeof(out->port), port);
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT. */
static const char *take_authority(struct slice text, struct healthcheck *out)
{
    struct slice host = text, port = SLICE_LIT("80");
    bool brackets = text.len > 0 && text.ptr[0] == '[';
    const char *close = brackets ? memchr(text.ptr, ']', text.len) : NULL;
    if (brackets && !close)
        return "a bracket is missing";
    size_t from = brackets ? (size_t)(close - text.ptr) : 0;
    const char *colon = memchr(text.ptr + from, ':', text.len - from);
    if (colon) {
        host.len = (size_t)(colon - text.ptr);
        port = slice_of(colon + 1, text.len - host.len - 1);
    }
    if (brackets) {
        if (host.ptr[host.len - 1] != ']')
            return "what stands behind the bracket is no port";
        host = slice_of(host.ptr + 1, host.len - 2);
    }
    if (!take_port(out, port))
        return "a port from 1 to 65535 is needed";
    return host.len > 0 && copy(out->host, sizeof(out->host), host) ? NULL : "that is not a host";
}

/* What listens everywhere listens on loopback too. */
static void resolve_wildcard(struct healthcheck *out)
{
    if (strcmp(out->host, "0.0.0.0") == 0)
        copy(out->host, sizeof(out->host), SLICE_LIT("127.0.0.1"));
    else if (strcmp(out->host, "::") == 0)
        copy(out->host, sizeof(out->host), SLICE_LIT("::1"));
}

/* It goes into a request line as it is. */
static bool is_target(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    }
    return true;
}

static const char *parse_url(struct slice rest, struct healthcheck *out)
{
    const char *slash = memchr(rest.ptr, '/', rest.len);
    struct slice authority = rest;
    if (slash) {
        authority.len = (size_t)(slash - rest.ptr);
        struct slice target = slice_of(slash, rest.len - authority.len);
        if (!is_target(target) || !copy(out->target, sizeof(out->target), target))
            return "that is not a path";
    }
    return take_authority(authority, out);
}

const char *healthcheck_parse(const char *text, struct healthcheck *out)
{
    static const char scheme[] = "http://", socket[] = "unix:";
    *out = (struct healthcheck){.target = "/healthz"};
    if (strncmp(text, socket, strlen(socket)) == 0) {
        struct slice path = slice_str(text + strlen(socket));
        return path.len > 0 && copy(out->socket, sizeof(out->socket), path) ? NULL : "that is not the path of a socket";
    }
    const char *why = strncmp(text, scheme, strlen(scheme)) == 0 ? parse_url(slice_str(text + strlen(scheme)), out)
                      : strstr(text, "://")                      ? "only http:// can be asked"
                                                                 : take_authority(slice_str(text), out);
    if (!why)
        resolve_wildcard(out);
    return why;
}

/* --- asking ----------------------------------------------------------------------------------------------- */

static void on_alarm(int signal_number)
{
    static const char line[] = "healthcheck: no answer in time\n";
    (void)signal_number;
    ssize_t written = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)written;
    _exit(EXIT_FAILURE);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _Static_assert(sizeof(((struct healthcheck *)NULL)->socket) <= sizeof(address.sun_path), "paths fit");
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int connect_host(const struct healthcheck *h)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *all;
    int fd = -1;
    if (getaddrinfo(h->host, h->port, &hints, &all) != 0) {
        errno = EHOSTUNREACH;
        return -1;
    }
    for (struct addrinfo *one = all; one && fd < 0; one = one->ai_next) {
        fd = socket(one->ai_family, one->ai_socktype | SOCK_CLOEXEC, one->ai_protocol);
        if (fd >= 0 && connect(fd, one->ai_addr, one->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(all);
    return fd;
}

static bool send_all(int fd, struct slice text)
{
    while (text.len > 0) {
        ssize_t n = send(fd, text.ptr, text.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        text = slice_of(text.ptr + n, text.len - (size_t)n);
    }
    return true;
}

static bool ask(int fd, const struct healthcheck *h)
{
    char request[sizeof(h->target) + sizeof(h->host) + 128];
    bool v6 = strchr(h->host, ':');
    int len = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s%s%s\r\nConnection: close\r\n\r\n",
                       h->target, v6 ? "[" : "", h->socket[0] ? "localhost" : h->host, v6 ? "]" : "");
    return send_all(fd, slice_of(request, (size_t)len));
}

/* The three digits of `HTTP/1.1 200 `; 0 when what comes is no HTTP. */
static int read_status(int fd)
{
    char line[13];
    size_t have = 0;
    while (have < sizeof(line)) {
        ssize_t n = recv(fd, line + have, sizeof(line) - have, 0);
        if (n <= 0)
            return 0;
        have += (size_t)n;
    }
    int64_t status;
    if (memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || line[12] != ' ' ||
        !slice_i64(slice_of(line + 9, 3), &status))
        return 0;
    return (int)status;
}

static int say(const char *text, const char *what)
{
    fprintf(stderr, "healthcheck: %s: %s\n", text, what);
    return EXIT_FAILURE;
}

int healthcheck_run(const char *text)
{
    struct healthcheck h;
    const char *why = healthcheck_parse(text, &h);
    if (why)
        return say(text, why);
    signal(SIGALRM, on_alarm);
    alarm(HEALTHCHECK_LIMIT_S);
    int fd = h.socket[0] ? connect_unix(h.socket) : connect_host(&h);
    if (fd < 0)
        return say(text, strerror(errno));
    int status = ask(fd, &h) ? read_status(fd) : 0;
    close(fd);
    alarm(0);
    if (status == 200)
        return EXIT_SUCCESS;
    char answer[32];
    snprintf(answer, sizeof(answer), "answered %d", status);
    return say(text, status == 0 ? "no answer in HTTP" : answer);
}

/* Sockets and OpenSSL behind read and write calls that say "not now" alike.
 * OpenSSL is used directly because hiredis' own TLS layer does not compare the certificate with the host's name. */
#include "redis/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

/* A peer that vanished without a word is noticed by the link's pings; the probes are for a link that waits long for one. */
enum { KEEPALIVE_IDLE_S = 15, KEEPALIVE_PROBE_S = 5, KEEPALIVE_PROBES = 3 };

void wire_init(struct wire *w)
{
    *w = (struct wire){.fd = -1};
}

__attribute__((format(printf, 2, 3))) static void explain(struct wire *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->why, sizeof w->why, format, args);
    va_end(args);
}

static void peer_closed(struct wire *w)
{
    w->ended = true;
    explain(w, "Redis closed the connection");
}

static bool fail_errno(struct wire *w, int error)
{
    explain(w, "%s", strerror(error));
    return false;
}

static void set_option(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* the connection works without */
}

static void tune_tcp(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_PROBE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
}

bool wire_connect(struct wire *w, const struct sockaddr *address, socklen_t len)
{
    wire_init(w);
    w->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd < 0)
        return fail_errno(w, errno);
    if (address->sa_family != AF_UNIX)
        tune_tcp(w->fd);
    if (connect(w->fd, address, len) == 0 || errno == EINPROGRESS || errno == EINTR)
        return true;
    fail_errno(w, errno);
    wire_close(w);
    return false;
}

bool wire_connected(struct wire *w)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    return error == 0 || fail_errno(w, error);
}

/* --- TLS --- */

static const char *tls_error(void)
{
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_REASON(error) == SSL_R_WRONG_VERSION_NUMBER)
        return "what answers there does not speak TLS";
    const char *text = ERR_reason_error_string(error);
    return text ? text : "unknown error";
}

static SSL_CTX *tls_context(struct wire *w, const char *ca_file, bool verify)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context) {
        explain(w, "TLS: %s", tls_error());
        return NULL;
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    /* Partial writes keep a large outbox moving; its bytes may have been moved in memory before the next try. */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (!verify)
        return context;
    int good =
        ca_file ? SSL_CTX_load_verify_locations(context, ca_file, NULL) : SSL_CTX_set_default_verify_paths(context);
    if (good == 1)
        return context;
    explain(w, "TLS: cannot use %s: %s", ca_file ? ca_file : "the system's authorities", tls_error());
    SSL_CTX_free(context);
    return NULL;
}

static bool is_address(const char *host)
{
    struct in6_addr room;
    return inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1;
}

/* An address has no server name indication and stands in another field of the certificate. */
static bool tls_expect(SSL *ssl, const char *host)
{
    if (!host)
        return true;
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

bool wire_secure(struct wire *w, const char *host, const char *ca_file)
{
    ERR_clear_error();
    SSL_CTX *context = tls_context(w, ca_file, host);
    if (!context)
        return false;
    w->ssl = SSL_new(context);
    SSL_CTX_free(context); /* the connection holds it */
    if (w->ssl && tls_expect(w->ssl, host) && SSL_set_fd(w->ssl, w->fd) == 1) {
        SSL_set_connect_state(w->ssl);
        return true;
    }
    explain(w, "TLS: %s", tls_error());
    return false;
}

static ssize_t tls_broken(struct wire *w, int kind, int error)
{
    bool verified = SSL_get_verify_mode(w->ssl) != SSL_VERIFY_NONE;
    long verdict = verified ? SSL_get_verify_result(w->ssl) : X509_V_OK;
    if (verdict != X509_V_OK)
        explain(w, "TLS: the certificate is refused: %s", X509_verify_cert_error_string(verdict));
    else if (kind == SSL_ERROR_ZERO_RETURN || (kind == SSL_ERROR_SYSCALL && error == 0))
        peer_closed(w);
    else if (kind == SSL_ERROR_SYSCALL)
        explain(w, "TLS: %s", strerror(error));
    else
        explain(w, "TLS: %s", tls_error());
    return -1;
}

static ssize_t tls_read(struct wire *w, void *room, size_t size)
{
    size_t got = 0;
    ERR_clear_error();
    errno = 0;
    if (SSL_read_ex(w->ssl, room, size, &got) == 1) {
        w->read_needs_room = false;
        return (ssize_t)got;
    }
    int error = errno;
    int kind = SSL_get_error(w->ssl, 0);
    w->read_needs_room = kind == SSL_ERROR_WANT_WRITE;
    bool later = kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE;
    return later ? 0 : tls_broken(w, kind, error);
}

static ssize_t tls_write(struct wire *w, const void *bytes, size_t len)
{
    size_t sent = 0;
    ERR_clear_error();
    errno = 0;
    w->write_blocked = false;
    if (SSL_write_ex(w->ssl, bytes, len, &sent) == 1)
        return (ssize_t)sent;
    int error = errno;
    int kind = SSL_get_error(w->ssl, 0);
    w->write_blocked = kind == SSL_ERROR_WANT_WRITE;
    bool later = kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE;
    return later ? 0 : tls_broken(w, kind, error);
}

/* --- both --- */

static bool is_transient(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

ssize_t wire_read(struct wire *w, void *room, size_t size)
{
    if (w->ssl)
        return tls_read(w, room, size);
    ssize_t got = recv(w->fd, room, size, 0);
    if (got > 0)
        return got;
    if (got < 0 && is_transient(errno))
        return 0;
    if (got < 0)
        fail_errno(w, errno);
    else
        peer_closed(w);
    return -1;
}

ssize_t wire_write(struct wire *w, const void *bytes, size_t len)
{
    if (w->ssl)
        return tls_write(w, bytes, len);
    w->write_blocked = false;
    ssize_t sent = send(w->fd, bytes, len, MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    if (!is_transient(errno)) {
        fail_errno(w, errno);
        return -1;
    }
    w->write_blocked = true;
    return 0;
}

void wire_close(struct wire *w)
{
    if (w->ssl)
        SSL_free(w->ssl);
    if (w->fd >= 0)
        close(w->fd);
    w->ssl = NULL;
    w->fd = -1;
    w->write_blocked = w->read_needs_room = false;
}

/* OpenSSL stands behind two questions: what does "again" mean, and is something left in its buffer. */
#include "bench/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "bench/bytes.h"

static bool verify = true;

void stream_verify(bool on)
{
    verify = on;
}

static SSL_CTX *tls_context(void)
{
    static SSL_CTX *context;
    if (context)
        return context;
    context = SSL_CTX_new(TLS_client_method());
    if (!context || (verify && SSL_CTX_set_default_verify_paths(context) != 1))
        bench_die("TLS does not start");
    SSL_CTX_set_verify(context, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(context,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

bool stream_connect(struct stream *s, const struct url *to, int receive_buffer)
{
    int one = 1;
    *s = (struct stream){.fd = socket(to->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (s->fd < 0)
        return false;
    if (to->address.ss_family != AF_UNIX)
        setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (receive_buffer > 0)
        setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
    if (connect(s->fd, (const struct sockaddr *)&to->address, to->address_len) == 0 || errno == EINPROGRESS)
        return true;
    int why = errno;
    stream_close(s);
    errno = why;
    return false;
}

static bool is_address(const char *host)
{
    unsigned char binary[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
}

static bool begin_tls(struct stream *s, const struct url *to)
{
    s->ssl = SSL_new(tls_context());
    if (!s->ssl || SSL_set_fd(s->ssl, s->fd) != 1)
        return false;
    if (is_address(to->host))
        return !verify || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(s->ssl), to->host) == 1;
    return SSL_set_tlsext_host_name(s->ssl, to->host) == 1 && SSL_set1_host(s->ssl, to->host) == 1;
}

enum stream_state stream_open(struct stream *s, const struct url *to)
{
    if (!s->ssl) {
        int error = 0;
        socklen_t len = sizeof(error);
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
            errno = error;
            return STREAM_FAILED;
        }
        if (!to->tls)
            return STREAM_OPEN;
        errno = EPROTO;
        if (!begin_tls(s, to))
            return STREAM_FAILED;
    }
    ERR_clear_error();
    int done = SSL_connect(s->ssl);
    if (done == 1)
        return STREAM_OPEN;
    int why = SSL_get_error(s->ssl, done);
    errno = EPROTO;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? STREAM_BUSY : STREAM_FAILED;
}

static ssize_t tls_result(struct stream *s, int done)
{
    if (done > 0)
        return done;
    switch (SSL_get_error(s->ssl, done)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        errno = EPROTO;
        return -1;
    }
}

ssize_t stream_read(struct stream *s, void *out, size_t size)
{
    if (!s->ssl)
        return recv(s->fd, out, size, 0);
    ERR_clear_error();
    return tls_result(s, SSL_read(s->ssl, out, (int)size));
}

ssize_t stream_write(struct stream *s, const void *data, size_t len)
{
    if (!s->ssl)
        return send(s->fd, data, len, MSG_NOSIGNAL);
    ERR_clear_error();
    return tls_result(s, SSL_write(s->ssl, data, len > INT_MAX ? INT_MAX : (int)len));
}

bool stream_pending(const struct stream *s)
{
    return s->ssl && SSL_pending(s->ssl) > 0;
}

void stream_close(struct stream *s)
{
    if (s->fd < 0)
        return;
    SSL_free(s->ssl);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(s->fd);
    *s = (struct stream){.fd = -1};
}

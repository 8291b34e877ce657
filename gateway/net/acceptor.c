/* A few connections per turn, so that other workers get theirs and those who are in are not forgotten; a pause when descriptors have
 * run out: without one the waiting connection would wake us again at once, for ever. */
#include "gateway/net/acceptor.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/timer.h"
#include "gateway/net/descriptors.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"

/* The kernel side of a slow reader is bounded too (the kernel doubles this). Accepted sockets inherit it. */
enum { SEND_BUFFER_BYTES = 128 * 1024 };

enum { PER_TURN = 16, PAUSE_MS = 100, FAILURES_PER_LINE = 100 };

struct acceptor {
    int fd;
    struct event readable;
    struct event again; /* pending while accepting pauses */
    bool wanted;        /* see acceptor_watch */
    void (*on_socket)(void *arg, int fd);
    void *arg;
    unsigned failures;
};

static void pause_accepting(struct acceptor *a)
{
    metric_add(METRIC_ACCEPT_FAILURES, 1);
    if (a->failures++ % FAILURES_PER_LINE == 0)
        log_warn("no descriptor or memory for a new connection: accepting pauses");
    event_del(&a->readable);
    timer_start(&a->again, PAUSE_MS);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct acceptor *a = arg;
    if (a->wanted)
        event_add(&a->readable, NULL);
}

static void accept_some(struct acceptor *a, int fd)
{
    for (int i = 0; i < PER_TURN && a->wanted; i++) {
        int connection = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (connection >= 0) {
            a->on_socket(a->arg, connection);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(a);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    turn_begins();
    descriptors_spare(true);
    accept_some(arg, fd);
    descriptors_spare(false);
}

struct acceptor *acceptor_new(struct event_base *base, int fd, void (*on_socket)(void *arg, int fd), void *arg)
{
    struct acceptor *a = sg_calloc(1, sizeof(*a));
    int size = SEND_BUFFER_BYTES, on = 1;
    a->fd = fd;
    a->on_socket = on_socket;
    a->arg = arg;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
        log_info("the send buffer of a socket stays as it is"); /* conflation then starts later, nothing else */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  /* refused by a unix socket, which has no such thing */
    int flags = fcntl(fd, F_GETFL); /* libwebsockets leaves those of unix sockets blocking */
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        abort(); /* an open socket has flags */
    event_assign(&a->readable, base, fd, EV_READ | EV_PERSIST, on_readable, a);
    evtimer_assign(&a->again, base, on_again, a);
    return a;
}

void acceptor_watch(struct acceptor *a, bool on)
{
    a->wanted = on;
    if (!on)
        event_del(&a->readable);
    else if (!evtimer_pending(&a->again, NULL))
        event_add(&a->readable, NULL);
}

int acceptor_free(struct acceptor *a)
{
    int fd = a->fd;
    event_del(&a->readable);
    event_del(&a->again);
    free(a);
    return fd;
}

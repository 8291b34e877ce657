/* A few connections per turn, so that other workers get theirs; a pause when descriptors have run out, as in evlib.c. */
#include "gateway/acceptor.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/descriptors.h"
#include "gateway/log.h"
#include "gateway/metrics.h"
#include "gateway/timer.h"
#include "protocol/base/alloc.h"

enum { PER_TURN = 16, PAUSE_MS = 100, FAILURES_PER_LINE = 100, SEND_BUFFER_BYTES = 128 * 1024 /* as in evlib.c */ };

struct acceptor {
    int fd;
    struct event readable;
    struct event again; /* pending while accepting pauses */
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
    event_add(&a->readable, NULL);
}

static void accept_some(struct acceptor *a, int fd)
{
    for (int i = 0; i < PER_TURN; i++) {
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
    descriptors_spare(true);
    accept_some(arg, fd);
    descriptors_spare(false);
}

struct acceptor *acceptor_new(struct event_base *base, int fd, void (*on_socket)(void *arg, int fd), void *arg)
{
    struct acceptor *a = sg_calloc(1, sizeof(*a));
    int size = SEND_BUFFER_BYTES;
    a->fd = fd;
    a->on_socket = on_socket;
    a->arg = arg;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0)
        log_info("the send buffer of a passed socket stays as it is"); /* conflation then starts later, nothing else */
    event_assign(&a->readable, base, fd, EV_READ | EV_PERSIST, on_readable, a);
    evtimer_assign(&a->again, base, on_again, a);
    event_add(&a->readable, NULL);
    return a;
}

void acceptor_free(struct acceptor *a)
{
    event_del(&a->readable);
    event_del(&a->again);
    close(a->fd);
    free(a);
}

/* epoll_wait counts in milliseconds, pacing needs microseconds: the timer is a timerfd. */
#include "bench/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "bench/bytes.h"

enum { EVENTS_PER_TURN = 512 };

static void on_timer(struct watch *w, uint32_t events)
{
    uint64_t times;
    (void)events;
    struct loop *l = container_of(w, struct loop, timer);
    if (read(w->fd, &times, sizeof(times)) == sizeof(times))
        l->timer_ns = 0;
}

void loop_init(struct loop *l)
{
    *l = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->epoll_fd < 0 || fd < 0)
        bench_die("epoll: %s", strerror(errno));
    loop_add(l, &l->timer, fd, EPOLLIN, on_timer);
}

void loop_deinit(struct loop *l)
{
    close(l->timer.fd);
    close(l->epoll_fd);
}

void loop_add(struct loop *l, struct watch *w, int fd, uint32_t events, void (*on_event)(struct watch *, uint32_t))
{
    *w = (struct watch){fd, events, on_event};
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
        bench_die("epoll_ctl: %s", strerror(errno));
}

void loop_change(struct loop *l, struct watch *w, uint32_t events)
{
    if (w->fd < 0 || w->events == events)
        return;
    w->events = events;
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &e) != 0)
        bench_die("epoll_ctl: %s", strerror(errno));
}

void loop_remove(struct loop *l, struct watch *w)
{
    if (w->fd < 0)
        return;
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->fd = -1;
}

void loop_wake_at(struct loop *l, int64_t at_ns)
{
    if (l->timer_ns == at_ns)
        return;
    l->timer_ns = at_ns;
    struct itimerspec t = {.it_value = {at_ns / 1000000000, at_ns % 1000000000}};
    timerfd_settime(l->timer.fd, TFD_TIMER_ABSTIME, &t, NULL);
}

void loop_turn(struct loop *l)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int n = epoll_wait(l->epoll_fd, events, EVENTS_PER_TURN, -1);
    if (n < 0 && errno != EINTR)
        bench_die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct watch *w = events[i].data.ptr;
        if (w->fd >= 0)
            w->on_event(w, events[i].events);
    }
}

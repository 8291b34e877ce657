/* The event loop: epoll, level-triggered, one timer. A watch is embedded in whatever owns the descriptor. */
#ifndef SYNCGATE_BENCH_LOOP_H
#define SYNCGATE_BENCH_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

struct watch {
    int fd;          /* -1: not watched */
    uint32_t events; /* EPOLLIN, EPOLLOUT; 0: nothing but errors */
    void (*on_event)(struct watch *w, uint32_t events);
};

struct loop {
    int epoll_fd;
    struct watch timer;
    int64_t timer_ns; /* when it goes off; 0: not armed */
};

void loop_init(struct loop *l);
void loop_deinit(struct loop *l);
void loop_add(struct loop *l, struct watch *w, int fd, uint32_t events, void (*on_event)(struct watch *, uint32_t));
void loop_change(struct loop *l, struct watch *w, uint32_t events);
/* loop_remove must come before the descriptor is closed. A watch that is removed gets no event any more, unless it is one of
 * the turn that is under way: keep its memory until the next. */
void loop_remove(struct loop *l, struct watch *w);
/* loop_wake_at: the turn ends at this time (bench_now_ns) at the latest; 0: no limit. */
void loop_wake_at(struct loop *l, int64_t at_ns);
/* loop_turn waits for events and hands them out. */
void loop_turn(struct loop *l);

#endif

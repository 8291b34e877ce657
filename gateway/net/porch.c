/* Sockets are only looked at (MSG_PEEK): whoever enters reads the head from the socket as ever, and waiting needs no buffer. The
 * events are edge-triggered, or half a head would wake us again and again.
 *
 * Places inside go to the addresses in turn. When all are taken and others wait, who is inside for long makes room: an
 * address that has many there first. Who is there for the whole time of a request ends anyway. */
#include "gateway/net/porch.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/timer.h"
#include "gateway/core/core.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"
#include "protocol/base/list.h"
#include "protocol/base/map.h"

enum {
    HEAD_MS =
        10000, /* from accept() to the whole head; as long again from there to having read it (TLS: the handshake too) */
    ANSWER_MS = 30000,  /* for the body of a POST and for taking the answer */
    LEAVING_MS = 2000,  /* for reading a refusal */
    KEPT_MS = 1000,     /* inside while others wait, for who has many there */
    KEPT_FEW_MS = 5000, /* for who has FEW */
    FEW = 4,
    TICK_MS = 100,
    LEAVING_MAX = 256,
    LEAVING_BYTES = 64 * 1024 /* one read of what nobody wants */
};

enum state { WAITING, READY, INSIDE, ANSWERING, LEAVING, STATES, STAYING = STATES /* in no list */ };

struct address {
    struct map_node node;
    unsigned char key[REMOTE_NETWORK_BYTES];
    size_t visitors, inside;
    bool crowd;
    struct list waiting;   /* struct visitor by kin */
    struct list ready;     /* likewise */
    struct list_node turn; /* in porch->turn while it has somebody ready and room for him */
};

struct visitor {
    struct porch *porch;
    struct address *address;
    void *door;
    struct event event;
    struct list_node node; /* in porch->lists[state] */
    struct list_node kin;  /* in address->waiting or ->ready */
    int64_t since_ms;      /* in this state; WAITING and READY: since accept() */
    int fd;
    enum state state;
    struct remote remote;
    bool tls;
    bool inside; /* counts there */
    bool heard;
};

struct porch {
    struct event_base *base;
    struct porch_events on;
    void *arg;
    size_t waiting_max;
    size_t inside;
    struct list lists[STATES]; /* by time */
    struct list turn;          /* struct address */
    struct map addresses;
    struct event tick;
    struct event room; /* active: somebody may enter */
};

static const int64_t longest_ms[STATES] = {
    [WAITING] = HEAD_MS, [READY] = HEAD_MS, [INSIDE] = HEAD_MS, [ANSWERING] = ANSWER_MS, [LEAVING] = LEAVING_MS};

static char seen[HEAD_BYTES_MAX + 1]; /* what look() looked at */

/* --- addresses --- */

static struct address *address_at(struct porch *p, const struct remote *r)
{
    unsigned char key[REMOTE_NETWORK_BYTES];
    struct slice text = slice_of((const char *)key, remote_network(r, key));
    struct map_node *node = map_find(&p->addresses, text);
    if (node)
        return container_of(node, struct address, node);
    struct address *a = sg_calloc(1, sizeof(*a));
    memcpy(a->key, key, text.len);
    a->node.key = slice_of((const char *)a->key, text.len);
    a->crowd = (r->family != AF_INET && r->family != AF_INET6) || p->on.is_crowd(p->arg, r);
    list_init(&a->waiting);
    list_init(&a->ready);
    map_insert(&p->addresses, &a->node);
    return a;
}

static bool has_room(const struct porch *p, const struct address *a)
{
    return p->inside < PORCH_INSIDE_MAX && (a->crowd || a->inside < PORCH_ADDRESS_INSIDE_MAX);
}

/* After anything that changes who is ready or who has room. */
static void take_turn(struct porch *p, struct address *a)
{
    bool wanted = a->ready.count && (a->crowd || a->inside < PORCH_ADDRESS_INSIDE_MAX);
    if (wanted && !list_linked(&a->turn))
        list_append(&p->turn, &a->turn);
    else if (!wanted && list_linked(&a->turn))
        list_remove(&p->turn, &a->turn);
    if (p->turn.count && p->inside < PORCH_INSIDE_MAX)
        event_active(&p->room, EV_TIMEOUT, 1);
}

static void address_forget(struct porch *p, struct address *a)
{
    if (--a->visitors)
        return;
    map_remove(&p->addresses, &a->node);
    free(a);
}

/* --- states --- */

static struct list *kin_list(struct visitor *v)
{
    return v->state == WAITING ? &v->address->waiting : v->state == READY ? &v->address->ready : NULL;
}

static void note(const struct porch *p)
{
    metrics[METRIC_HANDSHAKES_WAITING] = (int64_t)(p->lists[WAITING].count + p->lists[READY].count);
    metrics[METRIC_HANDSHAKES_INSIDE] = (int64_t)p->inside;
}

static void unlink_visitor(struct visitor *v)
{
    if (v->state != STAYING)
        list_remove(&v->porch->lists[v->state], &v->node);
    struct list *kin = kin_list(v);
    if (kin)
        list_remove(kin, &v->kin);
    v->state = STAYING;
}

static void move(struct visitor *v, enum state state)
{
    struct porch *p = v->porch;
    unlink_visitor(v);
    v->state = state;
    if (state != STAYING)
        list_append(&p->lists[state], &v->node);
    struct list *kin = kin_list(v);
    if (kin)
        list_append(kin, &v->kin);
    note(p);
    if (!evtimer_pending(&p->tick, NULL))
        timer_start(&p->tick, TICK_MS);
}

static void unwatch(struct visitor *v)
{
    if (event_initialized(&v->event))
        event_del(&v->event);
}

static void visitor_free(struct visitor *v)
{
    struct porch *p = v->porch;
    unlink_visitor(v);
    unwatch(v);
    if (v->inside) {
        v->inside = false;
        v->address->inside--;
        p->inside--;
    }
    take_turn(p, v->address);
    address_forget(p, v->address);
    note(p);
    free(v);
}

static void visitor_close(struct visitor *v)
{
    int fd = v->fd;
    visitor_free(v);
    close(fd);
}

static void watch(struct visitor *v, short what, event_callback_fn fn)
{
    unwatch(v);
    event_assign(&v->event, v->porch->base, v->fd, what, fn, v);
    event_add(&v->event, NULL);
}

/* --- turning away --- */

/* Reads what nobody wants: a socket that is closed with bytes unread resets the connection, and the answer is lost. */
static void on_leaving(evutil_socket_t fd, short what, void *arg)
{
    static char nowhere[LEAVING_BYTES];
    (void)what;
    struct visitor *v = arg;
    ssize_t n = recv(fd, nowhere, sizeof(nowhere), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        visitor_close(v);
}

static void leave_politely(struct visitor *v)
{
    struct list *leaving = &v->porch->lists[LEAVING];
    if (leaving->count >= LEAVING_MAX)
        visitor_close(container_of(list_first(leaving), struct visitor, node));
    shutdown(v->fd, SHUT_WR);
    v->since_ms = clock_now_ms();
    move(v, LEAVING);
    watch(v, EV_READ | EV_PERSIST, on_leaving);
}

static void turn_away(struct visitor *v, unsigned status, const char *why, const struct head *head)
{
    struct porch *p = v->porch;
    char answer[PORCH_REFUSAL_BYTES];
    size_t len = p->on.turned_away(p->arg, &v->remote, status, why, head, answer);
    if (len == 0 || send(v->fd, answer, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
        visitor_close(v);
    else
        leave_politely(v);
}

static void crowded(struct visitor *v)
{
    turn_away(v, v->tls ? PORCH_CROWDED : 503, "too many requests at once", &(struct head){0});
}

/* --- entering --- */

static void enter(struct visitor *v)
{
    struct porch *p = v->porch;
    unwatch(v);
    v->inside = true;
    v->address->inside++;
    p->inside++;
    v->since_ms = clock_now_ms();
    move(v, INSIDE);
    p->on.enter(p->arg, v, v->fd, v->door);
}

static void get_ready(struct visitor *v)
{
    struct porch *p = v->porch;
    if (has_room(p, v->address) && !v->address->ready.count) {
        enter(v);
        return;
    }
    bool full = p->lists[READY].count >= p->waiting_max;
    if (full || (!v->address->crowd && v->address->ready.count >= p->waiting_max / 4)) {
        crowded(v);
        return;
    }
    unwatch(v);
    move(v, READY);
    take_turn(p, v->address);
}

static void on_room(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct porch *p = arg;
    for (size_t n = PORCH_INSIDE_MAX; n > 0 && p->turn.count && p->inside < PORCH_INSIDE_MAX; n--) {
        struct address *a = container_of(list_pop(&p->turn), struct address, turn);
        struct visitor *v = container_of(list_first(&a->ready), struct visitor, kin);
        a->visitors++; /* kept while its visitor may leave */
        enter(v);
        take_turn(p, a);
        address_forget(p, a);
    }
}

/* --- looking --- */

static enum head_verdict judge(const struct visitor *v, ssize_t n, struct head *head)
{
    *head = (struct head){0};
    if (n <= 0)
        return HEAD_MORE;
    return v->tls ? HEAD_WHOLE : head_judge(slice_of(seen, (size_t)n), head);
}

/* False: it goes on waiting. Otherwise the visitor is elsewhere, or no more. */
static bool look(struct visitor *v, bool closed)
{
    struct head head;
    ssize_t n = recv(v->fd, seen, v->tls ? 1 : sizeof(seen), MSG_PEEK | MSG_DONTWAIT);
    bool gone = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
    switch (judge(v, n, &head)) {
    case HEAD_WHOLE:
        get_ready(v);
        return true;
    case HEAD_REFUSED:
        turn_away(v, head.status, head.why, &head);
        return true;
    case HEAD_MORE:
        if (gone || closed)
            visitor_close(v);
        return gone || closed;
    }
    return false;
}

static void on_bytes(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    turn_begins();
    look(arg, what & EV_CLOSED);
}

/* Who has waited longest makes room, unless his request came in the meantime. */
static void make_room(struct visitor *longest)
{
    if (!look(longest, false))
        turn_away(longest, PORCH_CROWDED, "too many connections without a request", &(struct head){0});
}

static void wait_for_head(struct visitor *v)
{
    struct porch *p = v->porch;
    struct list *kin = &v->address->waiting;
    if (!v->address->crowd && kin->count > PORCH_ADDRESS_WAITING_MAX)
        make_room(container_of(list_first(kin), struct visitor, kin));
    if (p->lists[WAITING].count > p->waiting_max)
        make_room(container_of(list_first(&p->lists[WAITING]), struct visitor, node));
}

void porch_take(struct porch *p, int fd, void *door, bool tls)
{
    struct visitor *v = sg_calloc(1, sizeof(*v));
    v->porch = p;
    v->fd = fd;
    v->door = door;
    v->tls = tls;
    v->remote = remote_of_socket(fd);
    v->address = address_at(p, &v->remote);
    v->address->visitors++;
    v->since_ms = clock_now_ms();
    v->state = STAYING;
    move(v, WAITING);
    if (look(v, false))
        return;
    watch(v, EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_bytes);
    wait_for_head(v);
}

/* --- inside --- */

void porch_heard(struct visitor *v)
{
    v->heard = true;
    v->since_ms = clock_now_ms();
    move(v, ANSWERING);
}

bool porch_was_heard(const struct visitor *v)
{
    return v->heard;
}

bool porch_saw_head(const struct visitor *v)
{
    return !v->tls;
}

const struct remote *porch_remote(const struct visitor *v)
{
    return &v->remote;
}

void porch_stay(struct visitor *v)
{
    move(v, STAYING);
}

void porch_leave(struct visitor *v)
{
    visitor_free(v);
}

/* --- time --- */

/* Nothing came: there is nobody to answer. Behind TLS there is no way to. */
static void too_late(struct visitor *v)
{
    ssize_t n = v->tls ? 0 : recv(v->fd, seen, sizeof(seen), MSG_PEEK | MSG_DONTWAIT);
    struct head head;
    if (n > 0)
        head_judge(slice_of(seen, (size_t)n), &head);
    else
        head = (struct head){0};
    turn_away(v, n > 0 ? 408 : PORCH_SILENT, n > 0 ? "the request did not come in time" : "no request came in time",
              &head);
}

static void kick(struct visitor *v)
{
    struct porch *p = v->porch;
    int fd = v->fd;
    move(v, STAYING);
    p->on.kick(p->arg, v, fd);
}

static void end(struct visitor *v)
{
    if (v->state == WAITING)
        too_late(v);
    else if (v->state == READY)
        crowded(v);
    else if (v->state == LEAVING)
        visitor_close(v);
    else
        kick(v);
}

static void end_older(struct porch *p, enum state state, int64_t ms)
{
    int64_t now = clock_now_ms();
    for (struct list_node *node; (node = list_first(&p->lists[state]));) {
        struct visitor *v = container_of(node, struct visitor, node);
        if (now - v->since_ms < ms)
            return;
        end(v);
    }
}

static int64_t kept_ms(const struct visitor *v)
{
    return v->address->crowd || v->address->inside <= FEW ? KEPT_FEW_MS : KEPT_MS;
}

/* Walks those inside, who are not many. Returns how many it ended. */
static size_t make_room_inside(struct porch *p, enum state state, size_t most)
{
    int64_t now = clock_now_ms();
    size_t n = 0;
    list_each(&p->lists[state], node)
    {
        struct visitor *v = container_of(node, struct visitor, node);
        if (n == most || now - v->since_ms < KEPT_MS)
            break;
        if (now - v->since_ms < kept_ms(v))
            continue;
        kick(v);
        n++;
    }
    return n;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct porch *p = arg;
    bool any = false;
    if (p->inside >= PORCH_INSIDE_MAX) {
        size_t wanted = p->lists[READY].count;
        wanted -= make_room_inside(p, INSIDE, wanted);
        make_room_inside(p, ANSWERING, wanted);
    }
    for (enum state s = 0; s < STATES; s++) {
        end_older(p, s, longest_ms[s]);
        any = any || p->lists[s].count;
    }
    if (any)
        timer_start(&p->tick, TICK_MS);
}

/* --- life --- */

struct porch *porch_new(struct event_base *base, size_t waiting_max, const struct porch_events *on, void *arg)
{
    struct porch *p = sg_calloc(1, sizeof(*p));
    p->base = base;
    p->on = *on;
    p->arg = arg;
    p->waiting_max = waiting_max ? waiting_max : PORCH_WAITING_MAX;
    for (enum state s = 0; s < STATES; s++)
        list_init(&p->lists[s]);
    list_init(&p->turn);
    map_init(&p->addresses);
    evtimer_assign(&p->tick, base, on_tick, p);
    evtimer_assign(&p->room, base, on_room, p);
    return p;
}

void porch_close(struct porch *p, const char *why)
{
    static const enum state outside[] = {READY, WAITING};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        for (struct list_node *node; (node = list_first(&p->lists[outside[i]]));) {
            struct visitor *v = container_of(node, struct visitor, node);
            turn_away(v, v->tls ? PORCH_CROWDED : 503, why, &(struct head){0});
        }
}

void porch_free(struct porch *p)
{
    static const enum state outside[] = {READY, WAITING, LEAVING};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        for (struct list_node *node; (node = list_first(&p->lists[outside[i]]));)
            visitor_close(container_of(node, struct visitor, node));
    event_del(&p->tick);
    event_del(&p->room);
    map_deinit(&p->addresses);
    free(p);
}

/* The event-library plug-in of libwebsockets over libevent (lws-eventlib-exports.h).
 *
 * Why not libwebsockets' own libevent support: it adds and removes EV_WRITE around every message, two epoll_ctl per delivery
 * (measured 8.8 against 5.4 µs at 5 000 subscribers). Here a request to write goes to a ready list and is served at the end of the turn.
 * The rule that keeps it from spinning: only an established WebSocket with nothing buffered is served that way, and not again
 * while it is being served; everything else (handshakes, HTTP, TLS that wants to write, a full socket) waits for EV_WRITE.
 *
 * Requests of our own (evlib_want_write) do not go through libwebsockets at all: asking for POLLOUT, being called back and
 * taking POLLOUT away again is half of the instructions of a delivery. At the end of the turn the connection is written to
 * directly, unless libwebsockets itself wants POLLOUT then. That is the whole condition, because whatever must not be
 * overtaken makes libwebsockets ask for it: buffered output, a pong, a close frame, a TLS read that has to write (every
 * place calls lws_callback_on_writable); and as long as it wants POLLOUT its service ends in the WRITEABLE callback, or in
 * the end of the connection, so nothing of ours is forgotten either. lws_write frees nothing: after an error the socket is
 * only marked, and closed here, from the loop, where nobody holds it.
 *
 * State per connection lives in a table indexed by descriptor, because libwebsockets has no public accessor for the
 * plug-in's part of a wsi. */
#include "gateway/net/evlib.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <libwebsockets.h>

#include "gateway/base/timer.h"
#include "gateway/net/acceptor.h"
#include "gateway/observe/turn.h"
#include "protocol/base/alloc.h"
#include "protocol/base/list.h"

enum { BLOCK_SLOTS = 64 };

struct slot {
    struct lws *wsi; /* NULL: no libwebsockets socket at this descriptor */
    struct event reading;
    struct event *writing;  /* made when first needed: most connections never wait for their socket */
    struct list_node ready; /* in evlib.ready while somebody wants to write and will be served in this turn */
    bool wants_read;
    bool wants_write;
    bool optimistic;
    bool asked; /* libwebsockets wants POLLOUT: it stays so until it says stop, also across a service (after a pong) */
    bool serving; /* inside its own optimistic service */
    bool message; /* of ours, under way: nothing of libwebsockets' may come in between (evlib_want_room) */
    bool listens;
    union {                        /* there are very many slots */
        struct acceptor *acceptor; /* of a listener */
        struct visitor *visitor;   /* of what is no WebSocket yet */
    };
};

struct evlib {
    struct event_base *base;
    struct lws_context *context;
    struct evlib_events on;
    struct slot **blocks; /* by descriptor; in blocks, or what stays would pin every page that a crowd leaves */
    size_t nslots;
    struct list ready;
    struct event timer;
    int64_t timer_ms;         /* what the timer is armed for, -1: not */
    struct visitor *entering; /* inside evlib_adopt, until it has a slot */
};

static struct evlib *the_evlib; /* libwebsockets' operations carry no user pointer */

static size_t blocks_of(const struct evlib *e)
{
    return (e->nslots + BLOCK_SLOTS - 1) / BLOCK_SLOTS;
}

/* NULL: this descriptor never was one of libwebsockets'. */
static struct slot *slot_at(const struct evlib *e, int fd)
{
    struct slot *block = e->blocks[fd / BLOCK_SLOTS];
    return block ? &block[fd % BLOCK_SLOTS] : NULL;
}

static struct slot *slot_of(struct lws *wsi)
{
    int fd = lws_get_socket_fd(wsi);
    if (fd < 0 || (size_t)fd >= the_evlib->nslots)
        return NULL;
    struct slot *s = slot_at(the_evlib, fd);
    return s && s->wsi == wsi ? s : NULL;
}

static int fd_of(const struct slot *s)
{
    return event_get_fd(&s->reading);
}

static void serve(int fd, short revents)
{
    struct lws_pollfd p = {.fd = fd, .events = revents, .revents = revents};
    lws_service_fd(the_evlib->context, &p);
}

/* Of a listener of libwebsockets'. */
static void on_socket(void *arg, int fd)
{
    const struct slot *s = arg;
    the_evlib->on.accepted(lws_get_vhost(s->wsi), fd);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    (void)arg;
    turn_begins();
    serve(fd, LWS_POLLIN);
    const struct slot *s = slot_at(the_evlib, fd);
    if (s->wsi && s->optimistic)
        the_evlib->on.after_read(s->wsi);
}

static void end(struct slot *s);

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    (void)arg;
    struct slot *s = slot_at(the_evlib, fd);
    turn_begins();
    if (!s->message || lws_partial_buffered(s->wsi))
        serve(fd, LWS_POLLOUT);
    else if (!the_evlib->on.write(s->wsi))
        end(s);
}

static struct slot *slot_open(struct lws *wsi)
{
    struct evlib *e = the_evlib;
    int fd = lws_get_socket_fd(wsi);
    if (fd < 0 || (size_t)fd >= e->nslots)
        return NULL;
    struct slot **block = &e->blocks[fd / BLOCK_SLOTS];
    if (!*block)
        *block = sg_calloc(BLOCK_SLOTS, sizeof(**block)); /* kept for the next connections with these descriptors */
    struct slot *s = slot_at(e, fd);
    assert(!s->wsi || s->wsi == wsi);
    s->wsi = wsi;
    s->wants_read = s->wants_write = s->optimistic = s->asked = s->serving = s->message = false;
    event_assign(&s->reading, e->base, fd, EV_READ | EV_PERSIST, on_readable, NULL);
    return s;
}

/* --- the operations libwebsockets calls --- */

static int op_init_pt(struct lws_context *context, void *loop, int tsi)
{
    (void)loop;
    (void)tsi;
    the_evlib->context = context;
    return 0;
}

static int op_listen(struct lws *wsi)
{
    struct slot *s = slot_open(wsi);
    if (!s)
        return 1;
    s->listens = true;
    s->acceptor = acceptor_new(the_evlib->base, lws_get_socket_fd(wsi), on_socket, s);
    return 0;
}

static int op_accept(struct lws *wsi)
{
    struct slot *s = slot_open(wsi);
    if (!s)
        return 1;
    s->visitor = the_evlib->entering;
    the_evlib->entering = NULL;
    return 0;
}

static void watch_read(struct slot *s, bool wanted)
{
    if (s->wants_read == wanted)
        return;
    s->wants_read = wanted;
    if (s->listens)
        acceptor_watch(s->acceptor, wanted);
    else if (wanted)
        event_add(&s->reading, NULL);
    else
        event_del(&s->reading);
}

static void watch_write(struct slot *s, bool wanted)
{
    if (s->wants_write == wanted)
        return;
    s->wants_write = wanted;
    if (!wanted) {
        event_free(s->writing);
        s->writing = NULL;
        return;
    }
    s->writing = event_new(the_evlib->base, lws_get_socket_fd(s->wsi), EV_WRITE | EV_PERSIST, on_writable, NULL);
    if (!s->writing)
        abort(); /* as every small allocation of ours */
    event_add(s->writing, NULL);
}

static void want_write(struct slot *s, struct lws *wsi)
{
    s->asked = true;
    if (s->serving)
        return; /* serve_ready looks at `asked` afterwards */
    if (s->optimistic && !s->wants_write && !lws_partial_buffered(wsi)) {
        if (!list_linked(&s->ready))
            list_append(&the_evlib->ready, &s->ready);
    } else {
        watch_write(s, true);
    }
}

static void stop_write(struct slot *s)
{
    s->asked = false;
    if (list_linked(&s->ready))
        list_remove(&the_evlib->ready, &s->ready);
    watch_write(s, s->message);
}

static void op_io(struct lws *wsi, unsigned int flags)
{
    struct slot *s = slot_of(wsi);
    if (!s)
        return;
    bool start = flags & LWS_EV_START;
    if (flags & LWS_EV_READ)
        watch_read(s, start);
    if (flags & LWS_EV_WRITE) {
        if (start)
            want_write(s, wsi);
        else
            stop_write(s);
    }
}

static int op_close(struct lws *wsi)
{
    struct slot *s = slot_of(wsi);
    if (s) {
        s->message = false;
        stop_write(s);
        watch_read(s, false);
        s->wsi = NULL;
        if (s->listens)
            acceptor_free(s->acceptor);
        else if (s->visitor)
            the_evlib->on.visitor_gone(wsi, s->visitor);
        s->listens = false;
        s->visitor = NULL;
    }
    return 0; /* libwebsockets frees the wsi itself */
}

static const struct lws_event_loop_ops ops = {
    .name = "syncgate",
    .init_pt = op_init_pt,
    .init_vhost_listen_wsi = op_listen,
    .sock_accept = op_accept,
    .io = op_io,
    .wsi_logical_close = op_close,
    .evlib_size_pt = sizeof(void *), /* non-zero, or libwebsockets does not run its timers */
};

static const lws_plugin_evlib_t plugin = {
    .hdr = {.name = "syncgate",
            ._class = "lws_evlib_plugin",
            .lws_build_hash = LWS_BUILD_HASH,
            .api_magic = LWS_PLUGIN_API_MAGIC},
    .ops = &ops,
};

/* --- our side --- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct evlib *e = arg;
    e->timer_ms = -1; /* the turn that this event wakes does the work: evlib_end_turn */
}

struct evlib *evlib_new(struct event_base *base, size_t fd_limit, const struct evlib_events *on)
{
    assert(!the_evlib);
    struct evlib *e = sg_calloc(1, sizeof(*e));
    e->base = base;
    e->on = *on;
    e->nslots = fd_limit;
    e->blocks = sg_calloc(blocks_of(e), sizeof(*e->blocks));
    e->timer_ms = -1;
    list_init(&e->ready);
    evtimer_assign(&e->timer, base, on_timer, e);
    the_evlib = e;
    return e;
}

void evlib_free(struct evlib *e)
{
    event_del(&e->timer);
    for (size_t i = 0; i < blocks_of(e); i++)
        free(e->blocks[i]);
    free(e->blocks);
    free(e);
    the_evlib = NULL;
}

void evlib_install(struct evlib *e, struct lws_context_creation_info *info)
{
    (void)e;
    info->event_lib_custom = &plugin;
}

void evlib_attach(struct evlib *e, struct lws_context *context)
{
    e->context = context;
}

bool evlib_adopt(struct evlib *e, struct lws_vhost *vhost, int fd, struct visitor *visitor)
{
    e->entering = visitor;
    lws_adopt_socket_vhost(vhost, fd); /* closes it when it fails */
    bool taken = !e->entering;
    e->entering = NULL;
    return taken;
}

struct visitor *evlib_visitor(struct evlib *e, struct lws *wsi)
{
    (void)e;
    const struct slot *s = slot_of(wsi);
    return s ? s->visitor : NULL;
}

struct visitor *evlib_take_visitor(struct evlib *e, int fd)
{
    struct slot *s = slot_at(e, fd);
    struct visitor *v = s->visitor;
    s->visitor = NULL;
    return v;
}

void evlib_kill(struct evlib *e, int fd)
{
    const struct slot *s = slot_at(e, fd);
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

void evlib_set_optimistic(struct evlib *e, struct lws *wsi, bool on)
{
    (void)e;
    struct slot *s = slot_of(wsi);
    if (!s)
        return;
    s->optimistic = on;
    if (on && s->wants_write) { /* asked for during the handshake */
        watch_write(s, false);
        want_write(s, wsi);
    }
}

void evlib_want_write(struct evlib *e, struct lws *wsi)
{
    struct slot *s = slot_of(wsi);
    assert(s->optimistic);
    if (!s->asked && !list_linked(&s->ready)) /* asked: it comes to the WRITEABLE callback anyway */
        list_append(&e->ready, &s->ready);
}

void evlib_want_room(struct evlib *e, struct lws *wsi, bool on)
{
    (void)e;
    struct slot *s = slot_of(wsi);
    if (!s || s->message == on)
        return;
    s->message = on;
    if (on || !lws_partial_buffered(wsi))
        watch_write(s, on);
    if (!on && s->asked) /* what it wanted to say meanwhile */
        want_write(s, wsi);
}

/* libwebsockets has something to send of its own, and calls back for ours. */
static void serve_asked(struct slot *s)
{
    struct lws *wsi = s->wsi;
    s->serving = true;
    serve(fd_of(s), LWS_POLLOUT);
    s->serving = false;
    if (s->wsi == wsi && s->asked)
        want_write(s, wsi);
}

/* After a write that failed. libwebsockets would wait some seconds for somebody to read what the peer sent before. */
static void end(struct slot *s)
{
    struct lws *wsi = s->wsi;
    serve(fd_of(s), LWS_POLLHUP);
    if (s->wsi == wsi)
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static void serve_ready(struct evlib *e)
{
    /* Only what is there now: who asks again while served is served in the next round, so nobody starves the loop. */
    for (size_t n = e->ready.count; n > 0; n--) {
        struct list_node *node = list_pop(&e->ready);
        if (!node)
            return;
        struct slot *s = container_of(node, struct slot, ready);
        if (s->wants_write)
            continue; /* the socket filled up since: EV_WRITE tells */
        if (s->asked)
            serve_asked(s);
        else if (!e->on.write(s->wsi))
            end(s);
    }
}

static void arm_timer(struct evlib *e, int64_t ms)
{
    if (e->timer_ms == ms && evtimer_pending(&e->timer, NULL))
        return;
    timer_start(&e->timer, ms);
    e->timer_ms = ms;
}

void evlib_end_turn(struct evlib *e)
{
    enum { LONGEST_MS = 1000, ROUNDS_PER_TURN = 4 };

    for (int round = 0; round < ROUNDS_PER_TURN && e->ready.count; round++)
        serve_ready(e);
    int ms = lws_service_adjust_timeout(e->context, LONGEST_MS, 0);
    if (ms == 0) { /* buffered input to serve, or a timer within the next millisecond: the two look alike */
        _lws_plat_service_forced_tsi(e->context, 0);
        ms = lws_service_adjust_timeout(e->context, LONGEST_MS, 0);
        if (ms == 0)
            ms = 1;
    }
    if (e->ready.count)
        ms = 0; /* go round once more without sleeping */
    arm_timer(e, ms);
}

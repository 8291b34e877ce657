/* libwebsockets on libevent, our way: sockets are watched for reading only; a request to write is served in the same loop
 * turn without asking the kernel first ("optimistic writability"), and EV_WRITE is armed only when output stayed buffered.
 * Measured: one send() per delivery and no epoll_ctl (docs/design notes in evlib.c). */
#ifndef SYNCGATE_GATEWAY_NET_EVLIB_H
#define SYNCGATE_GATEWAY_NET_EVLIB_H

#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct lws;
struct lws_context;
struct lws_context_creation_info;
struct lws_vhost;
struct visitor;
struct evlib;

struct evlib_events {
    /* After each service of a readable, established WebSocket that is still there. */
    void (*after_read)(struct lws *);
    /* For evlib_want_write, at the end of the turn. False: the connection failed or is done, and gets closed. */
    bool (*write)(struct lws *);
    /* A connection came to a listener of this vhost; the socket is the callee's. */
    void (*accepted)(struct lws_vhost *, int fd);
    /* The connection of evlib_adopt is closed. */
    void (*visitor_gone)(struct lws *, struct visitor *);
};

/* evlib_new makes the plug-in for one loop. There is one per process, because libwebsockets' operations carry no user
 * pointer. */
struct evlib *evlib_new(struct event_base *base, size_t fd_limit, const struct evlib_events *on);
void evlib_free(struct evlib *e); /* after lws_context_destroy */

/* evlib_install puts the plug-in into the creation info of the context; evlib_attach tells it the context. */
void evlib_install(struct evlib *e, struct lws_context_creation_info *info);
void evlib_attach(struct evlib *e, struct lws_context *context);

/* evlib_adopt gives an accepted socket (taken over) to libwebsockets. False: it is closed, and `visitor` was not kept. True:
 * visitor_gone tells the end, maybe during the call, unless the visitor is taken back before. */
bool evlib_adopt(struct evlib *e, struct lws_vhost *vhost, int fd, struct visitor *visitor);
/* evlib_visitor: of a connection that has one, else NULL. evlib_take_visitor: the same, and it is forgotten here. */
struct visitor *evlib_visitor(struct evlib *e, struct lws *wsi);
struct visitor *evlib_take_visitor(struct evlib *e, int fd);
/* evlib_kill ends an adopted connection from the next timer pass on. */
void evlib_kill(struct evlib *e, int fd);

/* evlib_set_optimistic says whether write requests of this connection may be served in the same turn: true from the moment it is an
 * established WebSocket. */
void evlib_set_optimistic(struct evlib *e, struct lws *wsi, bool on);

/* evlib_want_write: something is to be written to an optimistic connection. At the end of this turn `write` is called, or, when
 * libwebsockets has something to say first, its WRITEABLE callback. */
void evlib_want_write(struct evlib *e, struct lws *wsi);

/* evlib_want_room: a long message of ours is under way in pieces. While this is on, `write` is called whenever the kernel has
 * room, and libwebsockets, which may have a pong or a close frame to say, is not served between two pieces: whatever it says
 * would land in the middle of the message. Only what it has buffered of a piece is written first. */
void evlib_want_room(struct evlib *e, struct lws *wsi, bool on);

/* evlib_end_turn serves what is ready to write and libwebsockets' own timers. Call it after each turn of the loop. */
void evlib_end_turn(struct evlib *e);

#endif

/* Where connections wait before anything of size is spent on them. An accepted socket stays here until the head of its request has
 * come (behind TLS: the first byte), which costs a descriptor and some 300 bytes; then it enters the server, which has a bounded
 * number of places for requests, and is followed there until it became a WebSocket or ended. So nobody who says nothing, half of
 * something or too much takes a place, nothing here is renewed by one more byte, and nothing is walked: all waiting is in lists
 * in order of time. */
#ifndef SYNCGATE_GATEWAY_NET_PORCH_H
#define SYNCGATE_GATEWAY_NET_PORCH_H

#include "gateway/access/remote.h"
#include "gateway/net/head.h"

struct event_base;
struct porch;
struct visitor; /* a connection from accept() until porch_leave */

enum {
    PORCH_INSIDE_MAX = 512,          /* requests in the server at the same time: below its header slots */
    PORCH_ADDRESS_INSIDE_MAX = 128,  /* of them from one address (IPv6: one /64) */
    PORCH_WAITING_MAX = 4096,        /* in the porch: at most; porch_new may be told less */
    PORCH_ADDRESS_WAITING_MAX = 256, /* of them from one address */
    PORCH_REFUSAL_BYTES = 512
};

/* Why somebody is turned away here: a status, or one of these, without an answer. */
enum { PORCH_SILENT = 0 /* nothing came in time */, PORCH_CROWDED = 1 /* too many wait, and it waited longest */ };

struct porch_events {
    /* enter: the visitor's request may be read now; the socket is the server's. It calls porch_leave when the request has become a
     * WebSocket or the socket is closed, maybe inside this call. */
    void (*enter)(void *arg, struct visitor *v, int fd, void *door);
    /* kick: what is inside takes too long; the server ends it soon, but not inside this call. */
    void (*kick)(void *arg, struct visitor *v, int fd);
    /* turned_away: is called once for each of whom the porch gets rid. `head` tells what was read. Returns how much of `answer` (of
     * PORCH_REFUSAL_BYTES) is to be sent; 0: nothing. */
    size_t (*turned_away)(void *arg, const struct remote *remote, unsigned status, const char *why,
                          const struct head *head, char *answer);
    /* is_crowd: does this address stand for many (a trusted proxy), so that it has no share of its own? */
    bool (*is_crowd)(void *arg, const struct remote *remote);
};

/* porch_new: at most waiting_max wait (0: PORCH_WAITING_MAX). */
struct porch *porch_new(struct event_base *base, size_t waiting_max, const struct porch_events *on, void *arg);
/* porch_free closes what waits. What is inside must have left. */
void porch_free(struct porch *p);

/* porch_take: an accepted, non-blocking socket (taken over). `door` comes back in `enter`. */
void porch_take(struct porch *p, int fd, void *door, bool tls);
/* porch_close: nobody enters any more; who waits is told 503 with `why`, a static sentence. */
void porch_close(struct porch *p, const char *why);

/* --- of those inside --- */

/* porch_heard: its request was read whole, its answer has time of its own. Again: the answer begins anew. */
void porch_heard(struct visitor *v);
/* porch_was_heard: porch_heard was called. */
bool porch_was_heard(const struct visitor *v);
/* porch_saw_head: the head was looked at before it entered (not behind TLS). porch_remote: the other end of its socket. */
bool porch_saw_head(const struct visitor *v);
const struct remote *porch_remote(const struct visitor *v);
/* porch_stay: it may take as long as it likes. */
void porch_stay(struct visitor *v);
/* porch_leave: it is inside no more; frees. */
void porch_leave(struct visitor *v);

#endif

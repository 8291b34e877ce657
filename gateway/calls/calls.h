/* Function calls across the fleet: the catalogue of live functions, calls of local callers, jobs of local executors. The
 * gateways talk through Redis (docs/redis-api.md, sg_fn_*): each listens to its own mailbox and to the catalogue. */
#ifndef SYNCGATE_GATEWAY_CALLS_CALLS_H
#define SYNCGATE_GATEWAY_CALLS_CALLS_H

#include "gateway/net/conn.h"

/* What this room keeps of a connection: it lies g->caller_at bytes behind the beginning of that. */
struct caller {
    struct list calls; /* that it made */
};

static inline struct caller *caller_of(const struct conn *c)
{
    return (struct caller *)(uintptr_t)((const char *)c + c->gw->caller_at);
}

struct calls *calls_new(struct gateway *g);
/* calls_free leaves the fleet (sg_fn_gone is sent when the link is up). Connections must be gone. */
void calls_free(struct calls *k);

/* The sweep interval of the options changed. */
void calls_retime(struct calls *k);

/* The Redis link came up (channels are subscribed again): register all local executors again, read the catalogue, and tell
 * sessions what appeared and ended meanwhile. */
void calls_on_up(struct calls *k);

/* calls_retire: from now on no function of this gateway is chosen for a call, here or elsewhere. Calls on their way still
 * arrive, and those in flight go on. For the rest of the process. */
void calls_retire(struct calls *k);

/* True when a live executor serves the function anywhere in the fleet. */
bool calls_known(const struct calls *k, struct slice name);
/* True when this connection serves the function, or still executes a call of it. */
bool calls_serves(const struct conn *c, struct slice name);
bool calls_executes(const struct conn *c, struct slice name);

/* True while a call that this connection made or executes has not ended: a drain closes it late. */
bool calls_busy(const struct conn *c);

/* A connection opened: it is sent `subscribe` for every live function it may call. */
void calls_conn_open(struct conn *c);
/* Its grants changed: functions it may call now or no longer are announced, those it may no longer serve end with an error 3.
 * What it executes already goes on. */
void calls_regrant(struct conn *c, const struct grants *old);
/* It is closing: its functions end, its jobs fail with error 8, the results of its calls will be dropped. */
void calls_conn_close(struct conn *c);

/* Actions of a session (already validated by the dialect; errors are answered here). */
void calls_serve(struct conn *c, struct slice name);
void calls_unserve(struct conn *c, struct slice name);
void calls_unserve_all(struct conn *c);
void calls_call(struct conn *c, const struct action *a);
void calls_return(struct conn *c, const struct action *a);
void calls_failed(struct conn *c, const struct action *a);

/* The connection has room: it is handed the calls that waited for that, until its queue holds `limit` bytes. */
void calls_deliver(struct conn *c, size_t limit);

/* Calls of local callers that have not ended. */
size_t calls_in_flight(const struct calls *k);
/* Results of calls that were executed here, which nobody has heard yet: the drain waits for them. */
size_t calls_unheard(const struct calls *k);

/* --- for those who look --- */

struct catalogue;
struct executors;
const struct catalogue *calls_catalogue(const struct calls *k);
const struct executors *calls_executors(const struct calls *k);
/* calls_look tells of at most `max` calls that this connection made and that have not ended, oldest first. */
typedef void call_look_fn(void *arg, struct slice name, int64_t age_us);
void calls_look(const struct conn *c, size_t max, call_look_fn *fn, void *arg);

#endif

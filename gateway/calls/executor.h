/* What local clients serve: their functions, which Redis knows of for as long as this gateway beats, and the calls that are handed
 * to them (jobs). */
#ifndef SYNCGATE_GATEWAY_CALLS_EXECUTOR_H
#define SYNCGATE_GATEWAY_CALLS_EXECUTOR_H

#include "gateway/base/ask.h"
#include "gateway/net/conn.h"
#include "redis/change.h"

struct executors; /* all those of one gateway */

struct executors *executors_new(struct gateway *g);
/* executors_free leaves the fleet (sg_fn_gone is sent when the link is up). Connections must be gone. */
void executors_free(struct executors *xs);

/* --- what connections do; errors are answered inside --- */

void executors_serve(struct executors *xs, struct conn *c, struct slice name);
/* executors_unserve: no new calls of the function from here on; what is being executed goes on. */
void executors_unserve(struct executors *xs, const struct conn *c, struct slice name);
void executors_unserve_all(struct executors *xs, const struct conn *c);
/* executors_revoke ends the functions that c->grants do not cover, each with an error 3 that counts as nobody's fault. */
void executors_revoke(struct executors *xs, struct conn *c);
/* How a job ended, by its executor. */
void executors_return(struct executors *xs, struct conn *c, const struct action *a);
void executors_failed(struct executors *xs, struct conn *c, const struct action *a);
/* executors_close: the connection closes. Its functions end, its jobs fail with error 8. */
void executors_close(struct executors *xs, const struct conn *c);

/* --- questions --- */

bool executors_serves(const struct executors *xs, const struct conn *c, struct slice name);
/* True while a job of the function has not been answered, be it late. */
bool executors_executes(const struct executors *xs, const struct conn *c, struct slice name);
/* True while a job of the connection is within its deadline. */
bool executors_busy(const struct executors *xs, const struct conn *c);
/* Functions that are open to new calls, counted once per connection. */
size_t executors_services(const struct executors *xs);
/* Jobs within their deadline, and results that nobody heard yet. */
size_t executors_jobs(const struct executors *xs);
/* Those results alone. */
size_t executors_unheard(const struct executors *xs);

/* --- for those who look --- */

/* One function of one connection of this process. `name` is borrowed for the call. */
struct service_look {
    uint64_t conn;
    struct slice name;
    bool serving;                    /* open to new calls */
    size_t running;                  /* calls that wait for its answer, late ones included */
    int64_t answered, timed_out;     /* calls so far */
    int64_t sum_us, max_us, last_us; /* of the answered ones: from handing the call over to the answer */
};
typedef void service_look_fn(void *arg, const struct service_look *look);
/* executors_look tells of some executors and moves the cursor on, see map_scan. executors_look_at tells of one connection. */
void executors_look(const struct executors *xs, uint64_t *cursor, service_look_fn *fn, void *arg);
void executors_look_at(const struct executors *xs, const struct conn *c, service_look_fn *fn, void *arg);

/* --- Redis --- */

/* executors_accept hands a call that came from another gateway to its executor, or reports why not. Of its fields corr and gw
 * must be RESULT_WORD_MAX long at most, and timeout_ms positive. */
void executors_accept(struct executors *xs, const struct call_event *e);

/* executors_again: a caller asks for the result of a call, because its link or ours was cut. It gets it, or is told that the call is
 * not known here; nothing while it runs. The fields as above. */
void executors_again(struct executors *xs, const struct call_event *e);
/* executors_back: this gateway listens again (ptr NULL: this process does, and cannot tell who did meanwhile). Results that it may have
 * missed are sent again, also those of calls of which it does not know who has them. */
void executors_back(struct executors *xs, struct slice gw);
/* executors_resend sends the results that nobody heard again. */
void executors_resend(struct executors *xs);

/* executors_deliver hands over the calls that waited for room, until the queue of this connection holds `limit` bytes. Only when it
 * is not congested. */
void executors_deliver(const struct executors *xs, const struct conn *c, size_t limit);

/* executors_register tells Redis again who serves what, and takes away what it holds of us and is not true, when the end of
 * a service could not be told. */
void executors_register(struct executors *xs);
/* True when a registration, or the end of one, may not have come to Redis: it is time for executors_register. */
bool executors_unsettled(const struct executors *xs);

/* executors_beat renews the lease and tells the exact counts, in case a result was lost. Call it every EXECUTORS_BEAT_MS. It may
 * take several commands: each is answered to `on_beaten`, with an ask of its own among `asks`. */
enum { EXECUTORS_BEAT_MS = 3000 };
void executors_beat(const struct executors *xs, struct asks *asks, store_write_fn *on_beaten);

/* executors_retire: from now on Redis chooses nobody here for a call. For the rest of the process. */
void executors_retire(struct executors *xs);

#endif

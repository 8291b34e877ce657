/* Executors, services and jobs, for the files that make them up. service.c is below job.c, and that below executor.c. */
#ifndef SYNCGATE_GATEWAY_CALLS_EXECUTOR_PARTS_H
#define SYNCGATE_GATEWAY_CALLS_EXECUTOR_PARTS_H

#include <event2/event_struct.h>

#include "gateway/base/decimal.h"
#include "gateway/calls/executor.h"
#include "gateway/calls/results.h"

enum { EXECUTOR_TEXT_MAX = 16 << 20 }; /* of a result */

struct executors {
    struct gateway *gw;
    struct asks asks;
    struct map by_id;   /* struct executor */
    struct map by_call; /* struct job: all of them */
    struct results *results;
    size_t serving;      /* services that are open to new calls */
    size_t running;      /* jobs within their deadline */
    size_t waiting;      /* of them: not handed over yet */
    bool register_again; /* a registration failed */
    bool stale;          /* the end of one failed: Redis may hold what is not true any more */
    bool retired;        /* nothing is registered any more */
    struct buf text;     /* a result on its way to Redis; never kept across a call */
};

/* What a connection executes; made with its first function, lives until the connection closes. */
struct executor {
    struct map_node node; /* executors->by_id */
    struct executors *all;
    struct conn *conn;
    struct decimal id;   /* of the connection */
    struct map services; /* struct service */
    size_t serving;
    struct list running; /* struct job */
    struct list waiting; /* struct job, of them, for which the connection has no room yet, oldest first */
    size_t waiting_bytes;
    struct list late; /* struct job, oldest first */
    struct map jobs;  /* running and late ones, by the id that the client knows */
    uint64_t job_ids; /* last one given */
};

/* One function of one connection: it serves it, or it did and still has jobs of it. */
struct service {
    struct map_node node; /* executor->services, key = name */
    struct executor *executor;
    bool serving;
    bool registered; /* Redis was told, or may have been */
    size_t jobs;     /* running and late */
    int64_t answered, timed_out, sum_us, max_us, last_us;
    char name[];
};

struct job {
    struct list_node node; /* executor->running or executor->late */
    struct map_node by_id;
    struct map_node by_call;
    struct service *service;
    struct event timer; /* the deadline, then the end of being late */
    int64_t deadline_us;
    bool late;
    int64_t began_us;
    bool waits;                  /* its executor does not know of it yet */
    struct list_node in_waiting; /* then */
    struct slice args;           /* then: a copy, its own */
    char id[32];                 /* "s-<n>", canonical JSON text */
    struct result_call call;
    struct result_key key;
    char bytes[];
};

/* --- service.c --- */

/* executor_of: the executor that the connection is, or NULL. executor_new makes it one; executor_free: without services and jobs. */
struct executor *executor_of(const struct executors *xs, const struct conn *c);
struct executor *executor_find(const struct executors *xs, struct slice id);
struct executor *executor_new(struct executors *xs, struct conn *c);
void executor_free(struct executor *x);
/* service_find: NULL when there is none. service_new: closed to calls. */
struct service *service_find(const struct executor *x, struct slice name);
struct service *service_new(struct executor *x, struct slice name);
/* service_register tells Redis. service_end: no new calls from here on; the service itself stays for its jobs. service_release frees it
 * when it has neither. */
void service_register(struct service *s);
void service_end(struct service *s);
void service_release(struct service *s);
/* service_leave tells Redis that this executor does not serve the function, or never did. */
void service_leave(struct executors *xs, struct slice exec, struct slice name);

/* --- job.c --- */

/* job_report tells how it ended, "v …" and the like (outcome.h), to the gateway of the caller. */
void job_report(const struct job *j, struct slice result);
void job_free(struct job *j);

#endif

/* One gateway process: what its parts share. Created by gateway_run, passed by pointer; there is no global state beside
 * the metrics and the log. */
#ifndef SYNCGATE_GATEWAY_CORE_CORE_H
#define SYNCGATE_GATEWAY_CORE_CORE_H

#include "gateway/config/options.h"
#include "protocol/base/list.h"
#include "protocol/base/map.h"
#include "redis/hub.h"
#include "redis/store.h"

struct event_base;
struct ws;
struct deflate;
struct topics;
struct calls;
struct drain;
struct admission;
struct probe;
struct reload;
struct fleet;
struct history;
struct names;
struct rejects;
struct unpacker;

struct gateway {
    char *redis_url;           /* without user and password */
    const struct options *opt; /* replaced by reload.c: keep no pointers into it beyond a call */
    struct dialect_limits limits;
    struct event_base *base;
    struct link *link;
    struct hub *hub;
    struct store *store;
    struct ws *ws;
    struct deflate *deflate;   /* NULL: --deflate off */
    struct unpacker *unpacker; /* likewise */
    struct topics *topics;
    struct calls *calls;
    struct drain *drain;
    struct admission *admission;
    struct probe *probe;
    struct reload *reload;
    struct fleet *fleet;
    struct history *history;
    struct names *names;
    struct rejects *rejects;
    struct list taps;          /* struct tap; empty while nobody looks */
    struct list conns;         /* struct conn, open ones */
    struct map conns_by_id;    /* struct conn */
    uint64_t conn_ids;         /* last one given */
    struct list closing;       /* struct conn that wait for the peer's close frame */
    struct list watched;       /* struct conn that have to take something, or are closed with 1013 */
    struct list begun;         /* struct conn that took a part of a long message, the longest ago first */
    struct list slowed;        /* struct conn that are not read from: they asked too often (pace.c) … */
    struct list queued;        /* … or asked while Redis had too much to do for all */
    size_t slots;              /* of the windows of requests that wait for Redis (struct request) */
    size_t asked, asked_bytes; /* of Redis, by all, and not answered yet: writes, calls, questions */
    size_t pieces_bytes;       /* of long messages, written in this turn */
    struct list *wheel;        /* WHEEL_SLOTS lists of struct conn */
    size_t wheel_at;
    struct topic *untold; /* a variable whose subscribers are not told yet what arrived in this turn (topic_var.c) */
    struct buf burst;     /* what that is */
    struct buf scratch;   /* for encoders: reset, encode, make a frame; never kept across a call */
    char id[24];          /* this process in the fleet: 16 hex digits of randomness, NUL-terminated */
    int worker;           /* -1: the only one */
    int64_t started_ms;   /* since 1970 */
    bool redis_up;
    bool draining;     /* not ready any more */
    bool closed_doors; /* and not listening either */
    bool stopped;      /* the loop ends after this turn … */
    int exit_code;     /* … and the process with this */
};

#endif

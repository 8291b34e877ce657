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
struct addresses;
struct users;
struct evlib;
struct peers;
struct upgrade;
struct deflate;
struct topics;
struct calls;
struct conn_events;
struct conn_watcher;
struct conns;
struct drain;
struct admission;
struct probe;
struct reload;
struct fleet;
struct history;
struct names;
struct pace;
struct taps;
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
    struct evlib *evlib;
    struct upgrade *upgrade; /* the handshake that is under way */
    struct peers *peers;
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
    struct taps *taps;
    struct conns *conns;
    struct pace *pace;
    struct addresses *addresses;
    struct users *users;
    const struct conn_events *conn_events;   /* what a connection means */
    size_t caller_at;                        /* where what calls/ keeps of a connection lies in it */
    const struct conn_watcher *conn_watcher; /* NULL: nobody looks at what passes */
    bool holds_back;                         /* something of this turn is not told yet: conn_settle */
    struct buf scratch;                      /* for encoders: reset, encode, make a frame; never kept across a call */
    char id[24];        /* this process in the fleet: 16 hex digits of randomness, NUL-terminated */
    int worker;         /* -1: the only one */
    int64_t started_ms; /* since 1970 */
    bool redis_up;
    bool draining;     /* not ready any more */
    bool closed_doors; /* and not listening either */
    bool stopped;      /* the loop ends after this turn … */
    int exit_code;     /* … and the process with this */
};

#endif

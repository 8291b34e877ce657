/* One RESP3 connection to Redis that carries commands and pushes: connects, greets (HELLO 3, AUTH, SELECT), loads the
 * function library when it is missing or older, keeps alive by pings, and comes back with backoff and jitter for ever: quickly when
 * Redis was away, more and more slowly when it is lost each time soon after it came up. */
#ifndef SYNCGATE_REDIS_LINK_H
#define SYNCGATE_REDIS_LINK_H

#include "redis/reply.h"

struct event_base;
struct link;

enum link_state {
    LINK_WAITING,    /* between attempts; a timer is armed */
    LINK_CONNECTING, /* TCP, unix or TLS handshake under way */
    LINK_GREETING,   /* HELLO, SELECT, library check */
    LINK_UP,
    LINK_CLOSED /* link_free was called from inside a callback; freed at the end of it */
};

struct link_config {
    const char *host; /* NULL with unix_path */
    int port;
    const char *unix_path; /* NULL with host */
    const char *user;      /* NULL = default user */
    const char *password;  /* NULL = none */
    int db;
    bool tls;
    const char *tls_ca_file;  /* NULL = system store */
    int64_t ping_interval_ms; /* 1000 when 0; a link that does not answer a ping within ping_timeout_ms is away */
    int64_t ping_timeout_ms;  /* 5000 when 0 */
    int64_t backoff_max_ms;   /* 500 when 0; first retry after ~20 ms, doubling, with jitter */
    int64_t
        young_max_ms; /* 30 000 when 0; after the fourth loss in a row of a link that was up for less than LINK_STEADY_MS */
    size_t pending_max; /* commands in flight at most, 100 000 when 0; more are refused (callback with NULL) */
};

/* link_config_parse fills `out` from a URL (redis://[user:pass@]host[:port][/db], rediss://…, unix:PATH). Percent-escapes in
 * user and password are decoded. Strings are allocated; link_config_deinit frees them. Returns NULL, or a static sentence
 * that says what is wrong. Never logs the password. */
const char *link_config_parse(const char *url, struct link_config *out);
void link_config_deinit(struct link_config *c);

/* link_reply_fn gets the reply (an error reply too), or NULL when the link went down before it came or was not up: the command
 * may or may not have run. The reply is valid during the call only. */
typedef void link_reply_fn(void *arg, const struct reply *reply);

/* Any of them may be NULL. All but on_log and on_pong may call link_free. */
struct link_events {
    /* After every successful greeting: subscribe and read again now. */
    void (*on_up)(void *arg);
    /* Once per loss of LINK_UP, after all pending callbacks got NULL. */
    void (*on_down)(void *arg, const char *why);
    /* A REPLY_PUSH that answers no link_subscribe or link_unsubscribe, in stream order with command replies. */
    void (*on_push)(void *arg, const struct reply *push);
    /* Redis answered a ping. */
    void (*on_pong)(void *arg, int64_t round_trip_us);
    /* Failures to connect and so on, rate-limited already: what repeats is told twice a minute. Levels: 0 error, 1 warn, 2 info, 3 debug. The text is one line, but
     * may quote what the server said. */
    void (*on_log)(void *arg, int level, const char *text);
};

enum { LINK_STEADY_MS = 5000 };

struct link_stats {
    uint64_t connects, losses, young_losses, commands, pushes, bytes_in, bytes_out, protocol_errors;
    int64_t rtt_us;   /* of the last ping */
    int64_t pause_ms; /* the last one before an attempt */
};

/* link_new does not connect yet. `config` is copied. The process must ignore SIGPIPE. */
struct link *link_new(struct event_base *base, const struct link_config *config, const struct link_events *events,
                      void *arg);
void link_start(struct link *l);
/* link_rebuild gives the connection up at the end of the turn, for this reason (a static sentence), and begins anew. Safe inside
 * callbacks; no-op when the link is not up. */
void link_rebuild(struct link *l, const char *why);
/* link_check asks Redis for an echo, as each ping does: if an answer had not the expected shape, do the others still belong to what they
 * are taken for? If not, the link is lost. */
void link_check(struct link *l);
void link_free(struct link *l); /* pending callbacks get NULL first; on_down is not called */
enum link_state link_state(const struct link *l);
const struct link_stats *link_stats(const struct link *l);
/* link_heard_us: when bytes of Redis were last read, by the monotonic clock; during a callback: those that it is about. */
int64_t link_heard_us(const struct link *l);
/* link_outbox_bytes: what waits to be written to Redis. */
size_t link_outbox_bytes(const struct link *l);

/* link_command queues one command (argv copied) and writes at the end of the loop turn (all commands of a turn leave in one
 * write). When the link is not up, or too much waits already (pending_max commands, or 64 MiB to be written), cb gets NULL at
 * once, from inside this call. cb may be NULL. */
void link_command(struct link *l, link_reply_fn *cb, void *arg, size_t argc, const struct slice *argv);
/* link_subscribe and link_unsubscribe say SSUBSCRIBE and SUNSUBSCRIBE for one channel. cb gets what Redis answered to it, an error or
 * anything else for done, in stream order with all else, or NULL when the link went down before. `channel` is borrowed until then.
 * A sunsubscribe that nobody asked for goes to on_push. False: the link is not up, or is given up at the end of the turn because this did
 * not fit into its outbox; cb is not called then. */
bool link_subscribe(struct link *l, struct slice channel, link_reply_fn *cb, void *arg);
bool link_unsubscribe(struct link *l, struct slice channel, link_reply_fn *cb, void *arg);

#endif

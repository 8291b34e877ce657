/* The link from inside, for the files that make it up: link_queue.c, above that link_machine.c (connecting, losing, reading and writing),
 * then link_greeting.c, then link.c. */
#ifndef SYNCGATE_REDIS_LINK_PARTS_H
#define SYNCGATE_REDIS_LINK_PARTS_H

#include <event2/event.h>
#include <event2/util.h>

#include "protocol/base/buf.h"
#include "redis/link.h"
#include "redis/resolver.h"
#include "redis/wire.h"

enum {
    READ_CHUNK = 16 * 1024,        /* what the reader likes to be fed */
    READ_TURN_MAX = 1024 * 1024,   /* read per turn of the loop; then others get their turn */
    OUTBOX_MAX = 64 * 1024 * 1024, /* commands beyond are refused */
    OUTBOX_KEEP = 64 * 1024,       /* memory that an idle outbox keeps */
    PENDING_MAX = 100 * 1000,
    PING_INTERVAL_MS = 1000,
    PING_TIMEOUT_MS = 5000,
    BACKOFF_FIRST_MS = 20,
    BACKOFF_MAX_MS = 500,
    YOUNG_MAX_MS = 30 * 1000,
    YOUNG_FREE = 3,         /* a Redis that restarts or fails over may do so some times in a row */
    SAME_LOG_MS = 30 * 1000 /* what repeats is told this often */
};

/* What is told of, each for itself: what goes on is no news because something else was told in between. */
enum { TOLD_LOSS, TOLD_LOADING, TOLD_LIBRARY, TOLD_ADDRESS /* of the first one */ };

struct told {
    char text[256]; /* the last one; empty: none */
    int64_t ms;
};

enum { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum awaits { AWAITS_REPLY, AWAITS_SUBSCRIBED, AWAITS_UNSUBSCRIBED };

/* One awaited answer. What a subscription awaits is the push that names its channel, or an error in its stead: nothing else takes its
 * place in the queue, or the answers behind it would go to the wrong commands. */
struct awaited {
    link_reply_fn *cb;
    void *arg;
    struct slice channel; /* borrowed from whoever asked; none for AWAITS_REPLY */
    enum awaits awaits;
    bool echoed;  /* a PING that repeats the channel's name is behind it and ends it, see is_cluster */
    bool refused; /* echoed: its error came */
};

struct queue {
    struct awaited *ring;
    size_t cap, head, len; /* cap is a power of two */
};

struct link {
    struct link_config config;
    struct link_events events;
    void *arg;
    struct event_base *base;

    enum link_state state;
    void (*greet)(struct link *l); /* when it is connected */
    unsigned depth;                /* callbacks of ours on the stack; link_free waits for 0 */
    const char *doomed;            /* the link is lost at the end of the turn, for this reason */

    struct resolver *resolver;
    struct address addresses[RESOLVER_ADDRESSES_MAX];
    size_t naddresses, next_address;

    struct wire wire;
    struct event *readable, *writable; /* of wire.fd; NULL while there is none */
    struct event *timer;         /* waiting: next attempt; connecting, greeting: deadline; up: next look at the pings */
    struct event *flush;         /* activated by the first command of a turn */
    struct event *again;         /* there may be more to read than one turn was allowed to */
    struct reply_reader *reader; /* of this connection */
    struct buf outbox;
    size_t written; /* bytes at the front of outbox that are gone */
    struct queue queue;
    size_t commands_pending; /* entries of the queue that await a reply */

    int64_t up_since_ms;
    int64_t heard_us;  /* the last bytes from Redis */
    int64_t pinged_us; /* 0: no ping under way */
    int64_t echo,
        echoed; /* numbers that pings carry, the last that was asked and answered: answers belong to what was asked */
    unsigned failures;    /* in a row */
    unsigned young;       /* losses in a row, each soon after it came up */
    bool loading_library; /* while the link is up */
    unsigned connection;  /* how many there were: whether it is still the same one */
    bool is_cluster;      /* of this connection: Redis takes subscriptions away when it gives their slot away */
    bool library_exists;  /* although sg_version is missing: the next load replaces it */
    struct told told[TOLD_ADDRESS + RESOLVER_ADDRESSES_MAX];
    struct link_stats stats;
};

/* --- link_queue.c --- */

void queue_put(struct queue *q, struct awaited a);
struct awaited *queue_peek(struct queue *q);
struct awaited queue_take(struct queue *q);
size_t link_encoded_len(size_t argc, const struct slice *argv);
void link_encode(struct buf *out, size_t argc, const struct slice *argv);

/* --- link_machine.c --- */

int64_t link_now_us(void);
int64_t link_now_ms(void);
void link_arm(struct link *l, int64_t delay_ms);
void link_say(struct link *l, int level, const char *text);
/* A Redis that stays away would fill the log with the same line once per second. `what`: the part of the text that makes it news. */
void link_tell(struct link *l, size_t about, const char *what, int level, const char *text);
void link_forget_told(struct link *l);
bool link_has_prefix(struct slice text, const char *prefix);
/* link_enter and link_leave stand around everything that the loop calls: when a callback calls link_free, the link is freed at the end
 * of the outermost. */
void link_enter(struct link *l);
/* link_lose ends the connection or the attempt; the next address is tried, or all again after a while. Callers stand between enter and
 * leave and should return: the link may be closed. `why` may lie in the reader or the wire. */
void link_lose(struct link *l, const char *why);
void link_lose_protocol(struct link *l, const char *why);
/* link_put queues one command, whole or not at all. */
bool link_put(struct link *l, struct awaited a, size_t argc, const struct slice *argv);
void link_ask(struct link *l, link_reply_fn *cb, size_t argc, const struct slice *argv);
void link_on_ready(evutil_socket_t fd, short what, void *arg);
void link_on_flush(evutil_socket_t fd, short what, void *arg);
void link_on_addresses(void *arg, const struct address *list, size_t count, const char *why);
void link_attempt(struct link *l);
/* link_disconnect forgets the connection, but not who awaits answers. The reader stays: its reply may be in use further up. */
void link_disconnect(struct link *l);
void link_fail_pending(struct link *l);

/* link_is_flapping: lost again and again, each time soon after it came up. */
bool link_is_flapping(const struct link *l);
void link_leave(struct link *l);

/* --- link_greeting.c --- */

/* link_greet says HELLO and what follows; then the link is up. link_look_at_pings: it is up, and the timer fired. */
void link_greet(struct link *l);
void link_look_at_pings(struct link *l);

#endif

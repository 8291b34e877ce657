/* What one connection may do in a second: four rates, each an option, each a bucket (bucket.h). A client that is over one of them is
 * not read from until it is not; one that stays over it for --rate-patience is closed with 1008. */
#ifndef SYNCGATE_GATEWAY_NET_ALLOWANCE_H
#define SYNCGATE_GATEWAY_NET_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/list.h"

struct conn;

enum allowance {
    ALLOWANCE_NAMES,    /* questions to Redis for what nobody here holds */
    ALLOWANCE_MESSAGES, /* frames that it sends */
    ALLOWANCE_BYTES,    /* of them */
    ALLOWANCE_ANSWERS,  /* bytes that it is answered */
    ALLOWANCES
};

enum { ALLOWANCE_TICK_MS = 100, SLOWED_SLOTS = 64 };

/* Those that are over, by when to look at them again: a wheel, whose slots are ALLOWANCE_TICK_MS apart. */
struct slowed {
    struct list slots[SLOWED_SLOTS]; /* struct conn, by paced */
    unsigned at;
};

void slowed_init(struct slowed *s);
/* slowed_forget: it is in there, and is not to be any more. */
void slowed_forget(struct slowed *s, struct conn *c);
/* slowed_tick, every ALLOWANCE_TICK_MS: reads on from those that are not over any more; those that are over too long are handed to
 * `close` (conn_close), which takes them out. */
typedef void slowed_close_fn(struct conn *c, int code, const char *why);
void slowed_tick(struct slowed *s, slowed_close_fn *close);

/* allowance_take: so much more of it was used. True: that is too much; allowance_slow then stops reading until it is not, unless the
 * connection waits for something else in pace.c. */
bool allowance_take(struct conn *c, enum allowance what, int64_t now_ms, int64_t amount);
void allowance_slow(struct slowed *s, struct conn *c, int64_t now_ms);
/* allowance_over: the connection is over this one, or was a moment ago. */
bool allowance_over(const struct conn *c, enum allowance what);
/* allowance_key: the option's key. */
const char *allowance_key(enum allowance what);

#endif

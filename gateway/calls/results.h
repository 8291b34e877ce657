/* How calls ended that this gateway executed: each result is sent to the gateway of the caller, and kept for a while, because it
 * may get lost on the way when a link to Redis is cut, this one's or that of the caller. */
#ifndef SYNCGATE_GATEWAY_CALLS_RESULTS_H
#define SYNCGATE_GATEWAY_CALLS_RESULTS_H

#include "gateway/core/core.h"

struct results;

/* Which call: its number, and the gateway that made it. Both bounded by RESULT_WORD_MAX. */
enum { RESULT_WORD_MAX = 64 };
struct result_call {
    struct slice corr, caller_gw;
};

/* A call as one key, in memory of its own. */
struct result_key {
    size_t len;
    char bytes[2 * RESULT_WORD_MAX + 1];
};
struct result_key result_key_of(struct result_call call);

struct results *results_new(struct gateway *g);
/* results_free: what nobody heard yet is lost. */
void results_free(struct results *rs);

/* results_put sends a result. `exec` had the call, which counts it no longer. The caller waits for left_ms more (not positive: it is
 * sent once and not kept). */
void results_put(struct results *rs, struct result_call call, struct slice exec, int64_t left_ms, struct slice result);
/* results_again sends a result once more, because its caller asks. False: there is none. */
bool results_again(struct results *rs, struct result_call call);
/* results_back sends those once more that are kept for this gateway (ptr NULL: for any), which may have missed them. */
void results_back(struct results *rs, struct slice caller_gw);
/* results_resend sends everything that nobody heard once more, as long as somebody may wait for it. */
void results_resend(struct results *rs);
/* How many of those there are. */
size_t results_unheard(const struct results *rs);

#endif

/* How a call ended, as it travels from the gateway of the executor to that of the caller: "n", "v <json>", "e <code> <text>" or
 * "t" for a missed deadline (docs/redis-api.md). */
#ifndef SYNCGATE_GATEWAY_CALLS_OUTCOME_H
#define SYNCGATE_GATEWAY_CALLS_OUTCOME_H

#include "protocol/base/buf.h"
#include "protocol/dialect.h"

enum { OUTCOME_DEPTH_MAX = 60 }; /* of a value; of the arguments of a call likewise */

struct outcome {
    bool failed;
    bool timed_out;       /* failed: by its deadline */
    enum error_code code; /* failed */
    struct slice rest;    /* value (ptr NULL: none) or text */
};

/* outcome_code: codes beyond the protocol's become 8. */
enum error_code outcome_code(int64_t code);

/* outcome_parse: false when the bytes are none of the four. `rest` is borrowed from them. */
bool outcome_parse(struct slice bytes, struct outcome *out);
void outcome_put(struct buf *out, const struct outcome *o);

#endif

/* How many clients of the whole fleet follow one name. Gateways alone know that, so each is asked when somebody looks, over a channel that
 * all of them hear; nothing is counted or told otherwise. A worker is a gateway of its own here. docs/redis-api.md has the messages. */
#ifndef SYNCGATE_GATEWAY_ADMIN_CENSUS_H
#define SYNCGATE_GATEWAY_ADMIN_CENSUS_H

#include "gateway/core/core.h"

struct census;

struct census_result {
    int64_t asked;    /* gateways, this one too; -1: nobody could be asked */
    int64_t answered; /* of them, in time */
    int64_t gateways; /* of those: that have subscribers */
    int64_t subscribers;
};
typedef void census_fn(void *arg, const struct census_result *r);

struct census *census_new(struct gateway *g);
/* census_leave answers all that is open and hears no more, while the link is still there; census_free comes after link_free. */
void census_leave(struct census *c);
void census_free(struct census *c);
/* census_ask calls cb once: when all have answered, and after CENSUS_MS at the latest; maybe from inside. Who asks bounds how many ask. */
enum { CENSUS_MS = 1000 };
void census_ask(struct census *c, enum kind kind, struct slice name, census_fn *cb, void *arg);

#endif

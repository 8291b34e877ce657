/* Channels and their local members: SSUBSCRIBE for the first member of a channel, SUNSUBSCRIBE after the last, everything
 * again after every reconnect, and each message handed to every member of its channel, in order. */
#ifndef SYNCGATE_REDIS_HUB_H
#define SYNCGATE_REDIS_HUB_H

#include "protocol/base/list.h"
#include "protocol/base/slice.h"
#include "redis/link.h"

struct hub;
struct hub_channel;

/* Embedded in whoever listens. Both callbacks may leave and join, themselves and others; nobody is called about a message or a
 * reconnect twice. */
struct hub_member {
    struct list_node node;       /* private to hub */
    struct hub_channel *channel; /* private to hub; NULL when not joined */

    /* The payload is valid during the call. */
    void (*on_message)(struct hub_member *m, struct slice payload);
    /* The channel was subscribed just now, later than it was joined: the link came (back) up, or very many had to be before it. A
     * read sent from here, in the same pipeline, sees everything that the channel may have missed. */
    void (*on_resync)(struct hub_member *m);
    /* Redis does not let us subscribe to the channel, and says why; what may have been read since the join or the resync is not
     * followed. Redis is asked again and again, and on_resync comes when it agrees. May be NULL. */
    void (*on_refused)(struct hub_member *m, struct slice why);
};

struct hub *hub_new(struct link *l);
void hub_free(struct hub *h); /* members must have left; not from inside a callback */
/* hub_join: subscribes at once when the link is up (a read command sent after this call is answered after the subscription is
 * in force), unless HUB_UNCONFIRMED_MAX subscriptions wait for Redis' word; otherwise when it comes up. on_resync is called for
 * what did not happen at once, not for the join itself. */
void hub_join(struct hub *h, struct slice channel, struct hub_member *m);
/* Confirmations fill Redis' output buffer, which it bounds: no more than these are under way. */
enum { HUB_UNCONFIRMED_MAX = 1000 };
/* hub_subscribed: the subscription was sent on the link as it is; before that a read may miss what comes after it. */
bool hub_subscribed(const struct hub *h, const struct hub_member *m);
/* hub_refusal: what Redis said when it did not let us subscribe, at most 200 bytes; NULL when it did not say so. */
const char *hub_refusal(const struct hub_member *m);
/* hub_lead: from now on the channel that it joined is subscribed before those of others on every connection, whatever became of it
 * meanwhile. For very few. */
void hub_lead(const struct hub_member *m);
void hub_leave(struct hub *h, struct hub_member *m);
size_t hub_channels(const struct hub *h);
/* Called by the owner of the link's events. The channels joined first are subscribed before it returns, the rest as Redis confirms
 * them. */
void hub_on_up(struct hub *h);
/* hub_tick, about once a second: asks again for what Redis refused, each channel every HUB_RETRY_MS, HUB_RETRIES_MAX at once. now_ms:
 * of any clock that does not go back. */
enum { HUB_RETRY_MS = 5000, HUB_RETRIES_MAX = 100 };
void hub_tick(struct hub *h, int64_t now_ms);
/* hub_on_push: true when the push was a pub/sub one (smessage, sunsubscribe) and was handled. A sunsubscribe
 * that we did not ask for (slot migration, failover) subscribes again and resyncs that channel's members. */
bool hub_on_push(struct hub *h, const struct reply *push);

#endif

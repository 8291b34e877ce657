/* The topics of one gateway, and what peers do with them. */
#ifndef SYNCGATE_GATEWAY_STATE_TOPICS_H
#define SYNCGATE_GATEWAY_STATE_TOPICS_H

#include "gateway/state/sub.h"

struct topics *topics_new(struct gateway *g);
/* topics_leave ends all channels while the link is still there; topics_free comes after link_free, when no read can come back.
 * Connections must be gone before both. */
void topics_leave(struct topics *r);
void topics_free(struct topics *r);
/* topics_tick: deadlines, lingering, the sweep. Call every TOPICS_TICK_MS. */
enum { TOPICS_TICK_MS = 100 };
void topics_tick(struct topics *r);

/* topics_known: the name is known here. False: only Redis can tell, even if it did not have the name a moment ago. */
bool topics_known(struct topics *r, enum kind kind, struct slice name);

/* topics_wake_declared: the configuration may declare other names now; whoever waited for one of them is answered. */
void topics_wake_declared(struct topics *r);

/* topics_map: all topics by kind and name (struct topic.by_key), to be looked at. */
const struct map *topics_map(const struct topics *r);
/* topics_held: the topic, if this gateway holds it. */
const struct topic *topics_held(struct topics *r, enum kind kind, struct slice name);
/* topics_find_used: what is held of a name that somebody here is subscribed to, when that is what Redis holds as far as we were told.
 * NULL otherwise. */
const struct topic *topics_find_used(struct topics *r, enum kind kind, struct slice name);

/* --- what sessions do; errors are answered inside --- */

/* topics_find_sub: id NULL for the variable or list itself. */
struct sub *topics_find_sub(struct conn *c, enum kind kind, struct slice name, const struct slice *id);
void topics_subscribe(struct conn *c, enum kind kind, struct slice name, const struct slice *id,
                      const struct sub_wish *wish);
/* topics_get: the peer is subscribed (the dialect asked). page_size 0: the owner's maximum. */
void topics_get(struct conn *c, enum kind kind, struct slice name, const struct slice *id, int64_t page,
                int64_t page_size);
void topics_unsubscribe(struct sub *s);
void topics_unsubscribe_all(struct conn *c);
/* topics_answer_held answers what waited for room, until the queue of this connection holds `limit` bytes. Only when it is not
 * congested. */
void topics_answer_held(struct conn *c, size_t limit);
/* topics_revoke ends the subscriptions that c->grants do not cover, each with an error 3 that counts as nobody's fault. */
void topics_revoke(struct conn *c);
/* topics_settle_untold tells subscribers what was held back to be told together with what else arrives in this turn (conn.h,
 * conn_settle). */
void topics_settle_untold(struct gateway *g);

#endif

/* All gateways that share one Redis, as each says of itself: every second a small record goes to Redis, where it expires;
 * any gateway lists them. A worker is a gateway of its own here. */
#ifndef SYNCGATE_GATEWAY_ADMIN_FLEET_H
#define SYNCGATE_GATEWAY_ADMIN_FLEET_H

#include "gateway/net/http.h"

struct fleet;

struct fleet *fleet_new(struct gateway *g);
void fleet_free(struct fleet *f); /* after the link, so that no answer is to come */
/* fleet_beat says how this gateway is now: call once a second, and when its state changes. cb may be NULL. */
void fleet_beat(struct fleet *f, store_write_fn *cb, void *arg);
/* GET /admin/fleet */
int fleet_answer(const struct http_request *r);

#endif

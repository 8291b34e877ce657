/* All gateways that share one Redis, as each says of itself: every two seconds a small record goes to Redis, where it expires;
 * any gateway lists them. A worker is a gateway of its own here. */
#ifndef SYNCGATE_GATEWAY_FLEET_H
#define SYNCGATE_GATEWAY_FLEET_H

#include "gateway/http.h"

struct fleet;

struct fleet *fleet_new(struct gateway *g);
void fleet_free(struct fleet *f); /* after the link, so that no answer is to come */
/* fleet_second: call once a second. */
void fleet_second(struct fleet *f);
/* fleet_beat says how this gateway is now: call when its state changes. */
void fleet_beat(struct fleet *f);
/* GET /admin/fleet */
int fleet_answer(const struct http_request *r);

#endif

/* One connection with everything it follows, and the functions of the fleet with those who serve them here. Answers to GET
 * requests below /admin/. */
#ifndef SYNCGATE_GATEWAY_ADMIN_LOOKS_H
#define SYNCGATE_GATEWAY_ADMIN_LOOKS_H

#include "gateway/net/http.h"

/* /admin/connection?id=ID&worker=N&after=N&limit=N */
int looks_connection(const struct http_request *r);
/* /admin/functions?after=CURSOR&limit=N&match=GLOB: live in the fleet */
int looks_functions(const struct http_request *r);
/* /admin/executors?after=CURSOR&limit=N: served by connections of this process */
int looks_executors(const struct http_request *r);

/* looks_misdirected: whether the argument `worker` names another process than this; an answer (421, or 400) was given then, and
 * *result is what the endpoint returns. */
bool looks_misdirected(const struct http_request *r, int *result);

#endif

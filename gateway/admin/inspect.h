/* What one can see of a running process: its figures, its connections and what ails them, whom it turned away. JSON answers to
 * GET requests below /admin/; docs/running.md describes them. */
#ifndef SYNCGATE_GATEWAY_ADMIN_INSPECT_H
#define SYNCGATE_GATEWAY_ADMIN_INSPECT_H

#include "gateway/base/jsonw.h"
#include "gateway/net/conn.h"
#include "gateway/net/http.h"

enum { INSPECT_CONNECTIONS_MAX = 200 }; /* of one answer */

/* /admin/stats?since=MS&span=minutes|hour */
int inspect_stats(const struct http_request *r);
/* /admin/connections?limit=N&after=ID&order=id|trouble */
int inspect_connections(const struct http_request *r);
/* /admin/refusals */
int inspect_refusals(const struct http_request *r);
/* inspect_state: "ready", or why /readyz does not say so. */
const char *inspect_state(const struct gateway *g);
/* inspect_head opens an answer of this process: who speaks, and when. */
void inspect_head(struct jsonw *w, const struct gateway *g);
/* inspect_reply closes that answer and sends it. */
int inspect_reply(const struct http_request *r, struct jsonw *w);
/* inspect_number: an argument that is a number from 0; absent or empty leaves *out as it is. False when it is anything else. */
bool inspect_number(const struct http_request *r, const char *name, int64_t *out);
/* inspect_conn writes one connection as an object of an open array. */
void inspect_conn(struct jsonw *w, const struct conn *c);

#endif

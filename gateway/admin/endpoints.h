/* Plain HTTP: /healthz, /readyz, /metrics, the page at /, and what lies under /admin/. A new endpoint is a row of the table in
 * endpoints.c and a function. */
#ifndef SYNCGATE_GATEWAY_ADMIN_ENDPOINTS_H
#define SYNCGATE_GATEWAY_ADMIN_ENDPOINTS_H

#include "gateway/net/http.h"

/* endpoints_request answers a GET, HEAD or POST request for `path`. Returns what the callback of libwebsockets must return. */
int endpoints_request(struct gateway *g, struct lws *wsi, const char *path);

#endif

/* Plain HTTP: /healthz, /readyz, /metrics, the page at / and the refusals of WebSocket upgrades. */
#ifndef SYNCGATE_GATEWAY_HTTP_H
#define SYNCGATE_GATEWAY_HTTP_H

#include "gateway/core.h"

struct lws;

/* http_request answers a GET or HEAD request for `path`; http_writable continues a body; http_closed frees what is left. The first two
 * return non-zero when the connection shall be closed. */
int http_request(struct gateway *g, struct lws *wsi, const char *path);
int http_writable(struct lws *wsi);
void http_closed(struct lws *wsi);
/* http_refuse answers with a status and a sentence, and returns what the libwebsockets callback must return. */
int http_refuse(struct lws *wsi, unsigned status, const char *why);

#endif

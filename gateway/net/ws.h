/* The WebSocket and HTTP server: the only part that knows libwebsockets' callbacks. It turns sockets into connections
 * (conn.c) and passes HTTP requests on. */
#ifndef SYNCGATE_GATEWAY_NET_WS_H
#define SYNCGATE_GATEWAY_NET_WS_H

#include <stdbool.h>
#include "gateway/core/core.h"

struct lws;

/* ws_new listens on every address of the options. Returns NULL (logged) when one of them cannot be had. */
/* request: answers a plain HTTP request for `path`; returns what the callback of libwebsockets must return. */
typedef int ws_request_fn(struct gateway *g, struct lws *wsi, const char *path);
struct ws *ws_new(struct gateway *g, ws_request_fn *request);
void ws_free(struct ws *w);
/* ws_end_turn: call after each turn of the event loop. */
void ws_end_turn(struct ws *w);
/* ws_heap_bytes: what libwebsockets holds; 0 where its package does not tell. */
size_t ws_heap_bytes(void);
/* ws_stop_listening refuses new connections; the existing ones stay. */
void ws_stop_listening(struct ws *w);

/* ws_read_certificates reads the files of --tls-cert and --tls-key again, for new connections. False, and nothing changed, when
 * they are not good. Without TLS there is nothing to do. */
bool ws_read_certificates(struct ws *w);

/* ws_gateway: whose socket this is. */
struct gateway *ws_gateway(struct lws *wsi);
/* ws_address: where this process listens first, as "ADDR:PORT" ("*" for every interface) or "unix:PATH". */
const char *ws_address(const struct ws *w);

#endif

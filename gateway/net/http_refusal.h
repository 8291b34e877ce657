/* Requests that are refused: answered with a status and a sentence, noted where refusals are shown and counted, and closed. Functions
 * that answer return what the callback of libwebsockets must return. */
#ifndef SYNCGATE_GATEWAY_NET_HTTP_REFUSAL_H
#define SYNCGATE_GATEWAY_NET_HTTP_REFUSAL_H

#include "gateway/net/http.h"

int http_refuse(struct lws *wsi, unsigned status, const char *why);
/* http_refuse_client does so, and says in the log to whom. */
int http_refuse_client(struct lws *wsi, const struct remote *client, unsigned status, const char *why);
/* http_refuse_page: for a web page that may not use the gateway (http_page_allowed). */
int http_refuse_page(const struct gateway *g, struct lws *wsi);
/* http_note takes note of a request that is answered otherwise. */
void http_note(struct lws *wsi, unsigned status, const char *why);
/* http_turn_away: for requests that did not get as far as libwebsockets. Notes the refusal and writes the whole answer into `out`;
 * returns its length, 0 for a status that is none (porch.h). */
size_t http_turn_away(const struct gateway *g, const struct remote *client, unsigned status, const char *why,
                      struct slice path, char *out, size_t size);
/* http_note_refusal takes note where refusals are shown and counted, and in the log. */
void http_note_refusal(const struct gateway *g, const struct remote *client, unsigned status, struct slice path,
                       const char *why);

#endif

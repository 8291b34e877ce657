/* Plain HTTP: /healthz, /readyz, /metrics, the page at /, what lies under /admin/, and the refusals of WebSocket upgrades.
 * A new endpoint is a row of the table in http.c and a function. */
#ifndef SYNCGATE_GATEWAY_NET_HTTP_H
#define SYNCGATE_GATEWAY_NET_HTTP_H

#include "gateway/admin/admin.h"
#include "gateway/core/core.h"
#include "gateway/net/conn.h"

struct lws;

enum http_method { HTTP_GET /* HEAD too */, HTTP_POST };

/* What an endpoint gets. All of it is borrowed for the call. */
struct http_request {
    struct gateway *g;
    struct lws *wsi;
    const char *path;
    struct slice body; /* of a POST, at most 64 KiB */
};

/* --- for ws.c: each returns what the libwebsockets callback must return --- */

/* http_request answers a GET, HEAD or POST request for `path`, http_body takes a piece of its body, http_writable continues an
 * answer; http_closed frees what is left. */
int http_request(struct gateway *g, struct lws *wsi, const char *path);
int http_body(struct lws *wsi, struct slice bytes);
int http_writable(struct lws *wsi);
void http_closed(struct lws *wsi);
/* http_refuse answers with a status and a sentence, and closes. */
int http_refuse(struct lws *wsi, unsigned status, const char *why);
/* http_refuse_client does so, and says in the log to whom. */
int http_refuse_client(struct lws *wsi, const struct remote *client, unsigned status, const char *why);
/* http_size_fault: NULL when the request's head is not too large and it has a body only where one belongs; else why not, and the status
 * of the refusal. */
const char *http_size_fault(struct lws *wsi, unsigned *status);
/* http_turn_away: for requests that did not get as far as libwebsockets. Notes the refusal and writes the whole answer into `out`;
 * returns its length, 0 for a status that is none (porch.h). */
size_t http_turn_away(const struct gateway *g, const struct remote *client, unsigned status, const char *why,
                      struct slice path, char *out, size_t size);
/* http_note_refusal takes note where refusals are shown and counted, and in the log. */
void http_note_refusal(const struct gateway *g, const struct remote *client, unsigned status, struct slice path,
                       const char *why);

/* --- for endpoints: an endpoint returns what these return --- */

/* http_reply takes the buffer over. */
int http_reply(struct lws *wsi, unsigned status, const char *type, struct buf *body);
int http_reply_text(struct lws *wsi, unsigned status, const char *text);

/* An answer that has to wait for something else. Embedded by whoever waits, who outlives the answer, not the connection. */
struct http_wait {
    struct lws *wsi; /* NULL: the client is gone, or was answered */
};
/* http_wait keeps the request open; http_wait_reply answers it later, from anywhere (it takes the buffer over). The latter
 * only while wait->wsi is set. */
int http_wait(struct lws *wsi, struct http_wait *wait);
void http_wait_reply(struct http_wait *wait, unsigned status, const char *type, struct buf *body);
void http_wait_text(struct http_wait *wait, unsigned status, const char *text);

/* An answer that goes on until the client leaves or http_stream_end ends it. Embedded by whoever fills it. */
struct http_stream {
    struct lws *wsi;
    struct buf out; /* what waits; append, then http_stream_wake. Its maximum is the owner's */
    size_t sent;    /* of it */
    bool ended;
    void (*on_closed)(struct http_stream *s); /* the connection is gone; the owner frees */
};
int http_stream(struct lws *wsi, const char *type, struct http_stream *s);
void http_stream_wake(struct http_stream *s);
/* http_stream_end closes after what waits; on_closed follows. */
void http_stream_end(struct http_stream *s);

/* --- about a request whose headers have arrived (upgrades too) --- */

enum http_header {
    HTTP_HOST,
    HTTP_ORIGIN,
    HTTP_AUTHORIZATION,
    HTTP_FORWARDED,
    HTTP_X_FORWARDED_FOR,
    HTTP_X_REAL_IP,
    HTTP_SEC_FETCH_SITE,
    HTTP_CONTENT_LENGTH,
    HTTP_TRANSFER_ENCODING
};
/* http_header copies the header's value as a string; empty when it is that, longer than `out`, or with a NUL in it. False when it
 * is not there. */
bool http_header(struct lws *wsi, enum http_header header, char *out, size_t size);
/* http_fault: a sentence about what makes it doubtful what is meant, because the next one on the way may read it differently: a
 * header's name that is none (RFC 9112 section 5.1), a second Host. NULL: nothing. */
const char *http_fault(struct lws *wsi);
/* http_path: the path of what was asked for; http_host: whom it is addressed to, "" when that is missing. A target with a scheme and
 * a host counts before the Host header (RFC 9112 section 3.2.2). */
const char *http_path(const char *target);
void http_host(struct lws *wsi, char *out, size_t size);
/* http_grants: the grants of whoever asks, by ?token=... or Authorization: Bearer ...; nobody's without one of them. NULL when
 * the token is unknown, or not one: too long, with a NUL, or two. */
const struct grants *http_grants(struct lws *wsi, const struct options *opt);
/* http_remote: where the request comes from, as the socket says. http_client: the same as far as trusted proxies tell. */
struct remote http_remote(struct lws *wsi);
struct remote http_client(struct lws *wsi, const struct options *opt);
bool http_is_head(struct lws *wsi);
enum http_argument { HTTP_ARGUMENT_ABSENT, HTTP_ARGUMENT_THERE, HTTP_ARGUMENT_TOO_LONG /* or with a NUL in it */ };
/* http_argument copies the argument `name` of the query, decoded, as a string; "" unless it is there. */
enum http_argument http_argument(struct lws *wsi, const char *name, char *out, size_t size);
/* http_argument_again: is it there more than once? */
bool http_argument_again(struct lws *wsi, const char *name);
/* http_page_allowed: whether the web page behind this request, if there is one, may use the gateway. */
bool http_page_allowed(const struct gateway *g, struct lws *wsi);
/* http_refuse_page refuses it otherwise. */
int http_refuse_page(const struct gateway *g, struct lws *wsi);
/* http_admin: whether whoever asks may use /admin/. http_request asks it for every path of that area, before the endpoint is
 * called; an endpoint elsewhere asks for itself. */
enum admin_verdict http_admin(const struct gateway *g, struct lws *wsi);

#endif

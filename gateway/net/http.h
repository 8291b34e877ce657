/* One HTTP request whose headers have arrived (upgrades too): what was asked, and by whom. */
#ifndef SYNCGATE_GATEWAY_NET_HTTP_H
#define SYNCGATE_GATEWAY_NET_HTTP_H

#include "gateway/access/admin.h"
#include "gateway/access/remote.h"
#include "gateway/core/core.h"

struct lws;

enum http_method { HTTP_GET /* HEAD too */, HTTP_POST };

/* http_method: the request's method, false when it is none that is served at all. */
bool http_method(struct lws *wsi, enum http_method *out);
/* http_gateway: whose socket this is. */
struct gateway *http_gateway(struct lws *wsi);

/* What an endpoint gets. All of it is borrowed for the call. */
struct http_request {
    struct gateway *g;
    struct lws *wsi;
    const char *path;
    struct slice body; /* of a POST, at most 64 KiB */
};

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
/* http_size_fault: NULL when the request's head is not too large and it has a body only where one belongs; else why not, and the status
 * of the refusal. */
const char *http_size_fault(struct lws *wsi, unsigned *status);
/* http_path: the path of what was asked for; http_host: whom it is addressed to, "" when that is missing. A target with a scheme and
 * a host counts before the Host header (RFC 9112 section 3.2.2). */
const char *http_path(const char *target);
void http_host(struct lws *wsi, char *out, size_t size);
/* http_grants: the grants of whoever asks, by ?token=... or Authorization: Bearer ...; nobody's without one of them. Held, to be
 * released (options_release). NULL when the token does not count, or is none: too long, with a NUL, or two. Then *why is a static
 * sentence for whoever showed it. */
const struct grants *http_grants(struct lws *wsi, const struct options *opt, const char **why);
/* http_client: where the request comes from, as far as trusted proxies tell. */
struct remote http_client(struct lws *wsi, const struct options *opt);
bool http_is_head(struct lws *wsi);
enum http_argument { HTTP_ARGUMENT_ABSENT, HTTP_ARGUMENT_THERE, HTTP_ARGUMENT_TOO_LONG /* or with a NUL in it */ };
/* http_argument copies the argument `name` of the query, decoded, as a string; "" unless it is there. */
enum http_argument http_argument(struct lws *wsi, const char *name, char *out, size_t size);
/* http_page_allowed: whether the web page behind this request, if there is one, may use the gateway. */
bool http_page_allowed(const struct gateway *g, struct lws *wsi);
/* http_admin: whether whoever asks may use /admin/. endpoints_request asks it for every path of that area, before the endpoint is
 * called; an endpoint elsewhere asks for itself. */
enum admin_verdict http_admin(const struct gateway *g, struct lws *wsi);

#endif

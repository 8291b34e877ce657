/* The small HTTP side. A reply is prepared whole, then written piece by piece as the socket takes it. */
#include "gateway/net/http.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "gateway/access/forwarded.h"
#include "gateway/access/origin.h"
#include "gateway/admin/actions.h"
#include "gateway/admin/admin.h"
#include "gateway/admin/assets.h"
#include "gateway/admin/fleet.h"
#include "gateway/admin/gauges.h"
#include "gateway/admin/inspect.h"
#include "gateway/admin/looks.h"
#include "gateway/admin/names.h"
#include "gateway/admin/tap.h"
#include "gateway/lifecycle/ready.h"
#include "gateway/net/activation.h"
#include "gateway/net/head.h"
#include "gateway/net/ws.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/rejects.h"
#include "protocol/base/alloc.h"

enum {
    PIECE_BYTES = 16 * 1024,
    HEADER_BYTES_MAX = HEAD_BYTES_MAX, /* of all headers */
    RETRY_MIN_S = 1,
    RETRY_MAX_S = 10
};

/* One request and its answer, while either is not whole: the body that arrives, what the answer waits for, or what is still
 * to be written. */
struct exchange {
    struct gateway *g;
    const struct endpoint *endpoint; /* whose body arrives; NULL: the request is whole */
    struct buf in;
    size_t in_len; /* bytes that were announced */
    const unsigned char *bytes;
    size_t len, sent;
    struct buf owned;           /* holds `bytes` when it was made for this reply */
    struct http_wait *wait;     /* the answer is not there yet */
    unsigned status;            /* of an answer that came, and whose head is not written yet; else 0 */
    const char *type;           /* likewise */
    struct http_stream *stream; /* the answer goes on */
};

struct answer {
    unsigned status;
    const char *type;
    const char *etag;   /* NULL: not to be cached */
    const char *digest; /* NULL: none */
    bool shared;        /* any page of any origin may read it */
    const unsigned char *bytes;
    size_t len;
};

void http_closed(struct lws *wsi)
{
    struct exchange *x = lws_get_opaque_user_data(wsi);
    if (!x)
        return;
    lws_set_opaque_user_data(wsi, NULL);
    if (x->wait)
        x->wait->wsi = NULL;
    if (x->stream)
        x->stream->on_closed(x->stream);
    buf_deinit(&x->in);
    buf_deinit(&x->owned);
    free(x);
}

/* A fresh one; the connection has none after the one before was answered. */
static struct exchange *exchange_new(struct lws *wsi)
{
    http_closed(wsi);
    struct exchange *x = sg_calloc(1, sizeof(*x));
    buf_init(&x->in, HEAD_BODY_MAX);
    lws_set_opaque_user_data(wsi, x);
    return x;
}

/* --- what was asked --- */

/* Without a value too, which has length 0 as one that is missing has. */
static bool has_token(struct lws *wsi, enum lws_token_indexes token)
{
    char value[HEADER_BYTES_MAX];
    return lws_hdr_total_length(wsi, token) > 0 || lws_hdr_copy_fragment(wsi, value, sizeof(value), token, 0) >= 0;
}

bool http_header(struct lws *wsi, enum http_header header, char *out, size_t size)
{
    static const struct {
        enum lws_token_indexes token;
        const char *custom; /* libwebsockets has no token for it */
    } names[] = {
        [HTTP_HOST] = {.token = WSI_TOKEN_HOST},
        [HTTP_ORIGIN] = {.token = WSI_TOKEN_ORIGIN},
        [HTTP_AUTHORIZATION] = {.token = WSI_TOKEN_HTTP_AUTHORIZATION},
        [HTTP_FORWARDED] = {.custom = "forwarded:"},
        [HTTP_X_FORWARDED_FOR] = {.token = WSI_TOKEN_X_FORWARDED_FOR},
        [HTTP_X_REAL_IP] = {.token = WSI_TOKEN_HTTP_X_REAL_IP},
        [HTTP_SEC_FETCH_SITE] = {.custom = "sec-fetch-site:"},
        [HTTP_CONTENT_LENGTH] = {.token = WSI_TOKEN_HTTP_CONTENT_LENGTH},
        [HTTP_TRANSFER_ENCODING] = {.token = WSI_TOKEN_HTTP_TRANSFER_ENCODING},
    };
    const char *custom = names[header].custom;
    out[0] = '\0';
    int len = custom ? lws_hdr_custom_length(wsi, custom, (int)strlen(custom))
                     : lws_hdr_total_length(wsi, names[header].token);
    if (custom ? len < 0 : !has_token(wsi, names[header].token))
        return false;
    int n = custom ? lws_hdr_custom_copy(wsi, out, (int)size, custom, (int)strlen(custom))
                   : lws_hdr_copy(wsi, out, (int)size, names[header].token);
    if (n < 0 || strlen(out) != (size_t)n)
        out[0] = '\0';
    for (size_t end = strlen(out); end > 0 && (out[end - 1] == ' ' || out[end - 1] == '\t'); end--)
        out[end - 1] = '\0'; /* no part of it: RFC 9110 section 5.5 */
    return true;
}

static void look_at_name(const char *name, int len, void *faulty)
{
    for (int i = 0; i < len - 1; i++) { /* the last one is the colon */
        if (!isalnum((unsigned char)name[i]) && (name[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", name[i])))
            *(bool *)faulty = true;
    }
}

const char *http_fault(struct lws *wsi)
{
    bool faulty = false;
    lws_hdr_custom_name_foreach(wsi, look_at_name, &faulty);
    if (faulty)
        return "the name of a header is malformed";
    return lws_hdr_fragment_length(wsi, WSI_TOKEN_HOST, 1) > 0 ? "Host is there twice" : NULL;
}

/* `http://host/path` behind its scheme, NULL for other targets. libwebsockets makes one slash of several. */
static const char *absolute(const char *target)
{
    static const char *const schemes[] = {"http:/", "https:/", "ws:/", "wss:/"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (strncasecmp(target, schemes[i], strlen(schemes[i])) == 0)
            return target + strlen(schemes[i]);
    }
    return NULL;
}

const char *http_path(const char *target)
{
    const char *authority = absolute(target), *path = authority ? strchr(authority, '/') : target;
    return path ? path : "/";
}

void http_host(struct lws *wsi, char *out, size_t size)
{
    char target[HEADER_BYTES_MAX];
    const char *authority = lws_hdr_copy(wsi, target, sizeof(target), WSI_TOKEN_GET_URI) > 0 ? absolute(target) : NULL;
    if (!authority)
        http_header(wsi, HTTP_HOST, out, size);
    else if (snprintf(out, size, "%.*s", (int)strcspn(authority, "/"), authority) >= (int)size)
        out[0] = '\0';
}

/* One that is there and cannot be read is unknown, not missing: it must not make anybody anonymous. */
static const struct grants *grants_of(const struct options *opt, const char *token)
{
    return token[0] ? options_token(opt, slice_str(token)) : NULL;
}

const struct grants *http_grants(struct lws *wsi, const struct options *opt)
{
    char text[1024];
    static const char bearer[] = "bearer";
    const size_t bearer_len = sizeof(bearer) - 1;
    enum http_argument argument = http_argument(wsi, "token", text, sizeof(text));
    if (argument == HTTP_ARGUMENT_TOO_LONG || http_argument_again(wsi, "token"))
        return NULL;
    if (argument == HTTP_ARGUMENT_THERE && text[0])
        return grants_of(opt, text);
    if (!http_header(wsi, HTTP_AUTHORIZATION, text, sizeof(text)))
        return &opt->anonymous;
    if (!text[0])
        return NULL;
    if (strcspn(text, " ") != bearer_len || strncasecmp(text, bearer, bearer_len) != 0)
        return &opt->anonymous; /* another scheme is for somebody else */
    return grants_of(opt, text[bearer_len] ? text + bearer_len + 1 : "");
}

struct remote http_remote(struct lws *wsi)
{
    return remote_of_socket(lws_get_socket_fd(wsi));
}

struct remote http_client(struct lws *wsi, const struct options *opt)
{
    char text[HEADER_BYTES_MAX];
    struct remote peer = http_remote(wsi);
    if (opt->trusted_proxy_len == 0 || !http_header(wsi, HTTP_X_FORWARDED_FOR, text, sizeof(text)))
        return peer;
    return forwarded_client((const char *const *)opt->trusted_proxy, opt->trusted_proxy_len, peer, slice_str(text));
}

static bool is_local(const struct remote *r)
{
    const struct in6_addr *v6 = (const void *)r->address;
    if (r->family == AF_INET)
        return r->address[0] == 127;
    if (r->family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
    return r->family == AF_UNIX;
}

static bool is_forwarded(struct lws *wsi)
{
    static const enum http_header proxies[] = {HTTP_FORWARDED, HTTP_X_FORWARDED_FOR, HTTP_X_REAL_IP};
    char ignored[1];
    for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++)
        if (http_header(wsi, proxies[i], ignored, sizeof(ignored)))
            return true;
    return false;
}

static bool is_post(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
}

/* NULL: it is the page of no browser. */
static const char *origin_of(struct lws *wsi, char *out, size_t size)
{
    return http_header(wsi, HTTP_ORIGIN, out, size) ? out : NULL;
}

enum admin_verdict http_admin(const struct gateway *g, struct lws *wsi)
{
    char host[256], origin[256], site[32];
    struct remote remote = http_remote(wsi);
    struct admin_request r = {.grants = http_grants(wsi, g->opt),
                              .local = is_local(&remote),
                              .forwarded = is_forwarded(wsi),
                              .action = is_post(wsi),
                              .host = host};
    http_host(wsi, host, sizeof(host));
    r.origin = origin_of(wsi, origin, sizeof(origin));
    if (http_header(wsi, HTTP_SEC_FETCH_SITE, site, sizeof(site)))
        r.fetch_site = site;
    return admin_judge(&r);
}

bool http_page_allowed(const struct gateway *g, struct lws *wsi)
{
    char host[256], origin[256];
    const struct options *opt = g->opt;
    const struct origin_rule rule = {.allowed = (const char *const *)opt->allowed_origins,
                                     .allowed_len = opt->allowed_origins_len,
                                     .dev = opt->dev,
                                     .loopback = opt->dev && !activation_listens_beyond_loopback(opt)};
    http_host(wsi, host, sizeof(host));
    return origin_allowed(&rule, origin_of(wsi, origin, sizeof(origin)), host);
}

bool http_is_head(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
}

/* The length of argument i (name=value, decoded; may hold NULs), -1 behind the last one. */
static int argument_at(struct lws *wsi, int i, char out[HEADER_BYTES_MAX])
{
    return lws_hdr_copy_fragment(wsi, out, HEADER_BYTES_MAX, WSI_TOKEN_HTTP_URI_ARGS, i);
}

/* libwebsockets looks for arguments by what they begin with. Returns the number of the first one from `i` on whose name it is. */
static int find_argument(struct lws *wsi, int i, const char *name, char out[HEADER_BYTES_MAX], int *len)
{
    size_t name_len = strlen(name);
    for (; (*len = argument_at(wsi, i, out)) >= 0; i++) {
        if (strncmp(out, name, name_len) == 0 && out[name_len] == '=')
            return i;
    }
    return -1;
}

enum http_argument http_argument(struct lws *wsi, const char *name, char *out, size_t size)
{
    char argument[HEADER_BYTES_MAX];
    int len, at = find_argument(wsi, 0, name, argument, &len);
    out[0] = '\0';
    if (at < 0)
        return HTTP_ARGUMENT_ABSENT;
    size_t name_len = strlen(name), value_len = (size_t)len - name_len - 1;
    if (value_len >= size || memchr(argument, '\0', (size_t)len))
        return HTTP_ARGUMENT_TOO_LONG;
    memcpy(out, argument + name_len + 1, value_len + 1);
    return HTTP_ARGUMENT_THERE;
}

bool http_argument_again(struct lws *wsi, const char *name)
{
    char argument[HEADER_BYTES_MAX];
    int len, at = find_argument(wsi, 0, name, argument, &len);
    return at >= 0 && find_argument(wsi, at + 1, name, argument, &len) >= 0;
}

static int add_header(struct lws *wsi, const char *name, const char *value, unsigned char **p, unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                       (int)strlen(value), p, end);
}

/* The page takes everything from here. Only WebSockets may go elsewhere: it can show a second gateway beside its own. */
static const char page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                                  "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; "
                                  "frame-ancestors 'none'";

static bool is_page(const struct answer *page)
{
    return strncmp(page->type, "text/html", 9) == 0;
}

static int send_headers(struct lws *wsi, const struct answer *page)
{
    unsigned char head[LWS_PRE + 1024], *start = head + LWS_PRE, *p = start, *end = head + sizeof(head) - 1;
    if (lws_add_http_common_headers(wsi, page->status, page->type, page->len, &p, end) ||
        add_header(wsi, "x-content-type-options:", "nosniff", &p, end) ||
        add_header(wsi, "referrer-policy:", "no-referrer", &p, end) ||
        add_header(wsi, "cache-control:", page->etag ? "no-cache" : "no-store", &p, end) ||
        (is_page(page) && add_header(wsi, "content-security-policy:", page_policy, &p, end)) ||
        add_header(wsi, "connection:", "close", &p, end) ||
        (page->digest && add_header(wsi, "repr-digest:", page->digest, &p, end)) ||
        (page->shared && add_header(wsi, "access-control-allow-origin:", "*", &p, end)) ||
        (page->shared && add_header(wsi, "cross-origin-resource-policy:", "cross-origin", &p, end)) ||
        (page->etag && add_header(wsi, "etag:", page->etag, &p, end)))
        return 1;
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

/* What the libwebsockets callback returns when the answer is out: the connection ends. A second request on it would not pass the
 * porch, would not reach another worker, and after a POST would be taken for its body. */
static int answered(struct lws *wsi)
{
    http_closed(wsi);
    return -1;
}

/* `owned` (may be NULL) is taken over. */
static int respond(struct lws *wsi, const struct answer *page, struct buf *owned)
{
    int failed = send_headers(wsi, page);
    if (failed || page->len == 0 || http_is_head(wsi)) {
        if (owned)
            buf_deinit(owned);
        return answered(wsi);
    }
    struct exchange *x = exchange_new(wsi);
    if (owned)
        x->owned = *owned;
    x->bytes = owned ? (const unsigned char *)x->owned.ptr : page->bytes;
    x->len = page->len;
    lws_callback_on_writable(wsi);
    return 0;
}

/* --- answers that come later --- */

int http_wait(struct lws *wsi, struct http_wait *wait)
{
    struct exchange *x = exchange_new(wsi);
    x->wait = wait;
    wait->wsi = wsi;
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    ws_request_stays(wsi);
    return 0;
}

void http_wait_reply(struct http_wait *wait, unsigned status, const char *type, struct buf *body)
{
    struct exchange *x = lws_get_opaque_user_data(wait->wsi);
    assert(x->wait == wait);
    x->wait = NULL;
    x->owned = *body;
    x->status = status;
    x->type = type;
    lws_callback_on_writable(wait->wsi);
    wait->wsi = NULL;
}

void http_wait_text(struct http_wait *wait, unsigned status, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_put(&b, text, strlen(text));
    buf_put_char(&b, '\n');
    http_wait_reply(wait, status, "text/plain; charset=utf-8", &b);
}

static int begin_late(struct lws *wsi, struct exchange *x)
{
    struct buf body = x->owned;
    unsigned status = x->status;
    const char *type = x->type;
    buf_init(&x->owned, 0);
    http_closed(wsi);
    return http_reply(wsi, status, type, &body) ? -1 : 0;
}

/* --- answers that go on --- */

static int stream_headers(struct lws *wsi, const char *type)
{
    unsigned char head[LWS_PRE + 1024], *start = head + LWS_PRE, *p = start, *end = head + sizeof(head) - 1;
    /* Without a length it ends with the connection, which libwebsockets says in the header. */
    if (lws_add_http_common_headers(wsi, 200, type, LWS_ILLEGAL_HTTP_CONTENT_LEN, &p, end) ||
        add_header(wsi, "x-content-type-options:", "nosniff", &p, end) ||
        add_header(wsi, "x-accel-buffering:", "no", &p, end) || add_header(wsi, "cache-control:", "no-store", &p, end))
        return 1;
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

int http_stream(struct lws *wsi, const char *type, struct http_stream *s)
{
    struct exchange *x = exchange_new(wsi);
    x->stream = s;
    s->wsi = wsi;
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    ws_request_stays(wsi);
    if (stream_headers(wsi, type))
        return -1;
    lws_callback_on_writable(wsi);
    return 0;
}

void http_stream_wake(struct http_stream *s)
{
    if (s->wsi)
        lws_callback_on_writable(s->wsi);
}

void http_stream_end(struct http_stream *s)
{
    s->ended = true;
    http_stream_wake(s);
}

/* A client that does not read is noticed by the owner: its buffer is full. */
static int stream_write(struct lws *wsi, struct http_stream *s)
{
    size_t n = s->out.len - s->sent < PIECE_BYTES ? s->out.len - s->sent : PIECE_BYTES;
    if (n == 0)
        return s->ended ? -1 : 0;
    unsigned char piece[LWS_PRE + PIECE_BYTES];
    memcpy(piece + LWS_PRE, s->out.ptr + s->sent, n);
    s->sent += n;
    if (s->sent == s->out.len) {
        buf_reset(&s->out);
        s->sent = 0;
    } else if (s->sent >= s->out.len / 2) { /* moves less than was written since the last time */
        memmove(s->out.ptr, s->out.ptr + s->sent, s->out.len - s->sent);
        s->out.len -= s->sent;
        s->sent = 0;
    }
    if (lws_write(wsi, piece + LWS_PRE, n, LWS_WRITE_HTTP) < 0)
        return -1;
    if (s->out.len || s->ended)
        lws_callback_on_writable(wsi);
    return 0;
}

int http_writable(struct lws *wsi)
{
    struct exchange *x = lws_get_opaque_user_data(wsi);
    if (x && x->stream)
        return stream_write(wsi, x->stream);
    if (x && x->status)
        return begin_late(wsi, x);
    if (!x || !x->bytes)
        return 0;
    size_t n = x->len - x->sent < PIECE_BYTES ? x->len - x->sent : PIECE_BYTES;
    unsigned char piece[LWS_PRE + PIECE_BYTES];
    memcpy(piece + LWS_PRE, x->bytes + x->sent, n);
    x->sent += n;
    bool last = x->sent == x->len;
    if (lws_write(wsi, piece + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    if (!last) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    return answered(wsi);
}

int http_reply(struct lws *wsi, unsigned status, const char *type, struct buf *body)
{
    assert(!body->failed); /* whoever made it knows how large it can become; half of it would pass for a whole one */
    struct answer page = {.status = status, .type = type, .len = body->len};
    return respond(wsi, &page, body);
}

int http_reply_text(struct lws *wsi, unsigned status, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_put(&b, text, strlen(text));
    buf_put_char(&b, '\n');
    return http_reply(wsi, status, "text/plain; charset=utf-8", &b);
}

/* --- the endpoints --- */

static int get_healthz(const struct http_request *r)
{
    return http_reply_text(r->wsi, 200, "ok");
}

static int get_readyz(const struct http_request *r)
{
    const char *why = ready_refusal(r->g);
    return why ? http_reply_text(r->wsi, 503, why) : http_reply_text(r->wsi, 200, "ready");
}

static int get_metrics(const struct http_request *r)
{
    struct buf b;
    gauges_refresh(r->g);
    buf_init(&b, metrics_workers() * METRICS_BYTES_MAX);
    metrics_render(&b);
    return http_reply(r->wsi, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}

/* The path alone: a query may hold a token. */
static void note_refusal(struct lws *wsi, unsigned status, const char *why)
{
    static const enum lws_token_indexes uris[] = {WSI_TOKEN_GET_URI, WSI_TOKEN_HEAD_URI, WSI_TOKEN_POST_URI};
    char path[256] = "";
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++)
        if (lws_hdr_copy(wsi, path, sizeof(path), uris[i]) > 0)
            break;
    struct gateway *g = ws_gateway(wsi);
    struct remote client = http_client(wsi, g->opt);
    rejects_add(g->rejects, (int)status, remote_text(&client), path, why);
    rejects_count(status);
}

/* Everything under ADMIN_AREA answers only those whom admin_allowed lets in; http_request sees to it. */
static const struct endpoint {
    enum http_method method;
    const char *path;
    int (*answer)(const struct http_request *r); /* as the callback of libwebsockets: non-zero closes */
} endpoints[] = {
    {HTTP_GET, "/healthz", get_healthz},
    {HTTP_GET, "/readyz", get_readyz},
    {HTTP_GET, "/metrics", get_metrics},
    {HTTP_POST, ADMIN_AREA "drain", actions_drain},
    {HTTP_POST, ADMIN_AREA "connection/close", actions_close},
    {HTTP_GET, ADMIN_AREA "stats", inspect_stats},
    {HTTP_GET, ADMIN_AREA "connections", inspect_connections},
    {HTTP_GET, ADMIN_AREA "refusals", inspect_refusals},
    {HTTP_GET, ADMIN_AREA "fleet", fleet_answer},
    {HTTP_GET, ADMIN_AREA "tap", tap_answer},
    {HTTP_GET, ADMIN_AREA "connection", looks_connection},
    {HTTP_GET, ADMIN_AREA "functions", looks_functions},
    {HTTP_GET, ADMIN_AREA "executors", looks_executors},
    {HTTP_GET, ADMIN_AREA "names", names_answer},
    {HTTP_GET, ADMIN_AREA "name", names_answer_one},
};

static bool not_modified(struct lws *wsi, const char *etag)
{
    char have[128];
    if (lws_hdr_copy(wsi, have, sizeof(have), WSI_TOKEN_HTTP_IF_NONE_MATCH) <= 0)
        return false;
    return strcmp(strncmp(have, "W/", 2) == 0 ? have + 2 : have, etag) == 0; /* weak: a proxy compressed it */
}

static int get_asset(struct lws *wsi, const struct asset *a)
{
    struct answer page = {.status = 200,
                          .type = a->type,
                          .etag = a->etag,
                          .digest = a->digest,
                          .shared = a->shared,
                          .bytes = a->bytes,
                          .len = a->len};
    if (not_modified(wsi, a->etag)) {
        page.status = 304;
        page.len = 0;
    }
    return respond(wsi, &page, NULL);
}

/* The request's method when we serve it at all. */
static bool method_of(struct lws *wsi, enum http_method *out)
{
    *out = is_post(wsi) ? HTTP_POST : HTTP_GET;
    return *out == HTTP_POST || http_is_head(wsi) || lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
}

static const struct endpoint *endpoint_at(const char *path, enum http_method method, bool *other_method)
{
    *other_method = false;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        if (strcmp(path, endpoints[i].path) != 0)
            continue;
        if (endpoints[i].method == method)
            return &endpoints[i];
        *other_method = true;
    }
    return NULL;
}

/* Waits for the body of a POST, when it has one. */
static int begin_post(struct gateway *g, struct lws *wsi, const struct endpoint *e)
{
    char text[32];
    int64_t len = 0;
    if (http_header(wsi, HTTP_TRANSFER_ENCODING, text, sizeof(text)))
        return http_refuse(wsi, 411, "a body needs Content-Length");
    if (http_header(wsi, HTTP_CONTENT_LENGTH, text, sizeof(text)) && (!slice_i64(slice_str(text), &len) || len < 0))
        return http_refuse(wsi, 400, "Content-Length is malformed");
    if (len > HEAD_BODY_MAX)
        return http_refuse(wsi, 413, "the body is too large");
    if (len == 0)
        return e->answer(&(struct http_request){.g = g, .wsi = wsi, .path = e->path});
    struct exchange *x = exchange_new(wsi);
    x->g = g;
    x->endpoint = e;
    x->in_len = (size_t)len;
    return 0;
}

int http_body(struct lws *wsi, struct slice bytes)
{
    struct exchange *x = lws_get_opaque_user_data(wsi);
    if (!x || !x->endpoint)
        return 0;
    size_t missing = x->in_len - x->in.len;
    buf_put(&x->in, bytes.ptr, bytes.len < missing ? bytes.len : missing);
    if (x->in.len < x->in_len)
        return 0;
    const struct endpoint *e = x->endpoint;
    struct buf body = x->in; /* the answer gets an exchange of its own */
    struct http_request r = {.g = x->g, .wsi = wsi, .path = e->path, .body = buf_slice(&body)};
    buf_init(&x->in, 0);
    http_closed(wsi);
    int result = e->answer(&r);
    buf_deinit(&body);
    return result;
}

static int refuse_stranger(const struct gateway *g, struct lws *wsi, enum admin_verdict verdict)
{
    struct remote client = http_client(wsi, g->opt);
    metric_add(METRIC_REFUSED_UNAUTHORIZED, 1);
    if (verdict == ADMIN_ELSEWHERE)
        return http_refuse_client(wsi, &client, 403, "a page of another origin may not do this");
    return verdict == ADMIN_FORBIDDEN ? http_refuse_client(wsi, &client, 403, "this token is no admin's")
                                      : http_refuse_client(wsi, &client, 401, "for admins only");
}

static bool announces_body(struct lws *wsi)
{
    char text[32];
    return http_header(wsi, HTTP_TRANSFER_ENCODING, text, sizeof(text)) ||
           (http_header(wsi, HTTP_CONTENT_LENGTH, text, sizeof(text)) && strcmp(text, "0") != 0);
}

static size_t head_bytes(struct lws *wsi)
{
    size_t n = 0;
    for (int token = 0; token < WSI_TOKEN_COUNT; token++)
        n += (size_t)lws_hdr_total_length(wsi, (enum lws_token_indexes)token);
    return n;
}

/* Without TLS the porch has seen to it. */
const char *http_size_fault(struct lws *wsi, unsigned *status)
{
    if (!lws_is_ssl(wsi))
        return NULL;
    *status = head_bytes(wsi) > HEAD_BYTES_MAX ? 431 : 413;
    if (*status == 431)
        return "the request and its header fields are larger than 16 KiB";
    return !is_post(wsi) && announces_body(wsi) ? "this request takes no body" : NULL;
}

int http_request(struct gateway *g, struct lws *wsi, const char *path)
{
    enum http_method method;
    bool other_method;
    unsigned status;
    const char *fault = http_fault(wsi);
    if (fault)
        return http_refuse(wsi, 400, fault);
    fault = http_size_fault(wsi, &status);
    if (fault)
        return http_refuse(wsi, status, fault);
    if (!method_of(wsi, &method))
        return http_refuse(wsi, 405, "GET, HEAD and POST only");
    if (strncmp(path, ADMIN_AREA, sizeof(ADMIN_AREA) - 1) == 0) {
        enum admin_verdict verdict = http_admin(g, wsi);
        if (verdict != ADMIN_ALLOWED)
            return refuse_stranger(g, wsi, verdict);
    }
    const struct endpoint *e = endpoint_at(path, method, &other_method);
    if (e)
        return method == HTTP_POST ? begin_post(g, wsi, e)
                                   : e->answer(&(struct http_request){.g = g, .wsi = wsi, .path = e->path});
    for (size_t i = 0; i < sg_assets_len; i++) {
        if (strcmp(path, sg_assets[i].path) != 0)
            continue;
        if (method == HTTP_GET)
            return get_asset(wsi, &sg_assets[i]);
        other_method = true;
    }
    if (other_method)
        return http_refuse(wsi, 405, method == HTTP_POST ? "GET and HEAD only" : "POST only");
    if (method == HTTP_POST)
        return http_refuse(wsi, 404, "not found");
    note_refusal(wsi, 404, "not found");
    return http_reply_text(wsi, 404, "not found");
}

static const char *reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {{400, "Bad Request"},        {401, "Unauthorized"},
                   {403, "Forbidden"},          {404, "Not Found"},
                   {405, "Method Not Allowed"}, {408, "Request Timeout"},
                   {411, "Length Required"},    {413, "Content Too Large"},
                   {426, "Upgrade Required"},   {431, "Request Header Fields Too Large"},
                   {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Error";
}

/* Written by hand: libwebsockets would call it HTTP/1.0, because it has not looked at the version yet. */
static size_t refusal_text(unsigned status, const char *why, char *text, size_t size)
{
    char extra[64] = "";
    if (status == 426)
        snprintf(extra, sizeof(extra), "sec-websocket-version: 13\r\n");
    else if (status == 401)
        snprintf(extra, sizeof(extra), "www-authenticate: Bearer\r\n");
    else if (status == 503) /* not the same for all who were refused in the same moment */
        snprintf(extra, sizeof(extra), "retry-after: %ld\r\n",
                 RETRY_MIN_S + random() % (RETRY_MAX_S - RETRY_MIN_S + 1));
    int n = snprintf(text, size,
                     "HTTP/1.1 %u %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\n%s"
                     "connection: close\r\n\r\n%s\n",
                     status, reason_phrase(status), strlen(why) + 1, extra, why);
    assert(n > 0 && (size_t)n < size);
    return (size_t)n;
}

int http_refuse(struct lws *wsi, unsigned status, const char *why)
{
    unsigned char piece[LWS_PRE + 512];
    note_refusal(wsi, status, why);
    size_t n = refusal_text(status, why, (char *)piece + LWS_PRE, sizeof(piece) - LWS_PRE);
    lws_write(wsi, piece + LWS_PRE, n, LWS_WRITE_HTTP_FINAL);
    return -1; /* a refused upgrade ends the connection: what follows would not be HTTP */
}

/* The path as the peer wrote it: shown as text, never logged. */
void http_note_refusal(const struct gateway *g, const struct remote *client, unsigned status, struct slice path,
                       const char *why)
{
    char subject[64];
    snprintf(subject, sizeof(subject), "%.*s", (int)(path.len < sizeof(subject) ? path.len : sizeof(subject)),
             path.ptr ? path.ptr : "");
    rejects_add(g->rejects, (int)status, remote_text(client), subject, why);
    rejects_count(status);
    log_limited(LOG_REFUSED, LOG_LEVEL_INFO, "request refused remote=%s status=%u why=\"%s\"", remote_text(client),
                status, why);
}

size_t http_turn_away(const struct gateway *g, const struct remote *client, unsigned status, const char *why,
                      struct slice path, char *out, size_t size)
{
    http_note_refusal(g, client, status, path, why);
    return status >= 400 ? refusal_text(status, why, out, size) : 0;
}

/* Nothing that the peer wrote is logged: a token may stand anywhere in an address. */
int http_refuse_client(struct lws *wsi, const struct remote *client, unsigned status, const char *why)
{
    log_limited(LOG_REFUSED, LOG_LEVEL_INFO, "request refused remote=%s status=%u why=\"%s\"", remote_text(client),
                status, why);
    return http_refuse(wsi, status, why);
}

/* Its developer looks for the reason here: so both are named, which hold no token. */
int http_refuse_page(const struct gateway *g, struct lws *wsi)
{
    char host[256], origin[256];
    struct remote client = http_client(wsi, g->opt);
    metric_add(METRIC_REFUSED_ORIGIN, 1);
    http_host(wsi, host, sizeof(host));
    http_header(wsi, HTTP_ORIGIN, origin, sizeof(origin));
    log_limited(LOG_REFUSED, LOG_LEVEL_INFO,
                "request refused remote=%s status=403 why=\"no page of this origin may connect\" origin=%s host=%s",
                remote_text(&client), log_value(slice_str(origin)), log_value(slice_str(host)));
    return http_refuse(wsi, 403, "no page of this origin may connect (allowed_origins)");
}

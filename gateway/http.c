/* The small HTTP side. A reply is prepared whole, then written piece by piece as the socket takes it. */
#include "gateway/http.h"

#include <assert.h>
#include <libwebsockets.h>
#include <stdio.h>

#include "gateway/assets.h"
#include "gateway/metrics.h"
#include "protocol/base/alloc.h"

enum { PIECE_BYTES = 16 * 1024 };

/* What is still to be written to one connection. */
struct body {
    const unsigned char *bytes;
    size_t len, sent;
    struct buf owned; /* holds `bytes` when it was made for this reply */
};

struct answer {
    unsigned status;
    const char *type;
    const char *etag; /* NULL: not to be cached */
    const unsigned char *bytes;
    size_t len;
};

static void body_free(struct body *r)
{
    if (!r)
        return;
    buf_deinit(&r->owned);
    free(r);
}

void http_closed(struct lws *wsi)
{
    body_free(lws_get_opaque_user_data(wsi));
    lws_set_opaque_user_data(wsi, NULL);
}

static bool is_head(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
}

static int add_header(struct lws *wsi, const char *name, const char *value, unsigned char **p, unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                       (int)strlen(value), p, end);
}

static int send_headers(struct lws *wsi, const struct answer *page)
{
    unsigned char head[LWS_PRE + 1024], *start = head + LWS_PRE, *p = start, *end = head + sizeof(head) - 1;
    if (lws_add_http_common_headers(wsi, page->status, page->type, page->len, &p, end) ||
        add_header(wsi, "x-content-type-options:", "nosniff", &p, end) ||
        add_header(wsi, "referrer-policy:", "no-referrer", &p, end) ||
        add_header(wsi, "cache-control:", page->etag ? "no-cache" : "no-store", &p, end) ||
        (page->etag && add_header(wsi, "etag:", page->etag, &p, end)))
        return 1;
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

/* `owned` (may be NULL) is taken over. */
static int respond(struct lws *wsi, const struct answer *page, struct buf *owned)
{
    int failed = send_headers(wsi, page);
    if (failed || page->len == 0 || is_head(wsi)) {
        if (owned)
            buf_deinit(owned);
        return failed ? 1 : lws_http_transaction_completed(wsi);
    }
    struct body *r = sg_calloc(1, sizeof(*r));
    if (owned)
        r->owned = *owned;
    r->bytes = owned ? (const unsigned char *)r->owned.ptr : page->bytes;
    r->len = page->len;
    body_free(lws_get_opaque_user_data(wsi));
    lws_set_opaque_user_data(wsi, r);
    lws_callback_on_writable(wsi);
    return 0;
}

int http_writable(struct lws *wsi)
{
    struct body *r = lws_get_opaque_user_data(wsi);
    if (!r)
        return 0;
    size_t n = r->len - r->sent < PIECE_BYTES ? r->len - r->sent : PIECE_BYTES;
    unsigned char piece[LWS_PRE + PIECE_BYTES];
    memcpy(piece + LWS_PRE, r->bytes + r->sent, n);
    r->sent += n;
    bool last = r->sent == r->len;
    if (lws_write(wsi, piece + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return 1;
    if (!last) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    http_closed(wsi);
    return lws_http_transaction_completed(wsi);
}

static int respond_text(struct lws *wsi, unsigned status, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_put(&b, text, strlen(text));
    buf_put_char(&b, '\n');
    struct answer page = {status, "text/plain; charset=utf-8", NULL, NULL, b.len};
    return respond(wsi, &page, &b);
}

/* --- the endpoints --- */

static int get_healthz(struct gateway *g, struct lws *wsi)
{
    (void)g;
    return respond_text(wsi, 200, "ok");
}

static int get_readyz(struct gateway *g, struct lws *wsi)
{
    if (g->draining)
        return respond_text(wsi, 503, "draining");
    if (!g->redis_up)
        return respond_text(wsi, 503, "redis away");
    return respond_text(wsi, 200, "ready");
}

static int get_metrics(struct gateway *g, struct lws *wsi)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_render(&b, g->worker);
    struct answer page = {200, "text/plain; version=0.0.4; charset=utf-8", NULL, NULL, b.len};
    return respond(wsi, &page, &b);
}

static const struct endpoint {
    const char *path;
    int (*get)(struct gateway *g, struct lws *wsi);
} endpoints[] = {
    {"/healthz", get_healthz},
    {"/readyz", get_readyz},
    {"/metrics", get_metrics},
};

static bool not_modified(struct lws *wsi, const char *etag)
{
    char have[128];
    return lws_hdr_copy(wsi, have, sizeof(have), WSI_TOKEN_HTTP_IF_NONE_MATCH) > 0 && strcmp(have, etag) == 0;
}

static int get_asset(struct lws *wsi, const struct asset *a)
{
    if (not_modified(wsi, a->etag)) {
        struct answer page = {304, a->type, a->etag, NULL, 0};
        return respond(wsi, &page, NULL);
    }
    struct answer page = {200, a->type, a->etag, a->bytes, a->len};
    return respond(wsi, &page, NULL);
}

int http_request(struct gateway *g, struct lws *wsi, const char *path)
{
    if (!is_head(wsi) && lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0)
        return http_refuse(wsi, 405, "GET only");
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
        if (strcmp(path, endpoints[i].path) == 0)
            return endpoints[i].get(g, wsi);
    for (size_t i = 0; i < sg_assets_len; i++)
        if (strcmp(path, sg_assets[i].path) == 0)
            return get_asset(wsi, &sg_assets[i]);
    return respond_text(wsi, 404, "not found");
}

static const char *reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {{400, "Bad Request"},        {401, "Unauthorized"},     {404, "Not Found"},
                   {405, "Method Not Allowed"}, {426, "Upgrade Required"}, {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "Error";
}

int http_refuse(struct lws *wsi, unsigned status, const char *why)
{
    /* Written by hand: libwebsockets would call it HTTP/1.0, because it has not looked at the version yet. */
    char text[512];
    const char *extra = status == 426   ? "sec-websocket-version: 13\r\n"
                        : status == 401 ? "www-authenticate: Bearer\r\n"
                                        : "";
    int n = snprintf(text, sizeof(text),
                     "HTTP/1.1 %u %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\n%s"
                     "connection: close\r\n\r\n%s\n",
                     status, reason_phrase(status), strlen(why) + 1, extra, why);
    assert(n > 0 && (size_t)n < sizeof(text));
    unsigned char piece[LWS_PRE + sizeof(text)];
    memcpy(piece + LWS_PRE, text, (size_t)n);
    lws_write(wsi, piece + LWS_PRE, (size_t)n, LWS_WRITE_HTTP_FINAL);
    return -1; /* a refused upgrade ends the connection: what follows would not be HTTP */
}

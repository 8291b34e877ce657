/* Answers: at once, later, or without end; and the bodies that come before some of them. */
#include "gateway/net/http_reply.h"

#include <assert.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/net/evlib.h"
#include "gateway/net/head.h"
#include "gateway/net/http_policy.h"
#include "gateway/net/http_refusal.h"
#include "gateway/net/porch.h"
#include "protocol/base/alloc.h"

enum { PIECE_BYTES = 16 * 1024 };

/* One request and its answer, while either is not whole: the body that arrives, what the answer waits for, or what is still
 * to be written. */
struct exchange {
    http_answer_fn *answer; /* whose body arrives; NULL: the request is whole */
    const char *path;
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

static int add_header(struct lws *wsi, const char *name, const char *value, unsigned char **p, unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
                                       (int)strlen(value), p, end);
}

static bool begins(const char *type, const char *with)
{
    return strncmp(type, with, strlen(with)) == 0;
}

/* What all answers have; kept: it may be kept by whoever asks whether it is new. */
static bool add_policy(struct lws *wsi, const char *type, bool kept, unsigned char **p, unsigned char *end)
{
    bool page = begins(type, "text/html") || begins(type, "text/javascript");
    return !add_header(wsi, "x-content-type-options:", HTTP_POLICY_SNIFF, p, end) &&
           !add_header(wsi, "referrer-policy:", HTTP_POLICY_REFERRER, p, end) &&
           !add_header(wsi, "cache-control:", kept ? "no-cache" : "no-store", p, end) &&
           !add_header(wsi, "content-security-policy:", page ? HTTP_POLICY_PAGE : HTTP_POLICY_CONTENT, p, end);
}

static int send_headers(struct lws *wsi, const struct http_answer *page)
{
    unsigned char head[LWS_PRE + 1024], *start = head + LWS_PRE, *p = start, *end = head + sizeof(head) - 1;
    if (lws_add_http_common_headers(wsi, page->status, page->type, page->len, &p, end) ||
        !add_policy(wsi, page->type, page->etag, &p, end) || add_header(wsi, "connection:", "close", &p, end) ||
        (page->location && add_header(wsi, "location:", page->location, &p, end)) ||
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
static int respond(struct lws *wsi, const struct http_answer *page, struct buf *owned)
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
    porch_stay(evlib_visitor(http_gateway(wsi)->evlib, wsi));
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
        !add_policy(wsi, type, false, &p, end) || add_header(wsi, "x-accel-buffering:", "no", &p, end))
        return 1;
    return lws_finalize_write_http_header(wsi, start, &p, end);
}

int http_stream(struct lws *wsi, const char *type, struct http_stream *s)
{
    struct exchange *x = exchange_new(wsi);
    x->stream = s;
    s->wsi = wsi;
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    porch_stay(evlib_visitor(http_gateway(wsi)->evlib, wsi));
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
    struct http_answer page = {.status = status, .type = type, .len = body->len};
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

static bool not_modified(struct lws *wsi, const char *etag)
{
    char have[128];
    if (lws_hdr_copy(wsi, have, sizeof(have), WSI_TOKEN_HTTP_IF_NONE_MATCH) <= 0)
        return false;
    return strcmp(strncmp(have, "W/", 2) == 0 ? have + 2 : have, etag) == 0; /* weak: a proxy compressed it */
}

int http_reply_fixed(struct lws *wsi, const struct http_answer *fixed)
{
    struct http_answer page = *fixed;
    if (not_modified(wsi, page.etag)) {
        page.status = 304;
        page.len = 0;
    }
    return respond(wsi, &page, NULL);
}

int http_reply_elsewhere(struct lws *wsi, const char *location)
{
    return respond(wsi, &(struct http_answer){.status = 308, .type = "text/plain", .location = location}, NULL);
}

/* --- bodies --- */

int http_take_body(struct lws *wsi, const char *path, http_answer_fn *answer)
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
        return answer(&(struct http_request){.g = http_gateway(wsi), .wsi = wsi, .path = path});
    struct exchange *x = exchange_new(wsi);
    x->answer = answer;
    x->path = path;
    x->in_len = (size_t)len;
    return 0;
}

int http_body(struct lws *wsi, struct slice bytes)
{
    struct exchange *x = lws_get_opaque_user_data(wsi);
    if (!x || !x->answer)
        return 0;
    size_t missing = x->in_len - x->in.len;
    buf_put(&x->in, bytes.ptr, bytes.len < missing ? bytes.len : missing);
    if (x->in.len < x->in_len)
        return 0;
    http_answer_fn *answer = x->answer;
    struct buf body = x->in; /* the answer gets an exchange of its own */
    struct http_request r = {.g = http_gateway(wsi), .wsi = wsi, .path = x->path, .body = buf_slice(&body)};
    buf_init(&x->in, 0);
    http_closed(wsi);
    int result = answer(&r);
    buf_deinit(&body);
    return result;
}

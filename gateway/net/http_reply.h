/* Answers to HTTP requests: at once, later, or going on until somebody ends them. An endpoint returns what these return. */
#ifndef SYNCGATE_GATEWAY_NET_HTTP_REPLY_H
#define SYNCGATE_GATEWAY_NET_HTTP_REPLY_H

#include "gateway/net/http.h"

/* An endpoint. Returns what the callback of libwebsockets must return: non-zero closes. */
typedef int http_answer_fn(const struct http_request *r);

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

/* An answer that is the same for everybody and lives as long as the program. */
struct http_answer {
    unsigned status;
    const char *type;
    const char *etag;     /* NULL: not to be cached */
    const char *digest;   /* NULL: none */
    const char *location; /* NULL: here */
    bool shared;          /* any page of any origin may read it */
    const unsigned char *bytes;
    size_t len;
};
/* http_reply_elsewhere: what is asked for is there, relative to what was asked (RFC 9110, section 10.2.2), for ever. */
int http_reply_elsewhere(struct lws *wsi, const char *location);
/* http_reply_fixed answers with it, or says that whoever asks has it already. It needs an etag. */
int http_reply_fixed(struct lws *wsi, const struct http_answer *fixed);

/* http_take_body waits for the body of a POST, when it has one (at most HEAD_BODY_MAX bytes), and calls `answer` then. `path` lives as
 * long as the program. */
int http_take_body(struct lws *wsi, const char *path, http_answer_fn *answer);

/* --- for ws.c: each returns what the libwebsockets callback must return --- */

/* http_body takes a piece of a body, http_writable continues an answer; http_closed frees what is left. */
int http_body(struct lws *wsi, struct slice bytes);
int http_writable(struct lws *wsi);
void http_closed(struct lws *wsi);

#endif

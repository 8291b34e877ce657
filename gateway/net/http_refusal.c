/* The answers that end a request, written by hand: libwebsockets has not looked at its version yet. */
#include "gateway/net/http_refusal.h"

#include <assert.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/net/http_policy.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "gateway/observe/rejects.h"

enum { RETRY_MIN_S = 1, RETRY_MAX_S = 10 };

/* The path alone: a query may hold a token. */
void http_note(struct lws *wsi, unsigned status, const char *why)
{
    static const enum lws_token_indexes uris[] = {WSI_TOKEN_GET_URI, WSI_TOKEN_HEAD_URI, WSI_TOKEN_POST_URI};
    char path[256] = "";
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++)
        if (lws_hdr_copy(wsi, path, sizeof(path), uris[i]) > 0)
            break;
    struct gateway *g = http_gateway(wsi);
    struct remote client = http_client(wsi, g->opt);
    rejects_add(g->rejects, (int)status, remote_text(&client), path, why);
    rejects_count(status);
}

static const char *reason_phrase(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {{400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {408, "Request Timeout"},
                   {411, "Length Required"},
                   {413, "Content Too Large"},
                   {426, "Upgrade Required"},
                   {429, "Too Many Requests"},
                   {431, "Request Header Fields Too Large"},
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
    else if (status == 503 || status == 429) /* not the same for all who were refused in the same moment */
        snprintf(extra, sizeof(extra), "retry-after: %ld\r\n",
                 RETRY_MIN_S + random() % (RETRY_MAX_S - RETRY_MIN_S + 1));
    int n = snprintf(
        text, size,
        "HTTP/1.1 %u %s\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %zu\r\n%s" HTTP_POLICY_TEXT
        "connection: close\r\n\r\n%s\n",
        status, reason_phrase(status), strlen(why) + 1, extra, why);
    assert(n > 0 && (size_t)n < size);
    return (size_t)n;
}

int http_refuse(struct lws *wsi, unsigned status, const char *why)
{
    unsigned char piece[LWS_PRE + 512];
    http_note(wsi, status, why);
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

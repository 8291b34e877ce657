/* What libwebsockets knows of a request. */
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
#include "gateway/net/activation.h"
#include "gateway/net/head.h"

enum { HEADER_BYTES_MAX = HEAD_BYTES_MAX }; /* of all headers */

struct gateway *http_gateway(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

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

static bool argument_again(struct lws *wsi, const char *name)
{
    char argument[HEADER_BYTES_MAX];
    int len, at = find_argument(wsi, 0, name, argument, &len);
    return at >= 0 && find_argument(wsi, at + 1, name, argument, &len) >= 0;
}

/* One that is there and cannot be read is unknown, not missing: it must not make anybody anonymous. */
static const struct grants *grants_of(const struct options *opt, const char *token, const char **why)
{
    return token[0] ? options_present(opt, slice_str(token), why) : NULL;
}

const struct grants *http_grants(struct lws *wsi, const struct options *opt, const char **why)
{
    char text[JWT_BYTES_MAX + 16];
    static const char bearer[] = "bearer";
    const size_t bearer_len = sizeof(bearer) - 1;
    *why = "unknown token";
    enum http_argument argument = http_argument(wsi, "token", text, sizeof(text));
    if (argument == HTTP_ARGUMENT_TOO_LONG || argument_again(wsi, "token"))
        return NULL;
    if (argument == HTTP_ARGUMENT_THERE && text[0])
        return grants_of(opt, text, why);
    if (!http_header(wsi, HTTP_AUTHORIZATION, text, sizeof(text)))
        return options_hold(&opt->anonymous);
    if (!text[0])
        return NULL;
    if (strcspn(text, " ") != bearer_len || strncasecmp(text, bearer, bearer_len) != 0)
        return options_hold(&opt->anonymous); /* another scheme is for somebody else */
    return grants_of(opt, text[bearer_len] ? text + bearer_len + 1 : "", why);
}

static struct remote remote_of(struct lws *wsi)
{
    return remote_of_socket(lws_get_socket_fd(wsi));
}

struct remote http_client(struct lws *wsi, const struct options *opt)
{
    char text[HEADER_BYTES_MAX];
    struct remote peer = remote_of(wsi);
    if (opt->trusted_proxy_len == 0 || !http_header(wsi, HTTP_X_FORWARDED_FOR, text, sizeof(text)))
        return peer;
    return forwarded_client((const char *const *)opt->trusted_proxy, opt->trusted_proxy_len, peer, slice_str(text));
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
    struct remote remote = remote_of(wsi);
    const char *why;
    struct admin_request r = {.grants = http_grants(wsi, g->opt, &why),
                              .local = remote_is_local(&remote),
                              .forwarded = is_forwarded(wsi),
                              .action = is_post(wsi),
                              .host = host};
    http_host(wsi, host, sizeof(host));
    r.origin = origin_of(wsi, origin, sizeof(origin));
    if (http_header(wsi, HTTP_SEC_FETCH_SITE, site, sizeof(site)))
        r.fetch_site = site;
    enum admin_verdict verdict = admin_judge(&r);
    if (r.grants)
        options_release(r.grants);
    return verdict;
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

bool http_method(struct lws *wsi, enum http_method *out)
{
    *out = is_post(wsi) ? HTTP_POST : HTTP_GET;
    return *out == HTTP_POST || http_is_head(wsi) || lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
}

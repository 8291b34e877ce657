/* HTTP/1.1 over a wire that waits. Each answer ends its connection. */
#include "gateway/command/fetch.h"

#include <stdio.h>
#include <strings.h>

#include "redis/dial.h"

/* --- where to ask ----------------------------------------------------------------------------------------- */

/* Copies with a NUL behind; false when there is no room. */
static bool copy(char *to, size_t size, struct slice from)
{
    if (from.len >= size)
        return false;
    memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return true;
}

static bool take_port(struct fetch_place *out, struct slice port)
{
    int64_t number;
    return slice_i64(port, &number) && number > 0 && number <= 65535 && copy(out->port, sizeof(out->port), port);
}

/* HOST, HOST:PORT, [V6] or [V6]:PORT. */
static const char *take_authority(struct slice text, struct fetch_place *out)
{
    struct slice host = text, port = out->tls ? SLICE_LIT("443") : SLICE_LIT("80");
    bool brackets = text.len > 0 && text.ptr[0] == '[';
    const char *close = brackets ? memchr(text.ptr, ']', text.len) : NULL;
    if (brackets && !close)
        return "a bracket is missing";
    size_t from = brackets ? (size_t)(close - text.ptr) : 0;
    const char *colon = memchr(text.ptr + from, ':', text.len - from);
    if (colon) {
        host.len = (size_t)(colon - text.ptr);
        port = slice_of(colon + 1, text.len - host.len - 1);
    }
    if (brackets) {
        if (host.ptr[host.len - 1] != ']')
            return "what stands behind the bracket is no port";
        host = slice_of(host.ptr + 1, host.len - 2);
    }
    if (!take_port(out, port))
        return "a port from 1 to 65535 is needed";
    return host.len > 0 && copy(out->host, sizeof(out->host), host) ? NULL : "that is not a host";
}

/* What listens everywhere listens on loopback too. */
static void resolve_wildcard(struct fetch_place *out)
{
    if (strcmp(out->host, "0.0.0.0") == 0)
        copy(out->host, sizeof(out->host), SLICE_LIT("127.0.0.1"));
    else if (strcmp(out->host, "::") == 0)
        copy(out->host, sizeof(out->host), SLICE_LIT("::1"));
}

/* It goes into a request line as it is. */
static bool is_target(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return false;
    }
    return true;
}

static const char *parse_url(struct slice rest, struct fetch_place *out)
{
    const char *slash = memchr(rest.ptr, '/', rest.len);
    struct slice authority = rest;
    if (slash) {
        authority.len = (size_t)(slash - rest.ptr);
        struct slice target = slice_of(slash, rest.len - authority.len);
        if (!is_target(target) || !copy(out->target, sizeof(out->target), target))
            return "that is not a path";
    }
    return take_authority(authority, out);
}

static bool is_here(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 || strncmp(host, "127.", 4) == 0;
}

/* Takes `scheme` off the front. */
static bool take_scheme(const char **text, const char *scheme)
{
    size_t len = strlen(scheme);
    bool there = strncmp(*text, scheme, len) == 0;
    *text += there ? len : 0;
    return there;
}

const char *fetch_parse(const char *text, const char *target, struct fetch_place *out)
{
    *out = (struct fetch_place){.port = ""};
    if (!copy(out->target, sizeof(out->target), slice_str(target)))
        return "that is not a path";
    if (take_scheme(&text, "unix:"))
        return *text && copy(out->socket, sizeof(out->socket), slice_str(text)) ? NULL
                                                                                : "that is not the path of a socket";
    const char *why;
    if ((out->tls = take_scheme(&text, "https://")) || take_scheme(&text, "http://"))
        why = parse_url(slice_str(text), out);
    else
        why = strstr(text, "://") ? "only http://, https:// and unix: can be asked"
                                  : take_authority(slice_str(text), out);
    if (why)
        return why;
    resolve_wildcard(out);
    out->verify = out->tls && !is_here(out->host);
    return NULL;
}

/* What is no URL is an address of this program, which speaks TLS on every port when it has a certificate. */
const char *fetch_place(const struct options *o, const char *target, struct fetch_place *out, const char **text)
{
    *text = o->url ? o->url : o->listen[0];
    const char *why = fetch_parse(*text, target, out);
    if (!strstr(*text, "://") && !out->socket[0])
        out->tls = o->tls_cert;
    return why;
}

/* --- asking ----------------------------------------------------------------------------------------------- */

enum { HEAD_MAX = 16 * 1024 };

static int fail(char why[FETCH_WHY_MAX], const char *sentence)
{
    snprintf(why, FETCH_WHY_MAX, "%s", sentence);
    return 0;
}

static bool ask(struct wire *w, const struct fetch_place *p, const char *token, int64_t until_ms)
{
    struct buf request;
    const char *host = p->socket[0] ? "localhost" : p->host;
    bool v6 = strchr(host, ':');
    char head[sizeof(p->target) + sizeof(p->host) + 128];
    int len = snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: %s%s%s\r\nConnection: close\r\n", p->target,
                       v6 ? "[" : "", host, v6 ? "]" : "");
    buf_init(&request, HEAD_MAX);
    buf_put(&request, head, (size_t)len);
    if (token) {
        buf_put_lit(&request, "Authorization: Bearer ");
        buf_put_slice(&request, slice_str(token));
        buf_put_lit(&request, "\r\n");
    }
    buf_put_lit(&request, "\r\n");
    bool sent = !request.failed && dial_write(w, request.ptr, request.len, until_ms);
    if (request.ptr)
        explicit_bzero(request.ptr, request.len);
    buf_deinit(&request);
    return sent;
}

/* The three digits of `HTTP/1.1 200 `; 0 when what comes is no HTTP. */
static int read_status(struct slice head)
{
    int64_t status;
    const char *line = head.ptr;
    if (head.len < 13 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || line[12] != ' ' ||
        !slice_i64(slice_of(line + 9, 3), &status))
        return 0;
    return (int)status;
}

/* The value of a header, empty when it is not there. `head` ends behind the empty line. */
static struct slice header(struct slice head, const char *name)
{
    size_t len = strlen(name);
    struct slice line;
    while (slice_cut(&head, '\n', &line)) {
        if (line.len <= len || line.ptr[len] != ':' || strncasecmp(line.ptr, name, len) != 0)
            continue;
        struct slice value = slice_of(line.ptr + len + 1, line.len - len - 1);
        while (value.len > 0 && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
            value = slice_of(value.ptr + 1, value.len - 1);
        while (value.len > 0 && strchr(" \t\r", value.ptr[value.len - 1]))
            value.len--;
        return value;
    }
    return SLICE_NONE;
}

/* Reads on until `have` bytes are there, or the end. False after a failure. */
static bool read_on(struct wire *w, struct buf *in, size_t have, bool *ended, int64_t until_ms)
{
    while (in->len < have && !*ended) {
        char *room = buf_reserve(in, 4096);
        if (!room) {
            snprintf(w->why, sizeof(w->why), "the answer is too large");
            return false;
        }
        ssize_t n = dial_read(w, room, 4096, until_ms);
        if (n < 0)
            return false;
        *ended = n == 0;
        in->len += (size_t)n;
    }
    return true;
}

/* Takes the chunks apart in place; false when they are none. */
static bool join_chunks(struct slice in, struct buf *body)
{
    struct slice line;
    while (slice_cut(&in, '\n', &line)) {
        size_t size = 0, digits = 0;
        for (; digits < line.len && digits < 7; digits++) {
            const char *hex = "0123456789abcdef", *at = strchr(hex, line.ptr[digits] | 0x20);
            if (!at || line.ptr[digits] == '\0')
                break;
            size = size * 16 + (size_t)(at - hex);
        }
        if (digits == 0 || in.len < size + 2)
            return digits > 0 && size == 0;
        if (size == 0)
            return true;
        buf_put(body, in.ptr, size);
        in = slice_of(in.ptr + size + 2, in.len - size - 2);
    }
    return false;
}

static bool take_body(struct wire *w, struct buf *in, size_t head_len, struct buf *body, int64_t until_ms)
{
    struct slice head = slice_of(in->ptr, head_len);
    struct slice length_text = header(head, "content-length");
    bool chunked = header(head, "transfer-encoding").len > 0, ended = false;
    int64_t length = -1;
    if (length_text.len > 0 && (!slice_i64(length_text, &length) || length < 0 || length > FETCH_BODY_MAX)) {
        snprintf(w->why, sizeof(w->why), "the answer is too large");
        return false;
    }
    if (!read_on(w, in, length >= 0 ? head_len + (size_t)length : SIZE_MAX, &ended, until_ms))
        return false;
    struct slice rest = slice_of(in->ptr + head_len, in->len - head_len);
    snprintf(w->why, sizeof(w->why), "the answer ended early");
    if (chunked)
        return join_chunks(rest, body) && !body->failed;
    if (length >= 0 && rest.len < (size_t)length)
        return false;
    buf_put_slice(body, length >= 0 ? slice_of(rest.ptr, (size_t)length) : rest);
    return !body->failed;
}

/* The length of the head with its empty line, 0 while that has not come. */
static size_t head_end(const struct buf *in)
{
    const char *end = in->len > 0 ? memmem(in->ptr, in->len, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - in->ptr) + 4 : 0;
}

static int take_answer(struct wire *w, struct buf *body, int64_t until_ms, char why[FETCH_WHY_MAX])
{
    struct buf in;
    bool ended = false, good = true;
    buf_init(&in, FETCH_BODY_MAX + HEAD_MAX);
    while (good && !ended && (in.len < 13 || (body && head_end(&in) == 0 && in.len < HEAD_MAX)))
        good = read_on(w, &in, in.len + 1, &ended, until_ms);
    int status = good ? read_status(buf_slice(&in)) : 0;
    size_t head_len = head_end(&in);
    if (!good)
        fail(why, w->why);
    else if (status == 0 || (body && head_len == 0))
        status = fail(why, "no answer in HTTP");
    else if (body && !take_body(w, &in, head_len, body, until_ms))
        status = fail(why, w->why);
    buf_deinit(&in);
    return status;
}

int fetch_get(const struct fetch_place *p, const char *token, int64_t until_ms, struct buf *body,
              char why[FETCH_WHY_MAX])
{
    struct wire w;
    const struct dial to = {.host = p->socket[0] ? NULL : p->host,
                            .port = p->port,
                            .unix_path = p->socket[0] ? p->socket : NULL,
                            .tls = p->tls,
                            .unverified = !p->verify};
    if (!dial_open(&w, &to, until_ms))
        return fail(why, w.why);
    int status = ask(&w, p, token, until_ms) ? take_answer(&w, body, until_ms, why) : fail(why, w.why);
    wire_close(&w);
    return status;
}

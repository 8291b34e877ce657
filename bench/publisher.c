/* Redis: one connection, the commands of a turn in one write. HTTP: some connections that are kept, one request on each at a time.
 * WebSocket: one connection. */
#include "bench/publisher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/dialect.h"
#include "bench/payload.h"

enum { PIPELINE = 1000, HTTP_CONNECTIONS_MAX = 64 };

struct http {
    struct publisher *owner;
    struct watch watch;
    struct stream stream;
    struct bytes out, in;
    bool open, busy;
};

struct publisher {
    struct loop *loop;
    const struct options *opt;
    struct redis redis;
    struct client client;
    struct http *https;
    size_t https_len;
    struct bytes waiting; /* requests that no connection was free for; each behind its length */
    int64_t unanswered;
    char error[256];
    struct bytes text; /* scratch */
    struct bytes before, after;
};

/* --- HTTP --- */

static void http_next(struct http *h)
{
    struct publisher *p = h->owner;
    size_t len;
    if (h->busy || !h->open || p->waiting.len == 0)
        return;
    memcpy(&len, p->waiting.ptr, sizeof(len));
    bytes_put(&h->out, p->waiting.ptr + sizeof(len), len);
    bytes_consume(&p->waiting, sizeof(len) + len);
    h->busy = true;
    ssize_t n = stream_write(&h->stream, h->out.ptr, h->out.len);
    if (n < 0 && errno != EAGAIN)
        bench_die("publishing by HTTP: %s", strerror(errno));
    bytes_consume(&h->out, n > 0 ? (size_t)n : 0);
    loop_change(p->loop, &h->watch, (uint32_t)EPOLLIN | (h->out.len ? (uint32_t)EPOLLOUT : 0U));
}

/* The length of a whole response, 0 when bytes are missing. */
static size_t http_response(const char *bytes, size_t len)
{
    static const char key[] = "\r\ncontent-length:";
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t head = (size_t)(end - bytes) + 4, body = 0;
    bool chunked = false;
    for (const char *p = bytes; p + sizeof(key) < end; p++) {
        if (*p == '\r' && strncasecmp(p, key, sizeof(key) - 1) == 0)
            body = strtoul(p + sizeof(key) - 1, NULL, 10);
        chunked |= *p == '\r' && strncasecmp(p, "\r\ntransfer-encoding: chunked", 28) == 0;
    }
    if (chunked) { /* the last chunk is empty */
        const char *last = memmem(bytes + head, len - head, "0\r\n\r\n", 5);
        return last ? (size_t)(last - bytes) + 5 : 0;
    }
    return len < head + body ? 0 : head + body;
}

static void http_receive(struct http *h)
{
    struct publisher *p = h->owner;
    char buffer[8192];
    ssize_t n = stream_read(&h->stream, buffer, sizeof(buffer));
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        bench_die("publishing by HTTP: the server closed the connection");
    bytes_put(&h->in, buffer, (size_t)n);
    size_t len = http_response(h->in.ptr, h->in.len);
    if (len == 0)
        return;
    if (!p->error[0] && (len < 12 || h->in.ptr[9] != '2'))
        snprintf(p->error, sizeof(p->error), "%.*s", (int)strcspn(h->in.ptr, "\r"), h->in.ptr);
    bytes_consume(&h->in, len);
    p->unanswered--;
    h->busy = false;
    http_next(h);
}

static void on_http(struct watch *w, uint32_t events)
{
    struct http *h = container_of(w, struct http, watch);
    if (!h->open) {
        enum stream_state state = stream_open(&h->stream, &h->owner->opt->publish_url);
        if (state == STREAM_FAILED)
            bench_die("publishing by HTTP: %s", strerror(errno));
        h->open = state == STREAM_OPEN;
        loop_change(h->owner->loop, &h->watch, EPOLLIN);
        return;
    }
    if ((events & EPOLLOUT) && h->out.len > 0) {
        ssize_t n = stream_write(&h->stream, h->out.ptr, h->out.len);
        bytes_consume(&h->out, n > 0 ? (size_t)n : 0);
        loop_change(h->owner->loop, &h->watch, (uint32_t)EPOLLIN | (h->out.len ? (uint32_t)EPOLLOUT : 0U));
    }
    if (events & ~(uint32_t)EPOLLOUT)
        http_receive(h);
}

static void http_start(struct publisher *p)
{
    int64_t wanted = p->opt->rate > 0 ? HTTP_CONNECTIONS_MAX / 4 : p->opt->window;
    p->https_len = (size_t)(wanted < HTTP_CONNECTIONS_MAX ? wanted : HTTP_CONNECTIONS_MAX);
    p->https = bench_alloc(p->https_len, sizeof(*p->https));
    for (size_t i = 0; i < p->https_len; i++) {
        struct http *h = &p->https[i];
        h->owner = p;
        if (!stream_connect(&h->stream, &p->opt->publish_url, 0))
            bench_die("publishing by HTTP: %s", strerror(errno));
        loop_add(p->loop, &h->watch, h->stream.fd, EPOLLOUT, on_http);
    }
}

static void http_put(struct publisher *p, const char *name, const char *payload, size_t len)
{
    char path[2 * NAME_BYTES_MAX];
    struct bytes request = {0};
    if (!url_path(&p->opt->publish_url, name, path, sizeof(path)))
        bench_die("the path is too long");
    bytes_format(&request, "POST %s HTTP/1.1\r\n", path);
    bytes_format(&request, "Host: %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                 p->opt->publish_url.host, len);
    bytes_put(&request, payload, len);
    bytes_put(&p->waiting, &request.len, sizeof(request.len));
    bytes_put(&p->waiting, request.ptr, request.len);
    bytes_deinit(&request);
    p->unanswered++;
}

/* --- Redis --- */

static void put_key(struct bytes *out, const struct options *o, const char *name)
{
    char key[2 * NAME_BYTES_MAX];
    int len = snprintf(key, sizeof(key), "%s{%s}", o->prefix, name);
    if (len < 0 || (size_t)len >= sizeof(key))
        bench_die("the key is too long");
    resp_word(out, key, (size_t)len);
}

/* FCALL with its function, the key, and room for `words` more. */
static void begin_call(struct publisher *p, const char *function, const char *name, size_t words)
{
    resp_command(&p->redis.out, 4 + words);
    resp_text(&p->redis.out, "FCALL");
    resp_text(&p->redis.out, function);
    resp_text(&p->redis.out, "1");
    put_key(&p->redis.out, p->opt, name);
    p->redis.unanswered++;
}

static void put_item(struct publisher *p, const char *name, const char *index, const char *id, const char *payload,
                     size_t len)
{
    begin_call(p, "sg_list_insert", name, 3);
    resp_text(&p->redis.out, index);
    resp_text(&p->redis.out, id);
    resp_word(&p->redis.out, payload, len);
}

static void put_channel(struct publisher *p, const char *name, const char *payload, size_t len)
{
    const struct options *o = p->opt;
    const char *pattern = o->channel ? o->channel : "%s", *mark = strstr(pattern, "%s");
    char channel[2 * NAME_BYTES_MAX];
    int head = mark ? (int)(mark - pattern) : (int)strlen(pattern);
    int size = snprintf(channel, sizeof(channel), "%.*s%s%s", head, pattern, mark ? name : "", mark ? mark + 2 : "");
    if (size < 0 || (size_t)size >= sizeof(channel))
        bench_die("the channel is too long");
    resp_command(&p->redis.out, 3);
    resp_text(&p->redis.out, o->command);
    resp_word(&p->redis.out, channel, (size_t)size);
    resp_word(&p->redis.out, payload, len);
    p->redis.unanswered++;
}

static void redis_put(struct publisher *p, const char *name, int64_t seq, const char *payload, size_t len)
{
    char id[32];
    if (strcmp(p->opt->command, "fcall") != 0) {
        put_channel(p, name, payload, len);
    } else if (p->opt->kind == KIND_LIST) {
        snprintf(id, sizeof(id), "b%lld", (long long)seq);
        put_item(p, name, "0", id, payload, len);
    } else {
        begin_call(p, "sg_var_set", name, 1);
        resp_word(&p->redis.out, payload, len);
    }
}

static void redis_settle(struct publisher *p, const char *what)
{
    struct resp_value v[4];
    redis_wait(&p->redis, v, 4);
    if (p->redis.errors)
        bench_die("%s: %s", what, p->redis.error);
}

static bool holds_state(const struct publisher *p)
{
    return p->opt->publish == PUBLISH_REDIS && strcmp(p->opt->command, "fcall") == 0;
}

static void prepare_list(struct publisher *p, const char *name)
{
    begin_call(p, "sg_list_drop", name, 0);
    begin_call(p, "sg_list_set_all", name, 1);
    resp_text(&p->redis.out, "[]");
    for (int64_t i = 0; i < p->opt->list_items; i++) {
        char id[32];
        snprintf(id, sizeof(id), "i%lld", (long long)i);
        p->text.len = 0;
        payload_put(&p->text, (size_t)p->opt->size, -1, 0);
        put_item(p, name, "-1", id, p->text.ptr, p->text.len);
        if (p->redis.unanswered >= PIPELINE)
            redis_settle(p, "filling the list");
    }
}

/* A variable must exist before somebody subscribes to it. */
static void prepare_by_client(struct publisher *p)
{
    for (int64_t n = 0; n < options_name_count(p->opt); n++)
        publisher_put(p, n, -1, 0);
    client_flush(&p->client);
}

void publisher_prepare(struct publisher *p)
{
    char name[NAME_BYTES_MAX];
    if (p->opt->publish == PUBLISH_WS && p->opt->kind == KIND_VAR)
        prepare_by_client(p);
    for (int64_t n = 0; holds_state(p) && n < options_name_count(p->opt); n++) {
        options_name(p->opt, n, name);
        if (p->opt->kind == KIND_LIST) {
            prepare_list(p, name);
        } else {
            p->text.len = 0;
            payload_put(&p->text, (size_t)p->opt->size, -1, 0);
            begin_call(p, "sg_var_set", name, 1);
            resp_word(&p->redis.out, p->text.ptr, p->text.len);
        }
        if (p->redis.unanswered >= PIPELINE)
            redis_settle(p, "creating what to subscribe to");
    }
    if (holds_state(p))
        redis_settle(p, "creating what to subscribe to");
}

void publisher_clean(struct publisher *p)
{
    char name[NAME_BYTES_MAX];
    for (int64_t n = 0; holds_state(p) && !p->opt->keep && n < options_name_count(p->opt); n++) {
        options_name(p->opt, n, name);
        begin_call(p, p->opt->kind == KIND_LIST ? "sg_list_drop" : "sg_var_delete", name, 0);
        if (p->redis.unanswered >= PIPELINE)
            redis_settle(p, "cleaning up");
    }
    if (holds_state(p))
        redis_settle(p, "cleaning up");
}

/* --- all of them --- */

static unsigned hex(char c)
{
    return c >= '0' && c <= '9' ? (unsigned)(c - '0') : ((unsigned)c | 32U) - 'a' + 10U;
}

static void unescape(struct bytes *out, const char *text)
{
    for (; *text; text++) {
        char byte = *text;
        if (text[0] == '\\' && text[1] == 'x' && text[2] && text[3]) {
            byte = (char)(hex(text[2]) << 4 | hex(text[3]));
            text += 3;
        }
        bytes_put(out, &byte, 1);
    }
}

struct publisher *publisher_new(struct loop *loop, const struct options *opt, struct clients *clients)
{
    if (opt->publish == PUBLISH_NONE)
        return NULL;
    struct publisher *p = bench_alloc(1, sizeof(*p));
    p->loop = loop;
    p->opt = opt;
    unescape(&p->before, opt->before);
    unescape(&p->after, opt->after);
    if (opt->publish == PUBLISH_REDIS)
        redis_init(&p->redis, loop, &opt->publish_url);
    if (opt->publish == PUBLISH_HTTP)
        http_start(p);
    p->client.publisher = true;
    if (opt->publish == PUBLISH_WS)
        client_start(&p->client, clients, 0, 0);
    return p;
}

void publisher_free(struct publisher *p)
{
    if (!p)
        return;
    if (p->opt->publish == PUBLISH_REDIS)
        redis_deinit(&p->redis);
    if (p->opt->publish == PUBLISH_WS)
        client_stop(&p->client);
    for (size_t i = 0; i < p->https_len; i++) {
        loop_remove(p->loop, &p->https[i].watch);
        stream_close(&p->https[i].stream);
        bytes_deinit(&p->https[i].in);
        bytes_deinit(&p->https[i].out);
    }
    free(p->https);
    bytes_deinit(&p->client.in);
    bytes_deinit(&p->client.out);
    bytes_deinit(&p->waiting);
    bytes_deinit(&p->text);
    bytes_deinit(&p->before);
    bytes_deinit(&p->after);
    free(p);
}

bool publisher_ready(const struct publisher *p)
{
    for (size_t i = 0; i < p->https_len; i++)
        if (!p->https[i].open)
            return false;
    return p->opt->publish != PUBLISH_WS || p->client.state == CLIENT_READY;
}

void publisher_put(struct publisher *p, int64_t name, int64_t seq, int64_t time_ns)
{
    char text[NAME_BYTES_MAX];
    options_name(p->opt, name, text);
    p->text.len = 0;
    bytes_put(&p->text, p->before.ptr, p->before.len);
    payload_put(&p->text, (size_t)p->opt->size, seq, time_ns);
    bytes_put(&p->text, p->after.ptr, p->after.len);
    if (p->opt->publish == PUBLISH_REDIS) {
        redis_put(p, text, seq, p->text.ptr, p->text.len);
    } else if (p->opt->publish == PUBLISH_HTTP) {
        http_put(p, text, p->text.ptr, p->text.len);
    } else {
        const struct dialect *d = p->client.all->dialect;
        struct bytes message = {0};
        d->publish(&message, text, p->text.ptr, p->text.len);
        wsframe_put_masked(&p->client.out, d->opcode, message.ptr, message.len);
        bytes_deinit(&message);
    }
}

void publisher_flush(struct publisher *p)
{
    if (p->opt->publish == PUBLISH_REDIS && p->redis.out.len > 0)
        redis_flush(&p->redis);
    if (p->opt->publish == PUBLISH_WS && p->client.out.len > 0)
        client_flush(&p->client);
    for (size_t i = 0; i < p->https_len && p->waiting.len > 0; i++)
        http_next(&p->https[i]);
}

bool publisher_idle(const struct publisher *p)
{
    return p->redis.unanswered == 0 && p->unanswered == 0 && p->client.out.len == 0;
}

struct redis *publisher_redis(struct publisher *p)
{
    return p && p->opt->publish == PUBLISH_REDIS ? &p->redis : NULL;
}

const char *publisher_error(const struct publisher *p)
{
    return p->error[0] ? p->error : p->redis.errors ? p->redis.error : NULL;
}
